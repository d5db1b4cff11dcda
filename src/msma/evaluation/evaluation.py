"""Predictions for a split of a manifest, scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from msma.data.corpora.manifest import SPLITS, Manifest, Row
from msma.evaluation.baselines import split_baselines
from msma.evaluation.comparison import Comparison
from msma.evaluation.coverage import CoverageReport, coverage_report
from msma.evaluation.gaps import MIN_SOURCES
from msma.evaluation.predictions import Predictions, Read
from msma.evaluation.result_file import Result
from msma.evaluation.score import ClipScores, Scored, clip_scores, score
from msma.metrics import ByTrait, Keys, draw_sources, labelled_traits
from msma.types import MODALITIES, MsmaError

MIN_CLIPS = 2
"""Fewer clips have no correlation, and no scores of their own."""
MAX_VALUES = 20
"""A column with more values is no grouping unless it is asked for."""


class Tested(Result):
    """Which model was tested, and on which clips."""

    model: str
    """Its name, or the file with the predictions of another tool."""
    weights_sha256: str | None = None
    """Null for the predictions of another tool."""
    calibration_sha256: str | None = None
    """Null without prediction intervals."""
    corpus: str
    split: str


@dataclass(frozen=True)
class SplitSize:
    """How large a split of the manifest is, whether its media is there or not."""

    clips: int
    sources: int


class Abstention(Result):
    """The clips that the model abstains on. The scores of the evaluation count what its network says of them."""

    min_quality: float
    """The model abstains where no modality has a predicted quality as high as this."""
    clips: int
    without: ClipScores | None
    """The scores on the other clips; null where there are no abstained clips, or fewer than two others."""


class Evaluation(Scored, Tested):
    """What `msma evaluate` and `msma score` write: predictions for one split, scored."""

    fusion: str | None
    """The modalities that the model reads and how they are fused; null for the predictions of another tool."""
    splits: dict[str, SplitSize]
    """Every split of the manifest."""
    coverage: float
    """Share of the clips of the split that are scored."""
    degraded: int | None
    """How many of the clips were read with faults; null for the predictions of another tool."""
    failed: dict[str, str]
    """Clips that could not be read or have no usable prediction, and why; they are not scored."""
    warnings: list[str]
    ceiling: Annotated[dict[str, ByTrait], Keys(("ccc", "mean_accuracy"))] | None
    """Synthetic corpus only: the best that the modalities of this model allow."""
    prediction_intervals: CoverageReport | None = None
    """Null where the predictions have none."""
    abstention: Abstention | None = None
    """Null for the predictions of another tool."""
    against: Comparison | None = None
    """The paired difference from other predictions, where it was asked for."""


def score_split(manifest: Manifest, predictions: Predictions, slices: Sequence[str] | None = None) -> Scored:
    """Score predictions for clips of a manifest on the whole split and its slices.

    Raises:
        MsmaError: the manifest has no training clips, or no column of a name in `slices`.
    """
    rows = rows_of(manifest, predictions)
    columns, skipped = slice_columns(rows, slices)
    base = split_baselines(manifest, rows)
    return score(predictions.predicted, predictions.target, predictions.sources, base, columns, skipped)


def coverage_on(
    manifest: Manifest, predictions: Predictions, slices: Sequence[str] | None = None
) -> CoverageReport | None:
    """How well the prediction intervals hold, where there are any, on the slices of `score_split`."""
    if predictions.bounds is None:
        return None
    columns, _ = slice_columns(rows_of(manifest, predictions), slices)
    return coverage_report(predictions.bounds, predictions.target, columns)


def abstention_on(manifest: Manifest, predictions: Predictions, min_quality: float) -> Abstention | None:
    """How many clips the model abstains on, and the scores without them; None where that is not known.

    Raises:
        MsmaError: the manifest has no training clips.
    """
    if predictions.abstained is None:
        return None
    others, without = ~predictions.abstained, None
    if MIN_CLIPS <= others.sum() < len(others):
        base = split_baselines(manifest, rows_of(manifest, predictions))
        labelled, draws = labelled_traits(predictions.target), draw_sources(predictions.sources)
        without = clip_scores(
            predictions.predicted, predictions.target, base, labelled, draws, others, least=MIN_SOURCES
        )
    return Abstention(min_quality=min_quality, clips=int(predictions.abstained.sum()), without=without)


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
    manifest: Manifest,
    split: str,
    name: str,
    read: Read,
    slices: Sequence[str] | None = None,
    against: Comparison | None = None,
) -> Evaluation:
    """Score the predictions of any tool, `name`.

    Raises:
        MsmaError: see `score_split`.
    """
    scored = score_split(manifest, read.predictions, slices)
    return Evaluation(
        **dict(scored),
        model=name,
        corpus=manifest.corpus,
        split=split,
        fusion=None,
        splits=splits_of(manifest),
        coverage=scored.clips / len(manifest.split(split)),
        degraded=None,
        failed=read.failed,
        warnings=[*read.warnings, *warnings_of(scored.sources)],
        ceiling=ceiling_of(manifest, None),
        against=against,
    )


def splits_of(manifest: Manifest) -> dict[str, SplitSize]:
    by_split = {name: [row.source for row in manifest.rows if row.split == name] for name in SPLITS}
    return {name: SplitSize(len(of), len(set(of))) for name, of in by_split.items() if of}


def ceiling_of(manifest: Manifest, fusion: str | None) -> dict[str, dict[str, float]] | None:
    """The best that is possible for what a network of this `fusion` reads; of both modalities where it is not known."""
    return manifest.facts.get("ceiling", {}).get(fusion if fusion in MODALITIES else "both")


def warnings_of(sources: int) -> list[str]:
    """Why numbers of clips of so many sources should be read with care."""
    if sources < MIN_SOURCES:
        return [f"the clips come from {sources} sources; intervals from fewer than {MIN_SOURCES} are too narrow"]
    return []
