"""One cell of a robustness suite: every clip of a split corrupted, prepared, read by the network, and scored.

The way is that of prediction: corrupt, find the face in what is left, prepare, read each window alone, pool.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from msma.corruptions.corruption import AUDIO
from msma.corruptions.scenarios import Cell, corrupt_window, needs_donor
from msma.data.cache import why_failed
from msma.data.cache_entry import cached_windows
from msma.data.corpora.manifest import Row
from msma.evaluation.baselines import Baselines
from msma.evaluation.comparison import compare
from msma.evaluation.evaluate import answered_targets
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import write_result
from msma.evaluation.robustness.cell_result import CellResult, ClipPrediction, FromClean, NotRun, levelled
from msma.evaluation.robustness.distortion import distortion
from msma.evaluation.score import clip_scores
from msma.media.audio import SILENT_DB, level_db
from msma.media.faces import WHOLE_FRAME
from msma.media.prepare import prepare
from msma.metrics import Metrics, all_metrics, draw_sources, labelled_traits
from msma.model.tensors import ModelOutput
from msma.prediction.model import Model, load
from msma.prediction.pooling import durations, pooled, pooled_traits
from msma.types import MODALITIES, TRAITS, Clip, MsmaError, Window
from msma.weights.checkpoint import weights_sha256

NEVER, ALWAYS = 1e-6, 1 - 1e-6
"""Between these the logit of a score is taken."""


@dataclass(frozen=True)
class CellJob:
    cell: Cell
    rows: tuple[Row, ...]
    """The clips."""
    entries: dict[str, Path]
    baselines: Baselines
    """For `rows`."""
    model: Path | None
    """Folder of the weights; None for the bundled ones."""
    sha256: str
    """Of the weights."""
    device: str
    path: Path
    """Where the result goes."""
    clean: dict[str, ClipPrediction] | None
    """By clip, what was predicted when clean: for all of `rows`. None where this is the clean cell."""


def run_cell(job: CellJob) -> CellResult | NotRun:
    """Run a cell and write its result to `job.path`. Clips that fail in it are reported there, with the reason.

    Where all of them fail there is no result, nor is one of before left.
    """
    model = loaded(job.model, job.device, job.sha256)
    predictions: dict[str, ClipPrediction] = {}
    failed: dict[str, str] = {}
    for row in job.rows:
        try:
            predictions[row.clip] = clip_answer(model, row, job)
        except Exception as error:  # noqa: BLE001  neither a bad clip nor a defect of ours must lose the other clips
            failed[row.clip] = why_failed(row.path, error)
    if not predictions:
        job.path.unlink(missing_ok=True)
        return NotRun(job.cell, f"no clip could be predicted: {next(iter(failed.values()))}")
    result = cell_result(model, job, predictions, failed)
    write_result(job.path, result)
    return result


def cell_result(
    model: Model, job: CellJob, predictions: dict[str, ClipPrediction], failed: dict[str, str]
) -> CellResult:
    """The predictions clip by clip, and their scores."""
    places = [index for index, row in enumerate(job.rows) if row.clip in predictions]
    rows = [job.rows[index] for index in places]
    of = job.baselines
    base = Baselines(of.constant[places], of.same_source[places], of.seen[places])
    given = predictions_of(model, rows, predictions)
    labelled, everything = labelled_traits(given.target), np.ones(len(rows), dtype=bool)
    scores = clip_scores(
        given.predicted, given.target, base, labelled, draw_sources(given.sources), everything, least=2
    )

    def mean_by_modality(share: str) -> dict[str, float]:
        shares = [getattr(one, share) for one in predictions.values()]
        return {modality: mean_of([one[modality] for one in shares]) for modality in MODALITIES}

    return CellResult(
        **dict(scores),
        cell=levelled(job.cell),
        late_fusion=late_scores(model, rows, predictions, base.constant),
        from_clean=None if job.clean is None else from_clean(model, rows, given, job.clean, base.constant),
        quality=mean_by_modality("quality"),
        weights=mean_by_modality("weights"),
        used=mean_by_modality("used"),
        distortion=mean_by_modality("distortion"),
        face_lost=mean_of([float(one.face_lost) for one in predictions.values()]),
        failed=failed,
        predictions=predictions,
    )


@lru_cache(maxsize=1)
def loaded(folder: Path | None, device: str, sha256: str) -> Model:
    """The model, once a process.

    Raises:
        MsmaError: the weights are no longer those that the run began with.
    """
    model = load(folder, device=device)
    if weights_sha256(model.weights) != sha256:
        raise MsmaError(f"{folder}: the weights changed while the suite ran; run it again with another --out")
    return model


def clip_answer(model: Model, row: Row, job: CellJob) -> ClipPrediction:
    """The prediction for one clip with the corruptions of the cell.

    Raises:
        MsmaError: its entry in the cache is damaged, or it cannot be prepared.
    """
    donor = donor_for(row, job.rows, job.entries) if needs_donor(job.cell) else None
    windows: list[Window] = []
    alone: list[list[float]] = []
    weights: list[list[float]] = []
    changed: list[dict[str, float]] = []
    had_face = has_face = False
    for clean in cached_windows(job.entries[row.clip], name=row.clip):
        corrupted = corrupt_window(clean, job.cell, model.clip, model.detector, donor)
        window = prepare(corrupted, model.clip)
        output = model.output(window, return_intermediates=True)
        windows.append(model.told(window, output))
        weights.append(output.weights[0].tolist())
        alone += late_fusion(output)
        changed.append(distortion(clean.clip, corrupted.clip, model.clip))
        had_face |= clean.face.detector != WHOLE_FRAME
        has_face |= corrupted.face.detector != WHOLE_FRAME
    seconds = durations(windows)

    def over_windows(shares: Sequence[dict[str, float]]) -> dict[str, float]:
        return pooled({modality: [share[modality] for share in shares] for modality in MODALITIES}, seconds)

    means = np.average(np.array(alone), axis=0, weights=seconds).tolist() if alone else []
    static: dict[str, float] = dict(zip(TRAITS, means, strict=True)) if alone else {}
    return ClipPrediction(
        traits=pooled_traits(windows),
        late_fusion={trait: static[trait] for trait in model.weights.config.traits} if alone else None,
        quality=over_windows([window.quality for window in windows]),
        weights=over_windows([dict(zip(MODALITIES, pair, strict=True)) for pair in weights]),
        used=over_windows([window.used for window in windows]),
        distortion=over_windows(changed),
        face_lost=had_face and not has_face,
    )


def late_fusion(output: ModelOutput) -> list[list[float]]:
    """What a fusion that knows nothing of the other modality answers: the mean, in logits, of the answers from sound
    and from picture alone. Empty for a network of one modality."""
    named_outputs = output.intermediates or {}
    if "audio_traits" not in named_outputs:
        return []
    alone = torch.stack([named_outputs[f"{modality}_traits"][0] for modality in MODALITIES]).double()
    return [torch.logit(alone.clamp(NEVER, ALWAYS)).mean(dim=0).sigmoid().tolist()]


def donor_for(row: Row, rows: Sequence[Row], entries: dict[str, Path]) -> Clip:
    """The sound of the first window of a clip of another source that can be heard, the same one in every cell.

    Raises:
        MsmaError: there is none, or an entry is damaged.
    """
    others = [other for other in rows if other.source != row.source]
    first = int.from_bytes(hashlib.sha256(row.clip.encode("utf-8", "surrogateescape")).digest()[:8], "little")
    for place in range(len(others)):
        other = others[(first + place) % len(others)]
        (window,) = cached_windows(entries[other.clip], [0], AUDIO)
        if level_db(window.clip.waveform) >= SILENT_DB:
            return window.clip
    raise MsmaError("it takes a clip of another source with sound, and there is none; leave it out of the suite")


def predictions_of(
    model: Model, rows: Sequence[Row], predictions: dict[str, ClipPrediction], *, late: bool = False
) -> Predictions:
    """The predictions for `rows`, or with `late` those of the static late fusion, beside the labels."""
    traits = [(predictions[row.clip].late_fusion or {}) if late else predictions[row.clip].traits for row in rows]
    predicted = [[of_clip.get(trait, math.nan) for trait in TRAITS] for of_clip in traits]
    clips, sources = [row.clip for row in rows], [row.source for row in rows]
    return Predictions(clips, sources, np.array(predicted), answered_targets(model, list(rows)))


def late_scores(
    model: Model, rows: Sequence[Row], predictions: dict[str, ClipPrediction], constant: Float[np.ndarray, "clips 5"]
) -> Metrics | None:
    """The metrics of the static late fusion; None for a network of one modality."""
    if any(predictions[row.clip].late_fusion is None for row in rows):
        return None
    given = predictions_of(model, rows, predictions, late=True)
    return all_metrics(given.predicted, given.target, constant)


def from_clean(
    model: Model,
    rows: Sequence[Row],
    given: Predictions,
    clean: dict[str, ClipPrediction],
    constant: Float[np.ndarray, "clips 5"],
) -> FromClean:
    before = predictions_of(model, rows, clean)
    return FromClean(
        **dict(compare(given, before, constant)),
        clean=all_metrics(before.predicted, before.target, constant),
        clean_late_fusion=late_scores(model, rows, clean, constant),
    )


def mean_of(values: Sequence[float]) -> float:
    return float(np.mean(np.array(values, dtype=np.float64)))
