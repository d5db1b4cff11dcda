"""Predictions as table, JSON, JSON lines or CSV, written while they come, so that a run that is ended loses nothing."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import chain, repeat
from pathlib import Path
from typing import TextIO

from rich.console import Console

from msma.cli.show.tables import PIPED_WIDTH, show_table, stdout
from msma.reports.predictions import predictions_table
from msma.types import MODALITIES, TRAITS, Prediction

Write = Callable[[Prediction], None]


@contextmanager
def writer_of(format: str, out: Path | None) -> Iterator[Write]:
    """A function that writes one prediction after the other as `table`, `json`, `jsonl` or `csv` to a file or stdout;
    OSError where the file cannot be written."""
    writer = {"table": table_writer, "json": json_writer, "jsonl": jsonl_writer, "csv": csv_writer}[format]
    with ExitStack() as opened:
        file = sys.stdout
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            file = opened.enter_context(out.open("w", encoding="utf-8", errors="backslashreplace", newline=""))
        yield opened.enter_context(writer(file))


@contextmanager
def json_writer(file: TextIO) -> Iterator[Write]:
    """One list, closed also when the run is ended early."""
    separators = chain([""], repeat(",\n"))

    def write(prediction: Prediction) -> None:
        file.write(next(separators) + json.dumps(asdict(prediction), indent=2, allow_nan=False))

    file.write("[\n")
    try:
        yield write
    finally:
        file.write("\n]\n")


@contextmanager
def jsonl_writer(file: TextIO) -> Iterator[Write]:
    def write(prediction: Prediction) -> None:
        file.write(json.dumps(asdict(prediction), allow_nan=False) + "\n")
        file.flush()

    yield write


@contextmanager
def csv_writer(file: TextIO) -> Iterator[Write]:
    rows = csv.writer(file, lineterminator="\n")
    shares = [f"{share}_{modality}" for share in ("quality", "used") for modality in MODALITIES]
    ends = [f"{trait}_{end}" for trait in TRAITS for end in ("low", "high")]
    rows.writerow(["path", "status", "reasons", *TRAITS, *ends, "coverage", *shares, "model"])

    def write(prediction: Prediction) -> None:
        traits = [(prediction.traits or {}).get(trait, "") for trait in TRAITS]
        bounds = [end for trait in TRAITS for end in (prediction.intervals or {}).get(trait, ["", ""])]
        values = [share[modality] for share in (prediction.quality, prediction.used) for modality in MODALITIES]
        about = [prediction.path, prediction.status, "; ".join(prediction.reasons)]
        rows.writerow([*about, *traits, *bounds, prediction.coverage, *values, prediction.model])
        file.flush()

    yield write


@contextmanager
def table_writer(file: TextIO) -> Iterator[Write]:
    """One table, shown also when the run is ended early."""
    predictions: list[Prediction] = []
    try:
        yield predictions.append
    finally:
        console = stdout() if file is sys.stdout else Console(file=file, markup=False, width=PIPED_WIDTH)
        show_table(predictions_table(predictions), console)
