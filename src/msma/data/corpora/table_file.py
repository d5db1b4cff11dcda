"""A CSV or Parquet file of someone else's as rows of text, with limits on all that it can claim."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msma.files.reading import reading
from msma.types import MsmaError

MAX_BYTES = 256 * 1024**2
MAX_UNPACKED_BYTES = 1024**3
"""Limit of a Parquet file, which is compressed."""
MAX_ROWS = 1_000_000
MAX_COLUMNS = 1000
MAX_CELL = 100_000
"""Characters; the manifest is CSV again, and its reader has such a limit."""
BATCH_ROWS = 1024
TEXT = re.compile(r"(large_)?string(_view)?$")
NUMBER = re.compile(r"bool|u?int\d|halffloat|float|double|decimal|date|timestamp")
"""Columns that are read, by the names of Arrow's types."""


@dataclass(frozen=True)
class Table:
    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    """One text per column; empty where there is none."""
    decimal_comma: bool = False
    """Whether the cells are not separated by commas, so that a comma may be a decimal point."""
    notes: list[str] = field(default_factory=list)

    def records(self) -> Iterator[dict[str, str]]:
        """Each row as column → text."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def place(self, name: str, hint: str = "") -> int:
        """Place of the column of this name; upper and lower case count only where both are there.

        MsmaError, which ends with `hint`, where there is none, or more than one.
        """
        places = {column: place for place, column in enumerate(self.columns) if column.casefold() == name.casefold()}
        if name not in places and len(places) != 1:
            raise MsmaError(f"{self.path}: has no column {name!r}; it has: {', '.join(self.columns[:50])}{hint}")
        return places[name] if name in places else next(iter(places.values()))


def read_table(path: Path) -> Table:
    """Read a file by its content: Parquet, or CSV (UTF-8; comma, semicolon or tab).

    MsmaError where it is unreadable, too large or not a table, a column is duplicated, or Parquet lacks pyarrow.
    """
    with reading(path, "name a CSV or Parquet file with one row per clip", MAX_BYTES):
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        table = read_parquet(path) if parquet else read_csv(path)
    if duplicate := first_duplicate(table.columns):
        raise MsmaError(f"{path}: column {duplicate!r} is duplicated; rename one")
    if not table.rows:
        raise MsmaError(f"{path}: has no rows; name a table with one row per clip")
    return table


def first_duplicate(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def too_large(path: Path, limit: str) -> MsmaError:
    return MsmaError(f"{path}: larger than any table of a corpus ({limit}); cut it")


def read_csv(path: Path) -> Table:
    rows: list[tuple[str, ...]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline(MAX_CELL)
            file.seek(0)
            # The most frequent one in the header; csv.Sniffer also takes letters.
            delimiter = max(",;\t", key=header.count)
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            columns = column_names(next(lines, []))
            if len(columns) > MAX_COLUMNS:
                raise too_large(path, f"{MAX_COLUMNS} columns")
            for cells in filter(None, lines):
                if len(cells) != len(columns):
                    where = f"{path}, line {lines.line_num}"
                    raise MsmaError(f"{where}: has {len(cells)} cells, the header has {len(columns)}; fix it")
                rows.append(tuple(cells))
                if len(rows) > MAX_ROWS:
                    raise too_large(path, f"{MAX_ROWS} rows")
    except (UnicodeDecodeError, csv.Error) as error:  # csv limits its cells by itself
        raise MsmaError(f"{path}: not a table in UTF-8 ({error}); save it as CSV in UTF-8") from error
    return Table(path, columns, rows, decimal_comma=delimiter != ",")


def column_names(header: list[str]) -> tuple[str, ...]:
    """Names of columns; one without a name (pandas writes its index so) is called by its place."""
    return tuple(name.strip() or f"column {place}" for place, name in enumerate(header, start=1))


def read_parquet(path: Path) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MsmaError(f"{path}: Parquet needs pyarrow; pip install 'msma[parquet]', or save it as CSV") from error
    try:
        with pq.ParquetFile(path) as file:
            facts, schema = file.metadata, file.schema_arrow
            unpacked = sum(facts.row_group(group).total_byte_size for group in range(facts.num_row_groups))
            if facts.num_rows > MAX_ROWS or len(schema) > MAX_COLUMNS or unpacked > MAX_UNPACKED_BYTES:
                limits = f"{MAX_ROWS} rows, {MAX_COLUMNS} columns, {MAX_UNPACKED_BYTES >> 20} MiB unpacked"
                raise too_large(path, limits)
        texts = [column.name for column in schema if TEXT.match(kind_of(column.type))]
        columns = [column.name for column in schema if column.name in texts or NUMBER.match(kind_of(column.type))]
        # A text that is in every row is held in memory once, however long it is.
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            rows = [row for batch in file.iter_batches(BATCH_ROWS, columns=columns) for row in rows_of(path, batch)]
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).split("\n", 1)[0][:200]
        raise MsmaError(f"{path}: not a Parquet file that can be read ({reason}); write it again") from error
    left_out = [name for name in schema.names if name not in columns]
    notes = [f"columns that are no text, number or date are left out: {', '.join(left_out)}"] if left_out else []
    return Table(path, column_names(columns), rows, notes=notes)


def kind_of(arrow_type: Any) -> str:
    """Name of Arrow's type, or of that of the values that a dictionary has."""
    from pyarrow import types

    return str(arrow_type.value_type if types.is_dictionary(arrow_type) else arrow_type)


def rows_of(path: Path, batch: Any) -> list[tuple[str, ...]]:
    """The rows of a record batch; MsmaError where a text is too long."""
    import pyarrow
    from pyarrow import compute

    for column in batch.columns:
        if TEXT.match(kind_of(column.type)):
            longest = compute.call_function("max", [compute.call_function("binary_length", [column.dictionary])])
            if (longest.as_py() or 0) > MAX_CELL:
                raise too_large(path, f"{MAX_CELL} bytes in a cell")
    columns = [column.cast(pyarrow.string()).to_pylist() for column in batch.columns]
    return [tuple("" if text is None else text for text in texts) for texts in zip(*columns, strict=True)]
