"""Motion of the head: one value per frame for everything that changes in the frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from msma.data.synthetic.cues import Behaviour

SWAY_HZ, NOD_HZ = (0.37, 0.63), (1.33, 1.57)
"""Main and second frequency; the nod stays under 2 Hz, to be seen at 4 frames per second."""
BLINK_PERIOD_S = 1.07
"""Not a multiple of the time between sampled frames, so that few frames see every phase of a blink."""
GLANCE_PERIOD_S = 2.3
LOOK_TURN = 0.035
"""Who looks aside also turns the head a little: features slide by this share of the head's height."""
ROLL_PER_PX = 0.30
"""Degrees of roll for a pixel of sway."""


@dataclass(frozen=True)
class Motion:
    """One row per frame; pixels are those of a frame 320 wide."""

    centre_px: Float[np.ndarray, "t 2"]
    """Middle of the head, relative to the middle of the frame: rightwards, downwards."""
    roll_deg: Float[np.ndarray, " t"]
    turn: Float[np.ndarray, "t 2"]
    """How far the features slide over the head as it turns: rightwards, downwards, shares of the head's height."""
    lids: Float[np.ndarray, " t"]
    """1 open to 0 closed."""
    gaze: Float[np.ndarray, "t 2"]
    """Rightwards and downwards, in [-1, 1]."""


def move(act: Behaviour, frames: int, fps: int, rng: np.random.Generator) -> Motion:
    """Motion of one clip. Phases and framing are random; amplitudes are exactly those of `act`."""
    time_s = np.arange(frames) / fps
    sway = unit_wave(time_s, SWAY_HZ, rng)
    nod = unit_wave(time_s, NOD_HZ, rng)
    framing = rng.uniform((-12.0, -4.0), (12.0, 4.0))
    centre = framing + np.stack([act.sway_px * sway, act.nod_px * nod], axis=1)
    blink = (time_s / BLINK_PERIOD_S + rng.uniform()) % 1
    # A lid takes a third of the blink to close and to open.
    closed = np.clip(1.5 * (1 - np.abs(blink - 0.5) / (act.blink_share / 2)), 0, 1)
    side = np.tanh(4 * np.sin(2 * np.pi * (time_s / GLANCE_PERIOD_S + rng.uniform())))
    averted = act.gaze_aversion * side
    turn = np.stack([LOOK_TURN * averted + 0.0008 * act.sway_px * sway, 0.004 * act.nod_px * nod], axis=1)
    gaze = np.stack([averted, np.full(frames, 0.6 * act.gaze_aversion)], axis=1)
    return Motion(centre, roll_deg=ROLL_PER_PX * act.sway_px * sway, turn=turn, lids=1 - closed, gaze=gaze)


def unit_wave(time_s: np.ndarray, hz: tuple[float, float], rng: np.random.Generator) -> Float[np.ndarray, " t"]:
    """Two sines of random phase, scaled to mean 0 and variance 1 over the clip."""
    phase = rng.uniform(size=2)
    wave = np.sin(2 * np.pi * (hz[0] * time_s + phase[0])) + 0.35 * np.sin(2 * np.pi * (hz[1] * time_s + phase[1]))
    return (wave - wave.mean()) / max(wave.std(), 1e-9)
