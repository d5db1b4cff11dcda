"""Cut the face out of every sampled frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from msma.config import ClipConfig
from msma.media.faces import WHOLE_FRAME
from msma.types import FaceTrack


@dataclass(frozen=True)
class Jitter:
    """One change of all face crops of a clip, which leaves what is in them as it is. The boxes are not changed: where a
    face is, and how near, is a cue."""

    across: float = 0.0
    down: float = 0.0
    """Shift of the crop, in shares of the longer side of the face box."""
    scale: float = 1.0
    """Factor of the crop's side."""
    brightness: float = 0.0
    """Added, as a share of the range."""
    contrast: float = 1.0
    """Factor of the distance from the clip's mean."""
    saturation: float = 1.0
    """Factor of the distance from grey."""


STILL = Jitter()
"""No change."""
LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""


def face_crops(
    frames: UInt8[np.ndarray, "t h w 3"], face: FaceTrack, config: ClipConfig, jitter: Jitter = STILL
) -> tuple[UInt8[np.ndarray, "t 3 s s"], Float32[np.ndarray, "t 4"]]:
    """Square crops of side `config.crop_size`, and the boxes of the faces in shares of the frame.

    A box is centre x, centre y, width, height over the width and height of the frame. Without a face, the whole
    frame is made square by repeating its edge, so that nothing is cut off; of `jitter` it gets the colours only.
    """
    size = config.crop_size
    shares = box_shares(face.boxes, *frames.shape[1:3])
    if face.detector == WHOLE_FRAME:
        return recoloured(whole_frames(frames, size), jitter), shares
    longer = face.boxes[:, 2:].max(axis=1, keepdims=True, initial=0.0)
    boxes = face.boxes + longer * np.array([jitter.across, jitter.down, 0.0, 0.0], np.float32)
    margin = config.face_margin * jitter.scale
    crops = [square_crop(frame, box, margin, size) for frame, box in zip(frames, boxes, strict=True)]
    return recoloured(stacked(crops, size), jitter), shares


def recoloured(crops: UInt8[np.ndarray, "t 3 s s"], jitter: Jitter) -> UInt8[np.ndarray, "t 3 s s"]:
    """The crops with another brightness, contrast and saturation, all in the same way."""
    if not len(crops) or (jitter.brightness, jitter.contrast, jitter.saturation) == (0.0, 1.0, 1.0):
        return crops
    mix = jitter.contrast * (jitter.saturation * np.eye(3) + (1 - jitter.saturation) * np.tile(LUMA, (3, 1)))
    grey = float(crops.mean(axis=(0, 2, 3)) @ LUMA)
    offset = 255 * jitter.brightness + (1 - jitter.contrast) * grey
    tall = np.ascontiguousarray(crops.transpose(0, 2, 3, 1)).reshape(-1, crops.shape[-1], 3)
    changed = cv2.transform(tall, np.column_stack([mix, np.full(3, offset)]).astype(np.float32))
    return stacked([*changed.reshape(len(crops), *crops.shape[2:], 3)], crops.shape[-1])


def whole_frames(frames: UInt8[np.ndarray, "t h w 3"], size: int) -> UInt8[np.ndarray, "t 3 s s"]:
    """Every frame as a whole, made square by repeating its edge."""
    return stacked([letterbox(frame, size) for frame in frames], size)


def stacked(frames: list[np.ndarray], size: int) -> UInt8[np.ndarray, "t 3 s s"]:
    together = np.stack(frames).transpose(0, 3, 1, 2) if frames else np.zeros((0, 3, size, size), np.uint8)
    return np.ascontiguousarray(together)


def box_shares(boxes: Float32[np.ndarray, "t 4"], height: int, width: int) -> Float32[np.ndarray, "t 4"]:
    """Left, top, width, height in pixels → centre x, centre y, width, height in shares of the frame."""
    scale = np.array([max(width, 1), max(height, 1)] * 2, np.float32)
    return np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], axis=1) / scale


def square_crop(
    frame: UInt8[np.ndarray, "h w 3"], box: Float32[np.ndarray, "4"], margin: float, size: int
) -> UInt8[np.ndarray, "s s 3"]:
    """A square around the centre of `box`, `margin` times its longer side, resized to `size`.

    Outside the frame its edge is repeated. A centre outside the frame is moved to its edge.
    """
    height, width = frame.shape[:2]
    side = max(2, round(min(margin * float(box[2:].max()), 2.0 * max(height, width))))
    left = round(min(max(float(box[0] + box[2] / 2), 0.0), width - 1.0) - side / 2)
    top = round(min(max(float(box[1] + box[3] / 2), 0.0), height - 1.0) - side / 2)
    inside = frame[max(top, 0) : min(top + side, height), max(left, 0) : min(left + side, width)]
    borders = max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0)
    if any(borders):
        inside = cv2.copyMakeBorder(inside, *borders, cv2.BORDER_REPLICATE)
    return resize(inside, size, size)


def letterbox(frame: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "s s 3"]:
    """The whole frame, its longer side `size`, centred in a square."""
    height, width = frame.shape[:2]
    scale = size / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (size - rows) // 2, (size - columns) // 2
    borders = top, size - rows - top, left, size - columns - left
    return cv2.copyMakeBorder(resize(frame, rows, columns), *borders, cv2.BORDER_REPLICATE)


def resize(frame: UInt8[np.ndarray, "h w 3"], rows: int, columns: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """A frame of another size: by area where it shrinks, so that nothing is skipped; linear where it grows."""
    shrinks = rows < frame.shape[0]
    return cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
