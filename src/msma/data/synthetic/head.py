"""The part of the frames that stays the same in a clip: the wall, and the shaded head with its hair."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from msma.data.synthetic.people import Colour, Source

SCALE = 150.0
"""Pixels of the head's patch for one head height."""
HALF_WIDTH, HALF_HEIGHT = 0.78, 0.86
"""The patch around the middle of the head, in head heights."""
HEAD_A, HEAD_B = 0.385, 0.5
"""Half axes of the head in head heights; the same for everyone, so that size in the frame means distance."""

HAT_A, HAT_B = 0.44, 0.50
"""Half axes of a hat."""
HAT_RIM, HAT_RIM_HEIGHT = -0.335, 0.12
"""Lower edge of a hat in the middle, and the height of its turned-up rim."""


@dataclass(frozen=True)
class Patch:
    """An image with transparency, colours already multiplied by the coverage."""

    colour: UInt8[np.ndarray, "h w 3"]
    clear: UInt8[np.ndarray, "h w"]
    """255 where the background shows."""


def lit(colour: Colour, source: Source) -> Colour:
    """The colour under the light of the source."""
    return tuple(min(255.0, float(a * b)) for a, b in zip(colour, source.light_colour, strict=True))


def shade(colour: Colour, factor: float) -> Colour:
    return tuple(min(255.0, value * factor) for value in colour)


def draw_wall(source: Source, width: int, height: int, rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """A softly lit wall with a few blurred things on it."""
    small = np.full((30, 40, 3), lit(source.wall, source), dtype=np.float32)
    for _ in range(4):
        left, top = int(rng.integers(0, 36)), int(rng.integers(0, 24))
        wide, tall = int(rng.integers(4, 14)), int(rng.integers(4, 16))
        small[top : top + tall, left : left + wide] *= rng.uniform(0.6, 1.25)
    wall = cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.0), (width, height), interpolation=cv2.INTER_CUBIC)
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    glow = 0.95 + 0.16 * (x * source.light[0] + y * source.light[1]) - 0.08 * (x**2 + y**2)
    return np.clip(wall * glow[..., None], 0, 255).astype(np.uint8)


def draw_head(source: Source) -> Patch:
    """Head, ears and hair without the moving features, at SCALE pixels per head height."""
    x, y = np.meshgrid(
        np.arange(-HALF_WIDTH, HALF_WIDTH, 1 / SCALE, dtype=np.float32),
        np.arange(-HALF_HEIGHT, HALF_HEIGHT, 1 / SCALE, dtype=np.float32),
    )
    canvas = np.zeros((*x.shape, 3), dtype=np.float32)
    cover = np.zeros(x.shape, dtype=np.float32)
    skin, hair = np.array(lit(source.skin, source)), np.array(lit(source.hair, source))
    strands = 0.85 + 0.15 * np.sin(60 * x + 9 * np.sin(3 * y)) + 0.12 * np.exp(-(((y + 0.42) / 0.08) ** 2))

    def paint(mask: np.ndarray, colour: np.ndarray, light: np.ndarray) -> None:
        nonlocal cover
        canvas[:] = canvas * (1 - mask[..., None]) + colour * np.clip(light, 0, 1.25)[..., None] * mask[..., None]
        cover = np.maximum(cover, mask)

    back = hair_behind(source.hair_style, x, y)
    if source.hat is not None:
        back = back * soft(y + 0.30)  # what is above the ears is under the hat
    paint(back, hair, 0.75 * strands)
    for side in (-1, 1):
        paint(ellipse(x - side * (HEAD_A + 0.015), y - 0.03, 0.05, 0.10), skin, np.full_like(x, 0.78))
    narrow = 1 - source.jaw * np.clip(y / HEAD_B, 0, 1) ** 1.5
    u, v = x / (HEAD_A * narrow), y / HEAD_B
    radius = np.sqrt(u**2 + v**2)
    face = soft((1 - radius) * HEAD_A)
    depth = np.sqrt(np.clip(1 - 0.8 * radius**2, 0, 1))
    light = 0.45 + 0.55 * depth + 0.28 * (0.75 * u * source.light[0] + 0.6 * v * source.light[1])
    paint(face, skin, light + relief(x, y, source))
    paint(hair_in_front(source.hair_style, x, y) * soft((1.09 - radius) * HEAD_A), hair, strands * (0.7 + 0.4 * depth))
    if source.hat is not None:
        paint(hat(x, y), np.array(lit(source.hat, source)), knitted(x, y, source))
    return Patch(colour=np.clip(canvas, 0, 255).astype(np.uint8), clear=np.round(255 * (1 - cover)).astype(np.uint8))


