"""A Parquet file as columns of text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msma.data.corpora.table_limits import MAX_CELL, check_distinct, check_size
from msma.types import MsmaError

BATCH_ROWS = 1024
TEXT = re.compile(r"(large_)?string(_view)?$")
BYTES = re.compile(r"(large_|fixed_size_)?binary(_view)?(\[\d+\])?$")
"""Text, too, where it is UTF-8: some tools do not mark it as text."""
NUMBER = re.compile(r"bool|u?int\d|halffloat|float|double|decimal|date|timestamp")
"""Columns that are read, by the names of Arrow's types."""


def read_parquet(path: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Column to its cells as text; and the columns that are left out because they are no text, number or date.

    The fields of a struct are columns, called `field`, or `struct.field` where another column is called so. MsmaError
    where it cannot be read or is too large, a column is duplicated, or pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MsmaError(f"{path}: Parquet needs pyarrow; pip install 'msma[parquet]', or save it as CSV") from error
    try:
        with pq.ParquetFile(path) as file:
            facts, kinds = file.metadata, list(kinds_of(file.schema_arrow))
            unpacked = sum(facts.row_group(group).total_byte_size for group in range(facts.num_row_groups))
        check_size(path, rows=facts.num_rows, columns=len(kinds), unpacked_bytes=unpacked)
        check_distinct(path, (name for name, _ in kinds))
        texts = [name for name, kind in kinds if TEXT.match(kind) or BYTES.match(kind)]
        cells: dict[str, list[str]] = {name: [] for name, kind in kinds if name in texts or NUMBER.match(kind)}
        # A text that is in every row is held in memory once, however long it is.
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(cells)):
                for name, column in columns_of(batch.schema, batch.columns):
                    found = texts_of(path, column) if name in cells else None
                    if found is None:
                        cells.pop(name, None)
                    else:
                        cells[name] += found
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).split("\n", 1)[0][:200]
        raise MsmaError(f"{path}: not a Parquet file that can be read ({reason}); write it again") from error
    times = Counter(name.rpartition(".")[2] for name in cells)
    short = {name: end if times[end := name.rpartition(".")[2]] == 1 else name for name in cells}
    return {short[name]: column for name, column in cells.items()}, [name for name, _ in kinds if name not in cells]


def kinds_of(schema: Any) -> Iterator[tuple[str, str]]:
    """Each column and each field of a struct, with the name of its Arrow type, or of what a dictionary has."""
    from pyarrow import types

    for field in schema:
        if types.is_struct(field.type):
            yield from ((f"{field.name}.{name}", kind) for name, kind in kinds_of(field.type))
        else:
            yield field.name, str(field.type.value_type if types.is_dictionary(field.type) else field.type)


def columns_of(fields: Any, columns: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """The columns of a record batch by the names of `kinds_of`."""
    from pyarrow import types

    for field, column in zip(fields, columns, strict=True):
        if types.is_struct(field.type):
            yield from ((f"{field.name}.{name}", part) for name, part in columns_of(field.type, column.flatten()))
        else:
            yield field.name, column


def texts_of(path: Path, column: Any) -> list[str] | None:
    """The cells of a column as text, empty where there is none; None where it has bytes that are no text.

    MsmaError where a text is too long.
    """
    import pyarrow
    from pyarrow import compute, types

    values = column.dictionary if types.is_dictionary(column.type) else column
    of_bytes = bool(BYTES.match(str(values.type)))
    if of_bytes or TEXT.match(str(values.type)):
        longest = compute.call_function("max", [compute.call_function("binary_length", [values])]).as_py() or 0
        if of_bytes and longest > MAX_CELL:
            return None
        check_size(path, cell_bytes=longest)
    try:
        return ["" if text is None else text for text in column.cast(pyarrow.string()).to_pylist()]
    except pyarrow.ArrowInvalid:
        if of_bytes:
            return None
        raise
