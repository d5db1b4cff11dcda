"""Who is in the corpus: sources (persons with their looks, voice and room), their clips, splits and traits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from msma.data.corpora.manifest import SPLITS
from msma.data.synthetic.cues import CUES, scores, shift_of, show, trait_correlation
from msma.data.synthetic.structure import STRUCTURES, mixed, values_of
from msma.types import TRAITS

CLIPS_PER_SOURCE = 4
SOURCE_SHARE = 0.5
"""Share of the variance of the traits that the clips of one source have in common."""
SPLIT_OF_SOURCE = ("train", "val", "test", "train", "train")
"""Repeated over the sources: 60/20/20, and three sources already fill every split."""
ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

Colour = tuple[float | int, ...]
"""Red, green, blue in [0, 255]."""

SKINS: tuple[Colour, ...] = ((246, 214, 190), (232, 190, 160), (214, 164, 128), (178, 126, 94), (138, 94, 68))
HAIRS: tuple[Colour, ...] = ((34, 28, 26), (66, 44, 30), (104, 70, 42), (168, 126, 74), (120, 118, 116), (126, 58, 32))
IRISES: tuple[Colour, ...] = ((62, 42, 26), (44, 66, 46), (52, 76, 104), (38, 30, 24))
HAIR_STYLES = ("short", "long", "receding", "bob", "bun")


@dataclass(frozen=True)
class Source:
    """A person and a place; nothing here depends on the traits."""

    name: str
    """Eleven characters, as a YouTube id."""
    skin: Colour
    hair: Colour
    hair_style: str
    iris: Colour
    clothes: Colour
    wall: Colour
    light: tuple[float, float]
    """Direction of the light: rightwards and downwards, each in [-1, 1]."""
    light_colour: Colour
    """Factor by channel, around 1."""
    jaw: float
    """How much the face narrows towards the chin, 0.1 to 0.3."""
    nose: float
    """Half width of the nose as a share of the head's height."""
    lips: float
    """Thickness of a lip as a share of the head's height."""
    formants: float
    """Factor on the formant frequencies (length of the vocal tract)."""
    breath_db: float
    """Breath noise re voice."""
    reverb_s: float
    """Time in which the reverberation falls by 60 dB."""
    reverb_db: float
    """Reverberation re direct speech."""
    noise_db: float
    """Background noise re full scale."""
    hat: Colour | None = None
    """Colour of the wool; None without a hat."""


@dataclass(frozen=True)
class ClipPlan:
    """One clip to render."""

    index: int
    name: str
    split: str
    source: Source
    traits: Float64[np.ndarray, " 5"]
    """Apparent scores in [0, 1], OCEAN order."""
    cues: Float64[np.ndarray, " q"]
    """Standard deviations, order of CUES."""
    labels: Float64[np.ndarray, " 5"]
    """Labels of the annotation: the traits, biased where the corpus is."""
    structure: Float64[np.ndarray, " u"] | None = None
    """Values of the structures, order of STRUCTURES; None in an additive corpus."""


