"""Predictions for a split of a manifest, scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msma.data.corpora.manifest import SPLITS, Manifest, Row
from msma.evaluation.baselines import Baselines, split_baselines
from msma.evaluation.comparison import Comparison
from msma.evaluation.coverage import CoverageReport, coverage_report
from msma.evaluation.disparities import MIN_SOURCES
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import Result
from msma.evaluation.score import ClipScores, Scored, clip_scores, score
from msma.metrics import ByTrait, Keys, Metrics, all_metrics
from msma.types import MODALITIES, MsmaError
from msma.weights.operating_points import OPERATING_POINTS

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
    """The clips that the model abstains on. The scores of the evaluation count the network's output for them."""

    min_quality: float
    """The model abstains where no modality has a predicted quality as high as this."""
    clips: int
    without: ClipScores | None
    """The scores on the other clips; null where there are no abstained clips, or fewer than two others."""


class Evaluation(Scored, Tested):
    """What `msma evaluate` and `msma score` write: predictions for one split, scored."""

    fusion: str | None
    """The modalities that the model reads and how they are fused; null for the predictions of another tool."""
    tta: bool = False
    """Whether predictions are means over several sampling grids and the mirrored clip."""
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
    ceiling_without: dict[str, Annotated[dict[str, ByTrait], Keys(("ccc", "mean_accuracy"))]] | None = None
    """Synthetic corpus with structure, both modalities read: the best without seeing each structure, and without those
    that one part of the network is for; below `ceiling` by the most that the part can gain."""
    prediction_intervals: CoverageReport | None = None
    """Null where the predictions have none."""
    abstention: Abstention | None = None
    """Null for the predictions of another tool."""
    operating_points: Annotated[dict[str, Metrics], Keys(OPERATING_POINTS)] | None = None
    """What the same network reaches where its scores are for the least error (`accuracy`, of which all other scores
    here are) and where they have the mean and the spread of the labels (`ccc`); null where it has no such points."""
    against: Comparison | None = None
    """The paired difference from other predictions, where it was asked for."""


def evaluation_of(
    manifest: Manifest,
    split: str,
    predictions: Predictions,
    *,
    model: str,
    fusion: str | None = None,
    baselines: Baselines | None = None,
    slices: Sequence[str] | None = None,
    min_quality: float = 0.0,
    warnings: Sequence[str] = (),
    **about: Any,
) -> Evaluation:
    """Score predictions for clips of a split (or of `all`), whole and by slice.

    `model` is a name, or the file of another tool's predictions; for `fusion` and the fields in `about` see Evaluation.
    `baselines` are by default from the training split, `slices` all columns that group clips. MsmaError where the
    manifest has no training clips, or no column of a name in `slices`.
    """
    rows = rows_of(manifest, predictions)
    columns, skipped = slice_columns(rows, slices)
    base = baselines or split_baselines(manifest, rows)
    scored, bounds = score(predictions, base, columns, skipped), predictions.bounds
    by_split = {name: [row.source for row in manifest.rows if row.split == name] for name in SPLITS}
    facts: dict[str, Any] = {"degraded": None, "failed": {}} | about
    return Evaluation(
        **dict(scored),
        **facts,
        model=model,
        fusion=fusion,
        corpus=manifest.corpus,
        split=split,
        splits={name: SplitSize(len(of), len(set(of))) for name, of in by_split.items() if of},
        coverage=scored.clips / len(manifest.split(split)),
        warnings=[*warnings, *warnings_of(scored.sources)],
        ceiling=manifest.facts.get("ceiling", {}).get(fusion if fusion in MODALITIES else "both"),
        ceiling_without=None if fusion in MODALITIES else manifest.facts.get("ceiling_without"),
        prediction_intervals=None if bounds is None else coverage_report(bounds, predictions.target, columns),
        abstention=abstention_of(predictions, base, min_quality),
        operating_points=points_of(predictions, base),
    )


def points_of(predictions: Predictions, baselines: Baselines) -> dict[str, Metrics] | None:
    """The scores at each operating point; None where there are none."""
    if predictions.by_point is None:
        return None
    target, constant = predictions.target, baselines.constant
    return {point: all_metrics(scores, target, constant) for point, scores in predictions.by_point.items()}


def abstention_of(predictions: Predictions, baselines: Baselines, min_quality: float) -> Abstention | None:
    """How many clips the model abstains on, and the scores without them; None where that is not known."""
    if predictions.abstained is None:
        return None
    others = ~predictions.abstained
    known = MIN_CLIPS <= others.sum() < len(others)
    without = clip_scores(predictions, baselines, others) if known else None
    return Abstention(min_quality=min_quality, clips=int(predictions.abstained.sum()), without=without)


def rows_of(manifest: Manifest, predictions: Predictions) -> list[Row]:
    """The rows of the predicted clips, in the order of the predictions."""
    row_of = {row.clip: row for row in manifest.rows}
    return [row_of[clip] for clip in predictions.clips]


def slice_columns(rows: Sequence[Row], names: Sequence[str] | None) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The columns to slice by, with the value of each clip, and why others are not.

    By default those with 2 to MAX_VALUES values and two clips a value or more. A clip without a value has the value "".
    MsmaError where a named column is not there, or is `interview`.
    """
    found = dict.fromkeys(name for row in rows for name in row.columns)
    known = {name: [row.columns.get(name, "") for row in rows] for name in found}
    for name in names or ():
        if name not in known or name == "interview":
            why = "is not a trait and makes no slices" if name == "interview" else "is no column of the manifest"
            raise MsmaError(f"--slices: {name!r} {why}; it has: {', '.join(sorted(known)) or 'no further columns'}")
    if names is not None:
        return {name: known[name] for name in names}, {}
    skipped = {}
    for name, values in known.items():
        count = len(set(values))
        if name == "interview":
            skipped[name] = "is not a trait and makes no slices"
        elif not 2 <= count <= min(MAX_VALUES, len(rows) // 2):
            skipped[name] = f"has {count} values on {len(rows)} clips"
    return {name: values for name, values in known.items() if name not in skipped}, skipped


def warnings_of(sources: int) -> list[str]:
    """Why numbers from so many sources should be read with care."""
    warning = f"the clips come from {sources} sources; intervals from fewer than {MIN_SOURCES} are too narrow"
    return [warning] if sources < MIN_SOURCES else []
