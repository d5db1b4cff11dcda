"""The table of all corruptions: one row each, with its severities."""

from __future__ import annotations

from difflib import get_close_matches

from msma.corruptions import audio, channel, occlusion, scene, stream, visual
from msma.corruptions.corruption import Corruption
from msma.types import MsmaError

HELD_OUT = frozenset(
    {"interference", "reverberation", "audio codec", "blur", "video codec", "camera motion", "synchrony", "joint"}
)
"""Families that are never used in training, so that a robustness table shows what is left for the unforeseen."""
CORRUPTIONS = {row.name: row for module in (audio, visual, occlusion, stream, scene, channel) for row in module.ROWS}
JOINT = tuple(row.name for module in (scene, channel) for row in module.ROWS)
"""The causes that strike both streams at once."""


def find_corruption(name: str) -> Corruption:
    """The row of this name; MsmaError where there is none."""
    if name not in CORRUPTIONS:
        near = ", ".join(get_close_matches(name, CORRUPTIONS, cutoff=0.4))
        raise MsmaError(
            f"{name}: no such corruption; `msma corruptions` lists all" + (f"; near it: {near}" if near else "")
        )
    return CORRUPTIONS[name]
