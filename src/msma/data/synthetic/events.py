"""When a structured clip smiles, nods, lifts its brows and speaks up: as many events in every clip, only placed anew.

What one modality shows says nothing: bursts of speech and smiles fall on the first or the second of two beats by coins
that are fair each on its own, only whether the coins agree is the value; nods fall on the even or the odd beats, and
pauses between beats, so that which of the two a pause follows takes both to be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from numpy.random import Generator

from msma.data.synthetic.cues import Behaviour
from msma.data.synthetic.structure import EDGE_S, EVENT_S, count_of

BEATS, BEAT_S = 9, 0.84
"""Bursts, smiles and nods fall on beats, pauses between them; there are two beats for each, and one to begin with."""
MIN_SECONDS = 8.0
"""A structured clip is at least as long."""
JITTER_S = 0.03
"""Bursts, smiles and nods are off their beat by at most this much."""
PAUSE_S = (0.28, 0.44)
"""Length of a pause for the least and the most pausing person; with a burst beside it, it still fits a beat."""
PAUSE_SHARE = (0.05, 0.65)
"""The range of `Behaviour.pause_share`; the lips of a structured clip keep to it, at times of their own."""
APART_S = 0.45
"""Onsets of two events of one part of the face are at least so far apart."""
PAIRS_S = (1.0, 0.5, 2.0)
"""Distance of the onsets of two tilts, two flashes of the brows, or two frowns that are a pair."""
OFF_S = (0.35, 0.5)
"""Two events that aren't a pair are nearer or farther than one by at least the first, those of a couple at most by the
second."""
DRAWS = 64
"""Layouts of pairs that are drawn at a time; about a fourth of them can be used."""
BURST_DB = 8.0
"""How much louder bursts are than the speech around them."""
CORNERS, INNER_BROW = (0.0, 0.05), (0.0, 0.06)
"""Difference of the mouth's corners, and lift of one inner brow against its outer end, at -2.7 and +2.7 standard
deviations, as shares of the head's height."""
LARGEST_VALUE = 2.7


@dataclass(frozen=True)
class Events:
    """One clip's schedule; events begin at these times in seconds and take EVENT_S."""

    bursts: Float64[np.ndarray, " b"]
    smiles: Float64[np.ndarray, " b"]
    nods: Float64[np.ndarray, " n"]
    pauses: Float64[np.ndarray, "p 2"]
    """Starts and ends of what the voice leaves out."""
    raises: Float64[np.ndarray, " r"]
    """Both brows go up."""
    tilts: Float64[np.ndarray, " r"]
    """The head leans to one side."""
    frowns: Float64[np.ndarray, " r"]
    """Both brows go down."""
    side: int
    """-1 or 1: the side that tilts go to."""
    corners: float
    """How much higher the mouth's right corner is than its left one, as a share of the head's height."""
    inner_brows: tuple[float, float]
    """How much higher the inner end of the left and of the right brow is than its outer end."""


def with_room(act: Behaviour) -> Behaviour:
    """The same behaviour in narrower ranges, so that events stand out from it whatever the cues are."""
    middle = 0.13
    return replace(
        act,
        smile=0.7 * act.smile,
        brow_height=middle + 0.6 * (act.brow_height - middle),
        nod_px=0.375 * act.nod_px,
        sway_px=0.5 * act.sway_px,
        level_db=act.level_db - BURST_DB,
    )


