"""What is answered about a clip that was sent: as `msma predict` does, and beside the same clip spoilt on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from msma.corruptions.corruption import WORST
from msma.corruptions.scenarios import CLEAN, Cell, cells_of, corrupt_window
from msma.corruptions.table import CORRUPTIONS, find_corruption
from msma.media.clip import load_clip
from msma.media.faces import track_face
from msma.media.prepare import prepare
from msma.prediction.explain import Explanation, explain
from msma.prediction.model import Model, Progress, predict_each
from msma.types import Clip, MsmaError, Prediction, RawWindow
from msma.weights.checkpoint import Weights

OFFERED = tuple(row for row in CORRUPTIONS.values() if row.needs != "donor")
"""Corruptions that need no clip of another person."""
MUTE, BLACK_OUT = "no_audio", "black_frames"


@dataclass(frozen=True)
class Compared:
    """The first window of a clip as it is, and with something wrong."""

    cell: Cell
    clip: Clip
    clean: Prediction
    spoilt: Clip
    answer: Prediction
    """To `spoilt`."""


@dataclass(frozen=True)
class Answers:
    """One model, asked by one thread at a time."""

    model: Model[Weights]
    lock: Lock

    def predict(self, path: Path, *, keep_media: bool = False, progress: Progress | None = None) -> Prediction:
        """As `msma predict` says it, with the file's name for its path; a file that cannot be read is `failed`."""
        with self.lock:
            (answer,) = predict_each(self.model, [str(path)], keep_media=keep_media, progress=progress)
        reasons = [reason.replace(str(path), path.name) for reason in answer.reasons]
        return replace(answer, path=path.name, reasons=reasons)

    def explain(self, path: Path, progress: Progress) -> Explanation:
        """As `msma explain` has it.

        Raises:
            MsmaError: the file cannot be read.
        """
        with self.lock, named_after(path):
            found = explain(self.model, path, progress=progress)
        return replace(found, prediction=replace(found.prediction, path=path.name))

    def compare(self, path: Path, cell: Cell) -> Compared:
        """Raises:
        MsmaError: the file cannot be read.
        """
        model = self.model
        with self.lock, named_after(path):
            clip = load_clip(path, model.clip, model.limits)
            before = RawWindow(clip, track_face(clip, model.clip, model.detector))
            after = corrupt_window(before, cell, model.clip, model.detector)
            clean, answer = (
                model.answer(clip.name, [prepare(window, model.clip)], keep_media=True) for window in (before, after)
            )
        return Compared(cell, clip, clean, after.clip, answer)


@contextmanager
def named_after(path: Path) -> Iterator[None]:
    """Failures name the file as its owner knows it, and not where it lies here."""
    try:
        yield
    except MsmaError as error:
        raise MsmaError(str(error).replace(str(path), path.name)) from error


def spoiling(corruption: str, severity: int, *, mute: bool, black_out: bool) -> Cell:
    """One corruption, then silence and darkness. What is all or nothing acts at every severity but 0.

    Raises:
        MsmaError: no such corruption, or a severity that is not 0 to 5.
    """
    steps = (
        [(corruption, WORST if find_corruption(corruption).severities == (WORST,) else severity)] if severity else []
    )
    steps += [(name, WORST) for name, wanted in ((MUTE, mute), (BLACK_OUT, black_out)) if wanted]
    return cells_of("spoilt", steps, [])[0] if steps else CLEAN
