"""An evaluation on disk: `evaluation.json`, and `predictions.csv` beside it."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from msma.data.corpora.table_file import read_table
from msma.evaluation.evaluation import Evaluation
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import MAX_BYTES, checked, write_result
from msma.evaluation.results import CrossValidation
from msma.files.reading import read_json, reading
from msma.files.writing import written_whole
from msma.types import TRAITS, MsmaError


def write_evaluation(folder: Path, evaluation: Evaluation, predictions: Predictions) -> None:
    """Write `evaluation.json` and `predictions.csv`, which `msma score` reads."""
    write_result(folder / "evaluation.json", evaluation)
    bounds, abstained = predictions.bounds, predictions.abstained
    ends = {} if bounds is None else {"low_": bounds.low, "high_": bounds.high}
    blocks = {"": predictions.predicted, "target_": predictions.target, **ends}
    columns = {f"{prefix}{trait}": block[:, k] for prefix, block in blocks.items() for k, trait in enumerate(TRAITS)}
    cells = [["" if math.isnan(number) else number for number in values.tolist()] for values in columns.values()]
    if abstained is not None:
        columns["abstained"] = abstained
        cells.append(["yes" if one else "no" for one in abstained])
    with written_whole(folder / "predictions.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "source", *columns])
        writer.writerows(zip(predictions.clips, predictions.sources, *cells, strict=True))


def read_evaluation(folder: Path) -> tuple[Evaluation, Predictions]:
    """Read what `write_evaluation` wrote, without the intervals; MsmaError where there is none or it is damaged."""
    remedy = f"{folder} holds no whole evaluation; make one with `msma evaluate --out {folder}`"
    path, table_path = folder / "evaluation.json", folder / "predictions.csv"
    values = read_json(path, remedy, MAX_BYTES)
    kind = CrossValidation if isinstance(values, dict) and "folds" in values else Evaluation
    evaluation = checked(values, kind, str(path), remedy)
    try:
        table = read_table(table_path)
    except MsmaError as error:
        raise MsmaError(f"{error}; {remedy}") from error
    with reading(table_path, remedy, MAX_BYTES):
        column = {name: [cells[place] for cells in table.rows] for place, name in enumerate(table.columns)}
        predicted, target = (
            np.array([[float(text or "nan") for text in column[prefix + trait]] for trait in TRAITS]).T
            for prefix in ("", "target_")
        )
        if len(table.rows) != evaluation.clips:
            raise ValueError("does not have all clips")
        abstained = None if evaluation.abstention is None else np.array(column["abstained"]) == "yes"
        return evaluation, Predictions(column["clip"], column["source"], predicted, target, abstained=abstained)
