"""One cell of a robustness suite: every clip of a split corrupted, prepared, read by the network, and scored.

The way is that of prediction: corrupt, find the face in what is left, prepare, read each window alone, pool.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from msma.corruptions.corruption import AUDIO
from msma.corruptions.scenarios import Cell, corrupt_window, needs_donor
from msma.corruptions.table import find_corruption
from msma.data.cache import why_failed
from msma.data.cache_entry import cached_windows
from msma.data.corpora.manifest import Row
from msma.evaluation.baselines import Baselines
from msma.evaluation.comparison import compare
from msma.evaluation.coverage import coverage_of
from msma.evaluation.evaluate import answered_targets, bounds_of
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import part_json, without_nan
from msma.evaluation.robustness.distortion import distortion
from msma.evaluation.score import part_of
from msma.files import written_whole
from msma.media.audio import SILENT_DB, level_db
from msma.media.faces import WHOLE_FRAME
from msma.media.prepare import prepare
from msma.metrics import all_metrics, draw_sources, labelled_traits
from msma.model.tensors import ModelOutput
from msma.prediction.model import Model, load
from msma.prediction.pooling import durations, pooled, pooled_traits
from msma.types import MODALITIES, TRAITS, Clip, MsmaError, Window
from msma.weights.checkpoint import weights_sha256

NEVER, ALWAYS = 1e-6, 1 - 1e-6
"""Between these the logit of a score is taken."""


Scores = dict[str, dict[str, float]]


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
    clean: dict[str, dict[str, Any]] | None
    """By clip, what was answered when clean: for all of `rows`. None where this is the clean cell."""


def run_cell(job: CellJob) -> None:
    """Write the result of a cell to `job.path`. Clips that fail in it are told there, with the reason."""
    values = {"cell": cell_json(job.cell), **cell_results(job)}
    with written_whole(job.path) as unfinished:
        unfinished.write_text(json.dumps(without_nan(values), allow_nan=False) + "\n", encoding="utf-8")


def cell_json(cell: Cell) -> dict[str, Any]:
    """What a cell is, down to the levels of its corruptions: when these change, it is another one."""
    steps = []
    for step in cell.steps:
        row = find_corruption(step.corruption)
        steps.append(asdict(step) | {"parameter": row.parameter, "level": row.level(step.severity)})
    return asdict(cell) | {"steps": steps}


def cell_results(job: CellJob) -> dict[str, Any]:
    """The answers clip by clip, and their scores."""
    model = loaded(job.model, job.device, job.sha256)
    answers: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for row in job.rows:
        try:
            answers[row.clip] = clip_answer(model, row, job)
        except Exception as error:  # noqa: BLE001  neither a bad clip nor a defect of ours must lose the other clips
            failed[row.clip] = why_failed(row.path, error)
    if not answers:
        return {"not_run": f"no clip could be answered: {next(iter(failed.values()))}"}
    places = [index for index, row in enumerate(job.rows) if row.clip in answers]
    rows, by_clip = [job.rows[index] for index in places], list(answers.values())
    of = job.baselines
    base = Baselines(of.constant[places], of.same_source[places], of.seen[places])
    given = predictions_of(model, rows, answers)
    labelled, everything = labelled_traits(given.target), np.ones(len(rows), dtype=bool)
    part = part_of(given.predicted, given.target, base, labelled, draw_sources(given.sources), everything, least=2)
    late = late_scores(model, rows, answers, base.constant)
    shares = {
        share: {modality: mean_of([answer[share][modality] for answer in by_clip]) for modality in MODALITIES}
        for share in ("quality", "weights", "used", "distortion")
    }
    scores = {name: value for name, value in part_json(part).items() if name != "baselines"}
    bounds = bounds_of(model, given.predicted, [answer["quality"] for answer in by_clip])
    held = None if bounds is None else {"nominal": bounds.nominal, **asdict(coverage_of(bounds, given.target))}
    return {
        **scores,
        "prediction_intervals": held,
        "late_fusion": late,
        "from_clean": None if job.clean is None else from_clean(model, rows, given, job.clean, base.constant),
        **shares,
        "face_lost": mean_of([float(answer["face_lost"]) for answer in by_clip]),
        "failed": failed,
        "answers": answers,
    }


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


def clip_answer(model: Model, row: Row, job: CellJob) -> dict[str, Any]:
    """The answer for one clip with the corruptions of the cell.

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
    return {
        "traits": pooled_traits(windows),
        "late_fusion": {trait: static[trait] for trait in model.weights.config.traits} if alone else None,
        "quality": over_windows([window.quality for window in windows]),
        "weights": over_windows([dict(zip(MODALITIES, pair, strict=True)) for pair in weights]),
        "used": over_windows([window.used for window in windows]),
        "distortion": over_windows(changed),
        "face_lost": had_face and not has_face,
    }


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
    model: Model, rows: Sequence[Row], answers: dict[str, dict[str, Any]], of: str = "traits"
) -> Predictions:
    predicted = [[answers[row.clip][of].get(trait, math.nan) for trait in TRAITS] for row in rows]
    clips, sources = [row.clip for row in rows], [row.source for row in rows]
    return Predictions(clips, sources, np.array(predicted), answered_targets(model, list(rows)))


def late_scores(
    model: Model, rows: Sequence[Row], answers: dict[str, dict[str, Any]], constant: Float[np.ndarray, "clips 5"]
) -> Scores | None:
    """The metrics of the static late fusion; None for a network of one modality."""
    if any(answers[row.clip]["late_fusion"] is None for row in rows):
        return None
    return scores_of(predictions_of(model, rows, answers, "late_fusion"), constant)


def scores_of(given: Predictions, constant: Float[np.ndarray, "clips 5"]) -> Scores:
    scores = all_metrics(given.predicted, given.target, constant)
    return {name: scores[name] for name in ("skill", "mean_accuracy", "ccc", "mae")}


def from_clean(
    model: Model,
    rows: Sequence[Row],
    given: Predictions,
    clean: dict[str, dict[str, Any]],
    constant: Float[np.ndarray, "clips 5"],
) -> dict[str, Any]:
    """The paired difference from the same clips when clean, and the scores of these."""
    before = predictions_of(model, rows, clean)
    return {
        **asdict(compare(given, before, constant)),
        "clean": scores_of(before, constant),
        "clean_late_fusion": late_scores(model, rows, clean, constant),
    }


def mean_of(values: Sequence[float]) -> float:
    return float(np.mean(np.array(values, dtype=np.float64)))
