"""Predictions for many files, none of which stops the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msma.files.reading import unexpected
from msma.media.bounded import windows_of
from msma.media.isolated import MediaProcesses
from msma.prediction.model import Model, Progress
from msma.types import MODALITIES, MsmaError, Prediction


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
            yield failed(path, unexpected(path, error), model)
