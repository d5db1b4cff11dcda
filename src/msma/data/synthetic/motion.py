"""Motion of the head: one value per frame for everything that changes in the frames."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from msma.data.synthetic.cues import Behaviour
from msma.data.synthetic.events import Events, bumps

SWAY_HZ, NOD_HZ = (0.37, 0.63), (1.33, 1.57)
"""Main and second frequency; the nod stays under 2 Hz, to be seen at 4 frames per second."""
BLINK_PERIOD_S = 1.07
"""Not a multiple of the time between sampled frames, so that few frames see every phase of a blink."""
GLANCE_PERIOD_S = 2.3
LOOK_TURN = 0.035
"""Who looks aside also turns the head a little: features slide by this share of the head's height."""
ROLL_PER_PX = 0.30
"""Degrees of roll for a pixel of sway."""
DIP_PX, DIP_TURN = 8.0, 0.09
"""A single nod: how far the head goes down, and its features over it as a share of the head's height."""
TILT_DEG = 12.0
SMILE_RISE = 1.0
"""A brief smile on top of the lasting one, in units of `Behaviour.smile`."""
BROW_RISE, BROW_DROP = 0.045, 0.04
"""How far both brows go up or down, as shares of the head's height."""


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
    smile: Float[np.ndarray, " t"]
    """What brief smiles add to the lasting one, in the same units."""
    brows: Float[np.ndarray, " t"]
    """What flashes and frowns add to the height of the brows, shares of the head's height."""
    corners: float = 0.0
    """How much higher the mouth's right corner is than its left one, share of the head's height."""
    inner_brows: tuple[float, float] = (0.0, 0.0)
    """How much higher the inner end of the left and of the right brow is than its outer end, likewise."""


def move(act: Behaviour, frames: int, fps: int, rng: np.random.Generator, events: Events | None = None) -> Motion:
    """Motion of one clip. Phases and framing are random, amplitudes exactly those of `act`; `events` come on top."""
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
    still = np.zeros(frames)
    motion = Motion(
        centre, ROLL_PER_PX * act.sway_px * sway, turn, lids=1 - closed, gaze=gaze, smile=still, brows=still
    )
    return motion if events is None else with_events(motion, time_s, events)


def with_events(motion: Motion, time_s: Float[np.ndarray, " t"], events: Events) -> Motion:
    """The motion with single nods, tilts, brief smiles, flashes and frowns on top, and an uneven face."""
    down = bumps(time_s, events.nods)[:, None] * [0.0, 1.0]
    return replace(
        motion,
        centre_px=motion.centre_px + DIP_PX * down,
        turn=motion.turn + DIP_TURN * down,
        roll_deg=motion.roll_deg + TILT_DEG * events.side * bumps(time_s, events.tilts),
        smile=SMILE_RISE * bumps(time_s, events.smiles),
        brows=BROW_RISE * bumps(time_s, events.raises) - BROW_DROP * bumps(time_s, events.frowns),
        corners=events.corners,
        inner_brows=events.inner_brows,
    )


def unit_wave(time_s: np.ndarray, hz: tuple[float, float], rng: np.random.Generator) -> Float[np.ndarray, " t"]:
    """Two sines of random phase, scaled to mean 0 and variance 1 over the clip."""
    phase = rng.uniform(size=2)
    wave = np.sin(2 * np.pi * (hz[0] * time_s + phase[0])) + 0.35 * np.sin(2 * np.pi * (hz[1] * time_s + phase[1]))
    return (wave - wave.mean()) / max(wave.std(), 1e-9)
