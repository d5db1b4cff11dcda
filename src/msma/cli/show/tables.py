"""What the commands show: results on stdout, reports on stderr."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from msma.files.names import shown
from msma.reports.table import Block, Row, Table

if TYPE_CHECKING:
    from msma.data.cache import CacheReport
    from msma.data.corpora.manifest import Found
    from msma.evaluation.result_file import Result

SHOWN = 20
"""Lines for each kind of problem of a corpus."""
PIPED_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""
NAME_WIDTH, PROSE_WIDTH, HEAD_WIDTH = 32, 24, 10
"""Columns for the names of rows where not all fits, at least for text, and for heads that are not wrapped."""
GAP = 2
"""Columns between two columns of a table."""


def show(blocks: Iterable[Block], console: Console | None = None) -> None:
    """Show tables and lines of text below one another, by default on stdout."""
    console = console or stdout()
    for place, block in enumerate(blocks):
        if isinstance(block, Table):
            if place:
                console.print()
            show_table(block, console)
        else:
            console.print(printable(str(block)), soft_wrap=not console.is_terminal)


def show_table(table: Table, console: Console | None = None) -> None:
    """Show a table; what does not fit beside the names of its rows continues below."""
    console = console or stdout()
    if table.title:
        console.print(printable(table.title), style="bold", soft_wrap=not console.is_terminal)
    for place, part in enumerate(fitting(table, console.width)):
        if place:
            console.print()
        console.print(part)
    for note in table.notes:
        console.print(printable(note), style="dim", soft_wrap=not console.is_terminal)


def fitting(table: Table, width: int) -> Iterator[RichTable]:
    """The table in parts that are not wider than `width`, the names of the rows in each.

    A row that is empty in a later part is left out of it."""
    widths = [column_width(table, column) for column in range(len(table.heads))]
    if sum(widths) + GAP * len(widths) > width:
        widths[0] = min(widths[0], NAME_WIDTH)
    groups = [[0]]
    for column in range(1, len(widths)):
        if len(groups[-1]) > 1 and sum(widths[one] + GAP for one in (*groups[-1], column)) > width:
            groups.append([0])
        groups[-1].append(column)
    for group in groups:
        rows = [row for row in table.rows if group is groups[0] or any(row.cells[column] for column in group[1:])]
        if rows or group is groups[0]:
            yield drawn(table, rows, group, widths)


def column_width(table: Table, column: int) -> int:
    """Columns of the terminal that the cells, the longest word of the head and a short head need."""
    head, lines = table.heads[column], [line for row in table.rows for line in row.cells[column].split("\n")]
    width = max(cell_len(printable(text)) for text in (*lines, *head.split(), head[:HEAD_WIDTH]))
    return min(width, PROSE_WIDTH) if column in table.prose else width


def drawn(table: Table, rows: Sequence[Row], columns: Sequence[int], widths: Sequence[int]) -> RichTable:
    shown = RichTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0))
    for column in columns:
        text = column == 0 or column in table.prose
        head = printable(table.heads[column])
        shown.add_column(
            "\n".join(textwrap.wrap(head, max(widths[column], 1))),
            justify="left" if text else "right",
            no_wrap=not text,
            overflow="fold",
            min_width=widths[column],
            max_width=widths[0] if column == 0 else None,
        )
    for row in rows:
        if row.rule:
            shown.add_section()
        shown.add_row(*(cell_text(row.cells[column]) for column in columns), style="bold" if row.strong else None)
    return shown


def cell_text(cell: str) -> Text:
    """A value, and below it its detail."""
    value, *details = cell.split("\n")
    return Text("\n").join([Text(printable(value)), *(Text(printable(detail), style="dim") for detail in details)])


def show_json(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values, indent=2, allow_nan=False) + "\n")


def show_result(result: Result, format: str, blocks: Callable[[Any], Iterable[Block]]) -> None:
    """Show a result on stdout: as its file holds it for the format `json`, else as tables and lines."""
    if format != "json":
        show(blocks(result))
        return
    from msma.evaluation.result_file import as_json

    sys.stdout.write(as_json(result))


def show_found(found: Found) -> None:
    """What `msma prepare` found, on stderr: rows by split if they have one, then every kind of problem."""
    counts = {split: sum(row.split == split for row in found.rows) for split in ("train", "val", "test")}
    if not any(counts.values()):
        counts = {"usable": len(found.rows)}
    counts |= {kind: len(lines) for kind, lines in found.problems.items()}
    rows = [Row(name, str(count)) for name, count in counts.items()]
    console = stderr()
    show_table(Table(found.corpus, ["", "clips"], rows), console)
    for kind, lines in found.problems.items():
        show(some(kind, lines), console)
    show((f"note: {note}" for note in found.facts["notes"]), console)


def show_cache_report(report: CacheReport) -> None:
    """How many clips are ok, degraded and failed, how many bytes one takes, and why clips failed; on stderr."""
    cached, degraded, failed = len(report.entries), len(report.degraded), len(report.failed)
    kib = f"{report.total_bytes / cached / 1024:.0f}" if cached else ""
    counts = cached + failed, cached - degraded, degraded, failed
    table = Table("", ["clips", "ok", "degraded", "failed", "KiB a clip"], [Row(*map(str, counts), kib)])
    show([table, *some("failed", list(report.failed.values()))], stderr())


def some(name: str, lines: Sequence[str]) -> Iterator[str]:
    """The first SHOWN of many lines, and how many more there are."""
    yield from (f"{name}: {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"{name}: and {len(lines) - SHOWN} more"


def stdout() -> Console:
    """As wide as the terminal or as COLUMNS asks, else PIPED_WIDTH. File names are not markup."""
    known = "COLUMNS" in os.environ or (sys.stdout is not None and sys.stdout.isatty())
    return Console(markup=False, highlight=False, width=None if known else PIPED_WIDTH)


def stderr() -> Console:
    return Console(stderr=True, markup=False, highlight=False)


def printable(text: str) -> str:
    """Control characters of a file name do not reach the terminal, and bytes that are no text are written out."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown(text))


def tell(text: str) -> None:
    """One line on stderr."""
    typer.echo(printable(text), err=True)
