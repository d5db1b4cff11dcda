"""The stretches of a window that hold no frames or no audio, at its start, in its middle and at its end alike."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64

from msma.media.audio import SILENT_DB
from msma.types import SAMPLE_RATE, Clip

MIN_MISSING_S = 1.0
"""Shorter stretches are pauses: recordings through a noise gate are silent between the words."""
BLOCK_SAMPLES = SAMPLE_RATE // 20
"""Length of the blocks of audio of which each is silent or not."""

Stretch = tuple[float, float]
"""From and until when something is missing, in seconds from the start of the file."""


def missing_stretches(clip: Clip) -> dict[str, list[Stretch]]:
    """What is missing of audio and of video in a window; of a modality that is not there at all, the whole window."""
    times_s = clip.frame_times_s
    step_s = float(np.diff(times_s).min()) if len(times_s) > 1 else MIN_MISSING_S
    heard_s = clip.start_s + block_times(clip.waveform)
    return {
        "audio": stretches(heard_s, BLOCK_SAMPLES / SAMPLE_RATE, clip),
        "video": stretches(times_s, step_s, clip),
    }


def block_times(waveform: Float32[np.ndarray, " n"]) -> Float64[np.ndarray, " b"]:
    """The middle of each block that is not silent, in seconds from the start of the waveform."""
    filled = np.pad(waveform, (0, -len(waveform) % BLOCK_SAMPLES)).reshape(-1, BLOCK_SAMPLES)
    power = np.mean(np.square(filled, dtype=np.float64), axis=1)
    return (np.flatnonzero(power >= 10 ** (SILENT_DB / 10)) + 0.5) * BLOCK_SAMPLES / SAMPLE_RATE


def stretches(times_s: Float64[np.ndarray, " n"], step_s: float, clip: Clip) -> list[Stretch]:
    """Stretches of at least `MIN_MISSING_S` of a window without any of `times_s`, each the middle of `step_s`."""
    begins = np.concatenate([[clip.start_s], times_s + step_s / 2])
    ends = np.concatenate([times_s - step_s / 2, [clip.end_s]])
    missing = ends - begins >= MIN_MISSING_S - 1e-6
    return list(zip(begins[missing].tolist(), ends[missing].tolist(), strict=True))


def missing_reasons(clip: Clip, reasons: Sequence[str]) -> list[str]:
    """What `missing_stretches` finds, in words, as far as the `reasons` that are known already do not say it."""
    more_reasons = []
    for kind, missing in missing_stretches(clip).items():
        known = [reason for reason in reasons if re.match(rf"no {kind} track|{kind} (track|breaks off)", reason)]
        if any("breaks off" not in reason for reason in known):
            continue
        if known:
            missing = [one for one in missing if one[1] < clip.end_s]
        if missing:
            (begin_s, end_s), more = max(missing, key=lambda one: one[1] - one[0]), len(missing) - 1
            also = f" and in {more} more place{'s' * (more > 1)}" if more else ""
            more_reasons.append(f"{kind} is missing from {begin_s:.1f} to {end_s:.1f} s{also}")
    return more_reasons
