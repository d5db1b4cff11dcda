"""The lines of a prediction file of any tool. Names and numbers are not looked at here, only where they stand."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from msma.types import TRAITS, MsmaError

MAX_LINE = 1 << 20
"""Characters. A longer line is no line of a table with five scores."""
CLIP_COLUMNS = ("clip", "path")
OWN_COLUMNS = ("source", "abstained", *(f"target_{trait}" for trait in TRAITS))
"""What `msma evaluate` writes beside clip and traits."""


@dataclass(frozen=True)
class Reading:
    """How to read a prediction file."""

    clip_column: str | None = None
    """By default `clip`, else `path`."""
    trait_columns: Mapping[str, str] = field(default_factory=dict)
    """The column of a trait, where it is not called like the trait."""
    clamp: bool = False
    """Move scores outside [0, 1] to the nearer end instead of refusing them."""
    strict: bool = False
    """A file with missing, unknown, repeated or unusable clips is an error."""


@dataclass(frozen=True)
class Record:
    """One line."""

    where: str
    """File and line, for messages."""
    clip: str
    scores: dict[str, str]
    """The text of each wanted trait."""


def parse_trait_columns(text: str) -> dict[str, str]:
    """`openness=o,neuroticism=n` by trait.

    Raises:
        MsmaError: not of this form, or not a trait.
    """
    named = {}
    for part in text.split(","):
        trait, _, column = (piece.strip() for piece in part.partition("="))
        if trait.lower() not in TRAITS or not column or trait.lower() in named:
            known = ", ".join(TRAITS)
            raise MsmaError(f"--trait-columns {text}: write trait=column,trait=column, each trait once, of {known}")
        named[trait.lower()] = column
    return named


@contextmanager
def open_records(path: Path, traits: Sequence[str], reading: Reading) -> Iterator[tuple[Iterator[Record], list[str]]]:
    """The lines of a CSV one by one, and the columns that are not read.

    Cells are separated by commas, semicolons (then 0,5 is a number too) or tabs; column names are in any case.

    Raises:
        MsmaError: unreadable, a column is missing or comes twice, or a line has too few or too many cells.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = bounded_lines(path, file)
            first = next(lines, "")
            delimiter = max(",;\t", key=first.count)  # the first of equals
            header = [name.strip().lower() for name in next(csv.reader([first], delimiter=delimiter), [])]
            clip, places = find_columns(path, header, traits, reading)
            known = {
                clip,
                *places.values(),
                *(header.index(name) for name in (*OWN_COLUMNS, *TRAITS) if name in header),
            }
            ignored = [name for at, name in enumerate(header) if at not in known]
            yield records(path, csv.reader(lines, delimiter=delimiter), len(header), clip, places), ignored
    except (OSError, UnicodeError, csv.Error) as error:
        raise MsmaError(f"{path}: cannot be read as predictions ({error}); give a CSV file in UTF-8") from error


def bounded_lines(path: Path, file: TextIO) -> Iterator[str]:
    """The lines of a file, none of which can fill the memory."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise MsmaError(f"{path}: a line is longer than {MAX_LINE:,} characters; give a CSV file, one line a clip")
        yield line


def find_columns(
    path: Path, header: Sequence[str], traits: Sequence[str], reading: Reading
) -> tuple[int, dict[str, int]]:
    """Where the clip and the wanted traits are."""
    default = next((name for name in CLIP_COLUMNS if name in header), CLIP_COLUMNS[0])
    clip = (reading.clip_column or default).strip().lower()
    wanted = {trait: reading.trait_columns.get(trait, trait).lower() for trait in traits}
    for name in (clip, *wanted.values()):
        if header.count(name) != 1:
            what = "lacks the column" if name not in header else "has more than one column"
            raise MsmaError(
                f"{path}: {what} {name!r}; it has {', '.join(map(repr, header[:20]))[:300]}; "
                "name yours with --clip-column and --trait-columns openness=...,neuroticism=..."
            )
    return header.index(clip), {trait: header.index(name) for trait, name in wanted.items()}


def records(path: Path, lines: Any, width: int, clip: int, places: Mapping[str, int]) -> Iterator[Record]:
    decimal_comma = lines.dialect.delimiter != ","
    for cells in lines:
        where = f"{path}, line {lines.line_num + 1}"  # the header was taken before
        if len(cells) not in (0, width):
            raise MsmaError(f"{where}: has {len(cells)} cells where the header has {width}; mend the line")
        if cells:
            texts = {trait: cells[at].strip() for trait, at in places.items()}
            if decimal_comma:
                texts = {trait: text.replace(",", ".") for trait, text in texts.items()}
            yield Record(where, cells[clip].strip(), texts)
