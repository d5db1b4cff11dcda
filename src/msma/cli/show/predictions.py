"""Predictions as table, JSON, JSON lines or CSV, written while they come, so that a run that is ended loses nothing."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table

from msma.cli.show.tables import PIPED_WIDTH, printable, stdout
from msma.types import MODALITIES, TRAITS

if TYPE_CHECKING:
    from msma.types import Prediction

Write = Callable[["Prediction"], None]

LEGEND = f"{', '.join(TRAITS)} in [0, 1], below each its interval; a/v: audio and visual"


@contextmanager
def writer_of(format: str, out: Path | None) -> Iterator[Write]:
    """A function that takes one prediction after the other, in `table`, `json`, `jsonl` or `csv`, for a file or stdout.

    Raises:
        OSError: the file cannot be written.
    """
    writer = {"table": table_writer, "json": json_writer, "jsonl": jsonl_writer, "csv": csv_writer}[format]
    if out is None:
        with writer(sys.stdout) as write:
            yield write
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file, writer(file) as write:
        yield write


@contextmanager
def json_writer(file: TextIO) -> Iterator[Write]:
    """One list, closed also when the run is ended early."""
    before = "[\n"

    def write(answer: Prediction) -> None:
        nonlocal before
        file.write(before + json.dumps(asdict(answer), indent=2, allow_nan=False))
        before = ",\n"

    try:
        yield write
    finally:
        file.write("[]\n" if before == "[\n" else "\n]\n")


@contextmanager
def jsonl_writer(file: TextIO) -> Iterator[Write]:
    def write(answer: Prediction) -> None:
        file.write(json.dumps(asdict(answer), allow_nan=False) + "\n")
        file.flush()

    yield write


@contextmanager
def csv_writer(file: TextIO) -> Iterator[Write]:
    rows = csv.writer(file, lineterminator="\n")
    shares = [f"{share}_{modality}" for share in ("quality", "used") for modality in MODALITIES]
    ends = [f"{trait}_{end}" for trait in TRAITS for end in ("low", "high")]
    rows.writerow(["path", "status", "reasons", *TRAITS, *ends, "coverage", *shares, "model"])

    def write(answer: Prediction) -> None:
        traits = [(answer.traits or {}).get(trait, "") for trait in TRAITS]
        bounds = [end for trait in TRAITS for end in (answer.intervals or {}).get(trait, ["", ""])]
        values = [share[modality] for share in (answer.quality, answer.used) for modality in MODALITIES]
        about = [answer.path, answer.status, "; ".join(answer.reasons)]
        rows.writerow([*about, *traits, *bounds, answer.coverage, *values, answer.model])
        file.flush()

    yield write


@contextmanager
def table_writer(file: TextIO) -> Iterator[Write]:
    initials = (trait[0].upper() for trait in TRAITS)
    table = Table("file", "status", *initials, "quality a/v", "used a/v", "why", caption=LEGEND)

    def write(answer: Prediction) -> None:
        table.add_row(
            printable(Path(answer.path).name),
            answer.status,
            *(score_of(answer, trait) for trait in TRAITS),
            "/".join(f"{answer.quality[modality]:.2f}" for modality in MODALITIES),
            "/".join(f"{answer.used[modality]:.2f}" for modality in MODALITIES),
            printable("; ".join(answer.reasons)),
        )

    try:
        yield write
    finally:
        console = stdout() if file is sys.stdout else Console(file=file, markup=False, width=PIPED_WIDTH)
        console.print(table)


def score_of(answer: Prediction, trait: str) -> str:
    """In a cell of the table: the score, and below it the interval where it is known."""
    if answer.traits is None or trait not in answer.traits:
        return "-"
    score = f"{answer.traits[trait]:.2f}"
    if answer.intervals is None:
        return score
    low, high = answer.intervals[trait]
    return f"{score}\n{low:.2f}-{high:.2f}"
