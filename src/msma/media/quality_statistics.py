"""Statistics of a signal that reveal its quality, whoever is in it: detail, noise floor, exposure, level, repetition.

In the manner of blind quality assessment (natural scene statistics, Mittal et al. 2012); the choice is ours. Logarithms
are scaled to about [-1, 1]. Masked frames play no part. Each segment (`msma.media.segments`) has its own: of what is
around it, only the frame before its first one counts, to tell what has changed.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from msma.types import VISUAL_STATISTICS

LEVELS = 4
"""Octaves of detail in a frame, the finest first."""
BLOCK = 8
"""Side in pixels of the blocks whose flattest and median ones are looked at: noise is there, contours are not."""
BLOCK_QUANTILES = (0.1, 0.5)
LUMA_QUANTILES = (0.02, 0.25, 0.5, 0.75, 0.98)
LUMA_SIDE = 32
SAME = 5e-4
"""Mean difference of two frames that are taken for the same, as a share of the range."""
SCENE_SIDE = 128
"""Side in pixels of the whole frames whose motion is looked at."""
MIN_SLOPE = 0.01
"""Slope of the luma from one pixel to the next, as a share of the range, below which no motion shows."""
MIN_MOTION = 0.01
"""In pixels. Below it there is none to measure."""
MOTION_QUANTILES = (0.1, 0.25, 0.5)
"""Quantiles over the blocks of a whole frame, from what should stand still to what may move."""
BANDS = 8
BAND_QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
LAGS = (1, 4, 16)
"""Log-mel steps between which a band's change is measured."""
MIN_SAMPLE = 1 / 32768
FLOOR = -0.95
"""Log-mel values below this are as good as silence."""


def visual_statistics(
    frames: UInt8[np.ndarray, "t 3 s s"],
    boxes: Float32[np.ndarray, "t 4"],
    mask: Bool[np.ndarray, " t"],
    scene: UInt8[np.ndarray, "t2 3 h w"],
    slots: Int[np.ndarray, " t2"],
    cuts: Int[np.ndarray, " r1"],
    coverage: float,
) -> Float32[np.ndarray, "r k"]:
    """VISUAL_STATISTICS numbers of face crops, places of the face and whole frames, for each of the segments into which
    `cuts` part the `t` places (see `np.split`); zeros where all are masked.

    `scene` holds the whole frames, SCENE_SIDE large, and `slots` their places; `coverage` is the share of the window up
    to the last of them. A change from one frame to the next is in the segment of the second.
    """
    if not mask.any():
        return np.zeros((len(cuts) + 1, VISUAL_STATISTICS), np.float32)
    rgb = frames.astype(np.float32) / 255
    gray = rgb.mean(axis=1, keepdims=True)
    pyramid = [np.concatenate([gray, rgb[:, :1] - rgb[:, 1:2], rgb[:, 2:] - rgb[:, 1:2]], axis=1)]
    for _ in range(LEVELS):
        pyramid.append(block_means(pyramid[-1], 2))
    frame_by_frame = np.concatenate([*detail(pyramid), exposure(gray), 3 * frame_mean(pyramid[0][:, 1:])], axis=1)
    changes = []
    for luma in (pyramid[0][:, 0], pyramid[2][:, 0]):
        change = frame_mean(np.abs(luma[1:] - luma[:-1]))
        changes += [logarithm(change), (change < SAME).astype(np.float32)]
    change = np.pad(np.stack(changes, axis=1), ((1, 0), (0, 0)))  # the first frame follows none
    follows = np.concatenate([[False], mask[1:] & mask[:-1]])
    motion = np.split(apparent_motion(scene), np.searchsorted(slots[1:], cuts))
    found = np.zeros((len(cuts) + 1, VISUAL_STATISTICS), np.float32)
    for place, (first, end) in enumerate(itertools.pairwise([0, *cuts.tolist(), len(mask)])):
        here, moved = mask[first:end], motion[place]
        if not here.any():
            continue
        found[place] = np.concatenate(
            [
                mean_and_deviation(frame_by_frame[first:end][here]),
                mean_and_deviation(change[first:end][follows[first:end]]),
                mean_and_deviation((2 * boxes - 0.5)[first:end][here]),
                logarithm(moved.mean(axis=0), MIN_MOTION) if len(moved) else np.zeros(len(MOTION_QUANTILES)),
                [here.mean(), coverage],
            ]
        )
    return found


