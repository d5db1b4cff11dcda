"""The frames, one by one: features on the head, the head on the shoulders, all before the wall."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.random import Generator

from msma.data.synthetic.cues import Behaviour
from msma.data.synthetic.head import HALF_HEIGHT, HALF_WIDTH, SCALE, Patch, draw_head, draw_wall, lit, shade
from msma.data.synthetic.motion import Motion
from msma.data.synthetic.people import Colour, Source

SHIFT = 4
"""Binary digits after the point in coordinates given to cv2."""
EYE_X, EYE_Y, EYE_HALF_WIDTH, IRIS = 0.168, -0.03, 0.108, 0.048
MOUTH_Y, MOUTH_HALF_WIDTH = 0.265, 0.115
HEAD_Y = 0.47
"""Height of the middle of the head, as a share of the frame."""
SENSOR_NOISE = 1.6
"""Standard deviation of the sensor noise in grey levels."""
ARC = np.linspace(-1, 1, 13)
BULGE = 1 - ARC**2

Points = Float[np.ndarray, "p 2"]
Openings = Float[np.ndarray, " t"]


def film(
    act: Behaviour,
    source: Source,
    motion: Motion,
    mouth: Float[np.ndarray, " t"],
    size: tuple[int, int],
    rng: Generator,
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """RGB frames of `size` (width, height); `mouth` in [0, 1] is how far the lips are apart."""
    width, height = size
    unit = min(width / 320, height / 240)
    wall, head = draw_wall(source, width, height, rng), draw_head(source)
    grain = rng.normal(0, SENSOR_NOISE, (height + 32, width + 32))
    lighter, darker = (cv2.merge([np.clip(np.round(g), 0, 255).astype(np.uint8)] * 3) for g in (grain, -grain))
    scale = act.head_px * unit / SCALE
    for index in range(len(mouth)):
        frame = wall.copy()
        centre = np.array([0.5 * width, HEAD_Y * height]) + unit * motion.centre_px[index]
        draw_body(frame, source, centre, act.head_px * unit)
        face = head.colour.copy()
        draw_features(face, act, source, motion, index, float(mouth[index]))
        place(frame, Patch(face, head.clear), centre, scale, float(motion.roll_deg[index]))
        top, left = rng.integers(0, 32, 2)
        cv2.add(frame, lighter[top : top + height, left : left + width], dst=frame)
        cv2.subtract(frame, darker[top : top + height, left : left + width], dst=frame)
        yield frame


def place(frame: np.ndarray, patch: Patch, centre: np.ndarray, scale: float, roll_deg: float) -> None:
    """Lay the patch over the frame, its middle at `centre`, turned about the base of the head."""
    height, width = frame.shape[:2]
    angle = np.deg2rad(roll_deg)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pivot = np.array([HALF_WIDTH, HALF_HEIGHT + 0.3]) * SCALE
    target = centre + np.array([0, 0.3]) * SCALE * scale
    reach = np.abs(turn) @ [HALF_WIDTH * SCALE, HALF_HEIGHT * SCALE] + scale * SCALE * 0.3 * abs(np.sin(angle))
    left, top = np.maximum(0, np.floor(centre - reach)).astype(int)
    right, bottom = np.minimum([width, height], np.ceil(centre + reach)).astype(int)
    matrix = np.concatenate([turn, (target - turn @ pivot - [left, top])[:, None]], axis=1)
    box = (int(right - left), int(bottom - top))
    colour = cv2.warpAffine(patch.colour, matrix, box, flags=cv2.INTER_LINEAR)
    clear = cv2.merge([cv2.warpAffine(patch.clear, matrix, box, flags=cv2.INTER_LINEAR, borderValue=(255,))] * 3)
    region = frame[top:bottom, left:right]
    region[:] = cv2.add(colour, cv2.multiply(region, clear, scale=1 / 255))


def draw_body(frame: np.ndarray, source: Source, centre: np.ndarray, head_px: float) -> None:
    """Shoulders and neck; the shoulders follow the head half way."""
    skin, clothes = lit(source.skin, source), lit(source.clothes, source)
    middle = np.array([frame.shape[1] / 2, HEAD_Y * frame.shape[0]])
    chest = middle + 0.5 * (centre - middle)
    curve = np.array([[-0.95, 1.6], [-0.90, 0.95], [-0.70, 0.80], [-0.30, 0.70], [0, 0.78]])
    outline = np.concatenate([curve, (curve * [-1, 1])[::-1]])
    polygon(frame, chest + head_px * outline, clothes)
    polygon(frame, chest + head_px * outline * [0.6, 1] + head_px * np.array([0.28, 0.12]), shade(clothes, 0.92))
    side, high = head_px * np.array([0.19, 0]), centre + head_px * np.array([0, 0.30])
    low, notch = chest + head_px * np.array([0, 0.74]), chest + head_px * np.array([0, 0.84])
    polygon(frame, np.stack([high - side, high + side, low + side, notch, low - side]), shade(skin, 0.72))
    polygon(frame, np.stack([high - side, high, notch, low - side]), shade(skin, 0.78))


def draw_features(face: np.ndarray, act: Behaviour, source: Source, motion: Motion, index: int, mouth: float) -> None:
    """Eyes, brows, nose and mouth, in place, slid by the turn of the head."""
    turn = motion.turn[index]
    skin = lit(source.skin, source)
    opening = act.eye_opening * float(motion.lids[index])
    height = act.brow_height + float(motion.brows[index])
    for side, inner in zip((-1, 1), motion.inner_brows, strict=True):
        draw_eye(face, beside(turn, side * EYE_X, EYE_Y), opening, motion.gaze[index], source)
        draw_brow(face, beside(turn, side * EYE_X, EYE_Y - height), side, inner, source)
    draw_nose(face, turn * 1.3, source.nose, skin)
    smile = act.smile + float(motion.smile[index])
    draw_mouth(face, beside(turn, 0, MOUTH_Y), smile, motion.corners, mouth, source)


def draw_eye(face: np.ndarray, at: np.ndarray, opening: float, gaze: np.ndarray, source: Source) -> None:
    """Ball, iris and pupil seen through an almond; lash line above, crease and soft lid below."""
    skin = lit(source.skin, source)
    upper = at + np.stack([EYE_HALF_WIDTH * ARC, 0.012 - 1.15 * opening * BULGE - 0.012 * BULGE], axis=1)
    lower = at + np.stack([EYE_HALF_WIDTH * ARC, 0.012 + 0.85 * opening * BULGE - 0.012 * BULGE], axis=1)
    line(face, upper - [0, 0.022], shade(skin, 0.72), 2)
    if opening > 0.004:
        left, top = np.floor(beside(at, HALF_WIDTH - 0.14, HALF_HEIGHT - 0.12) * SCALE).astype(int)
        region = face[top : top + round(0.24 * SCALE), left : left + round(0.28 * SCALE)]
        ball = np.full_like(region, np.round(lit((236, 234, 230), source)))
        corner = np.array([left, top]) / SCALE - [HALF_WIDTH, HALF_HEIGHT]
        look = at + gaze * [0.062, 0.4 * opening + 0.006]
        disc(ball, look, IRIS, lit(source.iris, source), corner)
        disc(ball, look, 0.45 * IRIS, (12, 10, 10), corner)
        disc(ball, beside(look, -0.014, -0.014), 0.010, (250, 250, 250), corner)
        hole = np.zeros(region.shape[:2], dtype=np.uint8)
        cv2.fillPoly(hole, [fixed(np.concatenate([upper, lower[::-1]]), corner)], 255, cv2.LINE_AA, SHIFT)
        hole = cv2.merge([hole] * 3)
        region[:] = cv2.add(cv2.multiply(ball, hole, scale=1 / 255), cv2.multiply(region, 255 - hole, scale=1 / 255))
    line(face, lower, shade(skin, 0.70), 1)
    line(face, upper, shade(lit(source.hair, source), 0.35), 3)


def draw_brow(face: np.ndarray, at: np.ndarray, side: int, inner: float, source: Source) -> None:
    """One brow; its inner end is higher by `inner`, its middle stays where it is."""
    spine = at + np.stack([0.115 * ARC, -0.030 * BULGE + (0.012 + inner / 2) * side * ARC], axis=1)
    thick = (0.017 * (1 - 0.5 * (side * ARC + 1) / 2))[:, None] * [0, 1]
    dark = shade(lit(source.hair, source), 0.55)
    polygon(face, np.concatenate([spine - thick, (spine + thick)[::-1]]), dark, patch=True)


def draw_nose(face: np.ndarray, turn: np.ndarray, half_width: float, skin: Colour) -> None:
    tip = beside(turn, 0, 0.125)
    wing = np.stack([half_width * ARC, 0.020 * BULGE + 0.004], axis=1)
    line(face, tip + wing, shade(skin, 0.62), 2)
    for side in (-1, 1):
        disc(face, beside(tip, side * 0.55 * half_width, 0.012), 0.012, shade(skin, 0.38))
        bridge = np.array([[side * 0.030, -0.02], [side * 0.036, 0.06], [side * half_width, 0.115]])
        line(face, turn + bridge, shade(skin, 0.86), 1)


def draw_mouth(face: np.ndarray, at: np.ndarray, smile: float, uneven: float, mouth: float, source: Source) -> None:
    """Lips around a dark gap with teeth; a smile widens the mouth and lifts its corners, the right one higher by
    `uneven`."""
    lips: Colour = tuple((np.array(lit(source.skin, source)) * [0.80, 0.52, 0.52]).tolist())
    x = MOUTH_HALF_WIDTH * (1 + 0.34 * smile) * ARC
    between = -0.052 * smile * (ARC**2 - 0.5) - uneven / 2 * ARC**3
    gap = 0.010 * BULGE + 0.085 * mouth * BULGE
    upper, lower = between - 0.25 * gap, between + 0.75 * gap
    cupid = source.lips * BULGE * (1 - 0.25 * np.exp(-((ARC / 0.2) ** 2)))
    polygon(face, at + band(x, upper - cupid, lower + 1.25 * source.lips * BULGE), lips, patch=True)
    polygon(face, at + 0.96 * band(x, upper, lower), shade(lips, 0.28), patch=True)
    if mouth > 0.25:
        polygon(face, at + 0.86 * band(x, upper, upper + 0.35 * gap), lit((226, 222, 214), source), patch=True)
    corners = np.array([[x[0], between[0]], [x[-1], between[-1]]])
    for corner, side in zip(corners, (-1, 1), strict=True):
        disc(face, at + corner, 0.010, shade(lips, 0.5))
        fold = np.array([[0.03, -0.12], [0.055, -0.06], [0.045, 0.0]]) * [side, 1]
        line(face, at + corner + fold, shade(lit(source.skin, source), 0.88 - 0.06 * smile), 1)


def beside(at: np.ndarray, right: float | int, down: float) -> np.ndarray:
    return at + np.array([right, down])


def band(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> Points:
    """Outline of what lies between two curves."""
    return np.concatenate([np.stack([x, top], axis=1), np.stack([x, bottom], axis=1)[::-1]])


def fixed(points: Points, corner: np.ndarray | None = None) -> np.ndarray:
    """Head coordinates as cv2's fixed-point pixels of the patch (or of a part of it that begins at `corner`)."""
    origin = np.array([-HALF_WIDTH, -HALF_HEIGHT]) if corner is None else corner
    return np.round((points - origin) * (SCALE * (1 << SHIFT))).astype(np.int32)


def polygon(image: np.ndarray, points: Points, colour: Colour, *, patch: bool = False) -> None:
    """Fill; `points` are pixels of the frame, or head coordinates on a `patch`."""
    where = fixed(points) if patch else np.round(points * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(image, [where], colour, cv2.LINE_AA, SHIFT)


def line(face: np.ndarray, points: Points, colour: Colour, thickness: int) -> None:
    cv2.polylines(face, [fixed(points)], False, colour, thickness, cv2.LINE_AA, SHIFT)


def disc(face: np.ndarray, at: np.ndarray, radius: float, colour: Colour, corner: np.ndarray | None = None) -> None:
    x, y = fixed(at[None], corner)[0].tolist()
    cv2.circle(face, (x, y), round(radius * SCALE * (1 << SHIFT)), colour, -1, cv2.LINE_AA, SHIFT)