def place_events(values: Float64[np.ndarray, " u"], act: Behaviour, seconds: float, rng: Generator) -> Events:
    """A schedule that shows exactly `values` (order of STRUCTURES)."""
    centres = rng.uniform(0, seconds - BEATS * BEAT_S) + BEAT_S * (np.arange(BEATS) + 0.5)
    pairs = (BEATS - 1) // 2
    first = 2 * np.arange(pairs) + rng.integers(2)
    burst_at = rng.integers(2, size=pairs)
    agrees = rng.permutation(pairs) < count_of("coincidence", values)
    smile_at = np.where(agrees, burst_at, 1 - burst_at)

    odd = int(rng.integers(2))
    preceded = count_of("order", values)
    after_nod, before_nod = 2 * rng.permutation(pairs) + odd, 2 * rng.permutation(pairs) + 1 - odd
    gaps = np.sort(np.concatenate([after_nod[:preceded], before_nod[: pairs - preceded]]))
    middles = centres[gaps] + BEAT_S / 2
    length = np.interp(act.pause_share, PAUSE_SHARE, PAUSE_S)

    def on(beats: np.ndarray) -> Float64[np.ndarray, " n"]:
        return centres[beats] - EVENT_S / 2 + rng.uniform(-JITTER_S, JITTER_S, len(beats))

    counts = [count_of(name, values) for name in ("pairs_1s", "pairs_0.5s", "pairs_2s")]
    tilts, raises, frowns = place_pairs(counts, seconds - 2 * EVENT_S, rng)
    share = (np.clip(values[-2:], -LARGEST_VALUE, LARGEST_VALUE) / LARGEST_VALUE + 1) / 2
    lifted = np.interp(share[1], (0, 1), INNER_BROW)
    return Events(
        bursts=on(first + burst_at),
        smiles=on(first + smile_at),
        nods=on(np.arange(odd, BEATS, 2)),
        pauses=np.stack([middles - length / 2, middles + length / 2], axis=1),
        raises=raises + EVENT_S / 2,
        tilts=tilts + EVENT_S / 2,
        frowns=frowns + EVENT_S / 2,
        side=int(rng.choice((-1, 1))),
        corners=float(np.interp(share[0], (0, 1), CORNERS) * rng.choice((-1, 1))),
        inner_brows=(lifted, 0.0) if rng.integers(2) else (0.0, lifted),
    )


def place_pairs(counts: Sequence[int], span_s: float, rng: Generator) -> list[Float64[np.ndarray, " 4"]]:
    """Onsets in [0, span_s] of the events of PAIRS_S, four of each: `counts` of their two couples are at that distance.

    No two others are nearly so far apart. The brows do one thing at a time.
    """
    while True:
        tilts, raises, frowns = (
            draw_couples(count, distance_s, span_s, rng) for count, distance_s in zip(counts, PAIRS_S, strict=True)
        )
        clear = np.abs(raises[:, None, :, None] - frowns[:, None]).min(axis=(2, 3)) >= APART_S
        if len(tilts) and clear.any():
            up, down = np.argwhere(clear)[0]
            return [tilts[0], raises[up], frowns[down]]


def draw_couples(count: int, distance_s: float, span_s: float, rng: Generator) -> Float64[np.ndarray, "n 4"]:
    """Some layouts of two couples of events in [0, span_s], none close to another: `count` are `distance_s` apart.

    The others are OFF_S closer or farther, by a coin, so that when events come says nothing; or farther, where closer
    ones would run into each other.
    """
    sign = rng.choice((-1, 1), size=(DRAWS, 2)) if distance_s - OFF_S[1] >= APART_S else 1
    apart = distance_s + np.where(np.arange(2) < count, 0.0, sign * rng.uniform(*OFF_S, size=(DRAWS, 2)))
    middles = rng.uniform(0, span_s, size=(DRAWS, 2))
    onsets = np.concatenate([middles - apart / 2, middles + apart / 2], axis=1)
    others = np.abs(onsets[:, :, None] - onsets[:, None])
    others[:, np.arange(count), 2 + np.arange(count)] = np.inf
    others = others[:, *np.triu_indices(4, 1)]
    within = (onsets >= 0) & (onsets <= span_s)
    free = (others >= APART_S) & (np.abs(others - distance_s) >= OFF_S[0])
    return np.sort(onsets[within.all(axis=1) & free.all(axis=1)], axis=1)


def bumps(time_s: np.ndarray, onsets: np.ndarray) -> Float64[np.ndarray, " t"]:
    """0 at rest, 1 in an event, soft over EDGE_S at either end."""
    since = np.asarray(time_s)[:, None] - onsets
    depth = np.clip(np.minimum(since, EVENT_S - since) / EDGE_S, 0, 1)
    return (0.5 - 0.5 * np.cos(np.pi * depth)).max(axis=1, initial=0.0)
