"""Which files a user means by folders and patterns."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Sequence
from pathlib import Path

MEDIA_SUFFIXES = frozenset(
    f".{name}"
    for name in "mp4 m4v mov mkv webm avi mpg mpeg ts mts m2ts flv wmv ogv 3gp wav mp3 m4a ogg flac aac opus".split()  # noqa: SIM905
)
"""What is taken for media in a folder; a file that is named itself may have any name."""


def media_files(paths: Sequence[str]) -> list[str]:
    """Expand folders (their media files, recursively, by suffix) and globs; a file that is named is taken as it is.

    A folder without media or a pattern without a match stays as it is, and fails when it is read.
    """
    found: list[str] = []
    for text in paths:
        inside: list[str] = []
        with contextlib.suppress(OSError, ValueError):  # an impossible path; reading it says why
            inside = _media_below(Path(text)) if Path(text).is_dir() else _matches(text)
        found += inside or [text]
    return list(dict.fromkeys(found))


def _media_below(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file())


def _matches(pattern: str) -> list[str]:
    if Path(pattern).exists() or not glob.has_magic(pattern):
        return []
    return sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207
