"""Values of a clip that hang on structure in time and space, and the labels that they drive besides the additive cues.

    u                     one value per structure: mean 0, variance 1, independent of one another and of the traits z
    g = G u               one mix of unit variance per trait
    label                 0.5 + 0.15 y, clipped to [0, 1], with y = sqrt(1 - share) z + sqrt(share) R^(1/2) g

Both parts have the correlations R of the traits, and so have the labels. A value is what the clip really shows: the
number of bursts of speech that coincide with a smile, say, of which every clip has as many as any other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float64

from msma.data.synthetic.cues import AV, V, trait_correlation
from msma.types import TRAITS

STRUCTURE_SHARE = 0.9
"""Share of the variance of every label that hangs on structure; the rest are the additive cues."""
EVENT_S = 0.4
"""Time in which an event (a burst, a smile, a nod, a movement of the brows, a tilt) comes and goes."""
EDGE_S = 0.1
"""Time in which an event comes; as long takes it to go."""
HALF_HEIGHT_S = EVENT_S - EDGE_S
"""Time that an event spends above half of its height."""
SURE = 1 - 1e-9
"""Frames in the shortest duration that is surely seen: one, but for rounding."""


@dataclass(frozen=True)
class Structure:
    """One value that labels hang on."""

    name: str
    modalities: tuple[str, ...]
    """All of these are needed to see it."""
    trait: str
    """The trait that it drives first; values of one trait have equal parts in it."""
    count: int | None
    """The value counts 0 to this many of as many; all are equally frequent. None: normally distributed."""
    shortest_s: float = 0.0
    """Shortest time at half height that must be seen: an event, or what lies between two; 0: it lasts all the clip."""


STRUCTURES = (
    Structure("coincidence", AV, "extraversion", 4, HALF_HEIGHT_S),
    Structure("order", AV, "conscientiousness", 4, HALF_HEIGHT_S),
    Structure("pairs_0.5s", V, "openness", 2, 0.5 - HALF_HEIGHT_S),
    Structure("pairs_1s", V, "openness", 2, HALF_HEIGHT_S),
    Structure("pairs_2s", V, "neuroticism", 2, HALF_HEIGHT_S),
    Structure("corners", V, "agreeableness", None),
    Structure("inner_brow", V, "agreeableness", None),
)
STRUCTURE_NAMES = tuple(structure.name for structure in STRUCTURES)

PARTS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in STRUCTURE_NAMES},
    "temporal_scales": ("pairs_0.5s", "pairs_1s", "pairs_2s"),
    "spatial_scales": ("corners", "inner_brow"),
    "multiscale": ("pairs_0.5s", "pairs_1s", "pairs_2s", "corners", "inner_brow"),
    "cross_attention": ("coincidence", "order"),
    "structure": STRUCTURE_NAMES,
}
"""Structures that are lost together: each alone, those of one part of the network, and all."""

Values = Float64[np.ndarray, "*b u"]


def label_mix() -> tuple[float, Float64[np.ndarray, "5 u"]]:
    """Weights of z (one for all traits) and of u (by trait) in the labels' deviations y, which have unit variance."""
    own = np.array([[structure.trait == trait for structure in STRUCTURES] for trait in TRAITS], dtype=np.float64)
    own /= np.sqrt(own.sum(axis=1, keepdims=True))
    size, axes = np.linalg.eigh(trait_correlation())
    root = axes * np.sqrt(size) @ axes.T
    return math.sqrt(1 - STRUCTURE_SHARE), math.sqrt(STRUCTURE_SHARE) * root @ own


def mixed(z: Float64[np.ndarray, "*b 5"], values: Values) -> Float64[np.ndarray, "*b 5"]:
    """Deviations of the labels, in standard deviations, of traits `z` and structures `values`."""
    of_z, of_values = label_mix()
    return of_z * z + values @ of_values.T


def levels(structure: Structure) -> Float64[np.ndarray, " n"]:
    """Values that a counted structure takes, all equally frequent: mean 0, variance 1."""
    counts = np.arange((structure.count or 0) + 1.0)
    return (counts - counts.mean()) / counts.std()


def values_of(latent: Values) -> Values:
    """Values of standard normal latents: counts of equal frequency where the structure is counted."""
    values = np.array(latent)
    for index, structure in enumerate(STRUCTURES):
        if structure.count is not None:
            shares = np.arange(1, structure.count + 1) / (structure.count + 1)
            borders = [NormalDist().inv_cdf(share) for share in shares]
            values[..., index] = levels(structure)[np.searchsorted(borders, latent[..., index])]
    return values


def count_of(name: str, values: Float64[np.ndarray, " u"]) -> int:
    """How many of the counted structure `name` a clip of these values shows."""
    index = STRUCTURE_NAMES.index(name)
    return int(np.abs(levels(STRUCTURES[index]) - values[index]).argmin())


def structures_seen(available: str, fps: float = math.inf) -> Bool[np.ndarray, " u"]:
    """Whether each structure shows in what is available (audio, visual, both) to who takes `fps` frames a second.

    Something of duration d is surely seen if frames are at most d apart.
    """
    return np.array(
        [
            (available == "both" or structure.modalities == (available,))
            and ("visual" not in structure.modalities or structure.shortest_s * fps >= SURE or not structure.shortest_s)
            for structure in STRUCTURES
        ]
    )
