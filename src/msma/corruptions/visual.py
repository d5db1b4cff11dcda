"""Corruptions of frames by sensor, lens, size and light: RGB `(t, h, w, 3)`, uint8 → the same shape.

Lengths are shares of a frame's height, so that a small and a large frame of the same scene suffer alike.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from scipy.special import ndtri, pdtr

from msma.corruptions.corruption import row
from msma.media.encode import to_jpeg
from msma.media.frames import resize
from msma.types import FaceTrack

Frames = UInt8[np.ndarray, "t h w 3"]
Frame = UInt8[np.ndarray, "h w 3"]
Outcomes = UInt8[np.ndarray, "256 256"]
"""For each of the 256 values that a pixel may have, 256 equally probable ones that noise makes of it."""

VALUES = np.arange(256.0)
QUANTILES = (np.arange(256) + 0.5) / 256
NORMAL = ndtri(QUANTILES) / ndtri(QUANTILES).std()
"""256 equally probable outcomes of a standard normal variable, the farthest at 2.9."""
KERNEL_RADIUS = 2.5
"""Radius in pixels of the largest disc that is applied as it is; a larger one is applied to a smaller frame."""
GAMMA = 2.2
WHITE_E, READ_E = 500.0, 2.0
"""Electrons in a white pixel at full light and the noise of reading them: a small sensor at a high gain."""
LUMA = np.array([0.299, 0.587, 0.114])
OUTLINE_ROWS = 72
"""Rows of the frame in which a person's soft outline is drawn."""


def gaussian_noise(frames: Frames, rng: np.random.Generator, noise_std: float) -> Frames:
    """Gaussian noise in every pixel and colour, independent of the light; of 255."""
    return drawn(frames, rng, as_values(VALUES[:, None] + noise_std * NORMAL))


def shot_noise(frames: Frames, rng: np.random.Generator, photons: float) -> Frames:
    """Each pixel and colour counts its photons (Poisson); white is `photons` of them on average."""
    return drawn(frames, rng, photon_counts(photons))


def impulse_noise(frames: Frames, rng: np.random.Generator, share: float) -> Frames:
    """A share of the pixels is black or white, each as likely."""
    chance = rng.integers(0, 2**16, frames.shape[:3], dtype=np.uint16)
    half = round(share * 2**15)
    noisy = np.empty(frames.shape, np.uint8)
    for frame, drawn_here, out in zip(frames, chance, noisy, strict=True):
        not_black, white = (cv2.merge([np.uint8(255) * (drawn_here >= bound)] * 3) for bound in (half, 2**16 - half))
        out[:] = frame & not_black | white
    return noisy


def defocus(frames: Frames, rng: np.random.Generator, radius_share: float) -> Frames:
    """Out of focus: every point becomes a disc."""
    height, width = frames.shape[1:3]
    radius = radius_share * height
    shrink = max(1.0, radius / KERNEL_RADIUS)  # what a large disc leaves can be seen in a small frame
    rows, columns = max(1, round(height / shrink)), max(1, round(width / shrink))
    kernel = disc(radius / shrink)

    def blurred(frame: Frame) -> Frame:
        soft = cv2.filter2D(resize(frame, rows, columns), -1, kernel, borderType=cv2.BORDER_REPLICATE)
        return resize(soft, height, width)

    return each(frames, blurred)


def motion_blur(frames: Frames, rng: np.random.Generator, length_share: float) -> Frames:
    """Every point becomes a straight line, whose direction is random and the same in all frames."""
    angle, length = rng.uniform(0, math.pi), length_share * frames.shape[1]
    return each(frames, lambda frame: smeared(frame, length * math.sin(angle), length * math.cos(angle)))


