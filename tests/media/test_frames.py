"""Geometry of the face crops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msma.config import ClipConfig
from msma.media.frames import box_shares, face_crops, letterbox, square_crop
from msma.types import FaceTrack


def ramp(height: int, width: int) -> np.ndarray:
    """Red grows with the column, green with the row."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, :, 0] = np.arange(width)
    picture[:, :, 1] = np.arange(height)[:, None]
    return picture


def box(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_crop_is_the_square_around_the_centre():
    crop = square_crop(ramp(200, 200), box(80, 90, 40, 20), 1.5, 60)
    # Centre (100, 100), side 60, no scaling: columns and rows 70 to 129.
    np.testing.assert_array_equal(crop, ramp(200, 200)[70:130, 70:130])


def test_outside_the_frame_the_edge_is_repeated():
    crop = square_crop(ramp(100, 100), box(-10, -10, 20, 20), 2.0, 40)
    # Centre (0, 0), side 40: columns and rows -20 to 19.
    assert (crop[:20, :20] == 0).all()
    assert crop[0, :, 0].tolist() == [0] * 20 + list(range(20))
    assert crop[:, 0, 1].tolist() == [0] * 20 + list(range(20))


def test_crop_is_resized_by_area():
    checks = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (50, 50))[:, :, None].repeat(3, axis=2)
    assert square_crop(checks, box(0, 0, 100, 100), 1.0, 25) == pytest.approx(127.5, abs=1)


def test_letterbox_keeps_the_whole_frame():
    picture = ramp(50, 100)
    square = letterbox(picture, 100)
    np.testing.assert_array_equal(square[25:75], picture)
    np.testing.assert_array_equal(square[0], picture[0])
    np.testing.assert_array_equal(square[99], picture[-1])


def test_box_shares():
    shares = box_shares(box(10, 20, 30, 40)[None], height=80, width=100)
    assert shares[0].tolist() == pytest.approx([0.25, 0.5, 0.3, 0.5])


def test_whole_frame_has_full_boxes_and_uncut_frames():
    frames = ramp(50, 100)[None].repeat(2, axis=0)
    whole = FaceTrack(np.array([[0, 0, 100, 50]] * 2, np.float32), np.ones(2, bool), "whole frame")
    crops, boxes = face_crops(frames, whole, ClipConfig(crop_size=100))
    assert boxes.tolist() == [[0.5, 0.5, 1.0, 1.0]] * 2
    np.testing.assert_array_equal(crops[0, :, 25:75], frames[0].transpose(2, 0, 1))


def test_no_visuals():
    none = FaceTrack(np.zeros((0, 4), np.float32), np.zeros(0, bool), "whole frame")
    crops, boxes = face_crops(np.zeros((0, 0, 0, 3), np.uint8), none, ClipConfig())
    assert (crops.shape, boxes.shape) == ((0, 3, 64, 64), (0, 4))


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.floats(-200, 200), st.floats(-200, 200), st.floats(0, 500), st.floats(0, 500)),
    st.floats(1, 4),
    st.integers(1, 40),
)
def test_any_box_gives_a_square_of_the_asked_size(shape, corners, margin, size):
    picture = np.full((*shape, 3), 77, np.uint8)
    crop = square_crop(picture, box(*corners), margin, size)
    assert crop.shape == (size, size, 3)
    assert (crop == 77).all()
    assert letterbox(picture, size).shape == (size, size, 3)
