"""Steps that several commands share."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from msma.cli.show.progress import progress_bar
from msma.cli.show.tables import show_cache_report, tell
from msma.files.folders import locked
from msma.types import MsmaError

if TYPE_CHECKING:
    from msma.config import ClipConfig
    from msma.data.corpora.manifest import Manifest
    from msma.data.corpus import Corpus


def cached_corpus(
    manifest: Manifest, splits: tuple[str, ...], config: ClipConfig, path: Path, cache: Path | None, workers: int | None
) -> Corpus:
    """Decode the clips of some splits of the manifest at `path` that are not in the cache yet, and show the report."""
    from msma.config import Limits
    from msma.data.cache import fill_cache
    from msma.data.corpus import Corpus

    rows = [row for split in splits for row in manifest.split(split)]
    folder = cache or path.parent / "cache"
    check_out(folder, folder=True, option="--cache")
    with progress_bar("decoding", "clips") as report:
        filled = fill_cache(rows, config, Limits(), folder, workers=workers, progress=report, waiting=tell)
    show_cache_report(filled)
    return Corpus(manifest, filled)


def check_out(out: Path | None, *inputs: str | Path, folder: bool = False, option: str = "--out") -> None:
    """Refuse, before any work, a place that cannot take the file or the folder to be written, or one of the `inputs`,
    which are read; the MsmaError names the place and the option that changes it."""
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
        except (OSError, ValueError):  # one of them is not there, or cannot be a file's name
            continue
        if is_read:
            raise MsmaError(f"{out}: is read, and would be overwritten; name another {option}")


def held(folder: Path | None) -> AbstractContextManager[None]:
    """Hold the folder that a command writes into, where there is one, from before its work to the last file."""
    return nullcontext() if folder is None else locked(folder)


def names_in(text: str | None) -> list[str] | None:
    """`gender,age_group` -> names; None where nothing is given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def by_trait(option: str, text: str) -> dict[str, str]:
    """`openness=o,neuroticism=n` -> values by trait; empty where a trait stands alone."""
    pairs = [pair.partition("=") for pair in names_in(text) or ()]
    values = {trait.strip(): value.strip() for trait, _, value in pairs}
    if not values or len(values) < len(pairs):
        raise typer.BadParameter(f"{option} names {'a trait twice' if values else 'no trait'}")
    return values


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
    """How many processes run networks: as many as wanted, else one per core, or one on a GPU (used where there is one,
    unless a device is named)."""
    import torch

    on_cpu = device == "cpu" if device is not None else not torch.cuda.is_available()
    return workers or (os.cpu_count() or 1 if on_cpu else 1)