def smeared(frame: Frame, rows_px: float, columns_px: float) -> Frame:
    """Every point becomes a straight line, so many rows high and columns wide."""
    length = math.hypot(rows_px, columns_px)
    if rows_px < 0:
        rows_px, columns_px = -rows_px, -columns_px  # a line has no direction
    # A line of 2^k points is the mean of two lines of half the length, k times over: few steps for a long line.
    steps = range(1, 1 + max(1, math.ceil(math.log2(max(length, 1.0)))))
    offsets = [(round(rows_px / 2**step), round(columns_px / 2**step)) for step in steps]
    down, aside = sum(rows for rows, _ in offsets), sum(abs(columns) for _, columns in offsets)
    borders = down // 2, down - down // 2, aside // 2, aside - aside // 2
    line = cv2.copyMakeBorder(frame, *borders, cv2.BORDER_REPLICATE)
    for rows, columns in offsets:
        height, width = line.shape[0] - rows, line.shape[1] - abs(columns)
        here, there = max(-columns, 0), max(columns, 0)
        first = line[:height, here : here + width]
        line = cv2.addWeighted(first, 0.5, line[rows:, there : there + width], 0.5, 0)
    return line


def downscale(frames: Frames, rng: np.random.Generator, share: float) -> Frames:
    """Width and height reduced to a share, then enlarged to what they were."""
    height, width = frames.shape[1:3]
    rows, columns = max(1, round(share * height)), max(1, round(share * width))
    return each(frames, lambda frame: resize(resize(frame, rows, columns), height, width))


def jpeg(frames: Frames, rng: np.random.Generator, quality: float) -> Frames:
    """Every frame encoded as JPEG and decoded."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, round(quality)]

    def decoded(frame: Frame) -> Frame:
        bgr: Any = cv2.imdecode(to_jpeg(frame, settings), cv2.IMREAD_COLOR)
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    return each(frames, decoded)


def low_light(frames: Frames, rng: np.random.Generator, share: float) -> Frames:
    """A share of the light is left, and the noise of a sensor that counts so little of it; nothing brightens it up."""
    electrons = share * WHITE_E * light(VALUES)[:, None]
    counted = electrons + np.sqrt(electrons + READ_E**2) * NORMAL
    return drawn(frames, rng, as_values(shown(counted / WHITE_E)))


def over_exposure(frames: Frames, rng: np.random.Generator, stops: float) -> Frames:
    """2^stops times the light; what is more than white is lost."""
    return looked_up(frames, as_values(shown(light(VALUES) * 2**stops)))


def low_contrast(frames: Frames, rng: np.random.Generator, share: float) -> Frames:
    """A share of each pixel's distance from the mean grey of the clip is left."""
    grey = float(np.mean(cv2.mean(flat(frames))[:3]))
    return looked_up(frames, as_values(grey + share * (VALUES - grey)))


def white_balance(frames: Frames, rng: np.random.Generator, ratio: float) -> Frames:
    """Red gains over blue by a ratio, or blue over red, and green a little or not. Grey keeps its luminance."""
    tilt = ratio ** (0.5 * rng.choice([-1, 1]))
    gains = np.array([tilt, ratio ** rng.uniform(-0.2, 0.2), 1 / tilt])
    return looked_up(frames, as_values(VALUES[:, None] * (gains / (LUMA @ gains))))


def backlight(frames: Frames, rng: np.random.Generator, stops: float, *, face: FaceTrack) -> Frames:
    """The person is darker by `stops`, and what lies behind them nearer to white by as much, without a sharp edge."""
    dark = looked_up(frames, as_values(shown(light(VALUES) * 2**-stops)))
    bright = looked_up(frames, as_values(255 - (255 - VALUES) * 2**-stops))
    lit = np.empty(frames.shape, np.uint8)
    for index, box in enumerate(face.boxes):
        person = outline(box, *frames.shape[1:3])
        lit[index] = cv2.blendLinear(dark[index], bright[index], person, 1 - person)
    return lit


