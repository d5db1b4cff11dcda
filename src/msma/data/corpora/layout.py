"""The meaning of a table's columns: which one names the clips, which are traits, and their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msma.data.corpora.manifest import COLUMNS
from msma.data.corpora.scores import read_scores
from msma.data.corpora.table_file import Table
from msma.data.corpora.table_limits import first_duplicate
from msma.types import TRAITS, MsmaError


@dataclass(frozen=True)
class Layout:
    """The meaning of a table's columns."""

    path: str
    """Column of the media files, relative to the table's folder or to `root`."""
    traits: Mapping[str, str] | None = None
    """Trait to its column; None: the traits that are names of columns."""
    source: str | None = None
    """Column of the group that must not be split; None: each clip for itself."""
    split: str | None = None
    """Column of train, val and test; None: drawn by `shares` and `seed`."""
    shares: tuple[float, float, float] = (60.0, 20.0, 20.0)
    seed: int = 0
    range: tuple[float, float] | None = None
    """Lowest and highest score of the scale; None: scores are in [0, 1] as they are."""
    root: Path | None = None


@dataclass(frozen=True)
class Places:
    """The places of a table's columns, and the scores in them."""

    path: int
    source: int | None
    split: int | None
    traits: dict[str, int]
    others: dict[str, int]
    """Columns that are kept as text, by their names in the manifest."""
    scores: dict[str, list[float]]
    """As written, by trait and row; NaN where there is none."""
    notes: list[str]


def trait_columns(table: Table, layout: Layout) -> dict[str, str]:
    """Trait, in OCEAN order, to the name of its column.

    MsmaError for an unknown trait or column, two traits in one column, or no trait at all.
    """
    if layout.traits is None:
        named = {trait: trait for trait in TRAITS if any(trait == column.casefold() for column in table.columns)}
    else:
        named = {trait.casefold(): column for trait, column in layout.traits.items()}
    if unknown := [trait for trait in named if trait not in TRAITS]:
        raise MsmaError(f"{table.path}: {unknown[0]!r} is not a trait; --traits takes {', '.join(TRAITS)}")
    if not named:
        has = table.shown_columns()
        raise MsmaError(f"{table.path}: no column is named as a trait; it has: {has}; say --traits openness=COLUMN,...")
    columns = {trait: table.columns[table.place(named[trait])] for trait in TRAITS if trait in named}
    if first_duplicate(columns.values()):
        raise MsmaError(f"{table.path}: two traits are read from one column; give each its own in --traits")
    return columns


def places_of(table: Table, layout: Layout, columns: Mapping[str, str]) -> Places:
    """The places of the columns, and the scores; MsmaError where a column or the scale is none, or its scores are not
    plain."""
    low, high = layout.range or (0.0, 1.0)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise MsmaError(f"--range {low:g},{high:g}: give the lowest and the highest score of the scale, such as 1,7")
    path = table.place(layout.path)
    source, split = (None if name is None else table.place(name) for name in (layout.source, layout.split))
    traits = {trait: table.place(column) for trait, column in columns.items()}
    others = other_columns(table, {path, source, split, *traits.values()})
    scores = {trait: read_scores(table, place, low, high) for trait, place in traits.items()}
    notes = [note for one in scores.values() for note in one.notes]
    return Places(path, source, split, traits, others, {trait: one.values for trait, one in scores.items()}, notes)


def other_columns(table: Table, used: set[int | None]) -> dict[str, int]:
    """Names in the manifest to places in the table; a name that the manifest has a meaning for gets a prefix."""
    others: dict[str, int] = {}
    for place, name in enumerate(table.columns):
        if place not in used:
            while name in (*COLUMNS, *TRAITS) or name in others:
                name = f"table_{name}"
            others[name] = place
    return others
