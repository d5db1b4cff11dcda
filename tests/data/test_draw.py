"""What training draws of a cached clip: its phase, its frames, and the jitter of its crops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msma.config import ClipConfig, TrainConfig
from msma.data.augment import degraded_inputs, drawn_jitter
from msma.data.cache_entry import cached_windows, write_entry
from msma.data.draw import drawn_window
from msma.media.clip import clip_from_arrays
from msma.media.frames import Jitter, face_crops
from msma.media.phases import every_frame, middles
from msma.media.prepare import prepare
from msma.model.tensors import inputs_of
from msma.types import FaceTrack, RawWindow

CLIP = ClipConfig(fps=2.0, crop_size=16, mels=8)
CHANCE = TrainConfig(corruption=0.0, room_noise=0.0)
STEPS, HELD = 6, 4
"""Of each step four frames are kept."""


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    """A clip of 3 s whose frames get lighter, eight a second, with a ramp for audio; its face never moves."""
    count = STEPS * HELD
    frames = np.stack([np.full((32, 48, 3), 8 * place, np.uint8) for place in range(count)])
    clip = clip_from_arrays(frames, np.linspace(-0.9, 0.9, 48000, dtype=np.float32), fps=8.0)
    track = FaceTrack(np.tile(np.array([12, 4, 16, 24], np.float32), (count, 1)), np.ones(count, bool), "some")
    path = tmp_path_factory.mktemp("drawn") / "a.clip"
    write_entry(path, [RawWindow(clip, track, np.arange(count) % HELD == 2)])
    return path


def drawn(entry, seed: int, config: TrainConfig = CHANCE) -> RawWindow:
    return drawn_window(entry, None, config, CLIP, torch.Generator().manual_seed(seed))


def test_without_a_choice_the_middles_come_out_of_the_cache(entry):
    (window,) = cached_windows(entry)
    (everything,) = cached_windows(entry, choose=every_frame)
    assert window.middle is None
    assert everything.middle is not None
    assert len(everything.clip.frames) == STEPS * HELD
    assert np.array_equal(middles(everything).clip.frames, window.clip.frames)
    assert np.array_equal(middles(everything).face.boxes, window.face.boxes)
    assert window.clip.frames.mean(axis=(1, 2, 3)).tolist() == [16, 48, 80, 112, 144, 176]


def test_a_drawn_window_is_a_function_of_its_generator_and_no_two_are_alike(entry):
    one, again, other = drawn(entry, 1), drawn(entry, 1), drawn(entry, 2)
    assert np.array_equal(one.clip.frames, again.clip.frames)
    assert np.array_equal(one.clip.waveform, again.clip.waveform)
    assert len(one.clip.waveform) != len(other.clip.waveform)


def test_over_many_draws_every_frame_is_seen_and_the_start_is_any_within_a_step(entry):
    windows = [drawn(entry, seed) for seed in range(150)]
    seen = {round(float(frame.mean()) / 8) for window in windows for frame in window.clip.frames}
    starts_s = np.array([window.clip.start_s for window in windows])
    assert seen == set(range(STEPS * HELD))
    assert (starts_s >= 0).all()
    assert (starts_s < 0.5).all()
    assert np.histogram(starts_s, 5, (0, 0.5))[0].min() > 10


def test_both_streams_begin_at_the_same_moment(entry):
    for seed in range(20):
        clip = drawn(entry, seed).clip
        assert clip.waveform[0] == pytest.approx(-0.9 + 1.8 * clip.start_s / 3, abs=1e-3)
        assert clip.frame_times_s[0] >= clip.start_s


def test_without_a_random_phase_a_drawn_window_is_the_one_that_all_else_reads(entry):
    window, (plain,) = drawn(entry, 3, TrainConfig(random_phase=False)), cached_windows(entry)
    assert np.array_equal(window.clip.frames, plain.clip.frames)
    assert np.array_equal(window.clip.waveform, plain.clip.waveform)


# jitter


def test_jitter_moves_and_recolours_crops_but_never_the_boxes(entry):
    (window,) = cached_windows(entry)
    still = face_crops(window.clip.frames, window.face, CLIP)
    moved = face_crops(window.clip.frames, window.face, CLIP, Jitter(0.1, -0.1, 1.1, 0.05, 1.1, 0.9))
    assert np.array_equal(moved[1], still[1])
    assert moved[0].shape == still[0].shape
    assert not np.array_equal(moved[0], still[0])


def test_a_crop_moves_with_the_box_by_a_share_of_its_side():
    frame = np.zeros((1, 64, 64, 3), np.uint8)
    frame[:, :, 40:] = 255
    face = FaceTrack(np.array([[20, 20, 20, 20]], np.float32), np.ones(1, bool), "some")
    config = ClipConfig(crop_size=20, face_margin=1.0)
    edges = [face_crops(frame, face, config, Jitter(across=share))[0][0, 0, 10].argmax() for share in (0.2, 0.4)]
    assert edges == [16, 12]


def test_colours_change_by_what_is_said():
    frames = np.full((2, 8, 8, 3), (100, 60, 20), np.uint8)
    frames[1] = 140, 100, 60
    face = FaceTrack(np.tile(np.array([0, 0, 8, 8], np.float32), (2, 1)), np.ones(2, bool), "some")
    config = ClipConfig(crop_size=8, face_margin=1.0)

    def colours(**values: float) -> list:
        return face_crops(frames, face, config, Jitter(**values))[0][:, :, 4, 4].astype(int).tolist()

    grey = 0.299 * 100 + 0.587 * 60 + 0.114 * 20
    assert colours(brightness=0.1) == [[126, 86, 46], [166, 126, 86]]
    assert colours(saturation=0.0) == [[round(grey)] * 3, [round(grey + 40)] * 3]
    assert np.diff(colours(contrast=0.5), axis=0).tolist() == [[20, 20, 20]]


def test_jitter_stays_within_what_the_recipe_says_and_zero_is_none():
    config = TrainConfig(crop_shift=0.05, crop_scale=0.1, colour_jitter=0.2)
    found = [drawn_jitter(config, torch.Generator().manual_seed(seed)) for seed in range(200)]
    assert 0.04 < max(abs(one.across) for one in found) <= 0.05
    assert 0.04 < max(abs(one.down) for one in found) <= 0.05
    assert 0.9 <= min(one.scale for one in found) < max(one.scale for one in found) <= 1.1
    assert 0.15 < max(abs(one.brightness) for one in found) <= 0.2
    none = drawn_jitter(TrainConfig(crop_shift=0.0, crop_scale=0.0, colour_jitter=0.0), torch.Generator())
    assert none == Jitter()


def test_jitter_is_no_damage(entry):
    (window,) = cached_windows(entry)
    config = TrainConfig(corruption=0.0, room_noise=0.0, crop_shift=0.2, colour_jitter=0.3)
    inputs, quality = degraded_inputs(window, config, CLIP, torch.Generator().manual_seed(0))
    assert not torch.equal(inputs.frames, inputs_of(prepare(window, CLIP).inputs).frames)
    assert bool((quality == 1).all())
