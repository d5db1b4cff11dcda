"""Log-mel spectrogram of a 16 kHz waveform in plain NumPy and SciPy, and how loud it is."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import scipy.fft
import scipy.sparse
from jaxtyping import Float32

from msma.config import ClipConfig
from msma.types import SAMPLE_RATE

LOWEST_HZ, HIGHEST_HZ = 20.0, 8000.0
FLOOR_DB = -100.0
"""Power below this, relative to a full-scale sine, is silence; mapped to -1. A full-scale sine is mapped to +1."""
SILENT_DB = -80.0
"""RMS level below which a track counts as missing."""
QUIET_DB = -50.0
"""RMS level below which a track counts as very quiet; speech to a camera lies around -35 to -15."""


def level_db(waveform: Float32[np.ndarray, " n"]) -> float:
    """RMS level in dB relative to full scale (1.0); -inf for digital silence and for no samples."""
    power = float(np.mean(np.square(waveform, dtype=np.float64))) if len(waveform) else 0.0
    return 10 * math.log10(power) if power > 0 else -math.inf


def level_reason(waveform: Float32[np.ndarray, " n"]) -> str | None:
    """Reason why the audio of a window is less than ideal, by its level; None where it is missing or loud enough."""
    if not len(waveform):
        return None
    level = level_db(waveform)
    if level < SILENT_DB:
        return "audio track is silent"
    return f"audio is very quiet ({level:.0f} dBFS)" if level < QUIET_DB else None


def mel_steps(samples: int, config: ClipConfig) -> int:
    """Log-mel steps of a waveform: one for every hop that is begun."""
    return -(-samples // hop_samples(config))


def hop_samples(config: ClipConfig) -> int:
    return max(1, round(config.mel_hop_s * SAMPLE_RATE))


def log_mel(waveform: Float32[np.ndarray, " n"], config: ClipConfig) -> Float32[np.ndarray, "m f"]:
    """Power in mel bands from 20 Hz to 8 kHz, in dB, scaled by fixed constants to about [-1, 1].

    Nothing is normalised by the clip itself: loudness is a cue. Step j is centred on second (j + 0.5) * hop; what
    lies before and after the waveform is silence, which is -1. The same to the last bit for any number of threads.
    """
    hop, window_size = hop_samples(config), max(2, round(config.mel_window_s * SAMPLE_RATE))
    fft_size = 1 << (window_size - 1).bit_length()
    steps = mel_steps(len(waveform), config)
    if not steps:
        return np.zeros((config.mels, 0), np.float32)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_size) / window_size)).astype(np.float32)  # Hann
    before = (fft_size - hop) // 2 - (fft_size - window_size) // 2
    after = (steps - 1) * hop + window_size - before - len(waveform)
    padded = np.pad(waveform[max(0, -before) :], (max(0, before), max(0, after)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, window_size)[::hop][:steps]
    spectrum: Any = scipy.fft.rfft(windows * window, fft_size, axis=1)
    # With this scale a full-scale sine has power 1 in its bin.
    power = (np.square(spectrum.real) + np.square(spectrum.imag)) / np.square(window.sum() / 2)
    # Of a sparse matrix, because no other threads take part in its product, and so little of it is not zero.
    filters = scipy.sparse.csr_array(mel_filters(config.mels, fft_size))
    decibels = 10 * np.log10(filters @ power.T + np.float32(10 ** (FLOOR_DB / 10 - 3)))
    return np.maximum(decibels, FLOOR_DB) / (-FLOOR_DB / 2) + 1


@functools.lru_cache(maxsize=8)
def mel_filters(mels: int, fft_size: int) -> Float32[np.ndarray, "m bins"]:
    """Triangular filters of height 1 for the bands of `mel_edges`."""
    return triangles(mel_edges(mels), fft_size).astype(np.float32)


def mel_edges(mels: int) -> np.ndarray:
    """Edges in Hz of bands that are evenly spaced in mel (HTK: 2595 log10(1 + f / 700)) from 20 Hz to 8 kHz."""
    lowest, highest = (2595 * math.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    return 700 * (10 ** (np.linspace(lowest, highest, mels + 2) / 2595) - 1)


def triangles(edges: np.ndarray, fft_size: int) -> np.ndarray:
    """Filters `(m, bins)` of height 1, each from one of m + 2 `edges` in Hz over the next to the one after."""
    bins = np.linspace(0, SAMPLE_RATE / 2, fft_size // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))
