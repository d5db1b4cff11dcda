"""Corruptions that hide the face: RGB frames `(t, h, w, 3)`, uint8, and where the face is → the same shape.

Where no face was found, the FaceTrack's box is the whole frame, and that is taken as the face.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from msma.corruptions.corruption import row
from msma.corruptions.visual import Frame, Frames, each
from msma.media.frames import square_crop
from msma.types import FaceTrack

Box = Float32[np.ndarray, "4"]
Point = Float64[np.ndarray, "2"]
Lines = Float64[np.ndarray, "lines 5"]
"""A drawing of a hand, as HAND."""

FABRIC, PLEAT = (172, 205, 222), (140, 172, 190)
BITS = 4
"""Binary places of the coordinates that OpenCV draws at."""
HAND = np.array(
    [
        [0.0, -0.1, 0.0, -4.0, 0.26],
        [-0.16, 0.1, -0.25, 0.48, 0.1],
        [-0.055, 0.1, -0.075, 0.58, 0.1],
        [0.06, 0.1, 0.08, 0.55, 0.1],
        [0.16, 0.1, 0.22, 0.42, 0.09],
        [0.08, -0.12, 0.4, 0.12, 0.12],
        [0.0, -0.08, 0.0, 0.08, 0.42],
    ]
)
"""Arm, fingers, thumb and palm as thick lines: x, y of both ends from the middle of the palm and the thickness, in
lengths of the hand; y grows towards the fingers."""
HAND_SIZE, LARGEST_HAND = 0.9, 12.0
"""Lengths of the hand in heights of the face: at the face, and close to the lens."""
FARTHEST = 1.5
"""From the middle of the face to a hand that covers nothing of it, in its longer sides."""
RIM = 0.012
"""Half the thickness of the dark line around a hand, in its lengths."""
COVER_ROWS = 64
"""Rows of the drawing of a face in which it is measured how much of it a hand covers."""


def face_mask(frames: Frames, rng: np.random.Generator, face_share: float, *, face: FaceTrack) -> Frames:
    """A surgical mask over the lower share of the height of the face."""
    # From side to side; the upper edge is highest on the nose, the lower one follows the chin.
    across = np.linspace(0.0, 1.0, 17)
    bow = (2 * across - 1) ** 2
    upper = 1 - face_share * (1 - 0.25 * bow)
    lower = 1 - face_share * 0.35 * bow**2
    edge = np.concatenate([np.stack([across, upper], 1), np.stack([across, lower], 1)[::-1]])
    pleats = [np.stack([across, upper + down * (lower - upper)], 1)[2:-2] for down in (0.3, 0.5, 0.7)]
    covered = frames.copy()
    for frame, box in zip(covered, face.boxes, strict=True):
        cv2.fillPoly(frame, [points(edge, box)], FABRIC, cv2.LINE_8, BITS)
        thickness = max(1, round(0.015 * float(box[3])))
        cv2.polylines(frame, [points(pleat, box) for pleat in pleats], False, PLEAT, thickness, cv2.LINE_8, BITS)
    return covered


def bar(frames: Frames, rng: np.random.Generator, face_share: float, *, face: FaceTrack) -> Frames:
    """A black bar across the face, a share of its height high, at a random height that is the same in all frames."""
    begins = rng.uniform(0, 1 - face_share)
    covered = frames.copy()
    for frame, (left, top, width, height) in zip(covered, face.boxes.tolist(), strict=True):
        first, last = round(top + begins * height), round(top + (begins + face_share) * height)
        frame[max(first, 0) : max(last, 0), max(round(left), 0) : max(round(left + width), 0)] = 0
    return covered


def hand(frames: Frames, rng: np.random.Generator, face_share: float, *, face: FaceTrack) -> Frames:
    """A hand of the colour of the face moves before it and covers a share of it, in the mean over the frames."""
    turn, mirror = rng.uniform(-1.0, 1.0), rng.choice([-1.0, 1.0])
    angles = rng.uniform(0, 2 * math.pi) + np.arange(len(frames)) * rng.uniform(0.6, 1.4)
    sway = 0.12 * np.stack([np.cos(angles), np.sin(1.3 * angles)], axis=1)
    turned = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    shape = HAND.copy()
    shape[:, :4] = ((HAND[:, :4].reshape(-1, 2) * [mirror, -1.0]) @ turned).reshape(-1, 4)  # rows grow downwards
    arm = np.array([0.0, 1.0]) @ turned
    nearness = nearness_for(face_share, shape, sway[:: max(1, len(sway) // 8)], arm, face.boxes)
    skin = np.median(square_crop(frames[0], face.boxes[0], 0.5, 16).reshape(-1, 3), axis=0)
    covered = frames.copy()
    for frame, box, here in zip(covered, face.boxes, sway, strict=True):
        draw_hand(frame, box, here, shape, arm, nearness, 0.6 * skin, RIM)
        draw_hand(frame, box, here, shape, arm, nearness, 0.9 * skin, -RIM)
    return covered


def face_partly_out(frames: Frames, rng: np.random.Generator, face_share: float, *, face: FaceTrack) -> Frames:
    """All frames are moved alike until a share of the face is beyond the edge that is nearest to it.

    What comes in on the other side is the last row or column, repeated as where a face crop reaches out of the frame.
    """
    height, width = frames.shape[1:3]
    left, top, wide, high = (float(side) for side in np.median(face.boxes, axis=0))
    # How far the frame must go, by the edge that the face goes out at.
    moves = {
        (-1, 0): left + face_share * wide,
        (1, 0): width - left - wide + face_share * wide,
        (0, -1): top + face_share * high,
        (0, 1): height - top - high + face_share * high,
    }
    (right, down), distance = min(moves.items(), key=lambda move: move[1])
    down, right = (max(0, round(distance)) * way for way in (down, right))
    above, before = max(-down, 0), max(-right, 0)  # what goes out
    borders = max(down, 0), above, max(right, 0), before

    def moved(frame: Frame) -> Frame:
        widened = cv2.copyMakeBorder(frame, *borders, cv2.BORDER_REPLICATE)
        return widened[above : above + height, before : before + width]

    return each(frames, moved)


def points(shares: Float64[np.ndarray, "p 2"], box: Box) -> np.ndarray:
    """Shares of the width and height of the box → what OpenCV draws at."""
    return np.rint((box[:2] + shares * box[2:]) * 2**BITS).astype(np.int32)


def nearness_for(
    face_share: float, shape: Lines, sway: Float64[np.ndarray, "p 2"], arm: Point, boxes: Float32[np.ndarray, "t 4"]
) -> float:
    """The nearness at which a hand covers that share of the face in the mean over `sway`, found by halving."""
    wide, high = np.median(boxes[:, 2:], axis=0)
    columns = min(max(1, round(COVER_ROWS * float(wide / high))), 4 * COVER_ROWS)
    box = np.array([0, 0, columns, COVER_ROWS], np.float32)

    def covered(nearness: float) -> float:
        drawings = np.zeros((len(sway), COVER_ROWS, columns), np.uint8)
        for drawing, here in zip(drawings, sway, strict=True):
            draw_hand(drawing, box, here, shape, arm, nearness, np.ones(1), RIM)
        return float(drawings.mean())

    far, near = 0.0, 2.0
    for _ in range(9):
        middle = (far + near) / 2
        far, near = (middle, near) if covered(middle) < face_share else (far, middle)
    return near


def draw_hand(
    frame: np.ndarray, box: Box, sway: Point, shape: Lines, arm: Point, nearness: float, colour: np.ndarray, rim: float
) -> None:
    """Draw `shape`, made thicker by `rim`; `sway` is in shares of the box.

    From a `nearness` of 0 to 1 the hand comes from its arm to the middle of the face, and to 2 nearer to the lens.
    """
    unit = float(box[3]) * HAND_SIZE * (LARGEST_HAND / HAND_SIZE) ** max(nearness - 1, 0.0)
    palm = box[:2] + (0.5 + sway) * box[2:] + max(1 - nearness, 0.0) * float(box[2:].max()) * FARTHEST * arm
    for line in shape:
        ends = np.rint((np.tile(palm, 2) + unit * line[:4]) * 2**BITS).astype(int)
        thickness = max(1, round(unit * (line[4] + rim)))
        cv2.line(frame, ends[:2].tolist(), ends[2:].tolist(), colour.tolist(), thickness, cv2.LINE_8, BITS)


ROWS = (
    row(face_mask, "occlusion", (0.18, 0.3, 0.42, 0.54, 0.66), "a surgical mask over the lower share of the face"),
    row(hand, "occlusion", (0.12, 0.25, 0.42, 0.62, 0.85), "a hand before the face covers a share of it"),
    row(bar, "occlusion", (0.1, 0.22, 0.38, 0.58, 0.8), "a black bar across a share of the face's height"),
    row(face_partly_out, "occlusion", (0.1, 0.22, 0.38, 0.58, 0.8), "a share of the face is beyond the frame's edge"),
)
