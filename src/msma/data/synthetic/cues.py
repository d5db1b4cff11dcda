"""Latent traits → behaviour cues → rendering parameters.

    z ~ N(0, R)           five traits, in standard deviations, OCEAN order
    c = A z + noise       one value per cue, unit variance; a cue that both modalities show counts once
    apparent score        0.5 + 0.15 z, clipped to [0, 1]

All of it is linear and Gaussian, so E[z | c] and its quality are exact (`oracle`). As in First Impressions V2 the
stored `neuroticism` behaves as emotional stability: it correlates positively with the other four.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from msma.types import TRAITS

SCORE_MEAN = 0.5
SCORE_STD = 0.15
TRAIT_CORRELATION = 0.35
UNBIASED = np.zeros(len(TRAITS))
LARGEST_CUE = 2.7
"""Rendering saturates at this many standard deviations; 0.7 % of cue values lie beyond."""


@dataclass(frozen=True)
class Cue:
    """One observable behaviour."""

    name: str
    modalities: tuple[str, ...]
    weights: tuple[float, float, float, float, float]
    """Mix of openness, conscientiousness, extraversion, agreeableness, emotional stability; scaled to unit variance."""
    validity: float
    """Correlation of the cue with its mix, in [0, 1]; the rest is noise."""


V, A, AV = ("visual",), ("audio",), ("audio", "visual")
CUES = (
    Cue("smile", V, (0.0, 0.0, 0.3, 1.0, 0.0), 0.84),
    Cue("brow_height", V, (1.0, -0.4, 0.0, 0.0, -0.3), 0.82),
    Cue("eye_opening", V, (0.8, -0.4, 0.0, 0.0, -0.3), 0.60),
    Cue("gaze", V, (-0.2, 0.6, 0.0, 0.2, 0.5), 0.50),
    Cue("nod", V, (-0.2, 0.0, -0.2, 1.0, 0.0), 0.65),
    Cue("closeness", V, (0.0, -0.4, 1.0, 0.0, 0.0), 0.62),
    Cue("blink", V, (0.0, 0.0, 0.0, 0.0, -1.0), 0.30),
    Cue("liveliness", AV, (0.2, -0.3, 1.0, 0.0, -0.2), 0.70),
    Cue("pauses", AV, (0.0, -0.4, -0.8, 0.0, 0.2), 0.40),
    Cue("pitch", A, (0.0, -0.3, 0.0, 0.6, -0.8), 0.60),
    Cue("loudness", A, (-0.2, 0.0, 0.9, -0.4, 0.2), 0.70),
    Cue("speech_rate", A, (0.2, 1.0, 0.0, -0.2, -0.2), 0.84),
    Cue("tilt", A, (-0.2, -0.2, -0.2, 0.2, 1.0), 0.84),
    Cue("jitter", A, (0.0, 0.0, 0.0, 0.0, -1.0), 0.30),
)
CUE_NAMES = tuple(cue.name for cue in CUES)
VALIDITY = np.array([cue.validity for cue in CUES])


def driven_by(cue: str, low: float, high: float, scale: Literal["linear", "log"] = "linear") -> Any:
    """A parameter that goes from `low` to `high` as its cue goes from -2.7 to +2.7 standard deviations."""
    return field(metadata={"cue": cue, "low": low, "high": high, "scale": scale})


@dataclass(frozen=True)
class Behaviour:
    """Parameters of rendering: each a monotone function of one cue and of nothing else."""

    smile: float = driven_by("smile", -1.0, 1.0)
    """-1 (corners down, narrow) to 1 (corners up, wide)."""
    brow_height: float = driven_by("brow_height", 0.075, 0.185)
    """Gap between eye and brow as a share of the head's height."""
    eye_opening: float = driven_by("eye_opening", 0.018, 0.066)
    """Half the gap between the open lids as a share of the head's height."""
    gaze_aversion: float = driven_by("gaze", 1.0, 0.0)
    """0 (into the camera) to 1 (far aside and down)."""
    nod_px: float = driven_by("nod", 0.5, 8.0)
    """Fast vertical motion of the head, root mean square, in a frame 320 wide."""
    head_px: float = driven_by("closeness", 100.0, 165.0, "log")
    """Height of the head in a frame 320 wide."""
    blink_share: float = driven_by("blink", 0.04, 0.44)
    """Share of the time with closing or closed lids."""
    sway_px: float = driven_by("liveliness", 2.0, 22.0)
    """Slow sideways motion of the head, root mean square, in a frame 320 wide."""
    pitch_range_st: float = driven_by("liveliness", 0.2, 4.6)
    """Standard deviation of the pitch contour in semitones."""
    pause_share: float = driven_by("pauses", 0.05, 0.65)
    """Share of the time without speech, for the voice and the lips."""
    pitch_hz: float = driven_by("pitch", 95.0, 250.0, "log")
    """Geometric mean of the pitch contour."""
    level_db: float = driven_by("loudness", -40.0, -20.0)
    """Root mean square while speaking, re full scale."""
    syllables_per_s: float = driven_by("speech_rate", 2.4, 6.6)
    tilt_db: float = driven_by("tilt", -4.0, -15.0)
    """Slope of the voice's spectrum in dB per octave."""
    jitter: float = driven_by("jitter", 0.002, 0.05)
    """Standard deviation of the timing of a glottal pulse as a share of the period."""


def behaviour(cues: Float64[np.ndarray, " q"]) -> Behaviour:
    """Rendering parameters of one clip's cues (standard deviations, order of CUES)."""
    shares = dict(zip(CUE_NAMES, (np.clip(cues, -LARGEST_CUE, LARGEST_CUE) / LARGEST_CUE + 1) / 2, strict=True))
    parameters = {}
    for parameter in fields(Behaviour):
        cue, low, high, scale = parameter.metadata.values()
        share = float(shares[cue])
        parameters[parameter.name] = low * (high / low) ** share if scale == "log" else low + (high - low) * share
    return Behaviour(**parameters)


def trait_correlation() -> Float64[np.ndarray, "5 5"]:
    return np.where(np.eye(len(TRAITS), dtype=bool), 1.0, TRAIT_CORRELATION)


def loadings() -> Float64[np.ndarray, "q 5"]:
    """A in c = A z + noise; the variance of A z is the squared validity of each cue."""
    weights = np.array([cue.weights for cue in CUES], dtype=np.float64)
    spread = np.sqrt(np.einsum("qi,ij,qj->q", weights, trait_correlation(), weights))
    return weights * (VALIDITY / spread)[:, None]


def show(z: Float64[np.ndarray, "*b 5"], noise: Float64[np.ndarray, "*b q"]) -> Float64[np.ndarray, "*b q"]:
    """Cues of people with traits `z`, from standard normal `noise`; each has unit variance over the population."""
    return z @ loadings().T + noise * np.sqrt(1 - VALIDITY**2)


def scores(
    z: Float64[np.ndarray, "*b 5"], shift: Float64[np.ndarray, "*#b 5"] = UNBIASED
) -> Float64[np.ndarray, "*b 5"]:
    """Apparent scores in [0, 1] of traits in standard deviations; `shift` is added before they are clipped."""
    return np.clip(SCORE_MEAN + SCORE_STD * z + shift, 0, 1)


def shift_of(label_bias: Mapping[str, float]) -> Float64[np.ndarray, " 5"]:
    """Shift of each trait, in OCEAN order; 0 where none is named."""
    return np.array([label_bias.get(trait, 0.0) for trait in TRAITS])
