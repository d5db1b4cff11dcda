"""The files in a folder and those below it, with a word on what is passed over there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

LINKED = "are linked folders; --follow-links includes them"
FORBIDDEN = "may not be read; check their permissions"

PassedOver = dict[str, list[str]]
"""Paths by what is the matter with them."""


def files_below(
    folder: str | Path, passed_over: PassedOver, *, follow_links: bool = False, skipped: Path | None = None
) -> Iterator[Path]:
    """The files in a folder and in those below it, in order; each folder is entered once, and `skipped` never.

    Folders that are linked or may not be read are added to `passed_over`.
    """
    entered: set[tuple[int, int]] = set()
    if skipped is not None and skipped.exists() and not skipped.samefile(folder):
        entered.add(identity(skipped))
    unreadable = passed_over.setdefault(FORBIDDEN, [])
    linked = passed_over.setdefault(LINKED, [])
    for place, folders, names in os.walk(
        folder, followlinks=follow_links, onerror=lambda error: unreadable.append(str(error.filename))
    ):
        if identity(place) in entered:  # by another link
            folders.clear()
            continue
        entered.add(identity(place))
        folders.sort()
        if not follow_links:
            linked += [str(Path(place, one)) for one in folders if Path(place, one).is_symlink()]
        yield from (Path(place, name) for name in sorted(names))


def identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116
    return status.st_dev, status.st_ino


def lines_on(passed_over: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """One line for each kind of what was passed over, with an example."""
    for kind, paths in passed_over.items():
        if paths:
            yield f"passed over: {len(paths)} that {kind} ({paths[0][-100:]}{', …' if len(paths) > 1 else ''})"
