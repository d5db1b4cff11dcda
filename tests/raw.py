"""From a made-up Clip to what the network sees of it."""

from __future__ import annotations

from msma.config import ClipConfig
from msma.media.faces import Detector, default_detector, track_face
from msma.media.prepare import prepare
from msma.types import Clip, InputArrays, RawWindow


def with_face(clip: Clip, config: ClipConfig, detector: Detector | None = None) -> RawWindow:
    """The clip and its face, as found by `detector` or by the one that is installed."""
    return RawWindow(clip, track_face(clip, config, detector or default_detector()))


def inputs_from(clip: Clip, config: ClipConfig, detector: Detector | None = None) -> InputArrays:
    return prepare(with_face(clip, config, detector), config).inputs
