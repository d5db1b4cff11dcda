"""The table of all corruptions: one row each, with its severities.

`HELD_OUT` families are never used in training, so that a robustness table shows what is left for the unforeseen.
"""

from __future__ import annotations

from msma.corruptions import audio, audio_noise, light, missing, occlusion, stream, visual
from msma.corruptions.corruption import Corruption
from msma.types import MsmaError

HELD_OUT = frozenset(
    {"interference", "reverberation", "audio codec", "blur", "video codec", "camera motion", "synchrony"}
)

ROWS = (
    *audio_noise.ROWS,
    *audio.ROWS,
    *visual.ROWS,
    *light.ROWS,
    *occlusion.ROWS,
    *stream.ROWS,
    *missing.ROWS,
)

CORRUPTIONS = {row.name: row for row in ROWS}
FAMILIES = tuple(dict.fromkeys(row.family for row in ROWS))


def named(name: str) -> Corruption:
    """Raises:
    MsmaError: there is no corruption of this name.
    """
    if name not in CORRUPTIONS:
        raise MsmaError(f"{name}: no such corruption; choose among {', '.join(CORRUPTIONS)}")
    return CORRUPTIONS[name]
