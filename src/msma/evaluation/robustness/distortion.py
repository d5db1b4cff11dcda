"""How much a corruption changes a clip: a plain measure of the media, which no network has a part in."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from msma.config import ClipConfig
from msma.corruptions.scenarios import same_frames
from msma.media.audio import log_mel
from msma.types import MODALITIES, Clip

MEL_RANGE, PIXEL_RANGE = 2.0, 255.0
"""Log-mel values are in about [-1, 1]."""


def distortion(clean: Clip, corrupted: Clip, config: ClipConfig) -> dict[str, float]:
    """By modality, the mean difference in log-mel values and in pixels, as a share of their range; 0 where equal.

    What is lost counts as silent, or as black. What is missing in the clean clip cannot be distorted.
    """
    values = sound_distortion(clean, corrupted, config), picture_distortion(clean, corrupted)
    return dict(zip(MODALITIES, values, strict=True))


def sound_distortion(clean: Clip, corrupted: Clip, config: ClipConfig) -> float:
    if corrupted.waveform is clean.waveform or not len(clean.waveform):
        return 0.0
    heard = np.zeros_like(clean.waveform)
    kept = corrupted.waveform[: len(heard)]
    heard[: len(kept)] = kept
    before, after = (log_mel(waveform, config) for waveform in (clean.waveform, heard))
    return float(np.abs(after - before).mean()) / MEL_RANGE


def picture_distortion(clean: Clip, corrupted: Clip) -> float:
    if same_frames(clean, corrupted) or not len(clean.frames):
        return 0.0
    at = nearest(clean.frame_times_s, corrupted.frame_times_s)
    differences = [
        float(np.mean(picture)) if place is None else mean_difference(picture, corrupted.frames[place])
        for picture, place in zip(clean.frames, at, strict=True)
    ]
    return float(np.mean(differences)) / PIXEL_RANGE


def mean_difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean(np.maximum(one, other) - np.minimum(one, other)))


def nearest(times_s: Float64[np.ndarray, " t"], others_s: Float64[np.ndarray, " t2"]) -> list[int | None]:
    """For each time the place of the other that is nearest; None where it is half a step or more away."""
    if not len(others_s):
        return [None] * len(times_s)
    within = float(np.diff(times_s).min()) / 2 if len(times_s) > 1 else np.inf
    apart = np.abs(times_s[:, None] - others_s[None])
    places = apart.argmin(axis=1)
    return [int(place) if apart[row, place] < within else None for row, place in enumerate(places)]
