"""From a Clip to what the network sees."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from raw import inputs_from, with_face

from msma.config import ClipConfig
from msma.media.audio import log_mel
from msma.media.clip import clip_from_arrays, load_clip
from msma.media.faces import Detector, track_face
from msma.media.prepare import degradations, prepare, used_shares
from msma.model.tensors import Features, collate, inputs_of
from msma.types import Clip, InputArrays, MediaInfo, MsmaError, RawWindow

CONFIG = ClipConfig(crop_size=16, mels=8)
NOBODY = Detector("nobody", lambda _: np.zeros((0, 5), np.float32))
LEFT_HALF = Detector("left", lambda p: np.array([[0, 0, p.shape[1] / 2, p.shape[0], 0.9]], np.float32))


def clip_of(frames: int = 8, seconds: float = 2.0, level: float = 0.1) -> Clip:
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 255, (frames, 48, 64, 3), np.uint8) if frames else None
    sound = (level * generator.uniform(-1, 1, round(seconds * 16000))).astype(np.float32)
    return clip_from_arrays(pictures, sound if seconds else None, fps=4.0)


def assert_same(one: InputArrays, other: InputArrays) -> None:
    for field in fields(InputArrays):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name))


def test_both_modalities():
    inputs = inputs_from(clip_of(), CONFIG, detector=LEFT_HALF)
    assert inputs.frames.shape == (8, 3, 16, 16)
    assert inputs.boxes[0].tolist() == pytest.approx([0.25, 0.5, 0.5, 1.0])
    assert inputs.log_mel.shape == (8, 125)
    assert inputs.waveform.shape == (32000,)
    assert inputs.frame_mask.all()
    assert inputs.mel_mask.all()
    assert inputs.present.tolist() == [True, True]


def test_the_face_is_where_the_window_says():
    raw = with_face(clip_of(), CONFIG, LEFT_HALF)
    moved = replace(raw, face=replace(raw.face, boxes=raw.face.boxes + np.float32([8, 0, 0, 0])))
    assert prepare(moved, CONFIG).inputs.boxes[0].tolist() == pytest.approx([0.375, 0.5, 0.5, 1.0])


def test_no_audio():
    clip = clip_of(seconds=0)
    inputs = inputs_from(clip, CONFIG, detector=NOBODY)
    assert (inputs.log_mel.shape, inputs.mel_mask.tolist()) == ((8, 1), [False])
    assert inputs.waveform.tolist() == [0.0] * 256
    assert inputs.present.tolist() == [False, True]
    assert used_shares(clip, inputs, CONFIG) == {"audio": 0.0, "visual": 1.0}


def test_no_visual():
    clip = clip_of(frames=0)
    inputs = inputs_from(clip, CONFIG)
    assert (inputs.frames.shape, inputs.frame_mask.tolist()) == ((1, 3, 16, 16), [False])
    assert inputs.present.tolist() == [True, False]
    assert used_shares(clip, inputs, CONFIG) == {"audio": 1.0, "visual": 0.0}


def test_silent_audio_counts_as_missing():
    clip = clip_of(level=1e-6)
    inputs = inputs_from(clip, CONFIG, detector=NOBODY)
    assert inputs.present.tolist() == [False, True]
    assert not inputs.mel_mask.any()
    assert inputs.waveform.tolist() == [0.0] * 256
    assert "audio track is silent" in degradations(clip, track_face(clip, CONFIG, LEFT_HALF))


def test_audio_shorter_than_the_window():
    clip = clip_of(frames=16, seconds=1.0)
    inputs = inputs_from(clip, CONFIG, detector=NOBODY)
    assert inputs.log_mel.shape[1] == 63
    assert used_shares(clip, inputs, CONFIG) == {"audio": pytest.approx(0.25), "visual": 1.0}


def test_the_waveform_is_the_audio_filled_with_zeros_to_whole_mel_hops():
    clip = clip_of(frames=0, seconds=1.0)
    inputs = inputs_from(clip, CONFIG)
    assert len(inputs.waveform) == 63 * 256
    assert np.array_equal(inputs.waveform[:16000], clip.waveform)
    assert not inputs.waveform[16000:].any()


def test_log_mel_is_that_of_the_waveform():
    clip = clip_of(frames=0, seconds=1.0)
    inputs = inputs_from(clip, CONFIG)
    assert np.array_equal(inputs.log_mel, log_mel(inputs.waveform, CONFIG))
    assert np.array_equal(inputs.log_mel, log_mel(clip.waveform, CONFIG))


def test_frames_without_the_face_are_masked():
    clip = clip_of()
    face = replace(track_face(clip, CONFIG, LEFT_HALF), valid=np.arange(8) < 2)
    inputs = prepare(RawWindow(clip, face), CONFIG).inputs
    assert inputs.frame_mask.tolist() == [True] * 2 + [False] * 6
    assert used_shares(clip, inputs, CONFIG)["visual"] == 0.25


def test_the_reason_that_matters_most_is_first(make_media):
    clip = load_clip(make_media(seconds=6, audio_seconds=3, sound=lambda s: 1e-3 * np.sin(2000 * s)))
    first, *rest = degradations(clip, track_face(clip, CONFIG, NOBODY))
    assert first == "no face found; the whole frame is used"
    assert [reason.split(" at")[0] for reason in rest] == ["audio breaks off", "audio is very quiet (-63 dBFS)"]


def test_same_clip_same_inputs(make_media):
    path = make_media()
    one, other = (inputs_from(load_clip(path), CONFIG) for _ in range(2))
    assert_same(one, other)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)).filter(any), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_collate_pads_and_masks_only(sizes):
    windows = [inputs_of(inputs_from(clip_of(frames, halves / 2), CONFIG, detector=NOBODY)) for frames, halves in sizes]
    batch = collate(windows)
    assert batch.waveform.shape[1] == batch.log_mel.shape[2] * 256
    for index, window in enumerate(windows):
        t, f = len(window.frames), window.log_mel.shape[1]
        assert torch.equal(batch.frames[index, :t], window.frames)
        assert torch.equal(batch.boxes[index, :t], window.boxes)
        assert torch.equal(batch.log_mel[index, :, :f], window.log_mel)
        assert torch.equal(batch.frame_mask[index, :t], window.frame_mask)
        assert torch.equal(batch.mel_mask[index, :f], window.mel_mask)
        assert torch.equal(batch.waveform[index, : f * 256], window.waveform)
        assert not batch.waveform[index, f * 256 :].any()
        assert not batch.frame_mask[index, t:].any()
        assert not batch.mel_mask[index, f:].any()
        assert torch.equal(batch.present[index], window.present)


def features_of(frames: int, tokens: int, linear: bool = True) -> Features:
    generator = torch.Generator().manual_seed(10 * frames + tokens)
    return Features(
        visual=(torch.rand(frames, 3, 2, 2, generator=generator),),
        boxes=torch.rand(frames, 4, generator=generator),
        frame_mask=torch.rand(frames, generator=generator) < 0.8,
        audio=(torch.rand(5, 1, tokens, generator=generator),),
        audio_mask=torch.rand(tokens, generator=generator) < 0.8,
        present=torch.tensor([True, frames > 2]),
        audio_statistics=torch.rand(frames, 4, generator=generator),
        visual_statistics=torch.rand(frames, 6, generator=generator),
        segment_mask=torch.rand(frames, 2, generator=generator) < 0.8,
        linear=torch.rand(3, 5, generator=generator) if linear else None,
    )


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 4)), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_collating_features_pads_and_masks_only(sizes):
    windows = [features_of(*size) for size in sizes]
    batch = collate(windows)
    for index, window in enumerate(windows):
        t, length = len(window.frame_mask), len(window.audio_mask)
        assert torch.equal(batch.visual[0][index, :t], window.visual[0])
        assert torch.equal(batch.boxes[index, :t], window.boxes)
        assert torch.equal(batch.frame_mask[index, :t], window.frame_mask)
        assert torch.equal(batch.audio[0][index, ..., :length], window.audio[0])
        assert torch.equal(batch.audio_mask[index, :length], window.audio_mask)
        assert torch.equal(batch.present[index], window.present)
        assert torch.equal(batch.audio_statistics[index, :t], window.audio_statistics)
        assert torch.equal(batch.visual_statistics[index, :t], window.visual_statistics)
        assert torch.equal(batch.segment_mask[index, :t], window.segment_mask)
        assert not batch.segment_mask[index, t:].any()
        assert torch.equal(batch.linear[index], window.linear)
        assert not batch.visual[0][index, t:].any()
        assert not batch.audio[0][index, ..., length:].any()
        assert not batch.frame_mask[index, t:].any()
        assert not batch.audio_mask[index, length:].any()


def test_linear_predictions_that_not_all_clips_have_are_left_to_the_network():
    assert collate([features_of(1, 1), features_of(2, 2, linear=False)]).linear is None


def test_a_frame_that_starts_late_has_its_place_in_time_and_nothing_before_it():
    config = ClipConfig(fps=2.0, face="whole")
    frames = np.full((3, 8, 8, 3), 200, np.uint8)
    clip = Clip("late", frames, np.array([1.25, 1.75, 2.75]), np.zeros(48000, np.float32), 0.0, 3.0, MediaInfo("test"))
    inputs = inputs_from(clip, config)
    assert inputs.frame_mask.tolist() == [False, False, True, True, False, True]
    assert (inputs.frames[~inputs.frame_mask] == 0).all()


def test_frames_that_come_faster_than_the_configuration_are_refused():
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    clip = Clip("fast", frames, np.array([0.1, 0.2]), np.zeros(0, np.float32), 0.0, 1.0, MediaInfo("test"))
    with pytest.raises(MsmaError, match="cut_windows"):
        inputs_from(clip, ClipConfig(fps=2.0))
