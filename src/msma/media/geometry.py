"""Bring the frames of a track upright, to square pixels and to the shape of the first one."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from av import VideoFrame
from av.error import FFmpegError
from jaxtyping import UInt8

from msma.media.colour import rgb_pixels
from msma.media.container import Media
from msma.types import MsmaError


class Geometry(NamedTuple):
    """The way in which every frame of a track is brought upright to one size."""

    width: int
    """Before the turn, in square pixels."""
    height: int
    transposed: bool
    """Whether rows are shown as columns, before the flips."""
    flipped: tuple[int, ...]
    """Axes: 0 top to bottom, 1 left to right."""


def geometry(media: Media, frame: VideoFrame, longest_side: int) -> Geometry:
    """Scale to `longest_side` (never up), make pixels square, turn and mirror as the file's display matrix asks.

    FFmpeg's players show (x, y) at (a x + c y, b x + d y). A turn that is not by quarters is taken as the nearest.
    """
    ratio = media.video.sample_aspect_ratio if media.video is not None else None
    pixel = float(ratio) if isinstance(ratio, Fraction) and ratio > 0 else 1.0
    width, height = frame.width * min(pixel, 1.0), frame.height / max(pixel, 1.0)
    scale = min(1.0, longest_side / max(width, height))
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    a, b, _, c, d = (1, 0, 0, 0, 1) if matrix is None else np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    transposed = abs(a) + abs(d) < abs(b) + abs(c)
    down, right = (b, c) if transposed else (d, a)
    flipped = tuple(axis for axis, direction in enumerate((down, right)) if direction < 0)
    return Geometry(max(1, round(width * scale)), max(1, round(height * scale)), transposed, flipped)


def fitted(shape: Geometry, first: Geometry) -> Geometry:
    """Scale `shape` until it just fits in the first one of the track, once both are upright."""
    (width, height), (most_wide, most_high) = upright(shape), upright(first)
    scale = min(most_wide / width, most_high / height)
    return shape._replace(width=max(1, round(shape.width * scale)), height=max(1, round(shape.height * scale)))


def upright(shape: Geometry) -> tuple[int, int]:
    """Width and height after the turn."""
    return (shape.height, shape.width) if shape.transposed else (shape.width, shape.height)


def to_rgb(media: Media, frame: VideoFrame, shape: Geometry, first: Geometry) -> UInt8[np.ndarray, "h w 3"]:
    """The frame upright, with black around it where its shape is not that of the `first` frame of the track."""
    _, _, transposed, flipped = shape
    try:
        pixels = rgb_pixels(frame, shape.width, shape.height)
    except (FFmpegError, ValueError) as error:
        raise MsmaError(f"{media.name}: pixel format {frame.format.name} cannot be read; convert it to mp4") from error
    pixels = np.ascontiguousarray(np.flip(pixels.swapaxes(0, 1) if transposed else pixels, flipped))
    (width, height), (most_wide, most_high) = upright(shape), upright(first)
    if (width, height) == (most_wide, most_high):
        return pixels
    top, left = (most_high - height) // 2, (most_wide - width) // 2
    boxed = np.zeros((most_high, most_wide, 3), np.uint8)
    boxed[top : top + height, left : left + width] = pixels
    return boxed
