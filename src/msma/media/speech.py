"""How much a waveform is like speech, to tell a microphone from music, noise and empty tracks."""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from jaxtyping import Float32, Float64

from msma.media.audio import level_db
from msma.types import SAMPLE_RATE

STEP, SPAN = 256, 640
"""Samples from one look to the next, and in each of them: two periods of the lowest voice and more."""
VOICE_HZ = (70.0, 400.0)
"""Pitch of voices."""
SPEECH_HZ = (200.0, 4000.0)
"""Band that carries most of speech."""
SYLLABLES_HZ = (2.0, 8.0)
"""Rate at which the loudness of speech rises and falls."""
PERIODIC = 0.5
"""Correlation with itself a period later from which on a sound is voiced."""
FAINT_DB = -70.0
LOUD_DB = -30.0
"""Levels between which the loudness of a track begins and ceases to count: what is faint has leaked in."""


def speech_likeness(waveform: Float32[np.ndarray, " n"]) -> float:
    """Strength of the rise and fall at the rate of syllables, times the share of time that is voiced, times the level.

    About 0.3 to 1 for speech; near 0 for silence, noise, steady tones and percussion.
    """
    level = level_db(waveform)
    if len(waveform) < 2 * SAMPLE_RATE or not math.isfinite(level):
        return 0.0
    looks = np.lib.stride_tricks.sliding_window_view(waveform, SPAN)[::STEP].astype(np.float64)
    looks = (looks - looks.mean(axis=1, keepdims=True)) * np.hanning(SPAN)
    power = np.square(np.abs(np.asarray(scipy.fft.rfft(looks, 2 * SPAN, axis=1))))
    hz = np.linspace(0, SAMPLE_RATE / 2, power.shape[1])
    loudness = np.sqrt(power[:, (hz >= SPEECH_HZ[0]) & (hz <= SPEECH_HZ[1])].sum(axis=1))
    faint = min(max((level - FAINT_DB) / (LOUD_DB - FAINT_DB), 0.0), 1.0)
    return syllabic(loudness) * float((periodicity(power) > PERIODIC)[loudness > loudness.mean()].mean()) * faint


def syllabic(loudness: Float64[np.ndarray, " t"]) -> float:
    """RMS of the rise and fall at the rate of syllables, over the mean."""
    spectrum = np.abs(np.asarray(scipy.fft.rfft(loudness - loudness.mean())))
    hz = np.linspace(0, SAMPLE_RATE / STEP / 2, len(spectrum))
    inside = spectrum[(hz >= SYLLABLES_HZ[0]) & (hz <= SYLLABLES_HZ[1])]
    mean = float(loudness.mean())
    return math.sqrt(2 * float(np.square(inside).sum())) / len(loudness) / mean if mean > 0 else 0.0


def periodicity(power: Float64[np.ndarray, "t bins"]) -> Float64[np.ndarray, " t"]:
    """The highest correlation of each look with itself a period of a voice later, without the effect of the window."""
    correlation = np.asarray(scipy.fft.irfft(power, axis=1))
    window = np.hanning(SPAN)
    of_window = np.asarray(scipy.fft.irfft(np.square(np.abs(np.asarray(scipy.fft.rfft(window, 2 * SPAN))))))
    first, last = (round(SAMPLE_RATE / hz) for hz in reversed(VOICE_HZ))
    lags = slice(first, last + 1)
    whole = np.maximum(correlation[:, :1], 1e-12) / of_window[0]
    return (correlation[:, lags] / of_window[lags] / whole).max(axis=1)
