"""The network's outputs for the windows of a video pooled to one for the video, and whether the model abstains."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from scipy.special import expit, logit

from msma.media.faces import WHOLE_FRAME
from msma.media.reasons import by_weight
from msma.metrics import Keys
from msma.types import MODALITIES, TRAITS, MediaInfo, PreparedWindow, Status, Window
from msma.weights.calibration import Calibration
from msma.weights.operating_points import AffineMap, mapped

Traits = Annotated[dict[str, float], Keys((), TRAITS)]
ByModality = Annotated[dict[str, float], Keys(MODALITIES)]
LOWEST, HIGHEST = 1e-6, 1 - 1e-6
"""Scores are clipped to these before their logit is taken."""


@dataclass(frozen=True)
class WindowOutput:
    """The network's output for one window, by the names of traits and modalities."""

    window: Window
    """Its traits are as the network gives them, at no operating point."""
    weights: dict[str, float]
    """Share of each modality in the prediction; the rest is the baseline's."""
    late_fusion: dict[str, float] | None
    """Mean, in logits, of the two unimodal outputs, neither of which knows of the other modality. None without
    intermediates, and for a network of one modality."""
    face_detector: str
    media: MediaInfo


@dataclass(frozen=True)
class ClipOutput:
    """The network's output for a clip, pooled over its windows."""

    traits: Traits
    """At the model's operating point, also where it abstains."""
    late_fusion: Traits | None
    """The prediction of a static late fusion of the same encoders; null for a network of one modality."""
    quality: ByModality
    """Predicted quality."""
    weights: ByModality
    """Share of each modality in the prediction; the rest is the baseline's."""
    used: ByModality
    """Share of the time that could be used."""


@dataclass(frozen=True)
class VideoOutput(ClipOutput):
    """The network's output for a video, and what the model makes of it."""

    network_traits: dict[str, float]
    """Before they are mapped to an operating point."""
    windows: list[Window]
    intervals: dict[str, list[float]] | None
    """Low and high end by trait; None where the weights are not calibrated."""
    status: Status
    reasons: list[str]
    face_detector: str
    media: MediaInfo

    @property
    def abstained(self) -> bool:
        """Is the signal too poor for the model to stand by these traits?"""
        return self.status == "abstained"


def window_output(window: PreparedWindow, output: Any, traits: Sequence[str]) -> WindowOutput:
    """Name the output for a batch of this window alone, a `ModelOutput` or `OutputArrays`; `traits` were trained."""
    named, late = output.intermediates or {}, None

    def by_trait(scores: list[float]) -> dict[str, float]:
        scored: dict[str, float] = dict(zip(TRAITS, scores, strict=True))
        return {trait: scored[trait] for trait in traits}

    def by_modality(shares: list[float]) -> dict[str, float]:
        return dict(zip(MODALITIES, shares, strict=True))

    if "audio_traits" in named:
        alone = np.array([named[f"{modality}_traits"][0].tolist() for modality in MODALITIES])
        late = by_trait(expit(logit(alone.clip(LOWEST, HIGHEST)).mean(axis=0)).tolist())
    return WindowOutput(
        window=Window(
            start_s=round(window.start_s, 3),
            end_s=round(window.end_s, 3),
            traits=by_trait(output.traits[0].tolist()),
            quality=by_modality(output.quality[0].tolist()),
            used=window.used,
            reasons=list(window.reasons),
        ),
        weights=by_modality(output.weights[0].tolist()),
        late_fusion=late,
        face_detector=window.face_detector,
        media=window.media,
    )


def pool(
    outputs: Sequence[WindowOutput],
    maps: Mapping[str, AffineMap],
    calibration: Calibration | None,
    coverage: float,
    min_quality: float,
) -> VideoOutput:
    """Pool the windows of a video, of which there must be one at least; `maps` are those of the operating point,
    `calibration` is of it too, and `coverage` is of the prediction intervals.
    Traits are means weighted by duration and by the better quality of the two modalities, the rest by duration."""
    windows = [output.window for output in outputs]
    seconds = durations(windows)
    network_traits = pooled_traits(windows)
    traits, quality = mapped(network_traits, maps), pooled([window.quality for window in windows], seconds)
    late = [output.late_fusion for output in outputs if output.late_fusion is not None]
    abstained = abstains(quality, min_quality)
    poor = [
        f"{modality} is poor, or unlike what the weights learned from (quality {share:.2f})"
        for modality, share in quality.items()
        if 0 < share < min_quality
    ]
    reasons = by_weight([*pooled_reasons(windows), *poor])
    if abstained:
        reasons.insert(0, "no prediction: too little usable signal in audio and visual")
    detectors = [output.face_detector for output in outputs]
    return VideoOutput(
        windows=[at_point(window, maps) for window in windows],
        traits=traits,
        network_traits=network_traits,
        intervals=None if calibration is None else calibration.intervals(traits, quality, coverage),
        quality=quality,
        used=pooled([window.used for window in windows], seconds),
        weights=pooled([output.weights for output in outputs], seconds),
        late_fusion=mapped(pooled(late, seconds), maps) if late else None,
        status="abstained" if abstained else "degraded" if reasons else "ok",
        reasons=reasons,
        face_detector=next((name for name in detectors if name != WHOLE_FRAME), WHOLE_FRAME),
        media=outputs[-1].media,
    )


def at_point(window: Window, maps: Mapping[str, AffineMap]) -> Window:
    """The window with its scores mapped to an operating point."""
    return replace(window, traits=mapped(window.traits, maps))


def abstains(quality: Mapping[str, float], min_quality: float) -> bool:
    """Is there too little usable signal: no modality of a predicted quality as high as this?"""
    return max(quality.values()) < min_quality


def durations(windows: Sequence[Window]) -> np.ndarray:
    """Seconds of each window; a single frame counts as a moment."""
    return np.array([max(window.end_s - window.start_s, 1e-3) for window in windows])


def pooled(values: Sequence[dict[str, float]], weights: np.ndarray) -> dict[str, float]:
    """Weighted mean of each name over windows."""
    return {name: float(np.average([one[name] for one in values], weights=weights)) for name in values[0]}


def pooled_traits(windows: Sequence[Window]) -> dict[str, float]:
    """Mean over windows weighted by duration and by the better quality of the two; by duration where all is lost."""
    weights = durations(windows) * np.array([max(window.quality.values()) for window in windows])
    return pooled([window.traits for window in windows], weights if weights.any() else durations(windows))


def pooled_reasons(windows: Sequence[Window]) -> list[str]:
    """Every reason once. Where only its numbers change from window to window, the last one is reported."""
    topics = [(re.sub(r"[0-9.]+", "#", reason), reason) for window in windows for reason in window.reasons]
    times, everywhere = Counter(topic for topic, _ in topics), len(windows)
    return [
        reason if times[topic] == everywhere else f"{reason} (in {times[topic]} of {everywhere} windows)"
        for topic, reason in dict(topics).items()
    ]
