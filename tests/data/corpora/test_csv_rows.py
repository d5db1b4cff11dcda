"""CSV as spreadsheets, statistics programs and scripts write it; what cannot be read is named with its line."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msma.data.corpora.table_file import Table, read_table
from msma.types import MsmaError

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")
ROWS = [("Jürgen, 1.mp4", "3,5"), ("b.mp4", "4,25")]


@pytest.fixture
def table(tmp_path: Path):
    """Reads a table with this content."""

    def read(content: str, encoding: str = "utf-8") -> Table:
        path = tmp_path / "mine.csv"
        path.write_bytes(content.encode(encoding))
        return read_table(path)

    return read


cell = st.text(st.characters(codec="utf-8"), max_size=6) | st.text('" ,;\n', max_size=6)
names = st.lists(st.text("abcdefgh_", min_size=1), min_size=2, max_size=4, unique=True)


@given(
    header=names,
    rows=st.lists(st.lists(cell, min_size=4, max_size=4), min_size=1, max_size=5),
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(ENCODINGS),
)
def test_whatever_python_writes_is_read_back(header, rows, separator, quoting, encoding):
    rows = [(f"clip {number}", *cells)[: len(header)] for number, cells in enumerate(rows)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=quoting)
    writer.writerows([header, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.csv"
        path.write_bytes(text.getvalue().encode(encoding))
        table = read_table(path)
    assert (list(table.columns), table.rows) == (header, rows)


# as programs write it


@pytest.mark.parametrize("encoding", [*ENCODINGS, "utf-16-le", "utf-16-be"])
def test_utf_8_and_utf_16_are_read_with_and_without_a_mark(table, encoding):
    assert table("file;openness\r\nJürgen, 1.mp4;3,5\r\nb.mp4;4,25\r\n", encoding).rows == ROWS


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\r\n', "SEP=;\n", "sep=;;\r\n"])
def test_the_separator_that_excel_declares_is_taken(table, first):
    found = table(f"{first}file;openness\r\nJürgen, 1.mp4;3,5\r\nb.mp4;4,25\r\n")
    assert (found.columns, found.rows, found.lines) == (("file", "openness"), ROWS, [3, 4])


@pytest.mark.parametrize("remark", ['"a remark, if any, on light, sound"', "a remark, if any, on light, sound"])
def test_commas_in_a_header_do_not_hide_its_semicolons(table, remark):
    found = table(f"file;{remark};openness\nclip.mp4;;4\nother.mp4;;5\n")
    assert found.columns == ("file", "a remark, if any, on light, sound", "openness")


def test_a_decimal_comma_in_every_row_and_one_in_the_header_separate_nothing(table):
    assert table("file;openness, mean\na.mp4;3,5\nb.mp4;4,25\n").columns == ("file", "openness, mean")


def test_blanks_before_quotation_marks_are_left_out(table):
    assert table('file, "remark, if any", openness\na.mp4, "x, y", 3\n').rows == [("a.mp4", "x, y", "3")]


def test_blanks_before_quotation_marks_are_found_far_below(table):
    assert table("file,remark\n" + "a.mp4,x\n" * 2000 + 'b.mp4, "x, y"\n').rows[-1] == ("b.mp4", "x, y")


def test_blanks_before_other_cells_are_kept(table):
    assert table("file,remark\na.mp4, x\n").rows == [("a.mp4", " x")]


def test_columns_and_rows_without_content_are_left_out(table):
    found = table("\n;;;\nfile;openness;;\na.mp4;3;;\n;;;\nb.mp4;4;;\n;;;\n\n")
    assert (found.columns, found.rows, found.lines) == (("file", "openness"), [("a.mp4", "3"), ("b.mp4", "4")], [4, 6])


def test_separators_at_the_end_of_rows_alone_are_left_out(table):
    assert table("file,openness\na.mp4,3,,\nb.mp4,4\n").rows == [("a.mp4", "3"), ("b.mp4", "4")]


def test_a_column_without_a_name_is_called_by_its_place(table):
    assert table(",file,openness\n0,a.mp4,3\n1,b.mp4,4\n").columns == ("column 1", "file", "openness")


@pytest.mark.parametrize("separator", [" ", "\t", ";"])
def test_the_names_of_rows_that_r_writes_without_a_header_are_a_column(table, separator):
    lines = (['"file"', '"openness"'], ['"1"', '"a b.mp4"', "3.5"], ['"2"', '"c.mp4"', "NA"])
    found = table("\n".join(map(separator.join, lines)) + "\n")
    assert (found.columns, found.rows[1]) == (("column 1", "file", "openness"), ("2", "c.mp4", "NA"))


def test_with_commas_a_further_cell_is_never_taken_for_the_name_of_a_row(table):
    with pytest.raises(MsmaError, match=r"line 2: has 3 cells, the header has 2; .* quote cells with commas"):
        table("id,openness\n1,3,5\n2,4,5\n")


def test_a_table_of_one_column_is_read_with_blanks_in_it(table):
    assert table("my file\na b.mp4\nc.mp4\n").rows == [("a b.mp4",), ("c.mp4",)]


def test_line_ends_of_an_old_mac_are_read(table):
    assert table("file;openness\rJürgen, 1.mp4;3,5\rb.mp4;4,25\r").rows == ROWS


# lines of the file


def test_a_row_is_named_by_the_line_that_it_begins_on(table):
    found = table('file,remark\na.mp4,"two\nlines"\n\nb.mp4,x\n"c.mp4","\n\n"\nd.mp4,y\n')
    assert [found.where(row) for row in range(4)] == ["line 2", "line 5", "line 6", "line 9"]


# what cannot be read


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("file,set\na,1\nb\nc,2,3\n", ", line 3: has 1 cells, the header has 2; so 2 of 3 rows do not fit; fix them"),
        ("file,set\na,0,5\nb,0,7\n", ", line 2: has 3 cells, .*so 2 of 2 rows do not fit; quote cells with commas"),
        ("file;set\na;0;5\n", ", line 2: has 3 cells, .*; quote cells with the separator"),
        ('file,set\n"a\nb",1\nc\n', ", line 4: has 1 cells"),
        (
            "My results\n\nfile,set\na,1\n",
            ", line 3: has 2 cells, the header has 1; .*the first line must name",
        ),
        ("My results;\nfile;set;o\na;1;2\n", ", line 2: has 3 cells, the header has 1; .*the first line must name"),
        ('file,set\na,1\n"b,2\nc,3\n', ", line 3: a quotation mark is not closed; close quotation marks"),
        ('file,set\na,1\n"b"x,2\n', ", line 3: text follows a closing quotation mark; .*double those in a cell"),
        ("file,set\na," + "x" * 200_000, ", line 2: a cell is longer than any of a table"),
        ("", ": has no rows; name a table"),
        ("\n\n", ": has no rows; name a table"),
        ("file,set\n", r": has no rows below its header \(file, set\); name a table"),
        ("file,set,file\na,1,b\n", ": column 'file' is duplicated; rename one"),
    ],
)
def test_what_does_not_fit_is_one_line_with_the_line_of_the_file(table, tmp_path, content, told):
    with pytest.raises(MsmaError, match=f"^{tmp_path / 'mine.csv'}{told}") as caught:
        table(content)
    assert "\n" not in str(caught.value)


def test_another_encoding_is_named_with_the_first_line_as_windows_shows_it(table):
    with pytest.raises(MsmaError, match=r"line 3: is not UTF-8, one of 2 such lines \('Jürgen.mp4;1'\); save"):
        table("file;openness\na.mp4;1\nJürgen.mp4;1\nb.mp4;2\nZoë.mp4;1\n", "cp1252")


def test_half_of_utf_16_is_refused(tmp_path):
    (tmp_path / "mine.csv").write_bytes("file,set\na,1\n".encode("utf-16")[:-1])
    with pytest.raises(MsmaError, match="begins as UTF-16 but is not"):
        read_table(tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04\x14\x00", "a workbook (.xlsx, .ods) or a zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel workbook (.xls)"),
        (b"\x1f\x8b\x08", "compressed (gzip); unpack it"),
        (b"ARROW1\0\0", "Feather"),
        (b'[\n  {"path": "a.mp4"}]', "JSON"),
        (b"\n<!doctype html><p>Sign in", "a web page or XML"),
    ],
)
def test_what_is_taken_for_a_table_is_called_by_its_kind(tmp_path, content, kind):
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(MsmaError) as caught:
        read_table(tmp_path / "mine.csv")
    assert f"mine.csv: not a table but {kind}" in str(caught.value)


def test_a_column_that_is_not_there_shows_those_that_are(table):
    with pytest.raises(MsmaError, match=r"has no column 'file'; it has: video, openness$"):
        table("video,openness\na,1\n").place("file")


def test_a_table_without_a_header_is_told_so(table):
    with pytest.raises(MsmaError, match=r"it has: a.mp4, 0.5 \(the first line must name the columns\)"):
        table("a.mp4,0.5\nb.mp4,0.7\n").place("file")


def test_an_unknown_separator_shows_those_that_are_known(table):
    with pytest.raises(MsmaError, match=r"it has: file:openness \(cells are separated by , ; \| tab or blank\)"):
        table("file:openness\na.mp4:0.5\n").place("file")
