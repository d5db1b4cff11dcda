"""Limits on all that a table of someone else's can claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from msma.types import MsmaError

MAX_BYTES = 256 * 1024**2
MAX_UNPACKED_BYTES = 1024**3
"""Limit of a Parquet file, which is compressed."""
MAX_ROWS = 1_000_000
MAX_COLUMNS = 1000
MAX_CELL = 100_000
"""Bytes of a text in Parquet; the manifest is CSV again, whose reader has a limit of about that."""


def check_size(path: Path, *, rows: int = 0, columns: int = 0, unpacked_bytes: int = 0, cell_bytes: int = 0) -> None:
    """MsmaError where one of the sizes is over its limit."""
    limits = (
        (rows, MAX_ROWS, "rows"),
        (columns, MAX_COLUMNS, "columns"),
        (unpacked_bytes, MAX_UNPACKED_BYTES, "bytes unpacked"),
        (cell_bytes, MAX_CELL, "bytes in a cell"),
    )
    for size, limit, unit in limits:
        if size > limit:
            raise MsmaError(f"{path}: larger than any table of a corpus ({limit} {unit}); cut it")


def check_distinct(path: Path, columns: Iterable[str]) -> None:
    """MsmaError where two columns have one name."""
    if duplicate := first_duplicate(columns):
        raise MsmaError(f"{path}: column {duplicate!r} is duplicated; rename one")


def first_duplicate(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
