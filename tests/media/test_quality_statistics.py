"""Statistics of a signal: finite, blind to what is masked, and moved by what corrupts a clip."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from msma.config import ClipConfig
from msma.media.audio import hop_samples, log_mel
from msma.media.quality_statistics import (
    apparent_motion,
    audio_statistics,
    block_means,
    enlarged,
    span_means,
    visual_statistics,
)
from msma.types import AUDIO_STATISTICS, VISUAL_STATISTICS

CLIP = ClipConfig()


def pictures(frames: int = 4, side: int = 32) -> np.ndarray:
    """Smooth frames that move."""
    rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    moved = [np.sin((rows + 2 * columns) / 9 + t) for t in range(frames)]
    return np.repeat((128 + 60 * np.stack(moved)).astype(np.uint8)[:, None], 3, axis=1)


def of_pictures(frames: np.ndarray, mask: np.ndarray | None = None, scene: np.ndarray | None = None) -> np.ndarray:
    mask = np.ones(len(frames), bool) if mask is None else mask
    scene = pictures() if scene is None else scene
    return by_segment(frames, mask, scene, np.arange(0))[0]


def by_segment(frames: np.ndarray, mask: np.ndarray, scene: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    boxes = np.full((len(frames), 4), 0.5, np.float32)
    return visual_statistics(frames, boxes, mask, scene, np.arange(len(scene)), cuts, coverage=1.0)


def sound(steps: int = 60, level: float = 0.1) -> np.ndarray:
    samples = np.random.default_rng(0).standard_normal(steps * hop_samples(CLIP))
    return (level * samples * np.sin(np.arange(len(samples)) / 900)).astype(np.float32)


def of_sound(waveform: np.ndarray) -> np.ndarray:
    return audio_statistics(log_mel(waveform, CLIP), waveform, np.arange(0), coverage=1.0)[0]


@given(frames=st.integers(1, 5), side=st.sampled_from([8, 17, 32, 64]), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_of_any_frames_they_are_finite(frames, side, seed):
    found = of_pictures(np.random.default_rng(seed).integers(256, size=(frames, 3, side, side), dtype=np.uint8))
    assert found.shape == (VISUAL_STATISTICS,)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 10


@given(steps=st.integers(1, 40), level=st.sampled_from([0.0, 1e-6, 0.1, 1.0]))
@settings(max_examples=20, deadline=None)
def test_of_any_audio_they_are_finite(steps, level):
    found = of_sound(sound(steps, level).clip(-1, 1))
    assert found.shape == (AUDIO_STATISTICS,)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 10


def test_of_no_frame_at_all_they_are_zero():
    assert not of_pictures(pictures(), np.zeros(4, bool)).any()


def test_a_frame_that_is_masked_plays_no_part():
    frames, other = pictures(5), pictures(5)
    other[2] = 255
    mask = np.array([True, True, False, True, True])
    np.testing.assert_allclose(of_pictures(frames, mask), of_pictures(other, mask), atol=1e-6)


@given(rows=st.integers(1, 19), columns=st.integers(1, 19), side=st.sampled_from([2, 4, 8]))
@settings(max_examples=30, deadline=None)
def test_block_means_are_those_of_torchs_pooling_that_counts_what_is_there(rows, columns, side):
    values = np.random.default_rng(rows).random((2, 3, rows, columns), np.float32)
    expected = F.avg_pool2d(torch.from_numpy(values), side, ceil_mode=True).numpy()
    np.testing.assert_allclose(block_means(values, side), expected, atol=1e-6)


@given(rows=st.integers(1, 19), columns=st.integers(1, 19), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_enlarging_is_torchs_bilinear_interpolation(rows, columns, seed):
    values = np.random.default_rng(seed).random((2, 3, -(-rows // 2), -(-columns // 2)), np.float32)
    expected = F.interpolate(torch.from_numpy(values), size=(rows, columns), mode="bilinear").numpy()
    np.testing.assert_allclose(enlarged(values, (rows, columns)), expected, atol=1e-6)


@given(length=st.integers(1, 40), count=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_span_means_are_torchs_adaptive_pooling(length, count):
    values = np.random.default_rng(length).random((3, length), np.float32)
    expected = F.adaptive_avg_pool1d(torch.from_numpy(values), count).numpy()
    np.testing.assert_allclose(span_means(values, count, 1), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["noise", "dark", "still"])
def test_what_corrupts_a_frame_moves_them_the_more_the_worse(kind):
    clean = pictures(8, side=64)
    rng = np.random.default_rng(0)

    def corrupted(share: float) -> np.ndarray:
        frames = clean.astype(np.float32)
        if kind == "noise":
            frames = frames + 60 * share * rng.standard_normal(frames.shape)
        if kind == "dark":
            frames = (1 - 0.9 * share) * frames
        if kind == "still":
            frames[1 : 1 + round(7 * share)] = frames[0]
        return frames.clip(0, 255).astype(np.uint8)

    apart = [np.linalg.norm(of_pictures(corrupted(share)) - of_pictures(clean)) for share in (0.0, 0.3, 0.6, 1.0)]
    assert apart[0] == 0
    assert (np.diff(apart) > 0).all()


def test_a_camera_that_shakes_moves_them_the_more_the_worse_though_crops_follow_the_face():
    frames = pictures(8)
    coarse = np.random.default_rng(0).integers(256, size=(16, 16, 3), dtype=np.uint8)
    still = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)

    def shaken(pixels: int) -> np.ndarray:
        scene = np.stack([np.roll(still, (-1) ** t * pixels, axis=2) for t in range(8)])
        return of_pictures(frames, scene=scene)

    apart = [np.linalg.norm(shaken(pixels) - shaken(0)) for pixels in (0, 1, 3)]
    assert apart[0] == 0
    assert (np.diff(apart) > 0.1).all()


@given(moves=st.integers(1, 4), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_apparent_motion_is_near_the_pixels_that_a_smooth_frame_moves_by(moves, seed):
    phase = np.random.default_rng(seed).random()
    columns = np.broadcast_to(np.arange(128.0), (128, 128))
    moved = [np.sin(columns / 16 - moves * t / 16 + phase) for t in range(4)]
    scene = np.repeat((128 + 100 * np.stack(moved)).astype(np.uint8)[:, None], 3, axis=1)
    pixels = apparent_motion(scene)[:, -1]
    assert pixels.shape == (3,)
    assert ((moves / 2 < pixels) & (pixels < moves * 1.5)).all()


@pytest.mark.parametrize("kind", ["noise", "clipping", "gaps"])
def test_what_corrupts_audio_moves_them_the_more_the_worse(kind):
    clean = sound(200)
    rng = np.random.default_rng(1)

    def corrupted(share: float) -> np.ndarray:
        if kind == "noise":
            return clean + (0.05 * share * rng.standard_normal(clean.shape)).astype(np.float32)
        if kind == "clipping":
            peak = float(np.abs(clean).max())
            return clean.clip(-peak * (1 - 0.8 * share), peak * (1 - 0.8 * share))
        return clean * (np.arange(len(clean)) % 8000 >= 4000 * share)

    apart = [np.linalg.norm(of_sound(corrupted(share)) - of_sound(clean)) for share in (0.0, 0.2, 0.5, 1.0)]
    assert apart[0] == 0
    assert (np.diff(apart) > 0).all()


# segments


@pytest.mark.parametrize("kind", ["audio", "visual"])
def test_noise_in_the_second_half_changes_the_statistics_of_that_half_alone(kind):
    rng = np.random.default_rng(0)
    if kind == "audio":
        clean, cuts = sound(240), np.array([60, 120, 180])
        noisy = clean + (np.arange(len(clean)) >= len(clean) // 2) * rng.normal(0, 0.1, clean.shape).astype(np.float32)
        one, other = (audio_statistics(log_mel(wave, CLIP), wave, cuts, coverage=1.0) for wave in (clean, noisy))
        first, last = slice(1), slice(2, None)  # a log-mel window reaches over the middle, into the second segment
    else:
        clean, cuts, mask = pictures(16), np.array([4, 8, 12]), np.ones(16, bool)
        noisy = (clean + (np.arange(16) >= 8)[:, None, None, None] * rng.normal(0, 30, clean.shape)).clip(0, 255)
        noisy = noisy.astype(np.uint8)
        one, other = (by_segment(frames, mask, frames, cuts) for frames in (clean, noisy))
        first, last = slice(2), slice(2, None)
    assert one.shape == other.shape == (4, AUDIO_STATISTICS if kind == "audio" else VISUAL_STATISTICS)
    np.testing.assert_array_equal(one[first], other[first])
    assert (np.linalg.norm(one[last] - other[last], axis=1) > 1).all()
    np.testing.assert_allclose(other[2], other[3], atol=1.5)  # alike, as both are noise


def test_frames_that_stand_still_show_in_their_own_segment():
    frames = pictures(12)
    still = frames[np.array([0, 1, 2, 3, 3, 3, 3, 3, 8, 9, 10, 11])]
    mask, cuts = np.ones(12, bool), np.array([4, 8])
    apart = np.abs(by_segment(still, mask, still, cuts) - by_segment(frames, mask, frames, cuts)).max(axis=1)
    assert apart[0] == 0
    assert apart[1] > 0.5


def test_a_segment_without_a_frame_has_zeros():
    mask = np.array([True, True, False, False, True, True])
    found = by_segment(pictures(6), mask, pictures(6), np.array([2, 4]))
    assert not found[1].any()
    assert found[[0, 2]].any(axis=1).all()
