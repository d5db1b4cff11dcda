"""Predictions for a split of a manifest, scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msma.data.corpora.manifest import SPLITS, Manifest, Row
from msma.evaluation.baselines import split_baselines
from msma.evaluation.coverage import CoverageReport, coverage_report
from msma.evaluation.gaps import MIN_SOURCES
from msma.evaluation.predictions import Predictions, Read
from msma.evaluation.score import Scored, score
from msma.types import MODALITIES, MsmaError

MAX_VALUES = 20
"""A column with more values is no grouping unless it is asked for."""


@dataclass(frozen=True)
class Evaluation:
    """The result on one split, and what it is a result of."""

    corpus: str
    split: str
    model: str
    fusion: str | None
    """None where it is not known: the predictions of another tool."""
    clips_in_split: int
    degraded: int | None
    failed: dict[str, str]
    """Clips that could not be read or have no usable prediction, and why; they are not scored."""
    warnings: list[str]
    ceiling: dict[str, dict[str, float]] | None
    """Synthetic corpus only: the best `ccc` and `mean_accuracy` that the modalities of this model allow."""
    unsliced: dict[str, str]
    """Columns of the manifest that make no slices, and why."""
    scored: Scored
    prediction_intervals: CoverageReport | None = None
    """None where the answers have none."""
    weights_sha256: str | None = None
    """Of the weights that answered; None for the predictions of another tool."""
    calibration_sha256: str | None = None
    """Of the calibration of their intervals; None without one."""
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    """`clips` and `sources` of each split of the manifest."""


def score_split(
    manifest: Manifest, predictions: Predictions, slices: Sequence[str] | None = None
) -> tuple[Scored, dict[str, str]]:
    """Score predictions for clips of a manifest, and say which of its columns make no slices.

    Raises:
        MsmaError: the manifest has no training clips, or no column of a name in `slices`.
    """
    rows = rows_of(manifest, predictions)
    columns, unsliced = slice_columns(rows, slices)
    scored = score(
        predictions.predicted, predictions.target, predictions.sources, split_baselines(manifest, rows), columns
    )
    return scored, unsliced


def coverage_on(
    manifest: Manifest, predictions: Predictions, slices: Sequence[str] | None = None
) -> CoverageReport | None:
    """How well the prediction intervals hold, where there are any, on the slices of `score_split`."""
    if predictions.bounds is None:
        return None
    columns, _ = slice_columns(rows_of(manifest, predictions), slices)
    return coverage_report(predictions.bounds, predictions.target, columns)


def rows_of(manifest: Manifest, predictions: Predictions) -> list[Row]:
    """The rows of the predicted clips, in the order of the predictions."""
    row_of = {row.clip: row for row in manifest.rows}
    return [row_of[clip] for clip in predictions.clips]


def slice_columns(rows: Sequence[Row], names: Sequence[str] | None) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The columns to slice by, with the value of each clip, and why others are not.

    By default those with 2 to MAX_VALUES values and two clips a value or more. A clip without a value has the value "".

    Raises:
        MsmaError: a named column is not there, or is `interview`.
    """
    known = {
        name: [row.columns.get(name, "") for row in rows] for name in dict.fromkeys(n for r in rows for n in r.columns)
    }
    if names is not None:
        for name in names:
            if name not in known or name == "interview":
                why = "is no trait and makes no slices" if name == "interview" else "is no column of the manifest"
                raise MsmaError(f"--slices: {name!r} {why}; it has: {', '.join(sorted(known)) or 'no further columns'}")
        return {name: known[name] for name in names}, {}
    columns, unsliced = {}, {}
    for name, values in known.items():
        count = len(set(values))
        if name == "interview":
            unsliced[name] = "is no trait and not looked at"
        elif 2 <= count <= min(MAX_VALUES, len(rows) // 2):
            columns[name] = values
        else:
            unsliced[name] = f"has {count} values on {len(rows)} clips"
    return columns, unsliced


def evaluate_read(
    manifest: Manifest, split: str, name: str, read: Read, slices: Sequence[str] | None = None
) -> Evaluation:
    """Score the predictions of any tool, `name`.

    Raises:
        MsmaError: see `score_split`.
    """
    scored, unsliced = score_split(manifest, read.predictions, slices)
    return Evaluation(
        corpus=manifest.corpus,
        split=split,
        model=name,
        fusion=None,
        clips_in_split=len(manifest.split(split)),
        degraded=None,
        failed=read.failed,
        warnings=[*read.warnings, *warnings_of(scored.whole.sources)],
        ceiling=ceiling_of(manifest, None),
        unsliced=unsliced,
        scored=scored,
        splits=splits_of(manifest),
    )


def splits_of(manifest: Manifest) -> dict[str, dict[str, int]]:
    """How many clips and sources each split has, whether their media is there or not."""
    by_split = {name: [row.source for row in manifest.rows if row.split == name] for name in SPLITS}
    return {name: {"clips": len(of), "sources": len(set(of))} for name, of in by_split.items() if of}


def ceiling_of(manifest: Manifest, fusion: str | None) -> dict[str, dict[str, float]] | None:
    """The best that is possible for what a network of this `fusion` reads; of both modalities where it is not known."""
    return manifest.facts.get("ceiling", {}).get(fusion if fusion in MODALITIES else "both")


def warnings_of(sources: int) -> list[str]:
    """Why numbers of clips of so many sources should be read with care."""
    if sources < MIN_SOURCES:
        return [f"the clips come from {sources} sources; intervals from fewer than {MIN_SOURCES} are too narrow"]
    return []
