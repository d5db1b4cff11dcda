"""Options and steps that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msma.config import ClipConfig
    from msma.data.cache import CacheReport
    from msma.data.corpora.manifest import Row

ManifestOption = Annotated[Path, typer.Option("--manifest", help="CSV written by `msma prepare`.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", help="A run folder, or owner/name on the Hugging Face hub; by default the bundled weights."
    ),
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of decoded clips; by default beside the manifest.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes that read media; by default one a core.")
]
FaceOption = Annotated[
    str | None, typer.Option("--face", help="Whose face: largest, center, or whole for the whole picture.")
]
YunetOption = Annotated[Path | None, typer.Option("--yunet", help="A YuNet ONNX file, to find faces with OpenCV.")]
AlphaOption = Annotated[
    float, typer.Option("--alpha", help="Share of labels that the intervals may miss: 0.01 to 0.5.")
]
LeastQualityOption = Annotated[
    float, typer.Option("--least-quality", min=0.0, max=1.0, help="No answer where sound and picture are both of less.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="A torch device: cpu, cuda, cuda:1, mps.")]


def cached_clips(
    rows: Sequence[Row], config: ClipConfig, manifest: Path, cache: Path | None, workers: int | None
) -> CacheReport:
    from msma.cli.show.progress import progress_bar
    from msma.cli.show.tables import show_cache_report
    from msma.config import Limits
    from msma.data.cache import fill_cache

    folder = cache or manifest.parent / "cache"
    with progress_bar("decoding", "clips") as report:
        filled = fill_cache(rows, config, Limits(), folder, workers=workers, progress=report)
    show_cache_report(filled)
    return filled


def refuse_input(out: Path | None, *inputs: str | Path) -> None:
    """Raises:
    MsmaError: `out` is one of the files that are to be read, and would take its place.
    """
    from msma.types import MsmaError

    for one in inputs:
        try:
            is_read = out is not None and out.samefile(one)
        except (OSError, ValueError):  # one of them is not there, or can be no file's name
            continue
        if is_read:
            raise MsmaError(f"{out}: is read, and would be overwritten; name another --out")


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise typer.BadParameter(f"{option} is one of {', '.join(choices)}, not {value!r}")


def check_face(face: str | None) -> None:
    if face is not None:
        check_choice("--face", face, ("largest", "center", "whole"))


def at_once(device: str | None, workers: int | None) -> int:
    """How many processes run networks: as many as wanted, else one a core, or one on a GPU.

    Without a device, the GPU is used where there is one.
    """
    import os

    import torch

    on_cpu = device == "cpu" if device is not None else not torch.cuda.is_available()
    return workers or (os.cpu_count() or 1 if on_cpu else 1)
