"""How much a clip is changed: 0 for the same, more for more, and what is lost counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import CLIP, planted_window

from msma.evaluation.robustness.distortion import distortion, nearest

CLEAN = planted_window("a.mp4", np.full(5, 0.5), np.random.default_rng(0)).clip


def of(**changes) -> dict[str, float]:
    return distortion(CLEAN, replace(CLEAN, **changes), CLIP)


def test_the_same_clip_is_not_distorted_even_where_it_is_a_copy():
    copies = {name: getattr(CLEAN, name).copy() for name in ("frames", "frame_times_s", "waveform")}
    assert of() == of(**copies) == {"audio": 0.0, "visual": 0.0}


def test_each_modality_has_its_own_distortion():
    assert of(waveform=0.5 * CLEAN.waveform)["visual"] == 0
    assert of(waveform=0.5 * CLEAN.waveform)["audio"] > 0
    assert of(frames=255 - CLEAN.frames)["audio"] == 0


def test_pixels_are_compared_as_a_share_of_their_range():
    grey = replace(CLEAN, frames=np.full_like(CLEAN.frames, 100))
    lighter = replace(grey, frames=np.full_like(CLEAN.frames, 151))
    assert distortion(grey, lighter, CLIP)["visual"] == pytest.approx(51 / 255)
    assert distortion(lighter, grey, CLIP)["visual"] == pytest.approx(51 / 255)


def test_pictures_are_compared_at_their_times_and_lost_ones_count_as_black():
    half = of(frames=CLEAN.frames[::2], frame_times_s=CLEAN.frame_times_s[::2])
    assert half["visual"] == pytest.approx(CLEAN.frames[1::2].mean() / 255 / 2)
    lost = of(frames=CLEAN.frames[:0], frame_times_s=CLEAN.frame_times_s[:0])
    assert lost["visual"] == pytest.approx(CLEAN.frames.mean() / 255)


def test_sound_that_is_cut_off_counts_as_silent():
    shares = [of(waveform=CLEAN.waveform[: round(share * len(CLEAN.waveform))])["audio"] for share in (0.75, 0.5, 0)]
    assert 0 < shares[0] < shares[1] < shares[2] <= 1


def test_what_is_missing_in_the_clean_clip_cannot_be_distorted():
    deaf = replace(CLEAN, waveform=CLEAN.waveform[:0])
    assert distortion(deaf, CLEAN, CLIP)["audio"] == 0


def test_the_nearest_picture_is_less_than_half_a_step_away():
    assert nearest(np.array([0.0, 1.0, 2.0]), np.array([0.1, 1.6])) == [0, None, 1]
    assert nearest(np.array([0.0]), np.array([9.0])) == [0]
    assert nearest(np.array([0.0]), np.array([])) == [None]
