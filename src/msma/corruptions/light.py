"""Corruptions by light: RGB frames `(t, h, w, 3)`, uint8 → the same shape."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from msma.corruptions.corruption import row
from msma.corruptions.visual import NORMAL, VALUES, Frames, as_values, drawn
from msma.types import FaceTrack

GAMMA = 2.2
WHITE_E, READ_E = 500.0, 2.0
"""Electrons in a white pixel at full light and the noise of reading them: a small sensor at a high gain."""
LUMA = np.array([0.299, 0.587, 0.114])
OUTLINE_ROWS = 72
"""Rows of the frame in which a person's soft outline is drawn."""


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


ROWS = (
    row(low_light, "light", (0.5, 0.25, 0.12, 0.06, 0.025), "a share of the light is left, with sensor noise"),
    row(over_exposure, "light", (0.6, 1.2, 2.0, 3.0, 4.5), "too much light, clipped at white"),
    row(backlight, "light", (0.3, 0.7, 1.4, 2.5, 4.0), "a dark person before a bright background"),
    row(low_contrast, "light", (0.7, 0.45, 0.25, 0.12, 0.05), "a share of the contrast is left"),
    row(white_balance, "light", (1.25, 1.6, 2.2, 3.5, 6.0), "a warm or cold cast: red gains over blue, or the reverse"),
)
