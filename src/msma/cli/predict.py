"""`msma predict`: apparent traits of the person in each video."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from msma.cli.options import (
    AlphaOption,
    DeviceOption,
    FaceOption,
    LimitOption,
    MinQualityOption,
    ModelOption,
    YunetOption,
    check_out,
)
from msma.cli.show.tables import tell


def predict(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Video files, folders or glob patterns.")],
    model: ModelOption = None,
    format: Annotated[
        Literal["table", "json", "jsonl", "csv"], typer.Option("--format", help="How predictions are written.")
    ] = "table",
    out: Annotated[Path | None, typer.Option("--out", help="Write the predictions here instead of to stdout.")] = None,
    face: FaceOption = None,
    yunet: YunetOption = None,
    limits: LimitOption = None,
    alpha: AlphaOption = 0.1,
    min_quality: MinQualityOption = 0.1,
    device: DeviceOption = "cpu",
    media_preview: Annotated[
        bool,
        typer.Option(
            "--media-preview",
            help="Add some face crops and the outline of the audio for `msma report`; the file then holds images of "
            "the person. Needs json or jsonl.",
        ),
    ] = False,
    runtime: Annotated[
        Literal["torch", "onnx"], typer.Option("--runtime", help="onnx is for a folder written by `msma export onnx`.")
    ] = "torch",
) -> None:
    """Predict the apparent Big Five of the person in each video.

    With each prediction: its status and reasons, prediction intervals, and how much of audio and visual could be used.
    """
    from msma.cli.show.predictions import writer_of
    from msma.cli.show.progress import progress_bar
    from msma.config import Limits, with_overrides
    from msma.prediction.batch import media_files, predict_each
    from msma.prediction.model import load
    from msma.types import Status

    if media_preview and format not in ("json", "jsonl"):
        raise typer.BadParameter(f"--media-preview needs --format json or jsonl, not {format!r}")
    files = media_files(paths)
    check_out(out, *files)
    loaded = load(
        model,
        device=device,
        face=face,
        yunet=yunet,
        limits=with_overrides(Limits, limits or ()),
        alpha=alpha,
        min_quality=min_quality,
        runtime=runtime,
    )
    predictions = []
    with writer_of(format, out) as write, progress_bar("predicting", "files") as report:
        for prediction in predict_each(loaded, files, media_preview=media_preview):
            predictions.append(prediction)
            write(prediction)
            report(len(predictions), len(files))
    counts = Counter(prediction.status for prediction in predictions)
    tell(f"{len(predictions)} files: " + ", ".join(f"{counts[status]} {status}" for status in get_args(Status)))
    for prediction in predictions:
        if prediction.status == "failed":
            tell(f"failed: {prediction.reasons[0]}")
    if loaded.weights.calibration is None:
        tell("no prediction intervals: these weights have none; fit them with `msma calibrate`")
    tell(loaded.weights.config.notice)
    if counts["failed"] == len(predictions):
        raise typer.Exit(1)
