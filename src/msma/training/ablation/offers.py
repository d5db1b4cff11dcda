"""What a corpus with structure offers to the parts of the network, and the share of it that is lost without each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.data.corpora.manifest import Row, targets
from msma.evaluation.ablation import Offered
from msma.metrics import labelled_traits, names_of
from msma.training.ablation.plan import FULL
from msma.training.ablation.statistics import from_full
from msma.training.ablation.table import CLEAN, StudiedNetwork, common_clips, statistics_by_trait

OFFERED_TO = {
    "no_multiscale": "multiscale",
    "no_temporal_scales": "temporal_scales",
    "no_spatial_scales": "spatial_scales",
    "concat": "cross_attention",
}
"""The ablations whose part has structures of its own in `msma synth --structure`, and its name there."""


def offered_gains(
    networks: Mapping[str, Sequence[StudiedNetwork]],
    rows: Sequence[Row],
    constant: Float[np.ndarray, "clips 5"],
    corrupted: Sequence[Row],
    facts: Mapping[str, Any],
) -> dict[str, Offered]:
    """What the corpus offers to the parts of OFFERED_TO, by ablation, and the share of it that is lost without each;
    nothing where the facts of the corpus have no ceilings without its structures.

    Both are of the traits that hang on the part: those to which it offers at least half of what it offers to the one
    with the most. The others could only add the luck of two trainings. `networks`, `rows` and `corrupted` as in
    `ablation_table`.
    """
    without = facts.get("ceiling_without", {})
    parts = {name: part for name, part in OFFERED_TO.items() if name in networks and part in without}
    if not parts:
        return {}
    clean = common_clips(networks, rows, constant, corrupted)
    traits, best = names_of(labelled_traits(targets(clean.rows))), facts["ceiling"]["both"]["ccc"]

    def ccc_of(name: str) -> Float[np.ndarray, "seeds samples traits"]:
        given = [clean.of(one.predictions[CLEAN]) for one in networks[name]]
        return np.stack([statistics_by_trait(one, clean.constant, clean.draws)["ccc"] for one in given])

    full = ccc_of(FULL)
    named, offers, apart = {}, {}, {}
    for name, part in parts.items():
        gains = np.array([best[trait] - without[part]["ccc"][trait] for trait in traits])
        hang = gains >= 0.5 * gains.max()
        named[name], offers[name] = tuple(compress(traits, hang)), float(gains[hang].mean())
        apart[name] = (ccc_of(name) - full)[..., hang].mean(axis=-1) / offers[name]
    return {
        name: Offered(parts[name], named[name], offers[name], -one.difference, -one.all_high, -one.all_low)
        for name, one in from_full(apart, clean.draws.sources).items()
    }
