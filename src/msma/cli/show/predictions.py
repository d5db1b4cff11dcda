"""Predictions as table, JSON, JSON lines or CSV, written while they come, so that a run that is ended loses nothing."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console

from msma.cli.show.growing import encoded, growing_file, growing_stream
from msma.cli.show.tables import PIPED_WIDTH, show_table, stdout
from msma.config import parse
from msma.files.names import shown
from msma.files.writing import write_whole
from msma.prediction.predictions_json import PREDICTIONS
from msma.reports.predictions import predictions_table
from msma.types import MODALITIES, TRAITS, MsmaError, Prediction

Record = dict[str, Any]
"""What a format keeps of a prediction; `path`, `status` and `settings` in each."""
Write = Callable[[Prediction], None]


@dataclass(frozen=True)
class Format:
    """How a file of predictions is built: head, records with something between them, tail."""

    record: Callable[[Prediction], Record]
    text: Callable[[Record], str]
    records: Callable[[str], Iterator[Record]]
    """The whole records of a text that may be cut off."""
    head: str = ""
    between: str = ""
    tail: str = ""

    def whole(self, records: Iterable[Record]) -> str:
        """The text of a file, up to its tail."""
        return self.head + self.between.join(map(self.text, records))


CSV_HEADS = [
    *("path", "status", "reasons", *TRAITS),
    *(f"{trait}_{end}" for trait in TRAITS for end in ("low", "high")),
    *("coverage", *(f"{share}_{modality}" for share in ("quality", "used") for modality in MODALITIES)),
    *("model", "operating_point", "settings"),
]


def csv_record(prediction: Prediction) -> Record:
    traits, intervals = prediction.traits or {}, prediction.intervals or {}
    cells = [
        *(prediction.path, prediction.status, "; ".join(prediction.reasons)),
        *(traits.get(trait, "") for trait in TRAITS),
        *(end for trait in TRAITS for end in intervals.get(trait, ["", ""])),
        prediction.coverage,
        *(share[modality] for share in (prediction.quality, prediction.used) for modality in MODALITIES),
        *(prediction.model, prediction.operating_point, prediction.settings),
    ]
    return dict(zip(CSV_HEADS, cells, strict=True))


def csv_text(record: Record) -> str:
    return csv_line(record[head] for head in CSV_HEADS)


def csv_line(cells: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def csv_records(text: str) -> Iterator[Record]:
    rows = csv.reader(io.StringIO(text, newline=""))
    with contextlib.suppress(csv.Error):  # it is none from here on
        if next(rows, None) == CSV_HEADS:
            yield from (dict(zip(CSV_HEADS, row, strict=True)) for row in rows if len(row) == len(CSV_HEADS))


def json_records(text: str) -> Iterator[Record]:
    """Those of a list, or of lines, that are predictions."""
    decoder, place = json.JSONDecoder(), 0
    while (place := text.find("{", place)) >= 0:
        try:
            record, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):  # cut off here
            return
        with contextlib.suppress(MsmaError):
            parse(PREDICTIONS, [record], "")
            yield record


FORMATS = {
    "json": Format(
        asdict,
        lambda record: json.dumps(record, indent=2, allow_nan=False),
        json_records,
        head="[\n",
        between=",\n",
        tail="\n]\n",
    ),
    "jsonl": Format(asdict, lambda record: json.dumps(record, allow_nan=False) + "\n", json_records),
    "csv": Format(csv_record, csv_text, csv_records, head=csv_line(CSV_HEADS)),
}


def as_text(prediction: Prediction) -> Prediction:
    """The prediction with names that any file can hold."""
    return replace(prediction, path=shown(prediction.path), reasons=[*map(shown, prediction.reasons)])


@contextmanager
def writer_of(
    format: str, out: Path | None, kept: Mapping[str, Record] = MappingProxyType({}), files: Sequence[str] = ()
) -> Iterator[Write]:
    """A function that writes one prediction after the other as `table`, `json`, `jsonl` or `csv` to a file or stdout.

    The file is readable after each of them (a table: when the block ends, however it does). It begins with what is
    `kept` from before; when the block ends well, all is in the order of the `files`. WriteError where no more fits.
    """
    if format == "table":
        with table_writer(out) as show:
            yield show
        return
    form = FORMATS[format]
    if out is None or (out.exists() and not out.is_file()):
        with growing_stream(out, form.head, form.between, form.tail) as add:
            yield lambda prediction: add(form.text(form.record(as_text(prediction))))
        return
    records = dict(kept)
    with growing_file(out, form.whole(records.values()), form.between, form.tail, resumed=bool(kept)) as add:

        def write(prediction: Prediction) -> None:
            record = form.record(as_text(prediction))
            add(form.text(record))
            if kept:
                records[prediction.path] = record

        yield write
    if kept:
        write_whole(out, encoded(form.whole(records[file] for file in files) + form.tail))


@contextmanager
def table_writer(out: Path | None) -> Iterator[Write]:
    """One table, shown also when the run is ended early."""
    predictions: list[Prediction] = []
    try:
        yield predictions.append
    finally:
        table = predictions_table(predictions)
        if out is None:
            show_table(table, stdout())
            sys.stdout.flush()  # a full disk or a closed pipe shows here
        else:
            rendered = io.StringIO()
            show_table(table, Console(file=rendered, markup=False, width=PIPED_WIDTH))
            with growing_stream(out) as add:
                add(rendered.getvalue())
