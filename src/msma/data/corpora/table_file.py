"""A CSV or Parquet file of someone else's as rows of text, with limits on all that it can claim."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from msma.data.corpora.csv_rows import read_csv
from msma.data.corpora.parquet_rows import read_parquet
from msma.data.corpora.table_limits import MAX_BYTES, check_distinct
from msma.files.reading import reading
from msma.types import MsmaError

AS_CSV = "save the table as CSV in UTF-8"
OTHER_KINDS = (
    (re.compile(rb"PK\x03\x04"), f"a workbook (.xlsx, .ods) or a zip; {AS_CSV}"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), f"an Excel workbook (.xls); {AS_CSV}"),
    (re.compile(rb"\x1f\x8b"), "compressed (gzip); unpack it"),
    (re.compile(rb"ARROW1"), f"Feather; {AS_CSV}, or as Parquet"),
    (re.compile(rb'\s*(\[\s*)?\{\s*"'), f"JSON; {AS_CSV}"),
    (re.compile(rb"\s*<(!doctype|html|\?xml|table|meta)", re.IGNORECASE), f"a web page or XML; {AS_CSV}"),
)
"""What people take for a table, by its first bytes."""
HEAD_BYTES = 256
NUMBER = re.compile(r"-?[\d.,]+")
"""A name of a column that is none: there is no header."""
SHOWN_COLUMNS = 50
"""Columns that an error names."""


@dataclass(frozen=True)
class Table:
    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    """One text per column; empty where there is none."""
    lines: list[int] | None = None
    """The line of the file that each row begins on; None of Parquet, which has no lines."""
    notes: list[str] = field(default_factory=list)

    def records(self) -> Iterator[dict[str, str]]:
        """Each row as column → text."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def where(self, row: int) -> str:
        """The place of a row in the file, as people count: its line of CSV, its row of Parquet, from 1."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"

    def place(self, name: str, hint: str = "") -> int:
        """Place of the column of this name; upper and lower case count only where both are there.

        MsmaError, which ends with `hint`, where there is none, or more than one.
        """
        places = {column: place for place, column in enumerate(self.columns) if column.casefold() == name.casefold()}
        if name not in places and len(places) != 1:
            raise MsmaError(f"{self.path}: has no column {name!r}; it has: {self.shown_columns()}{hint}")
        return places[name] if name in places else next(iter(places.values()))

    def shown_columns(self) -> str:
        """The names of the columns, and what is odd about them."""
        shown = ", ".join(self.columns[:SHOWN_COLUMNS])
        if len(self.columns) == 1 and self.lines is not None:
            return f"{shown} (cells are separated by , ; | tab or blank)"
        return f"{shown} (the first line must name the columns)" if any(map(NUMBER.fullmatch, self.columns)) else shown


def read_table(path: Path) -> Table:
    """Read a file by its content: Parquet, or CSV (see `read_csv`).

    MsmaError where it is unreadable, too large or not a table, a column is duplicated, or Parquet lacks pyarrow.
    """
    with reading(path, "name a CSV or Parquet file with one row per clip", MAX_BYTES):
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if other := next((kind for pattern, kind in OTHER_KINDS if pattern.match(head)), None):
            raise MsmaError(f"{path}: not a table but {other}")
        table = parquet_table(path) if head.startswith(b"PAR1") else csv_table(path)
    check_distinct(path, table.columns)
    if not table.rows:
        below = f" below its header ({', '.join(table.columns)})" if table.columns else ""
        raise MsmaError(f"{path}: has no rows{below}; name a table with one row per clip")
    return table


def csv_table(path: Path) -> Table:
    read = read_csv(path)
    return Table(path, read.columns, read.rows, read.lines)


def parquet_table(path: Path) -> Table:
    cells, left_out = read_parquet(path)
    columns = tuple(name.strip() or f"column {place}" for place, name in enumerate(cells, start=1))
    notes = [f"columns that are no text, number or date are left out: {', '.join(left_out)}"] if left_out else []
    return Table(path, columns, list(zip(*cells.values(), strict=True)), notes=notes)
