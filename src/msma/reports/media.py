"""Frames and audio of a clip inside a page."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8
from markupsafe import Markup

from msma.media.audio import FLOOR_DB, level_db
from msma.media.encode import encode, shrunk, to_jpeg
from msma.reports.page import data_uri, part, text
from msma.types import SAMPLE_RATE

STILL_SIDE = 240
"""Longest side in pixels; the page shows them smaller unless it is zoomed."""
AUDIO_KBIT_S = 64.0
"""As MP3, which every browser plays; of mono audio up to 8 kHz nothing is lost that one hears."""
WAVE_WIDTH = 240
"""Steps in time of the drawn waveform."""


def still(frame: UInt8[np.ndarray, "h w 3"], alt: str) -> Markup:
    small = shrunk(frame, STILL_SIDE)
    source = data_uri("image/jpeg", to_jpeg(small).tobytes())
    return Markup(f'<img src="{source}" alt="{text(alt)}" width="{small.shape[1]}" height="{small.shape[0]}">\n')


def player(waveform: Float32[np.ndarray, " n"], label: str) -> Markup:
    source = data_uri("audio/mpeg", encode(waveform, "mp3", AUDIO_KBIT_S))
    return Markup(f'<audio controls preload="metadata" src="{source}" aria-label="{text(label)}, audio"></audio>\n')


def drawing(waveform: Float32[np.ndarray, " n"], seconds: float, label: str, peak: float | None = None) -> Markup:
    """The waveform over `seconds`, as the span from the lowest to the highest sample of each step.

    `peak` is the loudest sample of all that is drawn on one scale, by default of this waveform.
    """
    starts = np.arange(0, len(waveform), max(1, round(seconds * SAMPLE_RATE / WAVE_WIDTH)))
    low, high = np.minimum.reduceat(waveform, starts), np.maximum.reduceat(waveform, starts)
    rms_db = max(level_db(waveform), FLOOR_DB)
    label = f"{label}, waveform: {rms_db:.0f} dB re full scale"
    own = float(np.abs(waveform).max(initial=0.0))
    return part("charts.html.j2", "wave", low, high, label, own if peak is None else peak, WAVE_WIDTH)
