"""Predictions for many files: those that a user means by folders and patterns, none of which stops the others."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from msma.files import first_line
from msma.media.isolated import MediaProcesses, windows_of
from msma.prediction.model import Model, Progress
from msma.types import MODALITIES, MsmaError, Prediction

MEDIA_SUFFIXES = frozenset(
    f".{name}"
    for name in "mp4 m4v mov mkv webm avi mpg mpeg ts mts m2ts flv wmv ogv 3gp wav mp3 m4a ogg flac aac opus".split()  # noqa: SIM905
)
"""What is taken for media in a folder; a file that is named itself may have any name."""


def media_files(paths: Sequence[str]) -> list[str]:
    """Expand folders (their media files, recursively, by suffix) and globs; a file that is named is taken as it is. A
    folder without media or a pattern without a match stays as it is, and fails when it is read."""
    found: list[str] = []
    for text in paths:
        inside, path = [], Path(text)
        with contextlib.suppress(OSError, ValueError):  # an impossible path; reading it says why
            if path.is_dir():
                inside = [str(one) for one in path.rglob("*") if one.suffix.lower() in MEDIA_SUFFIXES and one.is_file()]
            elif glob.has_magic(text) and not path.exists():
                inside = [one for one in glob.glob(text, recursive=True) if Path(one).is_file()]  # noqa: PTH207
        found += sorted(inside) or [text]
    return list(dict.fromkeys(found))


def failed(path: str, reason: str, model: Model) -> Prediction:
    """The prediction for a file that cannot be read."""
    nothing: dict[str, float] = dict.fromkeys(MODALITIES, 0.0)
    notice = model.weights.config.notice
    return Prediction(
        path, "failed", [reason], None, None, None, nothing, dict(nothing), [], model.weights.name, notice
    )


def predict_each(
    model: Model,
    paths: Sequence[str],
    *,
    media: MediaProcesses | None = None,
    media_preview: bool = False,
    progress: Progress | None = None,
) -> Iterator[Prediction]:
    """One prediction per path, in order; a file that fails stops nothing.

    Files are read by `media`, or in this process. For the other options, see `Model.predict`.
    """
    readings = [model.reading(path) for path in paths]
    windows_each = map(windows_of, readings) if media is None else media.read(readings)
    for path, windows in zip(paths, windows_each, strict=True):
        try:
            yield model.predict_windows(path, windows, media_preview=media_preview, progress=progress)
        except MsmaError as error:
            yield failed(path, str(error), model)
        except Exception as error:  # noqa: BLE001  a defect of ours must not lose the rest of a batch
            yield failed(
                path, f"{path}: unexpected {type(error).__name__} ({first_line(error)}); please report it", model
            )