def cast(
    clips: int,
    seed: int,
    *,
    hats: bool = False,
    label_bias: Mapping[str, float] | None = None,
    structured: bool = False,
) -> list[ClipPlan]:
    """Every clip of the corpus. A longer corpus of the same seed begins with the same clips (from 12 clips on).

    With `hats` half of the sources wear one; nothing else about them changes. `label_bias` says by trait how much
    higher the labels of those are. `structured` mixes structures into the traits and changes nothing about the cues.
    """
    per_source = min(CLIPS_PER_SOURCE, max(1, clips // len(SPLITS)))
    sources, common = [], []
    for index in range(-(-clips // per_source)):
        rng = np.random.default_rng([seed, 0, index])
        sources.append(replace(draw_source(rng), hat=draw_hat(seed, index) if hats else None))
        common.append(rng.standard_normal(len(TRAITS)))
    # Each clip has a generator of its own, so that it depends on seed and index alone.
    generators = [np.random.default_rng([seed, 1, index]) for index in range(clips)]
    own = np.stack([rng.standard_normal(len(TRAITS) + len(CUES)) for rng in generators])
    source_of, take = np.divmod(np.arange(clips), per_source)
    shared, alone = np.stack(common)[source_of], own[:, : len(TRAITS)]
    z = (np.sqrt(SOURCE_SHARE) * shared + np.sqrt(1 - SOURCE_SHARE) * alone) @ np.linalg.cholesky(trait_correlation()).T
    cues = show(z, own[:, len(TRAITS) :])
    structure = draw_structure(clips, per_source, seed) if structured else None
    deviations = z if structure is None else mixed(z, structure)
    traits = scores(deviations)
    hatted = np.array([source.hat is not None for source in sources])[source_of]
    labels = scores(deviations, hatted[:, None] * shift_of(label_bias or {}))
    names = [f"{sources[number].name}.{take[index]:03d}.mp4" for index, number in enumerate(source_of)]
    splits = [SPLIT_OF_SOURCE[number % len(SPLIT_OF_SOURCE)] for number in source_of]
    of_clips = [sources[number] for number in source_of]
    values = [None] * clips if structure is None else structure
    return list(map(ClipPlan, range(clips), names, splits, of_clips, traits, cues, labels, values))


def draw_structure(clips: int, per_source: int, seed: int) -> Float64[np.ndarray, "b u"]:
    """Values of the structures of every clip, from generators of their own: all else is as without them.

    As with the traits, the clips of one source have SOURCE_SHARE of their latents' variance in common.
    """
    shared, alone = (
        np.stack(
            [np.random.default_rng([seed, stream, index]).standard_normal(len(STRUCTURES)) for index in range(count)]
        )
        for stream, count in ((5, -(-clips // per_source)), (6, clips))
    )
    of_source = shared[np.arange(clips) // per_source]
    return values_of(np.sqrt(SOURCE_SHARE) * of_source + np.sqrt(1 - SOURCE_SHARE) * alone)


def draw_source(rng: np.random.Generator) -> Source:
    """A random person in a random room."""

    def near(colours: tuple[Colour, ...], spread: float) -> Colour:
        """One of the colours, a little changed."""
        return rgb(np.array(colours[rng.integers(len(colours))]) * rng.uniform(1 - spread, 1 + spread))

    return Source(
        name="".join(ID_ALPHABET[letter] for letter in rng.integers(len(ID_ALPHABET), size=11)),
        skin=near(SKINS, 0.05),
        hair=near(HAIRS, 0.12),
        hair_style=HAIR_STYLES[rng.integers(len(HAIR_STYLES))],
        iris=near(IRISES, 0.15),
        clothes=rgb(rng.uniform(30, 200, 3)),
        wall=rgb(rng.uniform(70, 210) + rng.uniform(-30, 30, 3)),
        light=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.6, -0.1))),
        light_colour=rgb(rng.uniform(0.88, 1.05) * (1 + rng.uniform(-0.06, 0.06, 3))),
        jaw=float(rng.uniform(0.10, 0.26)),
        nose=float(rng.uniform(0.045, 0.065)),
        lips=float(rng.uniform(0.020, 0.030)),
        formants=float(rng.uniform(0.90, 1.12)),
        breath_db=float(rng.uniform(-40, -30)),
        reverb_s=float(rng.uniform(0.10, 0.35)),
        reverb_db=float(rng.uniform(-22, -12)),
        noise_db=float(rng.uniform(-66, -58)),
    )


def draw_hat(seed: int, number: int) -> Colour | None:
    """The hat of the source of this number, from generators of its own: all else is as without hats.

    Of two sources that follow one another in a split, a coin says which one wears a hat: half of each split do.
    """
    cycle, at = divmod(number, len(SPLIT_OF_SOURCE))
    split = SPLIT_OF_SOURCE[at]
    place = cycle * SPLIT_OF_SOURCE.count(split) + SPLIT_OF_SOURCE[:at].count(split)
    coin = np.random.default_rng([seed, 3, SPLITS.index(split), place // 2]).integers(2)
    return rgb(np.random.default_rng([seed, 4, number]).uniform(40, 210, 3)) if coin == place % 2 else None


def rgb(values: np.ndarray) -> Colour:
    return tuple(np.clip(values, 0, 255).tolist())
