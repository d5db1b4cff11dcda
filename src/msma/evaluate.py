"""A model on a split of a corpus: metrics beside what a constant would score and what is possible at best."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch.utils.data import DataLoader

from msma.data.cache import CacheReport, read_entry
from msma.data.manifest import Manifest, Row, targets
from msma.metrics import Interval, all_metrics, bootstrap_by_source, ccc
from msma.predict import Model, pooled_traits
from msma.traits import TRAITS
from msma.types import MsmaError, Prepared


@dataclass(frozen=True)
class Evaluation:
    """The result on one split. `metrics[name][trait]`, and `mean` among the traits."""

    corpus: str
    split: str
    model: str
    fusion: str
    clips: int
    degraded: int
    failed: dict[str, str]
    """Clips that could not be read, and why; they are not scored."""
    metrics: dict[str, dict[str, float]]
    baselines: dict[str, dict[str, dict[str, float]]]
    """`constant`: always the mean of the training labels."""
    intervals: dict[str, Interval]
    """95 % bootstrap over sources, for `ccc` and `mean_accuracy` (mean over traits)."""
    ceiling: dict[str, dict[str, float]] | None
    """Synthetic corpus only: the best `ccc` and `mean_accuracy` that the modalities of this model allow."""


@dataclass(frozen=True)
class Predictions:
    """What was answered and what is true, clip by clip, in the order of the manifest."""

    clips: list[str]
    sources: list[str]
    predicted: Float[np.ndarray, "clips 5"]
    target: Float[np.ndarray, "clips 5"]


def predict_split(
    model: Model,
    rows: list[Row],
    cache: CacheReport,
    *,
    batch_size: int = 16,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Predict every clip that can be read.

    `batch_size` clips are loaded at once by `workers`; the network reads each alone.

    Raises:
        MsmaError: no clip of the split can be read.
    """
    rows = [row for row in rows if row.clip in cache.entries]
    if not rows:
        raise MsmaError("no clip of this split can be read; see the table above")
    entries: Any = [cache.entries[row.clip] for row in rows]  # a list will do for a Dataset
    loader = DataLoader(entries, batch_size=batch_size, num_workers=workers, collate_fn=read_entries)
    predicted: list[list[float]] = []
    for batch in loader:
        for windows in batch:
            traits = pooled_traits([model.read(window) for window in windows])
            predicted.append([traits[trait] for trait in TRAITS])
        if progress is not None:
            progress(len(predicted), len(rows))
    return Predictions([r.clip for r in rows], [r.source for r in rows], np.array(predicted), targets(rows))


def read_entries(paths: list[Path]) -> list[list[Prepared]]:
    return [read_entry(path) for path in paths]


def evaluate(model: Model, manifest: Manifest, split: str, cache: CacheReport, predictions: Predictions) -> Evaluation:
    """Score predictions on the whole split.

    Raises:
        MsmaError: the manifest has no training labels to take the constant from.
    """
    constant = targets(manifest.split("train")).mean(axis=0)
    predicted, target = predictions.predicted, predictions.target
    fusion = model.weights.config.model.fusion
    ceiling = manifest.facts.get("ceiling", {}).get(fusion if fusion in ("audio", "visual") else "both")
    in_split = {row.clip for row in manifest.split(split)}
    return Evaluation(
        corpus=manifest.corpus,
        split=split,
        model=model.weights.config.name,
        fusion=fusion,
        clips=len(predictions.clips),
        degraded=len(in_split & set(cache.degraded)),
        failed={clip: reason for clip, reason in cache.failed.items() if clip in in_split},
        metrics=all_metrics(predicted, target, constant),
        baselines={"constant": all_metrics(np.tile(constant, (len(target), 1)), target, constant)},
        intervals={
            "ccc": bootstrap_by_source(lambda rows: ccc(predicted[rows], target[rows]).mean(), predictions.sources),
            "mean_accuracy": bootstrap_by_source(
                lambda rows: 1 - np.abs(predicted[rows] - target[rows]).mean(), predictions.sources
            ),
        },
        ceiling=ceiling,
    )


@dataclass(frozen=True)
class Comparison:
    """How much higher the mean CCC of one set of predictions is than that of another on the same clips."""

    difference: float
    interval: Interval


def compare_ccc(better: Predictions, worse: Predictions) -> Comparison:
    """Paired: both are drawn on the same sources in each bootstrap sample.

    Raises:
        MsmaError: the two are not of the same clips.
    """
    if better.clips != worse.clips:
        raise MsmaError("the predictions are not of the same clips; evaluate both on the same manifest and split")

    def difference(rows: np.ndarray) -> float:
        target = better.target[rows]
        return (ccc(better.predicted[rows], target) - ccc(worse.predicted[rows], target)).mean()

    everything = np.arange(len(better.clips))
    return Comparison(float(difference(everything)), bootstrap_by_source(difference, better.sources))


def write_evaluation(folder: Path, evaluation: Evaluation, predictions: Predictions) -> None:
    """Write `evaluation.json` and `predictions.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(asdict(evaluation), indent=2) + "\n", encoding="utf-8")
    with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "source", *TRAITS, *(f"target_{trait}" for trait in TRAITS)])
        for clip, source, predicted, target in zip(
            predictions.clips, predictions.sources, predictions.predicted, predictions.target, strict=True
        ):
            writer.writerow([clip, source, *predicted.tolist(), *target.tolist()])


def read_evaluation(folder: Path) -> tuple[dict[str, Any], Predictions]:
    """Read what `write_evaluation` wrote; the evaluation as plain JSON values.

    Raises:
        MsmaError: the folder holds no evaluation.
    """
    try:
        evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        predicted = np.array([[float(row[trait]) for trait in TRAITS] for row in rows])
        target = np.array([[float(row[f"target_{trait}"]) for trait in TRAITS] for row in rows])
        return evaluation, Predictions([r["clip"] for r in rows], [r["source"] for r in rows], predicted, target)
    except (OSError, ValueError, KeyError) as error:
        raise MsmaError(f"{folder}: holds no evaluation; make one with `msma evaluate --out {folder}`") from error