def detail(pyramid: list[Float32[np.ndarray, "n 3 _ _"]]) -> list[Float32[np.ndarray, "n _"]]:
    """Strength of each octave of the Laplacian pyramid, in the flattest blocks and in the median one too."""
    found = []
    for level, (fine, coarse) in enumerate(itertools.pairwise(pyramid)):
        band = fine - enlarged(coarse, fine.shape[2:])
        size = np.abs(band)
        found.append(logarithm(frame_mean(size)))
        if level < 2:
            blocks = quantiles(block_means(size, BLOCK // 2**level).reshape(*size.shape[:2], -1), BLOCK_QUANTILES)
            found += [*np.moveaxis(logarithm(blocks), -1, 0), logarithm(np.sqrt(frame_mean(np.square(band[:, :1]))))]
    return found


def apparent_motion(scene: UInt8[np.ndarray, "n 3 h w"]) -> Float32[np.ndarray, "n1 q"]:
    """Distance in pixels that blocks seem to move from each frame to the next, as MOTION_QUANTILES over the blocks.

    The background of a camera that stands still reveals noise where it seems to move, and a codec that skips it where
    it does not at all; crops that follow the face cannot show a camera that shakes.
    """
    if len(scene) < 2:
        return np.zeros((0, len(MOTION_QUANTILES)), np.float32)
    luma = scene.astype(np.float32).mean(axis=1) / 255
    gray = np.stack([cv2.blur(frame, (3, 3))[1:-1, 1:-1] for frame in luma])
    slope = np.abs(gray[:, 1:, 1:] - gray[:, :-1, 1:]) + np.abs(gray[:, 1:, 1:] - gray[:, 1:, :-1])
    change = np.abs(gray[1:] - gray[:-1])[:, 1:, 1:]
    rows, columns = (side // BLOCK * BLOCK for side in change.shape[1:])  # whole blocks only
    moved, steep = (
        block_means(values[:, None, :rows, :columns], BLOCK) for values in (change, (slope[1:] + slope[:-1]) / 2)
    )
    return quantiles((moved / (steep + MIN_SLOPE)).reshape(len(moved), -1), MOTION_QUANTILES)


def exposure(gray: Float32[np.ndarray, "n 1 s s"]) -> Float32[np.ndarray, "n _"]:
    """Quantiles of the luma, and the shares that are black or white."""
    side = min(LUMA_SIDE, gray.shape[-1])
    luma = quantiles(span_means(span_means(gray, side, 2), side, 3).reshape(len(gray), -1), LUMA_QUANTILES)
    return np.concatenate(
        [luma, *(frame_mean(extreme.astype(np.float32)) for extreme in (gray < 0.02, gray > 0.98))], 1
    )


def audio_statistics(
    log_mel: Float32[np.ndarray, "m f"],
    waveform: Float32[np.ndarray, " n"],
    cuts: Int[np.ndarray, " r1"],
    coverage: float,
) -> Float32[np.ndarray, "r k"]:
    """AUDIO_STATISTICS numbers of the log-mel and the waveform, for each of the segments into which `cuts` part the
    log-mel steps; `coverage` is the share of the window with audio."""
    bands, hop = span_means(log_mel, BANDS, 0), len(waveform) // log_mel.shape[1]
    pieces = zip(np.split(bands, cuts, axis=1), np.split(waveform, cuts * hop), strict=True)
    return np.stack([statistics_of_sound(*piece, coverage) for piece in pieces])


def statistics_of_sound(
    bands: Float32[np.ndarray, "c f"], waveform: Float32[np.ndarray, " n"], coverage: float
) -> Float32[np.ndarray, " k"]:
    ordered, last = np.sort(bands, axis=1), bands.shape[1] - 1
    size = np.abs(waveform)
    peak = max(float(size.max()), MIN_SAMPLE)
    of_samples = [
        math.log(peak) / 3,
        math.log((size > 0.97 * peak).mean() + 1e-5) / 4,
        (size < MIN_SAMPLE).mean(),
        math.log(math.sqrt(np.square(size).mean()) + 1e-4) / 4,
        (bands.mean(axis=0) < FLOOR).mean(),
        coverage,
    ]
    return np.concatenate(
        [
            np.stack([ordered[:, round(q * last)] for q in BAND_QUANTILES], axis=1).ravel(),
            *(5 * mean_change(bands, lag) for lag in LAGS),
            np.array(of_samples, np.float32),
        ]
    )


def quantiles(values: Float32[np.ndarray, "*b n"], shares: tuple[float, ...]) -> Float32[np.ndarray, "*b q"]:
    """Values below which about these shares lie, along the last axis."""
    return np.sort(values, axis=-1)[..., [int(share * (values.shape[-1] - 1)) for share in shares]]


def mean_change(bands: Float32[np.ndarray, "c f"], lag: int) -> Float32[np.ndarray, " c"]:
    """Mean change of each band from one step to that `lag` later; zeros where the waveform is shorter."""
    return np.abs(bands[:, lag:] - bands[:, :-lag]).sum(axis=1) / max(1, bands.shape[1] - lag)


def mean_and_deviation(values: Float32[np.ndarray, "l k"]) -> Float32[np.ndarray, " k2"]:
    """Mean and standard deviation over the rows; zeros where there is none."""
    if not len(values):
        return np.zeros(2 * values.shape[1], np.float32)
    return np.concatenate([values.mean(axis=0), values.std(axis=0)])


def logarithm(share: Any, offset: float = 1e-3) -> Any:
    """Logarithm of a share, or of an array of them, scaled to about [-1, 1]."""
    return np.log(share + np.float32(offset)) / 3 + 1


def frame_mean(frames: Float32[np.ndarray, "*b h w"]) -> Float32[np.ndarray, "*b"]:
    *before, height, width = frames.shape
    return frames.reshape(*before, height * width).mean(axis=-1)


def block_means(frames: Float32[np.ndarray, "n c h w"], side: int) -> Float32[np.ndarray, "n c h2 w2"]:
    """Means of square blocks; at the right and lower edge, of the pixels that are there."""
    count, channels, height, width = frames.shape
    below, right = -height % side, -width % side
    filled = np.pad(frames, ((0, 0), (0, 0), (0, below), (0, right))) if below or right else frames
    rows, columns = (height + below) // side, (width + right) // side
    # One above the other, all frames are one.
    tall = np.ascontiguousarray(filled).reshape(-1, width + right)
    means = cv2.resize(tall, (columns, count * channels * rows), interpolation=cv2.INTER_AREA)
    means = means.reshape(count, channels, rows, columns)
    if below:
        means[:, :, -1] *= side / (side - below)
    if right:
        means[..., -1] *= side / (side - right)
    return means


def enlarged(frames: Float32[np.ndarray, "n c h w"], size: tuple[int, ...]) -> Float32[np.ndarray, "n c h2 w2"]:
    """Frames resized to rows and columns, bilinear."""
    planes = frames.reshape(-1, *frames.shape[2:])
    resized = [cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in planes]
    return np.stack(resized).reshape(*frames.shape[:2], *size)


def span_means(values: Float32[np.ndarray, "..."], count: int, axis: int) -> Float32[np.ndarray, "..."]:
    """Means of `count` even stretches of an axis; where it does not divide, neighbours overlap."""
    length = values.shape[axis]
    first, end = np.arange(count) * length // count, -(-np.arange(1, count + 1) * length // count)
    sums = np.cumsum(np.moveaxis(values, axis, -1), axis=-1, dtype=np.float64)
    sums = np.concatenate([np.zeros((*sums.shape[:-1], 1)), sums], axis=-1)
    means = (sums[..., end] - sums[..., first]) / (end - first)
    return np.ascontiguousarray(np.moveaxis(means, -1, axis).astype(np.float32))
