"""Arguments, options and steps that several commands share."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from msma.config import ClipConfig
    from msma.data.corpora.manifest import Manifest
    from msma.data.corpus import Corpus

ManifestOption = Annotated[Path, typer.Option("--manifest", help="CSV written by `msma prepare`.")]
RecipeArgument = Annotated[Path, typer.Argument(help="A YAML recipe, such as recipes/synthetic.yaml.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change one value of the recipe: train.steps=500. Repeatable.")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="A run folder, or owner/name on the Hugging Face hub; default: the bundled weights."),
]
RunOption = Annotated[Path | None, typer.Option("--model", help="A run folder; default: the bundled weights.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of decoded clips; default: beside the manifest.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes that read media; default: one per core.")
]
JobsOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes that read media or run networks; default: one per core."),
]
SplitOption = Annotated[str, typer.Option("--split", help="train, val or test.")]
SlicesOption = Annotated[
    str | None,
    typer.Option("--slices", help="Columns of the manifest: gender,age_group; default: all with 2 to 20 values."),
]
FormatOption = Annotated[Literal["table", "json"], typer.Option("--format", help="How results go to stdout.")]
FaceOption = Annotated[
    Literal["largest", "center", "whole"] | None,
    typer.Option("--face", help="Whose face, or the whole frame; default: as in training."),
]
YunetOption = Annotated[Path | None, typer.Option("--yunet", help="A YuNet ONNX file, to find faces with OpenCV.")]
LimitOption = Annotated[list[str] | None, typer.Option("--limit", help="Change a limit: max_seconds=7200. Repeatable.")]
AlphaOption = Annotated[
    float, typer.Option("--alpha", help="Share of labels that prediction intervals may miss: 0.01 to 0.5.")
]
MinQualityOption = Annotated[
    float,
    typer.Option("--min-quality", min=0.0, max=1.0, help="Abstain where audio and visual are both of lower quality."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="A torch device: cpu, cuda, cuda:1, mps.")]
CpuOption = Annotated[bool, typer.Option("--cpu", help="Stay on the CPU even where there is a GPU.")]


def cached_corpus(
    manifest: Manifest, splits: tuple[str, ...], config: ClipConfig, path: Path, cache: Path | None, workers: int | None
) -> Corpus:
    """Decode the clips of some splits of the manifest at `path` that are not in the cache yet, and show the report."""
    from msma.cli.show.progress import progress_bar
    from msma.cli.show.tables import show_cache_report
    from msma.config import Limits
    from msma.data.cache import fill_cache
    from msma.data.corpus import Corpus

    rows = [row for split in splits for row in manifest.split(split)]
    folder = cache or path.parent / "cache"
    check_out(folder, folder=True, option="--cache")
    with progress_bar("decoding", "clips") as report:
        filled = fill_cache(rows, config, Limits(), folder, workers=workers, progress=report)
    show_cache_report(filled)
    return Corpus(manifest, filled)


def check_out(out: Path | None, *inputs: str | Path, folder: bool = False, option: str = "--out") -> None:
    """Refuse, before any work, a place that cannot take the file or the folder to be written.

    Args:
        inputs: files that are read, none of which may be overwritten.

    Raises:
        MsmaError: one line that names the place and the option that changes it.
    """
    from msma.types import MsmaError

    if out is None:
        return
    if folder and out.exists() and not out.is_dir():
        raise MsmaError(f"{out}: is a file; name a folder with {option}")
    if not folder and out.is_dir():
        raise MsmaError(f"{out}: is a folder; name a file with {option}")
    home = next(place for place in ((out, *out.parents) if folder else out.parents) if place.exists())
    if not home.is_dir():
        raise MsmaError(f"{out}: {home} is a file and can hold no other; name another {option}")
    if not os.access(home, os.W_OK | os.X_OK):
        raise MsmaError(f"{out}: {home} cannot be written to; name another {option}")
    for one in inputs:
        try:
            is_read = out.samefile(one)
        except (OSError, ValueError):  # one of them is not there, or can be no file's name
            continue
        if is_read:
            raise MsmaError(f"{out}: is read, and would be overwritten; name another {option}")


def names_in(text: str | None) -> list[str] | None:
    """`gender,age_group` -> names; None where nothing is given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def severities_in(text: str) -> tuple[int, ...]:
    """`3`, `1-5` or `1,3,5` -> severities in rising order."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        known = re.fullmatch(r"[1-5](-[1-5])?", part.strip()) and range(int(first), int(last or first) + 1)
        if not known:
            raise typer.BadParameter(f"--severity is one of 1 to 5, a range such as 1-5, or 1,3,5, not {text!r}")
        found.update(known)
    return tuple(sorted(found))


def at_once(device: str | None, workers: int | None) -> int:
    """How many processes run networks: as many as wanted, else one per core, or one on a GPU.

    Without a device, the GPU is used where there is one.
    """
    import torch

    on_cpu = device == "cpu" if device is not None else not torch.cuda.is_available()
    return workers or (os.cpu_count() or 1 if on_cpu else 1)
