"""MFCC statistics: against scipy, step by step."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch

from msma.config import ClipConfig, ConfigError
from msma.model.backbones.mfcc import COEFFICIENTS, Mfcc

CLIP = ClipConfig()
HOP = 256
PER_WINDOW, PER_STEP = 100, 50
"""Log-mel steps of 1.6 s and of 0.8 s."""


def run(network: Mfcc, log_mel: np.ndarray, kept: np.ndarray, hop: int = HOP) -> tuple[np.ndarray, np.ndarray]:
    """Maps (80, l) before scaling, and the mask."""
    waveform = torch.zeros(1, log_mel.shape[1] * hop)
    (maps,), mask = network(torch.from_numpy(log_mel).float()[None], waveform, torch.from_numpy(kept)[None])
    return (maps[0, :, 0] * network.scale[:, None] + network.centre[:, None]).numpy(), mask[0].numpy()


def expected(log_mel: np.ndarray, kept: np.ndarray, start: int) -> np.ndarray:
    """The 80 values of the window that starts at a step."""
    mfcc = scipy.fft.dct(log_mel, type=2, axis=0)[:COEFFICIENTS] / (2 * len(log_mel))
    steps = [j for j in range(start, min(start + PER_WINDOW, log_mel.shape[1])) if kept[j]]
    sloped = [
        j for j in steps if 2 <= j < log_mel.shape[1] - 2 and kept[j - 2 : j + 3].all()
    ]  # a slope needs two on either side
    slopes = [np.polyfit(np.arange(-2, 3) * HOP / 16000, mfcc[:, j - 2 : j + 3].T, 1)[0] for j in sloped]
    level, motion = mfcc[:, steps].T, np.array(slopes)
    return np.concatenate([level.mean(axis=0), level.std(axis=0), motion.mean(axis=0), motion.std(axis=0)])


@pytest.mark.parametrize("masked", [slice(0, 0), slice(60, 75)], ids=["whole", "with a gap"])
def test_values_are_those_of_scipy(masked):
    log_mel = np.random.default_rng(0).uniform(-1, 1, (CLIP.mels, 230))
    kept = np.ones(230, bool)
    kept[masked] = False
    values, mask = run(Mfcc(CLIP), log_mel, kept)
    assert mask.tolist() == [True] * 4
    for window in range(4):
        np.testing.assert_allclose(values[:, window], expected(log_mel, kept, window * PER_STEP), atol=1e-4)


def test_windows_keep_their_time_where_a_step_does_not_divide_them():
    """15 ms steps: each token tells of the steps whose middle lies in its 1.6 s."""
    hop, steps = 240, 400
    network = Mfcc(ClipConfig(mel_hop_s=0.015))
    log_mel = np.zeros((CLIP.mels, steps))
    middles_s = (np.arange(steps) + 0.5) * hop / 16000
    log_mel[:] = middles_s  # the first coefficient of each step is its time
    values, mask = run(network, log_mel, np.ones(steps, bool), hop)
    for window in np.flatnonzero(mask):
        inside = (middles_s >= 0.8 * window) & (middles_s < 0.8 * window + 1.6)
        assert values[0, window] == pytest.approx(middles_s[inside].mean(), abs=1e-4)
        assert values[1 + COEFFICIENTS, window] == pytest.approx(0, abs=1e-4)


def test_steady_audio_has_neither_deviation_nor_slope():
    values, _ = run(Mfcc(CLIP), np.full((CLIP.mels, 100), -0.4), np.ones(100, bool))
    assert values[0, 0] == pytest.approx(-0.4, abs=1e-5)
    np.testing.assert_allclose(values[1:], 0, atol=1e-4)


def test_a_rising_level_has_its_slope_per_second():
    log_mel = np.tile(np.arange(100) * HOP / 16000 * 0.3, (CLIP.mels, 1))
    values, _ = run(Mfcc(CLIP), log_mel, np.ones(100, bool))
    assert values[2 * COEFFICIENTS, 0] == pytest.approx(0.3, abs=1e-3)


def test_fewer_mel_bands_than_coefficients_are_refused():
    with pytest.raises(ConfigError, match=r"clip.mels: mfcc needs at least 20, not 16"):
        Mfcc(ClipConfig(mels=16))


def test_autocast_makes_nothing_coarser():
    network, kept = Mfcc(CLIP), np.ones(230, bool)
    log_mel = np.random.default_rng(0).uniform(-1, 1, (CLIP.mels, 230))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse, _ = run(network, log_mel, kept)
    np.testing.assert_array_equal(coarse, run(network, log_mel, kept)[0])
