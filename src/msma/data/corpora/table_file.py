"""A CSV or Parquet file of someone else's as rows of text, with limits on all that it can claim."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msma.types import MsmaError

MAX_BYTES = 256 * 1024**2
MAX_UNPACKED_BYTES = 1024**3
"""Of a Parquet file, which is compressed."""
MAX_ROWS = 1_000_000
MAX_COLUMNS = 1000
MAX_CELL = 100_000
"""Characters; the manifest is CSV again, and its reader has such a limit."""
BATCH_ROWS = 1024


@dataclass(frozen=True)
class Table:
    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    """One text a column; empty where there is none."""
    decimal_comma: bool
    """Whether the cells are not separated by commas, so that a comma may be a decimal point."""
    notes: list[str]

    def place(self, name: str) -> int:
        """The column of this name; upper and lower case count only where both are there.

        Raises:
            MsmaError: there is none, or more than one.
        """
        if name in self.columns:
            return self.columns.index(name)
        alike = [index for index, column in enumerate(self.columns) if column.casefold() == name.casefold()]
        if len(alike) != 1:
            raise MsmaError(f"{self.path}: has no column {name!r}; it has: {', '.join(self.columns[:50])}")
        return alike[0]


def read_table(path: Path) -> Table:
    """Read a file by its content: Parquet, or CSV (UTF-8; comma, semicolon or tab).

    Raises:
        MsmaError: unreadable, too large, not a table, a column comes twice, or Parquet without pyarrow.
    """
    try:
        if not path.is_file():
            raise MsmaError(f"{path}: no such file; name a CSV or Parquet file")
        if path.stat().st_size > MAX_BYTES:
            raise too_large(path, f"{MAX_BYTES >> 20} MiB")
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        table = read_parquet(path) if parquet else read_csv(path)
    except OSError as error:
        raise MsmaError(f"{path}: cannot be read ({error}); check it") from error
    twice = [name for name in table.columns if table.columns.count(name) > 1]
    if twice:
        raise MsmaError(f"{path}: column {twice[0]!r} comes twice; rename one")
    if not table.rows:
        raise MsmaError(f"{path}: has no rows; name a table with one row a clip")
    return table


def too_large(path: Path, limit: str) -> MsmaError:
    return MsmaError(f"{path}: larger than any table of a corpus ({limit}); cut it")


def read_csv(path: Path) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline(MAX_CELL)
            file.seek(0)
            # The one that comes most often in the header; csv.Sniffer also takes letters.
            delimiter = max(",;\t", key=header.count)
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            columns = column_names(next(lines, []))
            if len(columns) > MAX_COLUMNS:
                raise too_large(path, f"{MAX_COLUMNS} columns")
            rows: list[tuple[str, ...]] = []
            for cells in lines:
                if cells:  # not an empty line
                    rows.append(tuple(cells))
                if cells and len(cells) != len(columns):
                    raise MsmaError(
                        f"{path}, line {lines.line_num}: has {len(cells)} cells, the header has {len(columns)}; mend it"
                    )
                if len(rows) > MAX_ROWS:
                    raise too_large(path, f"{MAX_ROWS} rows")
    except (UnicodeDecodeError, csv.Error) as error:  # csv limits its cells by itself
        raise MsmaError(f"{path}: not a table in UTF-8 ({error}); save it as CSV in UTF-8") from error
    return Table(path, columns, rows, delimiter != ",", [])


def column_names(header: list[str]) -> tuple[str, ...]:
    """A column without a name (pandas writes its index so) is called by its place."""
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
            kept = [field.name for field in schema if is_plain(field.type)]
            left_out = [field.name for field in schema if field.name not in kept]
            texts = [field.name for field in schema if is_text(field.type)]
        # A text that comes in every row is kept once, however long it is.
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            rows = [row for batch in file.iter_batches(BATCH_ROWS, columns=kept) for row in texts_of(path, batch)]
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).split("\n", 1)[0][:200]
        raise MsmaError(f"{path}: not a Parquet file that can be read ({reason}); write it again") from error
    notes = [f"columns that are no text, number or date are left out: {', '.join(left_out)}"] if left_out else []
    return Table(path, column_names(kept), rows, False, notes)


def is_text(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return is_text(kind.value_type)
    return any(test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view))


def is_plain(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return is_plain(kind.value_type)
    tests = (types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, types.is_date)
    return is_text(kind) or types.is_timestamp(kind) or any(test(kind) for test in tests)


def texts_of(path: Path, batch: Any) -> list[tuple[str, ...]]:
    """The rows of a record batch.

    Raises:
        MsmaError: a text is too long.
    """
    import pyarrow
    from pyarrow import compute

    columns = []
    for column in batch.columns:
        if is_text(column.type):
            lengths = compute.call_function("binary_length", [column.dictionary])
            longest = compute.call_function("max", [lengths]).as_py() or 0
            if longest > MAX_CELL:
                raise too_large(path, f"{MAX_CELL} bytes in a cell")
        columns.append(column.cast(pyarrow.string()).to_pylist())
    return [tuple("" if text is None else text for text in texts) for texts in zip(*columns, strict=True)]
