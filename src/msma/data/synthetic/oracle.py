"""The best prediction that is possible from what an observer sees of a clip, and how good it is.

Of the additive cues E[z | c] is linear, of the structures E[u | seen] is u or 0; so are their mixes, the labels.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import product
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64

from msma.data.synthetic.cues import (
    CUES,
    SCORE_STD,
    UNBIASED,
    VALIDITY,
    loadings,
    scores,
    trait_correlation,
)
from msma.data.synthetic.motion import BLINK_PERIOD_S, GLANCE_PERIOD_S, NOD_HZ, SWAY_HZ
from msma.data.synthetic.structure import (
    PARTS,
    STRUCTURE_NAMES,
    STRUCTURES,
    label_mix,
    levels,
    structures_seen,
)
from msma.data.synthetic.voice import PHRASE_S
from msma.metrics import by_trait, ccc
from msma.types import TRAITS

Availability = Literal["audio", "visual", "both"]
AVAILABILITIES: tuple[Availability, ...] = ("audio", "visual", "both")
Scores = dict[str, dict[str, float]]
"""`ccc` and `mean_accuracy`, by trait and their mean."""

CUE_HZ = {
    "nod": max(NOD_HZ),
    "blink": 1 / BLINK_PERIOD_S,
    "liveliness": max(SWAY_HZ),
    "gaze": 1 / GLANCE_PERIOD_S,
    "pauses": 1 / PHRASE_S,
}
"""Highest frequency of the motion that shows a cue in the frames; a single frame shows the others."""


def cues_seen(available: Availability, fps: float = math.inf) -> Bool[np.ndarray, " q"]:
    """Whether each cue shows in the available modalities, to who takes `fps` frames a second.

    Motion is seen where the frames come at more than twice its frequency (Nyquist).
    """
    frames = np.array([2 * CUE_HZ.get(cue.name, 0) < fps for cue in CUES])
    in_audio, in_visual = (np.array([name in cue.modalities for cue in CUES]) for name in ("audio", "visual"))
    return in_audio & (available != "visual") | in_visual & frames & (available != "audio")


def regression(seen: Bool[np.ndarray, " q"]) -> tuple[Float64[np.ndarray, "q 5"], Float64[np.ndarray, " 5"]]:
    """B in E[z | c] = c B (rows of unseen cues are 0), and the multiple correlation of each trait with the cues."""
    mix = loadings()[seen]
    covariance = mix @ trait_correlation()
    between = mix @ covariance.T + np.diag(1 - VALIDITY[seen] ** 2)
    weights = np.zeros((len(CUES), len(TRAITS)))
    weights[seen] = np.linalg.solve(between, covariance)
    return weights, np.sqrt(np.sum(weights[seen] * covariance, axis=0))


def mixing(structured: bool) -> tuple[float, Float64[np.ndarray, "5 u"]]:
    """Weights of the traits and of the structures in the labels; additive labels are the traits alone."""
    return label_mix() if structured else (1.0, np.zeros((len(TRAITS), len(STRUCTURES))))


def label_correlation(
    seen: Bool[np.ndarray, " q"],
    shown: Bool[np.ndarray, " u"],
    shift: Float64[np.ndarray, " 5"],
    has_seen: bool,
    structured: bool,
) -> Float64[np.ndarray, " 5"]:
    """Multiple correlation of the labels with all that is seen: cues, structures (`shown`) and the attribute."""
    of_attribute = (shift / 2 / SCORE_STD) ** 2  # half of the people have it
    of_z, of_values = mixing(structured)
    explained = (of_z * regression(seen)[1]) ** 2 + np.sum(of_values[:, shown] ** 2, axis=1)
    return np.sqrt((explained + of_attribute * has_seen) / (1 + of_attribute))


def oracle(
    cues: Float64[np.ndarray, "*b q"],
    available: Availability,
    *,
    spread_matched: bool = False,
    shift: Float64[np.ndarray, " 5"] = UNBIASED,
    has: Bool[np.ndarray, "*b"] | None = None,
    structure: Float64[np.ndarray, "*b u"] | None = None,
    fps: float = math.inf,
) -> Float64[np.ndarray, "*b 5"]:
    """The best prediction of the labels from the cues, from the values of `structure` where the corpus has them, and,
    where labels of those who have (`has`) the attribute are higher by `shift`, from that: it is visual only.

    E[label | all that is seen] has the least error; with its deviations divided by the multiple correlation it has the
    labels' own spread and the best CCC. `fps` frames a second are seen.
    """
    seen, shown = cues_seen(available, fps), structures_seen(available, fps)
    of_z, of_values = mixing(structure is not None)
    expected = of_z * cues @ regression(seen)[0]
    if structure is not None:
        expected = expected + structure[..., shown] @ of_values[:, shown].T
    if has is not None and available != "audio":
        expected = expected + (has[..., None] - 0.5) * shift / SCORE_STD
    if spread_matched:
        expected = expected / label_correlation(seen, shown, shift, available != "audio", structure is not None)
    return scores(expected, shift / 2)


def ceilings(
    shift: Float64[np.ndarray, " 5"] = UNBIASED,
    *,
    structured: bool = False,
    fps: float = math.inf,
    without: Collection[str] = (),
) -> dict[str, Scores]:
    """Exact, by available modalities: best `ccc` (rho) and `mean_accuracy` (1 - MAE), by trait and their mean.

    CCC of k E[y | seen] is 2 k rho^2 / (1 + k^2 rho^2) in units of the labels' spread, largest at k = 1 / rho, where it
    is rho. The error of E[z | c] is Gaussian with variance 1 - rho^2; who does not see the attribute errs by half of
    `shift` more, upwards or downwards, and by the value of each structure that goes unseen. Clipping of the scores (1
    in 1000 without a shift) is left out. Structures named in `without` aren't seen; `fps` frames a second are.
    """
    best = {}
    hidden = np.array([name in without for name in STRUCTURE_NAMES])
    for available in AVAILABILITIES:
        seen, shown = cues_seen(available, fps), structures_seen(available, fps) & ~hidden
        of_z, of_values = mixing(structured)
        normal = np.array([structure.count is None for structure in STRUCTURES]) & ~shown
        variance = of_z**2 * (1 - regression(seen)[1] ** 2) + np.sum(of_values[:, normal] ** 2, axis=1)
        unseen = unseen_values(~shown if structured else np.zeros_like(shown)) @ of_values.T * SCORE_STD
        accuracy = 1 - mean_error(SCORE_STD * np.sqrt(variance), unseen + np.abs(shift) / 2 * (available == "audio"))
        rho = label_correlation(seen, shown, shift, available != "audio", structured)
        best[available] = {"ccc": by_trait(rho), "mean_accuracy": by_trait(accuracy)}
    return best


def unseen_values(hidden: Bool[np.ndarray, " u"]) -> Float64[np.ndarray, "n u"]:
    """Every combination of values that the `hidden` counted structures take, all equally frequent; 0 for the others."""
    return np.array(
        list(
            product(
                *(
                    levels(structure) if out and structure.count is not None else np.zeros(1)
                    for structure, out in zip(STRUCTURES, hidden, strict=True)
                )
            )
        )
    )


def mean_error(std: Float64[np.ndarray, " 5"], offsets: Float64[np.ndarray, "n 5"]) -> Float64[np.ndarray, " 5"]:
    """E|e + offset| of a Gaussian error e with this `std` (a folded normal), over equally frequent offsets."""
    size = np.abs(offsets)
    beyond = np.vectorize(math.erf)(size / std / math.sqrt(2))
    return np.mean(std * np.sqrt(2 / np.pi) * np.exp(-((size / std) ** 2) / 2) + size * beyond, axis=0)


def ceilings_without(shift: Float64[np.ndarray, " 5"] = UNBIASED) -> dict[str, Scores]:
    """Ceilings of both modalities in a structured corpus without each structure, or each part of a network that needs
    them (PARTS): what is lost is the most that the part can gain there."""
    return {name: ceilings(shift, structured=True, without=lost)["both"] for name, lost in PARTS.items()}


def realised(
    cues: Float64[np.ndarray, "b q"],
    targets: Float64[np.ndarray, "b 5"],
    shift: Float64[np.ndarray, " 5"] = UNBIASED,
    has: Bool[np.ndarray, " b"] | None = None,
    structure: Float64[np.ndarray, "b u"] | None = None,
    fps: float = math.inf,
) -> dict[str, Scores]:
    """Scores of the oracle on these very clips, in the form of `ceilings`."""
    result = {}
    for available in AVAILABILITIES:
        matched, expected = (
            oracle(cues, available, spread_matched=match, shift=shift, has=has, structure=structure, fps=fps)
            for match in (True, False)
        )
        error = np.abs(expected - targets).mean(axis=0)
        result[available] = {"ccc": by_trait(ccc(matched, targets)), "mean_accuracy": by_trait(1 - error)}
    return result
