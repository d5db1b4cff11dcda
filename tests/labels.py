"""Labelled corpora without media: a manifest, and predictions with what a test plants in them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from msma.data.corpora.manifest import Manifest, Row, targets
from msma.evaluation.predictions import Predictions
from msma.types import TRAITS


def labelled_corpus(
    train: int = 120,
    test: int = 80,
    sources: int = 60,
    source_effect: float = 0.1,
    seed: int = 0,
    traits: tuple[str, ...] = TRAITS,
) -> Manifest:
    """Clips of `sources` sources in both splits; a source shifts the labels of its clips by about `source_effect`.

    Columns: `gender` and `age_group` belong to the source, `transcript` to the clip.
    """
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, source_effect, (sources, 5))
    gender, age = rng.choice(["female", "male"], sources), rng.choice(["young", "middle", "old"], sources)
    rows = []
    for index in range(train + test):
        source = int(rng.integers(sources))
        score = np.clip(0.5 + shift[source] + rng.normal(0, 0.1, 5), 0, 1)
        score[[trait not in traits for trait in TRAITS]] = np.nan
        clip = f"source{source:05d}.{index:03d}.mp4"
        columns = {"gender": str(gender[source]), "age_group": str(age[source]), "transcript": f"words {index}"}
        split = "train" if index < train else "test"
        rows.append(Row(clip, Path("media") / clip, clip[:11], split, tuple(score.tolist()), columns))
    return Manifest("labelled", tuple(rows), {})


def predictions_for(
    manifest: Manifest, split: str = "test", noise: float = 0.08, seed: int = 1, shifts: dict[str, float] | None = None
) -> Predictions:
    """Labels shrunk to the middle, with noise; `shifts` adds to the openness of clips by their gender."""
    rows = manifest.split(split)
    target = targets(rows)
    predicted = 0.5 + 0.6 * (np.nan_to_num(target, nan=0.5) - 0.5)
    predicted += np.random.default_rng(seed).normal(0, noise, predicted.shape)
    predicted[:, 0] += [(shifts or {}).get(row.columns.get("gender", ""), 0.0) for row in rows]
    return Predictions([r.clip for r in rows], [r.source for r in rows], np.clip(predicted, 0, 1), target)


def write_csv(path: Path, header: list[str], lines: list[list[object]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(lines)
    return path


def write_predictions(path: Path, predictions: Predictions) -> Path:
    """As another tool would: a clip column and five traits."""
    lines = [[c, *p] for c, p in zip(predictions.clips, predictions.predicted.tolist(), strict=True)]
    return write_csv(path, ["clip", *TRAITS], lines)
