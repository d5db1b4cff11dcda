"""The tables of the commands: results on stdout, reports on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from msma.data.cache import CacheReport
    from msma.data.corpora.manifest import Found

SHOWN = 20
"""Lines for each kind of problem of a corpus."""
PIPED_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


def show_found(found: Found) -> None:
    """The table of `msma prepare`, on stderr: rows by split, then every kind of problem."""
    table = Table("", "clips", title=printable(found.corpus))
    for split in ("train", "val", "test"):
        table.add_row(split, str(sum(row.split == split for row in found.rows)))
    for kind, lines in found.problems.items():
        table.add_row(kind, str(len(lines)))
    console = stderr()
    console.print(table)
    for kind, lines in found.problems.items():
        show_some(console, kind, lines)
    for note in found.facts["notes"]:
        console.print(printable(f"note: {note}"), soft_wrap=True)


def show_some(console: Console, name: str, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        console.print(printable(f"{name}: {line}"), soft_wrap=True)
    if len(lines) > SHOWN:
        console.print(f"{name}: and {len(lines) - SHOWN} more")


def show_cache_report(report: CacheReport) -> None:
    """How many clips are ok, degraded and failed, how many bytes one takes, and why clips failed; on stderr."""
    table = Table("clips", "ok", "degraded", "failed", "KiB a clip")
    kept = len(report.entries)
    kib = f"{report.total_bytes / kept / 1024:.0f}" if kept else ""
    counts = kept + len(report.failed), kept - len(report.degraded), len(report.degraded), len(report.failed)
    table.add_row(*map(str, counts), kib)
    console = stderr()
    console.print(table)
    show_some(console, "failed", list(report.failed.values()))


def stdout() -> Console:
    """As wide as the terminal, or PIPED_WIDTH. File names are not markup."""
    return Console(markup=False, highlight=False, width=None if sys.stdout and sys.stdout.isatty() else PIPED_WIDTH)


def stderr() -> Console:
    return Console(stderr=True, markup=False, highlight=False)


def printable(text: str) -> str:
    """Control characters of a file name do not reach the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def tell(text: str) -> None:
    """One line on stderr."""
    typer.echo(printable(text), err=True)
