"""`msma predict`, `msma explain` and `msma serve`: apparent traits of the person in a video."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from msma.cli import options
from msma.cli.ending import Ended, ended_in_order
from msma.cli.show.progress import progress_bar
from msma.cli.show.tables import tell
from msma.cli.steps import check_out
from msma.types import MsmaError, Status

SMALLER = ("max_bytes=256_000_000", "max_seconds=600", "max_cpu_s=20")
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
    operating_point: options.OperatingPoint = "accuracy",
    device: options.Device = "cpu",
    tta: options.Tta = False,
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
    resume: Annotated[
        bool, typer.Option("--resume", help="Take over what an earlier run left in --out, made by the same options.")
    ] = False,
    all_files: Annotated[
        bool, typer.Option("--all-files", help="In folders, also files that do not look like media.")
    ] = False,
    follow_links: Annotated[bool, typer.Option("--follow-links", help="In folders, also folders by a link.")] = False,
) -> None:
    """Predict the apparent Big Five of the person in each video.

    With each prediction: its status and reasons, prediction intervals, and how much of audio and visual could be used.
    """
    from msma.cli.show.place import place_for, records_before
    from msma.cli.show.predictions import writer_of
    from msma.config import Limits, with_overrides
    from msma.media.isolated import MediaProcesses
    from msma.prediction.folders import media_files

    if media_preview and format not in ("json", "jsonl"):
        raise typer.BadParameter(f"--media-preview needs --format json or jsonl, not {format!r}")
    if resume and (out is None or format == "table"):
        raise typer.BadParameter("--resume needs --out and --format json, jsonl or csv")
    found = media_files(paths, all_files=all_files, follow_links=follow_links)
    for line in found.lines():
        tell(line)
    files = found.files
    check_out(out, *files)
    counts: Counter[str] = Counter()
    failures: list[str] = []
    place: Path | None = None
    try:
        with (
            ended_in_order() as ending,
            place_for(out, resume=resume) as place,
            MediaProcesses(min(workers or os.cpu_count() or 1, len(files))) as media,
        ):
            # Imported here: the processes start while torch is loaded.
            from msma.prediction.batch import predict_each
            from msma.prediction.model import load
            from msma.prediction.settings import fingerprint

            # Half of the cores, so that the network does not fight with what reads for it; however many workers there
            # are, because with the number of threads the last digits change.
            if runtime == "torch":
                import torch

                torch.set_num_threads(max(1, torch.get_num_threads() // 2))
            loaded = load(
                model,
                device=device,
                face=face,
                yunet=yunet,
                limits=with_overrides(Limits, [*(limits or ()), *options.track_limits(audio_track, video_track)]),
                alpha=alpha,
                min_quality=min_quality,
                runtime=runtime,
                tta=tta,
                operating_point=operating_point,
            )
            settings = fingerprint(loaded, yunet=yunet and str(yunet), media_preview=media_preview)
            kept = records_before(out, format, settings, files) if out is not None and resume else {}
            if resume:
                tell(f"taken over: {len(kept)} of {len(files)} files")
            with writer_of(format, place, kept, files) as write, progress_bar("predicting", "files") as report:
                counts.update(record["status"] for record in kept.values())
                missing = [file for file in files if file not in kept]
                for prediction in predict_each(loaded, missing, media=media, media_preview=media_preview):
                    with ending.held():
                        write(replace(prediction, settings=settings))
                        counts[prediction.status] += 1
                        failures += prediction.reasons[:1] if prediction.status == "failed" else []
                        report(counts.total(), len(files))
                ending.over()
    except Ended as ended:
        left = f"; they are in {place}" if place is not None and counts else ""
        remedy = "; --resume takes them over" if left and format != "table" else ""
        tell(f"ended by {ended}: {counts.total()} of {len(files)} files are predicted{left}{remedy}")
        raise typer.Exit(ended.exit_code) from None
    tell(f"{counts.total()} files: " + ", ".join(f"{counts[status]} {status}" for status in get_args(Status)))
    for failure in failures:
        tell(f"failed: {failure}")
    if loaded.weights.calibration is None:
        tell("no prediction intervals: these weights have none; fit them with `msma calibrate`")
    elif loaded.calibration is None:
        tell(f"no prediction intervals: they are for another operating point than {operating_point}")
    tell(loaded.weights.config.notice)
    if counts["failed"] == counts.total():
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
    from msma.files.writing import write_whole
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

    The page also corrupts clips and explains predictions. Limits for uploads start at max_bytes=256_000_000,
    max_seconds=600 and max_cpu_s=20.
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
    addresses: list[str] = []

    def ready(address: str) -> None:
        addresses.append(address)
        tell(f"open {address} (Ctrl-C ends it)")

    try:
        run(loaded, host, port, waiting=waiting, ready=ready)
    except Ended as ended:
        if not addresses or ended.number != signal.SIGINT:  # a server that ran ends well with Ctrl-C
            raise
