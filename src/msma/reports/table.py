"""A table as a value: written once, shown on a page, in a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Plain text in cells, of which the first names the row; what is behind a line break in a cell is a detail."""

    cells: Sequence[str]
    strong: bool = False
    rule: bool = False
    """A line above it."""
    anchor: str = ""
    """The place on the page that its name leads to."""


@dataclass(frozen=True)
class Table:
    title: str
    heads: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    """How to read it."""
    prose: Sequence[int] = ()
    """Columns of text that may be wrapped, counted from 0."""
