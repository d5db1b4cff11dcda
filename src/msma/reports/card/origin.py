"""Where clips and labels are from, and under which licence weights that learned from them may be used."""

from __future__ import annotations

import re
from dataclasses import dataclass

from msma.types import MsmaError
from msma.weights.config import WeightsConfig

RENDERED = "synthetic"
"""The corpus of `msma synth`."""
FIRST_IMPRESSIONS = "first-impressions-v2"
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")


@dataclass(frozen=True)
class Origin:
    licence: str
    """By the names of the hub."""
    origin: str | None
    """Where clips and labels are from, in the words of the author."""
    rendered: bool


def origin_of(config: WeightsConfig, licence: str | None, origin: str | None) -> Origin:
    """What is known of the corpus, or what the author says of it.

    Raises:
        MsmaError: nothing is known of it and the author says nothing, or the licence is no name of one.
    """
    known = {RENDERED: "apache-2.0", FIRST_IMPRESSIONS: "other"}
    given = {"--origin": origin or config.corpus in known, "--licence": licence or config.corpus in known}
    if lacking := [option for option, there in given.items() if not there]:
        raise MsmaError(
            f"nothing is known of the corpus {config.corpus!r}: say where its clips and labels are from, and under "
            f"which licence the weights may be used, with {' and '.join(lacking)}"
        )
    chosen = licence or known.get(config.corpus, "")
    if LICENCE.fullmatch(chosen) is None:
        raise MsmaError(f"--licence {chosen!r}: name one as the hub does, such as apache-2.0, cc-by-nc-4.0 or other")
    return Origin(chosen, origin, config.corpus == RENDERED)
