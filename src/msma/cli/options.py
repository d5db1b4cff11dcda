"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Manifest = Annotated[Path, typer.Option("--manifest", help="CSV written by `msma prepare`.")]
Recipe = Annotated[Path, typer.Argument(help="A YAML recipe, such as recipes/synthetic.yaml.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change a recipe value: train.steps=500. Repeatable.")]
Model = Annotated[
    str | None,
    typer.Option("--model", help="A run folder, or owner/name on the Hugging Face hub; default: the bundled weights."),
]
Run = Annotated[Path | None, typer.Option("--model", help="A run folder; default: the bundled weights.")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Folder of decoded clips; default: beside the manifest.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes at once; default: one per core.")]
Split = Annotated[str, typer.Option("--split", help="train, val or test.")]
Slices = Annotated[
    str | None,
    typer.Option("--slices", help="Columns of the manifest: gender,age_group; default: all with 2 to 20 values."),
]
Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How results go to stdout.")]
Face = Annotated[
    Literal["largest", "center", "whole"] | None,
    typer.Option("--face", help="Whose face, or the whole frame; default: as in training."),
]
Yunet = Annotated[Path | None, typer.Option("--yunet", help="A YuNet ONNX file, to find faces with OpenCV.")]
Limit = Annotated[list[str] | None, typer.Option("--limit", help="Change a limit: max_seconds=7200. Repeatable.")]
AudioTrack = Annotated[
    int | None,
    typer.Option("--audio-track", min=1, help="Which audio track to read, from 1; default: the one with speech."),
]
VideoTrack = Annotated[
    int | None, typer.Option("--video-track", min=1, help="Which video track to read, from 1; default: the best.")
]
Alpha = Annotated[float, typer.Option("--alpha", help="Share of labels that intervals may miss: 0.01 to 0.5.")]
MinQuality = Annotated[
    float,
    typer.Option("--min-quality", min=0.0, max=1.0, help="Abstain where audio and visual are both of lower quality."),
]
Tta = Annotated[
    bool,
    typer.Option("--tta", help="Average three sampling grids and the mirrored clip: 6 passes of the network."),
]
OperatingPoint = Annotated[
    Literal["accuracy", "ccc"],
    typer.Option("--operating-point", help="Scores for the least error, or with the spread of the labels (ccc)."),
]
Device = Annotated[str, typer.Option("--device", help="A torch device: cpu, cuda, cuda:1, mps.")]
Cpu = Annotated[bool, typer.Option("--cpu", help="Stay on the CPU even where there is a GPU.")]


def track_limits(audio: int | None, video: int | None) -> list[str]:
    """Overrides of Limits for the tracks that were named."""
    return [f"{kind}_track={number}" for kind, number in (("audio", audio), ("video", video)) if number is not None]
