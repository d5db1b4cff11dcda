"""Pictures and sound of a clip inside a page."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from msma.media.audio import FLOOR_DB, level_db
from msma.media.sound_codec import encode
from msma.pages.page import data_uri, text
from msma.types import SAMPLE_RATE

PICTURE_SIDE = 240
"""Longest side in pixels; the page shows them smaller unless it is zoomed."""
JPEG_QUALITY = 85
SOUND_KBIT_S = 64.0
"""As MP3, which every browser plays; of mono sound up to 8 kHz nothing is lost that one hears."""
WAVE_WIDTH, WAVE_HEIGHT = 240, 48
"""Of the drawn waveform: steps in time, and units up and down together."""


def picture(frame: UInt8[np.ndarray, "h w 3"], alt: str) -> str:
    small = scaled(frame)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    source = data_uri("image/jpeg", jpeg.tobytes())
    return f'<img src="{source}" alt="{text(alt)}" width="{small.shape[1]}" height="{small.shape[0]}">\n'


def scaled(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    height, width = frame.shape[:2]
    scale = PICTURE_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return frame if scale >= 1 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def player(waveform: Float32[np.ndarray, " n"], label: str) -> str:
    source = data_uri("audio/mpeg", encode(waveform, "mp3", SOUND_KBIT_S))
    return f'<audio controls preload="metadata" src="{source}" aria-label="{text(label)}, sound"></audio>\n'


def drawing(waveform: Float32[np.ndarray, " n"], seconds: float, label: str, full_scale: float) -> str:
    """The waveform over `seconds`, as the span from the lowest to the highest sample of each step.

    Args:
        full_scale: the sample that reaches the edge.
    """
    step = max(1, round(seconds * SAMPLE_RATE / WAVE_WIDTH))
    low, high = envelope(waveform, step)
    half = WAVE_HEIGHT / 2
    top, bottom = (half - half * np.clip(edge / full_scale, -1, 1) for edge in (high, low))
    there = [f"{x} {y:.1f}" for x, y in enumerate(top)]
    # A silent step still has a line.
    back = [f"{x} {max(y, top[x] + 0.6):.1f}" for x, y in reversed(list(enumerate(bottom)))]
    rms_db = max(level_db(waveform), FLOOR_DB)
    return (
        f'<svg class="waveform" viewBox="0 0 {WAVE_WIDTH} {WAVE_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(label)}, waveform: {rms_db:.0f} dB re full scale">'
        f'<path fill="#0b4a8f" d="M{" L".join(there + back)}Z"/></svg>\n'
    )


def envelope(waveform: Float32[np.ndarray, " n"], step: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of every `step` samples."""
    starts = np.arange(0, len(waveform), step)
    return np.minimum.reduceat(waveform, starts), np.maximum.reduceat(waveform, starts)


def full_scale_of(waveform: Float32[np.ndarray, " n"]) -> float:
    """A little more than the loudest sample."""
    peak = float(np.abs(waveform).max(initial=0.0))
    return min(1.0, 1.25 * peak) or 1.0
