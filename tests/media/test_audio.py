"""Facts about the log-mel spectrogram and the level."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.config import ClipConfig
from msma.media.audio import level_db, level_reason, log_mel, mel_filters, mel_steps

CONFIG = ClipConfig()


def sine(hz: float, amplitude: float = 1.0, seconds: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * 16000)) / 16000)).astype(np.float32)


def white(level: float, samples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, samples).astype(np.float32)


@given(st.integers(0, 40_000))
@settings(max_examples=25, deadline=None)
def test_number_of_steps_follows_from_the_samples(samples):
    assert log_mel(np.zeros(samples, np.float32), CONFIG).shape == (64, math.ceil(samples / 256))
    assert mel_steps(samples, CONFIG) == math.ceil(samples / 256)


def test_silence_is_minus_one():
    assert (log_mel(np.zeros(16000, np.float32), CONFIG) == -1).all()


def test_full_scale_sine_is_about_one_in_its_band():
    spectrogram = log_mel(sine(1000), CONFIG)[:, 5:-5]
    mels = np.linspace(*(2595 * np.log10(1 + hz / 700) for hz in (20, 8000)), 66)[1:-1]
    band = np.argmin(np.abs(700 * (10 ** (mels / 2595) - 1) - 1000))
    assert (spectrogram.argmax(axis=0) == band).all()
    assert spectrogram.max() == pytest.approx(1.0, abs=0.04)


@given(st.floats(-40, -3))
@settings(max_examples=20, deadline=None)
def test_loudness_is_kept(gain_db):
    # Nothing is normalised by the clip itself: x dB in, x dB / 50 out.
    loud, soft = (log_mel(sine(1000, 10 ** (gain / 20)), CONFIG)[20:30, 5:-5].max() for gain in (0.0, gain_db))
    assert float(loud - soft) == pytest.approx(-gain_db / 50, abs=1e-3)


def test_step_is_centred_on_its_own_time():
    click = np.zeros(16000, np.float32)
    click[round((30 + 0.5) * 256)] = 1.0
    energy = log_mel(click, CONFIG).mean(axis=0)
    assert energy.argmax() == 30
    assert energy[29] == pytest.approx(energy[31], abs=0.02)


def test_white_noise_is_flat_per_hertz():
    noise = white(0.1, 160_000, seed=0)
    spectrogram = log_mel(noise, CONFIG)
    power = 10 ** (50 * (spectrogram - 1) / 10)
    per_bin = power.mean(axis=1) / mel_filters(64, 1024).sum(axis=1)
    # Variance 0.01, Hann window of 640 samples: 0.01 * sum(w²) / (sum(w) / 2)² in every bin.
    assert per_bin == pytest.approx(0.01 * 1.5 * 4 / 640, rel=0.15)


def test_filters_are_htk_triangles():
    filters = mel_filters(64, 1024)
    edges = 700 * (10 ** (np.linspace(2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + 8000 / 700), 66) / 2595) - 1)
    hz = np.arange(513) * 16000 / 1024
    for band in range(64):
        reference = np.interp(hz, edges[band : band + 3], [0, 1, 0], left=0, right=0)
        assert filters[band] == pytest.approx(reference, abs=1e-6)
    assert (filters.sum(axis=1) > 0).all()


def test_against_a_plain_transform_of_every_window():
    noise = np.random.default_rng(1).normal(0, 0.1, 16000)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(640) / 640)
    for step in (3, 20, 50):
        middle = step * 256 + 128
        power = np.abs(np.fft.rfft(noise[middle - 320 : middle + 320] * window, 1024)) ** 2 / (window.sum() / 2) ** 2
        reference = 10 * np.log10(mel_filters(64, 1024) @ power) / 50 + 1
        assert log_mel(noise.astype(np.float32), CONFIG)[:, step] == pytest.approx(reference, abs=1e-3)


def test_the_number_of_threads_changes_no_bit():
    # Eight threads did in a matrix product: sums were cut up in another way.
    code = (
        "import numpy as np; from msma.config import ClipConfig; from msma.media.audio import log_mel;"
        "noise = np.random.default_rng(2).normal(0, 0.1, 64_000).astype(np.float32);"
        "import hashlib; print(hashlib.sha256(log_mel(noise, ClipConfig()).tobytes()).hexdigest())"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for threads in ("1", "8")
    ]
    assert digests[0] == digests[1]


def test_level():
    assert level_db(np.ones(100, np.float32)) == 0.0
    assert level_db(sine(100)) == pytest.approx(-3.01, abs=0.01)
    assert level_db(np.zeros(100, np.float32)) == -math.inf
    assert level_db(np.zeros(0, np.float32)) == -math.inf


@pytest.mark.parametrize(
    ("amplitude", "reason"),
    [
        (0.0, "audio track is silent"),
        (1e-4, "audio track is silent"),
        (2e-3, "audio is very quiet (-57 dBFS)"),
        (0.1, None),
    ],
)
def test_level_reasons(amplitude, reason):
    assert level_reason(sine(300, amplitude)) == reason


def test_no_audio_has_no_level_to_complain_of():
    assert level_reason(np.zeros(0, np.float32)) is None
