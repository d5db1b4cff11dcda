"""Tables in a terminal: whole at 80 columns, and nothing in them that steers it."""

from __future__ import annotations

import io

from answered import prediction
from rich.console import Console

from msma.cli.show.tables import show
from msma.reports.predictions import predictions_table
from msma.reports.table import Block, Row, Table


def shown(width: int, *blocks: Block) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    show(blocks, console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def wide(columns: int) -> Table:
    heads = [f"long head {column}" for column in range(columns)]
    cells = [f"0.{column:03d}\n[{column}, {column + 1}]" for column in range(columns)]
    return Table("", ["", *heads], [Row("first row", *cells), Row("second row", *cells)])


def test_a_table_that_is_wider_than_the_terminal_continues_below_with_the_names_of_its_rows():
    lines = shown(80, wide(12))
    assert max(map(len, lines)) <= 80
    parts = sum("first row" in line for line in lines)
    assert parts == sum("second row" in line for line in lines) > 1
    text = "\n".join(lines)
    assert all(
        text.count(f"0.{column:03d}") == 2 and text.count(f"[{column}, {column + 1}]") == 2 for column in range(12)
    )


def test_a_row_that_is_empty_in_a_later_part_is_left_out_of_it():
    rows = [Row("first row", "1" * 60, "why it is so"), Row("second row", "2" * 60, "")]
    lines = shown(80, Table("", ["", "score", "why"], rows, prose=[2]))
    assert [sum(name in line for line in lines) for name in ("first row", "second row")] == [2, 1]


def test_predictions_fit_80_columns_with_the_reasons_below():
    predictions = [
        prediction("ok", "a/clip.mp4"),
        prediction("degraded", "b/clip.mp4"),
        prediction("failed", "c/broken.mp4"),
    ]
    lines = shown(80, predictions_table(predictions))
    assert max(map(len, lines)) <= 80
    assert [[name in line for line in lines].count(True) for name in ("a/clip.mp4", "b/clip.mp4")] == [1, 2]
    (broken,) = [line for line in lines if "is empty" in line]
    assert broken.strip().split(maxsplit=1) == ["broken.mp4", "is empty; record or download it again"]


def test_predictions_at_140_columns_have_their_reasons_beside_them():
    lines = shown(140, predictions_table([prediction("degraded", "clip.mp4")]))
    (row,) = [line for line in lines if "clip.mp4" in line]
    assert "no audio track" in row


def test_a_table_that_fits_is_in_one_piece():
    assert sum("first row" in line for line in shown(160, wide(8))) == 1


def test_the_name_of_a_row_is_folded_and_not_cut():
    name = "a_folder_with_a_very_long_name/" * 4
    lines = shown(80, Table("", ["model", "CCC"], [Row(name, "0.5")]))
    assert max(map(len, lines)) <= 80
    assert "".join(line[:76].split()[0] for line in lines[2:]).startswith(name[:60])
    assert name in "".join(line.split()[0] for line in lines[2:])


def test_titles_notes_and_lines_stand_around_the_table():
    lines = shown(80, Table("title", ["", "a"], [Row("row", "1")], notes=["a note"]), "a line")
    assert lines[0] == "title"
    assert lines[-2:] == ["a note", "a line"]


def test_control_characters_do_not_reach_the_terminal():
    hostile = "\x1b[2Jx"
    text = "\n".join(shown(80, Table(hostile, [hostile], [Row(hostile)], notes=[hostile]), hostile))
    assert "\x1b" not in text
    assert text.count("[2Jx") == 5
