"""Where clips and labels are from, and what the weights are for and not for (docs/responsible-use.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from msma.reports.card.markdown import prose, quoted
from msma.types import MsmaError
from msma.weights.config import WeightsConfig

RENDERED = "synthetic"
"""The corpus of `msma synth`."""
FIRST_IMPRESSIONS = "first-impressions-v2"
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")

RENDERED_LABELS = """Clips and labels are made by a program (`msma synth`): rendered heads with synthetic
voices. Each clip has five numbers that set its cues, such as the curve of a mouth or the pitch of a voice;
these numbers are its labels. Nobody was filmed, nobody was judged, and nothing here is evidence about people."""
FIRST_IMPRESSIONS_LABELS = """Clips and labels are those of First Impressions V2 (ChaLearn): clips from YouTube,
and scores made from comparisons by crowd workers, who said which of two people seems, for instance, more
friendly (Ponce-López et al. 2016). These comparisons depend on perceived gender, ethnicity, age and
attractiveness, and the way from comparisons to scores can magnify this (Jacques Junior et al. 2021). Weights
that learn these labels well learn the bias too. *neuroticism* is kept as stored, where it behaves as emotional
stability."""

RENDERED_USE = (
    "trying `msma`: on a video of a real person the weights show that decoding, face finding and the network work, "
    "and the five numbers mean nothing",
    "comparing methods on a corpus whose best possible score is known",
)
USE = (
    "research on how people judge one another from short clips, and on how networks learn such judgements",
    "research on what such networks still know when picture or sound is missing or poor",
)
NOT_FOR = (
    "**work, school, housing, credit, insurance, benefits, courts, borders, policing**: no hiring, no admission, no "
    "decision about a person, alone or as one input among others, also as a pre-selection with a human after it",
    "**diagnosis**, and any claim about health",
    "**covert use**: clips of people who do not know and did not agree",
    "**persuasion**: choosing what to show or tell somebody by a guess at their personality",
)


@dataclass(frozen=True)
class Origin:
    labels: str
    """Where clips and labels are from; markdown."""
    licence: str
    """By the names of the hub."""
    bound: str
    """What the licence comes from; markdown."""
    rendered: bool


def origin_of(config: WeightsConfig, licence: str | None, origin: str | None) -> Origin:
    """What is known of the corpus, or what the author says of it.

    Raises:
        MsmaError: nothing is known of it and the author says nothing, or the licence is no name of one.
    """
    known = {RENDERED: (RENDERED_LABELS, "apache-2.0"), FIRST_IMPRESSIONS: (FIRST_IMPRESSIONS_LABELS, "other")}
    labels, usual = known.get(config.corpus, (None, None))
    lacking = [
        option for option, value in (("--origin", origin or labels), ("--licence", licence or usual)) if not value
    ]
    if lacking:
        raise MsmaError(
            f"nothing is known of the corpus {config.corpus!r}: say where its clips and labels are from, and under "
            f"which licence the weights may be used, with {' and '.join(lacking)}"
        )
    chosen = licence or usual or ""
    if LICENCE.fullmatch(chosen) is None:
        raise MsmaError(f"--licence {chosen!r}: name one as the hub does, such as apache-2.0, cc-by-nc-4.0 or other")
    said = [] if origin is None else [prose(origin)]
    bound = (
        "First Impressions V2 is for research under its own terms; weights that learned from it are bound by them too."
        if config.corpus == FIRST_IMPRESSIONS
        else f"The licence is {quoted(chosen)}."
    )
    return Origin("\n\n".join([*([labels] if labels else []), *said]), chosen, bound, config.corpus == RENDERED)
