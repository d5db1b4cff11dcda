"""Predictions for a clip that was sent: as `msma predict` makes them, and beside the same clip corrupted on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import Float32

from msma.corruptions.corruption import WORST
from msma.corruptions.scenarios import CLEAN, Cell, cells_of, corrupt_window
from msma.corruptions.table import CORRUPTIONS, find_corruption
from msma.media.isolated import MediaProcesses
from msma.media.prepare import prepare
from msma.prediction.batch import predict_each
from msma.prediction.explain import Explanation, explain
from msma.prediction.model import Model, Progress
from msma.types import Clip, MsmaError, Prediction
from msma.weights.checkpoint import Weights

OFFERED = tuple(row for row in CORRUPTIONS.values() if "donor" not in row.needs)
"""Corruptions that need no clip of another person."""


@dataclass(frozen=True)
class Comparison:
    """Predictions for the first window of a clip as it is, and corrupted."""

    cell: Cell
    clip: Clip
    clean: Prediction
    corrupted: Prediction
    waveform: Float32[np.ndarray, " n"]
    """The corrupted clip's."""


@dataclass(frozen=True)
class Predictor:
    """One model, used by one thread at a time."""

    model: Model[Weights]
    media: MediaProcesses
    lock: Lock

    def predict(self, path: Path, *, media_preview: bool = False, progress: Progress | None = None) -> Prediction:
        """The prediction of `msma predict`, with the file's name for its path; `failed` where it cannot be read."""
        with self.lock:
            (found,) = predict_each(
                self.model, [str(path)], media=self.media, media_preview=media_preview, progress=progress
            )
        reasons = [reason.replace(str(path), path.name) for reason in found.reasons]
        return replace(found, path=path.name, reasons=reasons)

    def explain(self, path: Path, progress: Progress) -> Explanation:
        """The explanation of `msma explain`; MsmaError where the file cannot be read."""
        with self.lock, named_after(path):
            found = explain(self.model, path, media=self.media, progress=progress)
        return replace(found, prediction=replace(found.prediction, path=path.name))

    def compare(self, path: Path, cell: Cell) -> Comparison:
        """Predictions without and with the corruptions of a cell; MsmaError where the file cannot be read."""
        model = self.model
        with self.lock, named_after(path):
            before = self.media.first_raw(model.reading(path))
            after = corrupt_window(before, cell, model.clip, model.detector)
            clean, corrupted = (
                model.predict_windows(before.clip.name, [prepare(window, model.clip)], media_preview=True)
                for window in (before, after)
            )
        return Comparison(cell, before.clip, clean, corrupted, after.clip.waveform)


@contextmanager
def named_after(path: Path) -> Iterator[None]:
    """Failures name the file as its owner knows it, and not where it lies here."""
    try:
        yield
    except MsmaError as error:
        raise MsmaError(str(error).replace(str(path), path.name)) from error


def chosen_cell(corruption: str, severity: int, *, mute: bool, black_out: bool) -> Cell:
    """One corruption, then no audio and black frames. What is all or nothing acts at every severity but 0.

    MsmaError for an unknown corruption, or a severity that is not 0 to 5.
    """
    all_or_nothing = find_corruption(corruption).severities == (WORST,)
    steps = [(corruption, WORST if all_or_nothing else severity)] if severity else []
    steps += [(name, WORST) for name, wanted in (("no_audio", mute), ("black_frames", black_out)) if wanted]
    return cells_of("corrupted", steps, [])[0] if steps else CLEAN
