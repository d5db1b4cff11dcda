"""A model on a split of a corpus: its predictions, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch.utils.data import DataLoader

from msma.config import ClipConfig
from msma.data.cache_entry import cached_windows
from msma.data.corpora.manifest import Row, targets
from msma.data.corpus import Corpus
from msma.data.dataset import each_batch
from msma.evaluation.evaluation import Evaluation, evaluation_of
from msma.evaluation.predictions import Bounds, Predictions, trait_array
from msma.media.phases import every_frame
from msma.media.prepare import prepare, prepare_views
from msma.media.processes import leave_signals
from msma.prediction.model import Model
from msma.prediction.pooling import ClipOutput, VideoOutput, abstains
from msma.types import TRAITS, MsmaError, PreparedWindow
from msma.weights.calibration import used_quality
from msma.weights.checkpoint import calibration_sha256, weights_sha256
from msma.weights.operating_points import OPERATING_POINTS, OperatingPoint, mapped


def predict_split(
    model: Model,
    corpus: Corpus,
    split: str,
    *,
    batch_size: int = 16,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Predictions:
    """Predict every clip of a split that can be read.

    `batch_size` clips are loaded at once by `workers`; the network reads each alone. Traits that the model does not
    predict have no target either. MsmaError where no clip can be read, or no labelled trait is predicted.
    """
    rows = corpus.split(split)
    targets_for(model, rows)  # raises at once where there are none
    entries: Any = [corpus.entry(row) for row in rows]  # a list will do for a Dataset
    read = partial(read_entries, config=model.clip, tta=model.tta)
    loader = DataLoader(
        entries, batch_size=batch_size, num_workers=workers, collate_fn=read, worker_init_fn=leave_signals
    )
    videos: list[VideoOutput] = []
    for batch in each_batch(loader):
        videos += [model.read(windows) for windows in batch]
        progress(len(videos), len(rows))
    found = predictions_of(model, rows, {row.clip: video for row, video in zip(rows, videos, strict=True)})
    return replace(found, by_point=by_point(model, videos))


def by_point(model: Model, videos: Sequence[VideoOutput]) -> dict[OperatingPoint, Float[np.ndarray, "clips 5"]] | None:
    """The predictions at each operating point, if the weights have them."""
    if model.weights.config.operating_points is None:
        return None
    found: dict[OperatingPoint, Float[np.ndarray, "clips 5"]] = {}
    for point in OPERATING_POINTS:
        found[point] = trait_array([mapped(one.network_traits, model.maps(point)) for one in videos])
    return found


def predictions_of(model: Model, rows: Sequence[Row], outputs: Mapping[str, ClipOutput]) -> Predictions:
    """The outputs, by clip, for the rows that have one, with labels, intervals, and where the model abstains."""
    rows = [row for row in rows if row.clip in outputs]
    given = [outputs[row.clip] for row in rows]
    calibration, bounds = model.calibration, None
    if calibration is not None:
        intervals = [calibration.intervals(one.traits, one.quality, model.coverage) for one in given]
        low, high = (trait_array([{t: ends[end] for t, ends in one.items()} for one in intervals]) for end in (0, 1))
        bounds = Bounds(model.coverage, low, high, [used_quality(one.quality)[0] or "nothing" for one in given])
    return Predictions(
        clips=[row.clip for row in rows],
        sources=[row.source for row in rows],
        predicted=trait_array([one.traits for one in given]),
        target=targets_for(model, rows),
        bounds=bounds,
        abstained=np.array([abstains(one.quality, model.min_quality) for one in given]),
    )


def targets_for(model: Model, rows: Sequence[Row]) -> Float[np.ndarray, "clips 5"]:
    """The labels that a model can be scored by, NaN for the traits that it does not predict; MsmaError if it is all."""
    about = model.weights.config
    target = np.where([trait in about.traits for trait in TRAITS], targets(rows), np.nan)
    if np.isnan(target).all():
        predicted = ", ".join(about.traits)
        raise MsmaError(f"{about.name}: predicts {predicted}, of which the corpus labels none; name another --model")
    return target


def read_entries(paths: list[Path], config: ClipConfig, tta: bool = False) -> list[list[PreparedWindow]]:
    ready, choose = (prepare_views, every_frame) if tta else (prepare, None)
    return [[ready(window, config) for window in cached_windows(path, choose=choose)] for path in paths]


def evaluate(
    model: Model,
    corpus: Corpus,
    split: str,
    predictions: Predictions,
    slices: Sequence[str] | None = None,
) -> Evaluation:
    """Score the predictions of a model; `slices` and errors as in `evaluation_of`."""
    manifest, cache, about = corpus.manifest, corpus.cache, model.weights.config
    unpredicted = ", ".join(trait for trait in manifest.traits if trait not in about.traits)
    in_split = {row.clip for row in manifest.split(split)}
    return evaluation_of(
        manifest,
        split,
        predictions,
        model=model.weights.name,
        fusion=about.model.fusion,
        tta=model.tta,
        slices=slices,
        min_quality=model.min_quality,
        warnings=[f"{unpredicted}: not predicted by this model and not scored"] if unpredicted else [],
        weights_sha256=weights_sha256(model.weights),
        calibration_sha256=calibration_sha256(model.weights),
        degraded=len(in_split & set(cache.degraded)),
        failed={clip: reason for clip, reason in cache.failed.items() if clip in in_split},
    )
