"""An evaluation on disk: `evaluation.json`, and `predictions.csv` beside it."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from msma.config import first_line
from msma.evaluation.evaluation import Evaluation
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import MAX_BYTES, checked, write_result
from msma.evaluation.results import CrossValidation
from msma.files import written_whole
from msma.types import TRAITS, MsmaError
from msma.weights.config import read_json


def write_evaluation(folder: Path, evaluation: Evaluation, predictions: Predictions) -> None:
    """Write `evaluation.json` and `predictions.csv`, which `msma score` reads."""
    write_result(folder / "evaluation.json", evaluation)
    with written_whole(folder / "predictions.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        bounds = predictions.bounds
        ends = {} if bounds is None else {"low": bounds.low, "high": bounds.high}
        columns = [predictions.predicted, predictions.target, *ends.values()]
        names = ["", "target_", *(f"{end}_" for end in ends)]
        names = ["clip", "source", *(f"{name}{trait}" for name in names for trait in TRAITS)]
        abstained = predictions.abstained
        writer.writerow(names if abstained is None else [*names, "abstained"])
        for place, numbers in enumerate(np.hstack(columns).tolist()):
            cells = [predictions.clips[place], predictions.sources[place]]
            cells += ["" if math.isnan(number) else number for number in numbers]
            writer.writerow(cells if abstained is None else [*cells, "yes" if abstained[place] else "no"])


def read_evaluation(folder: Path) -> tuple[Evaluation, Predictions]:
    """Read what `write_evaluation` wrote, without the prediction intervals.

    Raises:
        MsmaError: the folder holds no evaluation, or one that is damaged.
    """
    remedy = f"{folder} holds no whole evaluation; make one with `msma evaluate --out {folder}`"
    path, table = folder / "evaluation.json", folder / "predictions.csv"
    values = read_json(path, remedy, MAX_BYTES)
    kind = CrossValidation if isinstance(values, dict) and "folds" in values else Evaluation
    evaluation = checked(values, kind, str(path), remedy)
    try:
        if table.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if len(rows) != evaluation.clips or any(None in row.values() for row in rows):
            raise ValueError("does not have all clips")
        predicted, target = (
            np.array([[float(row[prefix + trait] or "nan") for trait in TRAITS] for row in rows])
            for prefix in ("", "target_")
        )
        clips, sources = [row["clip"] for row in rows], [row["source"] for row in rows]
        abstained = None if evaluation.abstention is None else np.array([row["abstained"] == "yes" for row in rows])
        return evaluation, Predictions(clips, sources, predicted, target, abstained=abstained)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise MsmaError(f"{table}: {first_line(error)}; {remedy}") from error
