"""Parquet as other tools write it: text as bytes, decimals, structs; what is no text stays out."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq
import pytest

from msma.data.corpora.table_file import Table, read_table
from msma.types import MsmaError


@pytest.fixture
def table(tmp_path: Path):
    """Reads a Parquet file with these columns."""

    def read(**columns: Any) -> Table:
        pq.write_table(pyarrow.table(columns), tmp_path / "mine.parquet")
        return read_table(tmp_path / "mine.parquet")

    return read


@pytest.mark.parametrize(
    "kind",
    [
        *(pyarrow.string(), pyarrow.large_string(), pyarrow.string_view(), pyarrow.binary(), pyarrow.large_binary()),
        *(pyarrow.binary(5), pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
    ],
    ids=str,
)
def test_text_is_read_however_it_is_stored(table, kind):
    texts = pyarrow.array(["a.mp4", "é.m4"]).cast(pyarrow.binary()).cast(pyarrow.string())
    values = (
        texts.dictionary_encode()
        if pyarrow.types.is_dictionary(kind)
        else pyarrow.array([text.encode() if "binary" in str(kind) else text for text in texts.to_pylist()], kind)
    )
    assert table(file=values).rows == [("a.mp4",), ("é.m4",)]


@pytest.mark.parametrize(
    "values",
    [
        pyarrow.array([Decimal("0.50"), Decimal("0.25")], pyarrow.decimal128(5, 2)),
        pyarrow.array(["0.50", "0.25"]),
        pyarrow.array([0.5, 0.25], pyarrow.float16()),
        pyarrow.array([0.5, 0.25]).dictionary_encode(),
    ],
    ids=["decimal", "text", "half", "dictionary"],
)
def test_numbers_are_read_however_they_are_stored(table, values):
    assert [float(text) for (text,) in table(openness=values).rows] == [0.5, 0.25]


def test_the_fields_of_a_struct_are_columns(table):
    found = table(file=["a", "b"], scores=[{"openness": 0.5, "by": "Ann"}, None])
    assert found.columns == ("file", "openness", "by")
    assert found.rows == [("a", "0.5", "Ann"), ("b", "", "")]


def test_a_field_whose_name_another_column_has_is_named_with_its_struct(table):
    found = table(openness=[0.1], first=[{"openness": 0.5, "n": 3}], second=[{"n": 4}])
    assert found.columns == ("openness", "first.openness", "first.n", "second.n")
    assert found.rows == [("0.1", "0.5", "3", "4")]


def test_bytes_that_are_no_text_and_lists_are_left_out_and_noted(table):
    image, many = pyarrow.array([b"text", b"\xff\xd8"]), pyarrow.array([b"x" * 200_000, b""])
    found = table(
        file=["a", "b"], image=image, many=many, video=[{"bytes": b"\xff", "path": "c"}, None], frames=[[1], []]
    )
    assert found.columns == ("file", "path")
    assert found.notes == ["columns that are no text, number or date are left out: image, many, video.bytes, frames"]


def test_rows_are_counted_because_there_are_no_lines(table):
    assert [table(file=["a", "b"]).where(row) for row in range(2)] == ["row 1", "row 2"]


def test_a_duplicate_column_is_named(tmp_path):
    pq.write_table(pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, ["file", "file"]), tmp_path / "mine.parquet")
    with pytest.raises(MsmaError, match="column 'file' is duplicated; rename one"):
        read_table(tmp_path / "mine.parquet")