def light(values: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Light on the sensor, white is 1, for values of 0 to 255."""
    return (values / 255) ** GAMMA


def shown(amount: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Values up to 255 for an amount of light; the inverse of `light`."""
    return 255 * np.clip(amount, 0, 1) ** (1 / GAMMA)


def looked_up(frames: Frames, table: UInt8[np.ndarray, "256 *colours"]) -> Frames:
    """Every value replaced by that in the table, which may have a column for each colour."""
    return cv2.LUT(flat(frames), table.reshape(1, 256, -1)).reshape(frames.shape)


def flat(frames: Frames) -> UInt8[np.ndarray, "rows w 3"]:
    """All frames below each other, as OpenCV takes them."""
    return frames.reshape(-1, *frames.shape[2:])


def outline(box: Float32[np.ndarray, "4"], height: int, width: int) -> Float32[np.ndarray, "height width"]:
    """1 on the head and the shoulders under it, 0 far from them."""
    scale = OUTLINE_ROWS / height
    left, top, wide, high = (float(side) * scale for side in box)
    drawing = np.zeros((OUTLINE_ROWS, max(1, round(width * scale))), np.float32)
    middle = left + wide / 2
    head = (middle, top + 0.45 * high), (1.2 * wide, 1.35 * high), 0.0
    shoulders = (middle, top + 2.5 * high), (3.2 * wide, 2.8 * high), 0.0
    for ellipse in (head, shoulders):
        cv2.ellipse(drawing, ellipse, 1.0, -1)
    soft = cv2.GaussianBlur(drawing, (0, 0), max(0.09 * high, 0.5), borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)


def each(frames: Frames, change: Callable[[Frame], Frame]) -> Frames:
    """Every frame changed, in an array of its own."""
    changed = np.empty(frames.shape, np.uint8)
    for frame, out in zip(frames, changed, strict=True):
        out[:] = change(frame)
    return changed


def drawn(frames: Frames, rng: np.random.Generator, outcomes: Outcomes) -> Frames:
    """Each value replaced by one of its outcomes: looking up a random byte is faster than drawing."""
    result = np.empty(frames.shape, np.uint8)
    rows = frames.shape[1]
    for frame, out in zip(frames, result, strict=True):
        words = rng.integers(0, 2**64 - 1, -(-frame.size // 8), dtype=np.uint64, endpoint=True)
        chance = words.astype("<u8", copy=False).view(np.uint8)[: frame.size].reshape(rows, -1)
        places = cv2.merge([chance, frame.reshape(rows, -1)]).view("<u2")[..., 0]
        np.take(outcomes.reshape(-1), places, out=out.reshape(rows, -1), mode="clip")
    return result


@functools.cache
def photon_counts(photons: float) -> Outcomes:
    """Quantiles of the Poisson distribution about each value."""
    counts = np.arange(math.ceil(photons + 10 * math.sqrt(photons) + 10))
    quantiles = [np.searchsorted(pdtr(counts, value / 255 * photons), QUANTILES) for value in VALUES]
    return as_values(np.stack(quantiles) * (255 / photons))


def as_values(levels: Float64[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Rounded and clipped to what a pixel can have."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def disc(radius: float) -> np.ndarray:
    """A kernel of sum 1; pixels on the rim count in part."""
    reach = math.ceil(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)
    return kernel / kernel.sum()


ROWS = (
    row(gaussian_noise, "sensor noise", (10, 20, 35, 55, 80), "Gaussian noise in every pixel and colour"),
    row(shot_noise, "sensor noise", (200, 60, 20, 8, 3), "noise of counting photons, so many in white"),
    row(impulse_noise, "sensor noise", (0.01, 0.04, 0.1, 0.22, 0.4), "a share of the pixels is black or white"),
    row(defocus, "blur", (0.006, 0.012, 0.022, 0.04, 0.07), "points become discs, radius over frame height"),
    row(motion_blur, "blur", (0.02, 0.045, 0.09, 0.16, 0.28), "points become lines, length over frame height"),
    row(downscale, "resolution", (0.4, 0.25, 0.15, 0.09, 0.05), "a share of width and height is left"),
    row(jpeg, "resolution", (30, 15, 8, 5, 2), "compressed as JPEG"),
    row(low_light, "light", (0.5, 0.25, 0.12, 0.06, 0.025), "a share of the light is left, with sensor noise"),
    row(over_exposure, "light", (0.6, 1.2, 2.0, 3.0, 4.5), "too much light, clipped at white"),
    row(backlight, "light", (0.3, 0.7, 1.4, 2.5, 4.0), "a dark person before a bright background"),
    row(low_contrast, "light", (0.7, 0.45, 0.25, 0.12, 0.05), "a share of the contrast is left"),
    row(white_balance, "light", (1.25, 1.6, 2.2, 3.5, 6.0), "a warm or cold cast: red gains over blue, or the reverse"),
)
