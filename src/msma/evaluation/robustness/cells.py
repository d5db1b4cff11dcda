"""One cell of a robustness suite: every clip of a split corrupted, prepared, predicted and scored.

The way is that of prediction: corrupt, detect the face in what is left, prepare, predict each window alone, pool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from msma.corruptions.corruption import AUDIO
from msma.corruptions.scenarios import Cell, corrupt_window, needs_donor
from msma.data.cache import why_failed
from msma.data.cache_entry import cached_windows
from msma.data.corpora.manifest import Row
from msma.evaluation.baselines import Baselines
from msma.evaluation.comparison import compare
from msma.evaluation.evaluate import predictions_of
from msma.evaluation.predictions import Predictions, trait_array
from msma.evaluation.result_file import write_result
from msma.evaluation.robustness.cell_result import CellResult, ClipPrediction, FromClean, NotRun, levelled
from msma.evaluation.robustness.distortion import distortion
from msma.evaluation.robustness.shared_window import share_backbones, shared_window
from msma.evaluation.score import clip_scores
from msma.media.audio import SILENT_DB, level_db
from msma.media.faces import WHOLE_FRAME
from msma.media.prepare import prepare
from msma.metrics import Metrics, all_metrics
from msma.prediction.model import Model, load
from msma.prediction.pooling import ClipOutput, WindowOutput, durations, pooled, window_output
from msma.types import MODALITIES, Clip, MsmaError
from msma.weights.checkpoint import weights_sha256


@dataclass(frozen=True)
class CellNetwork:
    """Weights that are tested in a cell, and the file of their result."""

    weights: Path | None
    """Their folder; None for the bundled ones."""
    sha256: str
    path: Path
    clean: dict[str, ClipPrediction] | None
    """The clean predictions for all clips of the cell; None where it is the clean one."""


@dataclass(frozen=True)
class CellJob:
    """A cell, the clips, their cache entries and baselines, and the networks, which read clips in the same way."""

    cell: Cell
    rows: tuple[Row, ...]
    entries: dict[str, Path]
    baselines: Baselines
    device: str
    networks: tuple[CellNetwork, ...]

    @property
    def path(self) -> Path:
        """Where the first result goes, to name the job by."""
        return self.networks[0].path


def run_cell(job: CellJob) -> dict[Path, CellResult | NotRun]:
    """Run a cell with every network and write each result to its path, with the clips that failed and why; none where
    all of them did. A clip is read, corrupted and prepared once for all networks."""
    models = loaded(tuple((one.weights, one.sha256) for one in job.networks), job.device)
    predictions: list[dict[str, ClipPrediction]] = [{} for _ in models]
    failed: list[dict[str, str]] = [{} for _ in models]
    for row in job.rows:
        for place, given in enumerate(predicted(models, row, job)):
            if isinstance(given, ClipPrediction):
                predictions[place][row.clip] = given
            else:
                failed[place][row.clip] = given
    results: dict[Path, CellResult | NotRun] = {}
    for model, network, found, lost in zip(models, job.networks, predictions, failed, strict=True):
        if found:
            results[network.path] = result = cell_result(model, network, job, found, lost)
            write_result(network.path, result)
        else:
            network.path.unlink(missing_ok=True)
            results[network.path] = NotRun(job.cell, f"no clip could be predicted: {next(iter(lost.values()))}")
    return results


def cell_result(
    model: Model,
    network: CellNetwork,
    job: CellJob,
    predictions: dict[str, ClipPrediction],
    failed: dict[str, str],
) -> CellResult:
    """The predictions clip by clip, and their scores."""
    given = predictions_of(model, job.rows, predictions)
    base = job.baselines.at([place for place, row in enumerate(job.rows) if row.clip in predictions])

    def mean_by_modality(share: str) -> dict[str, float]:
        shares = [getattr(one, share) for one in predictions.values()]
        return {modality: float(np.mean([one[modality] for one in shares])) for modality in MODALITIES}

    return CellResult(
        **dict(clip_scores(given, base)),
        cell=levelled(job.cell),
        late_fusion=late_scores(given, predictions, base.constant),
        from_clean=None if network.clean is None else from_clean(given, network.clean, base.constant),
        quality=mean_by_modality("quality"),
        weights=mean_by_modality("weights"),
        used=mean_by_modality("used"),
        distortion=mean_by_modality("distortion"),
        face_lost=float(np.mean([one.face_lost for one in predictions.values()])),
        failed=failed,
        predictions=predictions,
    )


@lru_cache(maxsize=1)
def loaded(networks: tuple[tuple[Path | None, str], ...], device: str) -> tuple[Model, ...]:
    """The models of some folders, once a process; MsmaError where the weights of one are no longer those that the run
    began with."""
    models = []
    for folder, sha256 in networks:
        models.append(load(folder, device=device))
        if weights_sha256(models[-1].weights) != sha256:
            raise MsmaError(f"{folder}: the weights changed while the suite ran; run it again with another --out")
    share_backbones(models)
    return tuple(models)


def predicted(models: Sequence[Model], row: Row, job: CellJob) -> list[ClipPrediction | str]:
    """The prediction of each model for one clip, or why there is none."""
    try:
        return [*predict_clip(models, row, job)]
    except Exception as error:  # noqa: BLE001  neither a bad clip nor a defect of ours must lose the other clips
        if len(models) == 1:
            return [why_failed(row.path, error)]
        return [one for model in models for one in predicted([model], row, job)]  # it may be that of one network


def predict_clip(models: Sequence[Model], row: Row, job: CellJob) -> list[ClipPrediction]:
    """The prediction of each model for one clip with the corruptions of the cell; MsmaError where its cache entry is
    damaged. Memory does not grow with the number of windows."""
    donor = donor_for(row, job.rows, job.entries) if needs_donor(job.cell) else None
    config, detector = models[0].clip, models[0].detector
    outputs: list[list[WindowOutput]] = [[] for _ in models]
    changed: list[dict[str, float]] = []
    had_face = has_face = False
    for clean in cached_windows(job.entries[row.clip], name=row.clip):
        window = corrupt_window(clean, job.cell, config, detector, donor)
        changed.append(distortion(clean.clip, window.clip, config))
        had_face |= clean.face.detector != WHOLE_FRAME
        has_face |= window.face.detector != WHOLE_FRAME
        prepared = prepare(window, config)
        shared = shared_window(prepared.inputs, models[0])
        for model, own in zip(models, outputs, strict=True):
            own.append(window_output(prepared, shared.output(model), model.weights.config.traits))
    videos = [model.pooled(own) for model, own in zip(models, outputs, strict=True)]
    return [
        ClipPrediction(
            **{own.name: getattr(video, own.name) for own in fields(ClipOutput)},
            distortion=pooled(changed, durations(video.windows)),
            face_lost=had_face and not has_face,
        )
        for video in videos
    ]


def donor_for(row: Row, rows: Sequence[Row], entries: dict[str, Path]) -> Clip:
    """The first window of an audible clip of another source, the same one in every cell; MsmaError without any."""
    others = [other for other in rows if other.source != row.source]
    first = int.from_bytes(hashlib.sha256(row.clip.encode("utf-8", "surrogateescape")).digest()[:8], "little")
    for place in range(len(others)):
        other = others[(first + place) % len(others)]
        (window,) = cached_windows(entries[other.clip], [0], AUDIO)
        if level_db(window.clip.waveform) >= SILENT_DB:
            return window.clip
    raise MsmaError("it takes an audible clip of another source, and there is none; leave it out of the suite")


def late_scores(
    given: Predictions, predictions: dict[str, ClipPrediction], constant: Float[np.ndarray, "clips 5"]
) -> Metrics | None:
    """The metrics of the static late fusion on the same clips; None for a network of one modality."""
    late = [predictions[clip].late_fusion for clip in given.clips]
    known = [traits for traits in late if traits is not None]
    return all_metrics(trait_array(known), given.target, constant) if len(known) == len(late) else None


def from_clean(
    given: Predictions, clean: dict[str, ClipPrediction], constant: Float[np.ndarray, "clips 5"]
) -> FromClean:
    before = replace(given, predicted=trait_array([clean[clip].traits for clip in given.clips]))
    return FromClean(
        **dict(compare(given, before, constant)),
        clean=all_metrics(before.predicted, before.target, constant),
        clean_late_fusion=late_scores(given, clean, constant),
    )
