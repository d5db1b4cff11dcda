"""Pictures through H.264 in memory."""

from __future__ import annotations

import numpy as np
import pytest
from specimens import specimen

from msma.media.encode import decode_frames, encode_frames, recode_frames

CRFS = (20.0, 30.0, 40.0, 51.0)


def coded_bytes(frames: np.ndarray, crf: float) -> int:
    return sum(packet.size for packet in encode_frames(frames, crf))


def psnr_db(clean: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean(np.square(clean.astype(float) - other))))


def test_a_higher_factor_takes_fewer_bytes():
    sizes = [coded_bytes(specimen(0).clip.frames, crf) for crf in CRFS]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 5


def test_a_higher_factor_leaves_a_worse_frame():
    frames = specimen(0).clip.frames
    likeness = [psnr_db(frames, recode_frames(frames, crf)) for crf in CRFS]
    assert likeness == sorted(likeness, reverse=True)
    assert likeness[0] > 35
    assert 18 < likeness[-1] < 30


def test_what_is_decoded_is_what_was_encoded():
    frames = specimen(0).clip.frames
    decoded = decode_frames(encode_frames(frames, 30.0))
    assert np.array_equal(np.stack(decoded), recode_frames(frames, 30.0))


def test_one_key_frame_and_all_others_in_order():
    frames = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)  # nothing but changes of scene
    packets = encode_frames(frames, 30.0)
    assert [packet.is_keyframe for packet in packets] == [True] + [False] * 39
    assert [packet.pts for packet in packets] == [packet.dts for packet in packets] == list(range(40))


def test_every_frame_comes_back_at_its_own_place():
    levels = np.arange(10, 250, 6, dtype=np.uint8)
    greys = np.tile(levels[:, None, None, None], (1, 48, 64, 3))
    assert recode_frames(greys, 20.0).mean(axis=(1, 2, 3)) == pytest.approx(levels.astype(float), abs=2)


@pytest.mark.parametrize("shape", [(1, 48, 64), (3, 47, 63), (2, 1, 1), (5, 2, 31), (0, 48, 64)])
def test_any_size_and_number_of_frames_is_kept(shape):
    frames = np.full((*shape, 3), 100, np.uint8)
    recoded = recode_frames(frames, 40.0)
    assert recoded.shape == frames.shape
    assert not len(frames) or np.abs(recoded.astype(int) - 100).max() <= 3


def test_the_edge_of_an_odd_frame_is_not_darkened():
    frames = np.full((4, 33, 35, 3), 230, np.uint8)
    assert recode_frames(frames, 35.0)[:, -1, -1].min() > 220


def test_the_same_frames_give_the_same_bytes():
    frames = specimen(1).clip.frames
    first, second = ([bytes(packet) for packet in encode_frames(frames, 40.0)] for _ in range(2))
    assert first == second