def relief(x: np.ndarray, y: np.ndarray, source: Source) -> Float32[np.ndarray, "h w"]:
    """Light and shadow of eye sockets, nose bridge, cheeks and chin: an addition to the brightness."""

    def spot(x0: float, y0: float, wide: float, tall: float) -> np.ndarray:
        return np.exp(-(((np.abs(x) - x0) / wide) ** 2) - ((y - y0) / tall) ** 2)

    sockets, cheekbones, chin = spot(0.15, -0.04, 0.09, 0.06), spot(0.3, 0.16, 0.07, 0.12), spot(0.0, 0.35, 0.1, 0.025)
    bridge, cheeks, forehead = spot(0.0, 0.02, 0.025, 0.12), spot(0.20, 0.13, 0.08, 0.06), spot(0.0, -0.3, 0.2, 0.08)
    nose = source.light[0] * spot(0.045, 0.08, 0.03, 0.09) * np.sign(x)
    return 0.07 * bridge + 0.05 * cheeks + 0.05 * forehead + 0.10 * nose - 0.13 * sockets - 0.07 * (cheekbones + chin)


def hair_behind(style: str, x: np.ndarray, y: np.ndarray) -> Float32[np.ndarray, "h w"]:
    """Hair that the head covers."""
    cap = ellipse(x, y + 0.06, HEAD_A + 0.045, 0.5)
    if style == "long":
        return np.maximum(cap, soft(0.47 - np.abs(x)) * soft(y + 0.10) * soft(0.62 - y))
    if style == "bob":
        return np.maximum(cap, soft(0.46 - np.abs(x)) * soft(y + 0.10) * soft(0.30 - y))
    if style == "bun":
        return np.maximum(cap, ellipse(x, y + 0.58, 0.15, 0.13))
    return cap * soft(0.05 - y)


def hair_in_front(style: str, x: np.ndarray, y: np.ndarray) -> Float32[np.ndarray, "h w"]:
    """Hair over the forehead; it ends well above the brows, for they are a cue."""
    line = {"short": 0.36, "long": 0.38, "receding": 0.43, "bob": 0.36, "bun": 0.39}[style]
    temples = {"short": 1.0, "long": 1.2, "receding": 0.3, "bob": 1.1, "bun": 0.8}[style]
    return soft(-line + temples * x**2 - y) * soft(0.06 - y)


def hat(x: np.ndarray, y: np.ndarray) -> Float32[np.ndarray, "h w"]:
    """A knitted hat down to where the hair begins, well above the brows."""
    return ellipse(x, y + 0.18, HAT_A, HAT_B) * soft(HAT_RIM + 0.25 * x**2 - y)


def knitted(x: np.ndarray, y: np.ndarray, source: Source) -> Float32[np.ndarray, "h w"]:
    """Light on the wool: round, ribbed, with a turned-up rim."""
    across = np.clip(x / HAT_A, -1, 1)
    below_fold = y - HAT_RIM - 0.25 * x**2 + HAT_RIM_HEIGHT
    ribs = 0.06 * np.sin(2 * np.pi * 9 * np.arcsin(across))
    fold = 0.25 * np.exp(-((below_fold / 0.012) ** 2))
    light = 0.55 + 0.4 * np.sqrt(1 - across**2) + 0.2 * across * source.light[0] + ribs + 0.1 * soft(below_fold) - fold
    return light.astype(np.float32)


def ellipse(x: np.ndarray, y: np.ndarray, a: float, b: float) -> Float32[np.ndarray, "h w"]:
    return soft((1 - np.sqrt((x / a) ** 2 + (y / b) ** 2)) * min(a, b))


def soft(distance: np.ndarray) -> Float32[np.ndarray, "h w"]:
    """Coverage in [0, 1] at a signed distance (head heights) inside a border."""
    return np.clip(0.5 + distance * SCALE * 0.7, 0, 1).astype(np.float32)
