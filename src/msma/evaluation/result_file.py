"""Evaluations as JSON (docs/metrics.md has the schema) and on disk."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from msma.evaluation.comparison import Comparison
from msma.evaluation.evaluation import Evaluation
from msma.evaluation.gaps import Gap
from msma.evaluation.predictions import Predictions
from msma.evaluation.score import Part, Scored
from msma.files import write_json, written_whole
from msma.types import TRAITS, MsmaError


def evaluation_json(evaluation: Evaluation, against: tuple[str, Comparison] | None = None) -> dict[str, Any]:
    """The evaluation as plain JSON values, NaN as None; `against` is another file and how it compares."""
    whole = evaluation.scored.whole
    head = {
        "corpus": evaluation.corpus,
        "split": evaluation.split,
        "model": evaluation.model,
        "weights_sha256": evaluation.weights_sha256,
        "calibration_sha256": evaluation.calibration_sha256,
        "fusion": evaluation.fusion,
        "clips": whole.clips,
        "sources": whole.sources,
        "coverage": whole.clips / evaluation.clips_in_split,
        "splits": evaluation.splits,
        "degraded": evaluation.degraded,
        "failed": evaluation.failed,
        "warnings": evaluation.warnings,
        "ceiling": evaluation.ceiling,
    }
    values = head | scored_json(evaluation.scored)
    values["slices"]["skipped"] = evaluation.unsliced
    held = evaluation.prediction_intervals
    values["prediction_intervals"] = None if held is None else asdict(held)
    if against is not None:
        values["against"] = {"file": against[0], **asdict(against[1])}
    return without_nan(values)


def scored_json(scored: Scored) -> dict[str, Any]:
    """`metrics`, `baselines`, `intervals`, `slices` and `gaps`, by the names that they have in evaluation.json."""
    whole = part_json(scored.whole)
    constant, same_source = scored.whole.baselines["constant"], scored.whole.baselines["same_source"]
    return {
        "metrics": scored.whole.metrics,
        "baselines": {
            "constant": {"clips": scored.whole.clips, **constant},
            "same_source": {"clips": scored.whole.clips, "clips_with_source": scored.seen_source.clips, **same_source},
        },
        "intervals": whole["intervals"],
        "slices": {
            "seen_source": part_json(scored.seen_source),
            "unseen_source": part_json(scored.unseen_source),
            "columns": {
                column: {value: part_json(part) for value, part in parts.items()}
                for column, parts in scored.columns.items()
            },
        },
        "gaps": {column: gap_json(gap) for column, gap in scored.gaps.items()},
    }


def part_json(part: Part) -> dict[str, Any]:
    intervals = {
        # The interval of the mean stands right under the metric too.
        name: asdict(by_trait["mean"]) | {trait: asdict(bounds) for trait, bounds in by_trait.items()}
        for name, by_trait in part.intervals.items()
    }
    counts = {"clips": part.clips, "sources": part.sources}
    return {**counts, **part.metrics, "baselines": part.baselines, "intervals": intervals}


def gap_json(gap: Gap) -> dict[str, Any]:
    largest: dict[str, Any] = {"bias": None, "mean_accuracy": None}
    if gap.largest_bias is not None:
        value, trait = gap.largest_bias
        largest["bias"] = {"value": value, "trait": trait, **asdict(gap.groups[value].bias[trait])}
    if gap.largest_mean_accuracy is not None:
        value = gap.largest_mean_accuracy
        largest["mean_accuracy"] = {"value": value, **asdict(gap.groups[value].mean_accuracy)}
    groups = {value: asdict(group) for value, group in gap.groups.items()}
    return {"clear": gap.clear, "largest": largest, "groups": groups, "comparisons": gap.comparisons}


def without_nan(value: Any) -> Any:
    """NaN, which JSON does not have, as None."""
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write_evaluation(folder: Path, values: dict[str, Any], predictions: Predictions) -> None:
    """Write `evaluation.json` (from `evaluation_json`) and `predictions.csv`, which `msma score` reads."""
    write_json(folder / "evaluation.json", values)
    with written_whole(folder / "predictions.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        bounds = predictions.bounds
        ends = {} if bounds is None else {"low": bounds.low, "high": bounds.high}
        columns = [predictions.predicted, predictions.target, *ends.values()]
        names = ["", "target_", *(f"{end}_" for end in ends)]
        writer.writerow(["clip", "source", *(f"{name}{trait}" for name in names for trait in TRAITS)])
        for clip, source, numbers in zip(predictions.clips, predictions.sources, np.hstack(columns), strict=True):
            writer.writerow([clip, source, *("" if math.isnan(number) else number for number in numbers.tolist())])


def read_evaluation(folder: Path) -> tuple[dict[str, Any], Predictions]:
    """Read what `write_evaluation` wrote; the evaluation as plain JSON values.

    Raises:
        MsmaError: the folder holds no evaluation.
    """
    try:
        evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        if not isinstance(evaluation, dict):
            raise ValueError("no object of JSON")
        with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if len(rows) != evaluation["clips"] or any(None in row.values() for row in rows):
            raise ValueError("predictions.csv does not have all clips")
        predicted, target = (
            np.array([[float(row[prefix + trait] or "nan") for trait in TRAITS] for row in rows])
            for prefix in ("", "target_")
        )
        return evaluation, Predictions([r["clip"] for r in rows], [r["source"] for r in rows], predicted, target)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise MsmaError(f"{folder}: holds no whole evaluation; make one with `msma evaluate --out {folder}`") from error
