"""Distance of a corrupted clip from the clean one: a plain measure of the media, without any network."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float64

from msma.config import ClipConfig
from msma.corruptions.corruption import same_audio, same_frames
from msma.media.audio import log_mel
from msma.types import MODALITIES, Clip

MEL_RANGE, PIXEL_RANGE = 2.0, 255.0
"""Log-mel values are in about [-1, 1]."""


def distortion(clean: Clip, corrupted: Clip, config: ClipConfig) -> dict[str, float]:
    """The mean difference in log-mel values and in pixels, as a share of their range; 0 where equal. Losses count as
    silent, or as black. What is missing in the clean clip cannot be distorted."""
    found: dict[str, float] = dict.fromkeys(MODALITIES, 0.0)
    if not same_audio(clean, corrupted) and len(clean.waveform):
        waveform = np.zeros_like(clean.waveform)
        kept = corrupted.waveform[: len(waveform)]
        waveform[: len(kept)] = kept
        found["audio"] = float(np.abs(log_mel(waveform, config) - log_mel(clean.waveform, config)).mean()) / MEL_RANGE
    if not same_frames(clean, corrupted) and len(clean.frames):
        at = nearest(clean.frame_times_s, corrupted.frame_times_s)
        differences = [
            np.mean(frame if place is None else cv2.absdiff(frame, corrupted.frames[place]))
            for frame, place in zip(clean.frames, at, strict=True)
        ]
        found["visual"] = float(np.mean(differences)) / PIXEL_RANGE
    return found


def nearest(times_s: Float64[np.ndarray, " t"], others_s: Float64[np.ndarray, " t2"]) -> list[int | None]:
    """For each time the place of the other that is nearest; None where it is half a step or more away."""
    if not len(others_s):
        return [None] * len(times_s)
    within = float(np.diff(times_s).min()) / 2 if len(times_s) > 1 else np.inf
    apart = np.abs(times_s[:, None] - others_s[None])
    places = apart.argmin(axis=1)
    return [int(place) if apart[row, place] < within else None for row, place in enumerate(places)]
