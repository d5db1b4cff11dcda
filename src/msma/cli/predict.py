"""`msma predict`, `msma explain` and `msma serve`: apparent traits of the person in a video."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from msma.cli import options
from msma.cli.show.progress import progress_bar
from msma.cli.show.tables import tell
from msma.cli.steps import check_out
from msma.types import MsmaError, Status

SMALLER = ("max_bytes=256_000_000", "max_seconds=600")
"""Limits below those for files of one's own: a clip of somebody else should not keep others waiting."""


def predict(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Video files, folders or glob patterns.")],
    model: options.Model = None,
    format: Annotated[Literal["table", "json", "jsonl", "csv"], typer.Option(help="Output format.")] = "table",
    out: Annotated[Path | None, typer.Option(help="Write the predictions here instead of to stdout.")] = None,
    face: options.Face = None,
    yunet: options.Yunet = None,
    limits: options.Limit = None,
    audio_track: options.AudioTrack = None,
    video_track: options.VideoTrack = None,
    alpha: options.Alpha = 0.1,
    min_quality: options.MinQuality = 0.1,
    device: options.Device = "cpu",
    media_preview: Annotated[
        bool,
        typer.Option(
            "--media-preview",
            help="Add some face crops and the outline of the audio for `msma report`; the file then holds images of "
            "the person. Needs json or jsonl.",
        ),
    ] = False,
    runtime: Annotated[Literal["torch", "onnx"], typer.Option(help="onnx: a folder of `msma export onnx`.")] = "torch",
    workers: options.Workers = None,
) -> None:
    """Predict the apparent Big Five of the person in each video.

    With each prediction: its status and reasons, prediction intervals, and how much of audio and visual could be used.
    """
    from msma.cli.show.predictions import writer_of
    from msma.config import Limits, with_overrides
    from msma.media.isolated import MediaProcesses
    from msma.prediction.batch import media_files, predict_each

    if media_preview and format not in ("json", "jsonl"):
        raise typer.BadParameter(f"--media-preview needs --format json or jsonl, not {format!r}")
    files = media_files(paths)
    check_out(out, *files)
    predictions = []
    with MediaProcesses(min(workers or os.cpu_count() or 1, len(files))) as media:  # they start while torch is loaded
        from msma.prediction.model import load

        loaded = load(
            model,
            device=device,
            face=face,
            yunet=yunet,
            limits=with_overrides(Limits, [*(limits or ()), *options.track_limits(audio_track, video_track)]),
            alpha=alpha,
            min_quality=min_quality,
            runtime=runtime,
        )
        with writer_of(format, out) as write, progress_bar("predicting", "files") as report:
            for prediction in predict_each(loaded, files, media=media, media_preview=media_preview):
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


def explain(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A video file.")],
    out: Annotated[Path, typer.Option(help="The page (HTML).")],
    model: options.Model = None,
    windows: Annotated[int, typer.Option(min=1, help="How many windows of a long video, from its start.")] = 4,
    audio_track: options.AudioTrack = None,
    video_track: options.VideoTrack = None,
    device: options.Device = "cpu",
) -> None:
    """Show which modality, seconds and scales drove a prediction.

    The page also shows where the network attended.
    """
    from msma.config import Limits, with_overrides
    from msma.files import write_whole
    from msma.media.isolated import MediaProcesses
    from msma.prediction.explain import explain as explain_clip
    from msma.prediction.model import load
    from msma.reports.explanation import explanation_page

    check_out(out, clip)
    loaded = load(model, device=device, limits=with_overrides(Limits, options.track_limits(audio_track, video_track)))
    with MediaProcesses(1) as media, progress_bar("explaining", "seconds") as report:
        found = explain_clip(loaded, clip, media=media, max_windows=windows, progress=report)
    write_whole(out, explanation_page(found, loaded.weights.calibration))
    status = found.prediction.status
    tell(f"{status}; {found.passes} passes of the network in {found.elapsed_s:.1f} s; {out} opens in a browser")
    tell(found.prediction.notice)


def serve(
    model: options.Model = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 opens it to the network, without a password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: any that is free.")] = 7860,
    waiting: Annotated[int, typer.Option(min=1, help="Clips that may wait; more are refused.")] = 32,
    face: options.Face = None,
    yunet: options.Yunet = None,
    limits: options.Limit = None,
    alpha: options.Alpha = 0.1,
    min_quality: options.MinQuality = 0.1,
    device: options.Device = "cpu",
) -> None:
    """Serve a web page and an HTTP endpoint for predictions.

    The page also corrupts clips and explains predictions. Limits for uploads start at max_bytes=256_000_000 and
    max_seconds=600.
    """
    import importlib.util

    from msma.config import Limits, with_overrides

    if importlib.util.find_spec("gradio") is None:
        raise MsmaError("the page needs gradio: pip install 'msma[serve]'")
    from msma.prediction.model import load
    from msma.serve.server import is_loopback
    from msma.serve.server import serve as run

    loaded = load(
        model,
        device=device,
        face=face,
        yunet=yunet,
        limits=with_overrides(Limits, (*SMALLER, *(limits or ()))),
        alpha=alpha,
        min_quality=min_quality,
    )
    if not is_loopback(host):
        tell(f"{host}: everybody who reaches this machine can send clips; there is no password and no encryption")
    run(loaded, host, port, waiting=waiting, ready=lambda address: tell(f"open {address} (Ctrl-C ends it)"))
