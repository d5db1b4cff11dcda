"""Tables as values, and what else a report is made of: written once, shown on a page, in a terminal, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup


class Row:
    """Plain text in cells, of which the first names the row; what is behind a line break in a cell is a detail.

    A `rule` is a line above it; `anchor` is the place on the page that its name leads to.
    """

    def __init__(self, *cells: str, strong: bool = False, rule: bool = False, anchor: str = "") -> None:
        self.cells, self.strong, self.rule, self.anchor = cells, strong, rule, anchor


@dataclass(frozen=True)
class Table:
    title: str
    heads: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    """How to read it."""
    prose: Sequence[int] = ()
    """Columns of text that may be wrapped, counted from 0."""


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Facts:
    """Names and their values; empty ones are left out."""

    pairs: Mapping[str, str]


@dataclass(frozen=True)
class Code:
    """Text whose lines stay as they are."""

    code: str
    columns: bool = False


@dataclass(frozen=True)
class Missing:
    """Something missing, and the command that makes it."""

    what: str
    command: str


Block = str | Table | Heading | Facts | Code | Missing | Markup
"""A part of a report; text is a line of its own."""


def or_missing(blocks: Iterable[Block], what: str, command: str) -> list[Block]:
    """The blocks of a section, or where there are none, what is missing and the command that makes it."""
    return list(blocks) or [Missing(what, command)]
