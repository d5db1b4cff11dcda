"""Pictures as JPEG."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

LOOKED_AT = (cv2.IMWRITE_JPEG_QUALITY, 85)
"""For pictures that people look at."""


def to_jpeg(picture: UInt8[np.ndarray, "h w 3"], settings: Sequence[int] = LOOKED_AT) -> UInt8[np.ndarray, " _"]:
    """The bytes of an RGB picture; `settings` are OpenCV's."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)
    return encoded


def shrunk(picture: UInt8[np.ndarray, "h w 3"], longest: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """No side longer than `longest` pixels; what is small enough comes back itself."""
    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return picture if scale >= 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
