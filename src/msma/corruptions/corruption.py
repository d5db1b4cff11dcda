"""A corruption: one named, graded way in which a clip is not ideal, and how it is applied."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from msma.config import ClipConfig
from msma.media.faces import default_detector, track_face
from msma.types import Clip, FaceTrack, MsmaError

SEVERITIES = (1, 2, 3, 4, 5)
"""0 is the clean clip."""
WORST = SEVERITIES[-1]
AUDIO, VISUAL, BOTH, NEITHER = ("audio",), ("visual",), ("audio", "visual"), ()


@dataclass(frozen=True)
class Corruption:
    """One row of the table; its `apply` is a pure function whose randomness comes from the generator that it is given.

    `apply(part, rng, level)` gets the part of the clip that it acts on and the level of its severity, and returns that
    part, never changed in place. With `needs`, it also gets, by name, the FaceTrack of the clip or a Clip of another
    person.
    """

    name: str
    family: str
    acts_on: Literal["waveform", "frames", "clip"]
    apply: Callable[..., Any]
    parameter: str
    """Name of a level, with its unit."""
    levels: tuple[float, ...]
    """One for each severity from 1 to 5; a single one, of severity 5, where it is all or nothing."""
    about: str
    modalities: tuple[str, ...]
    """Those whose quality it lowers; none where both are fine and only do not belong together."""
    needs: Literal["face", "donor"] | None = None

    @property
    def severities(self) -> tuple[int, ...]:
        return SEVERITIES if len(self.levels) == len(SEVERITIES) else (WORST,)

    def level(self, severity: int) -> float:
        """The level of a severity; MsmaError for one that it does not have."""
        if severity not in self.severities:
            known = ", ".join(map(str, self.severities))
            raise MsmaError(f"{self.name}: has no severity {severity}; it has {known}")
        return self.levels[self.severities.index(severity)]


def row(
    apply: Callable[..., Any], family: str, modalities: tuple[str, ...], levels: tuple[float, ...], about: str
) -> Corruption:
    """A corruption from its function: the names of `apply(acts_on, rng, parameter[, needs])` are those of the row."""
    acts_on, _, parameter, *needs = inspect.signature(apply).parameters
    fields: Any = {"acts_on": acts_on, "parameter": parameter, "needs": needs[0] if needs else None}
    return Corruption(apply.__name__, family, apply=apply, levels=levels, about=about, modalities=modalities, **fields)


def corrupt(
    clip: Clip,
    corruption: Corruption,
    severity: int,
    rng: np.random.Generator | None = None,
    *,
    face: FaceTrack | None = None,
    donor: Clip | None = None,
) -> Clip:
    """The clip as it would be with this corruption; at severity 0 the clip itself.

    Args:
        severity: 0 to 5.
        rng: for training, where a clip looks different in every epoch; None: seeded by the clip (its name and window),
            the corruption and the severity alone.
        face: where the face is in the clean clip; detected where it is needed and not given.
        donor: a clip of somebody else, for the corruptions that need one.

    Raises:
        MsmaError: a severity that the corruption does not have, or no donor where one is needed.
    """
    if severity == 0:
        return clip
    level = corruption.level(severity)
    rng = seeded(clip, corruption, severity) if rng is None else rng
    needed: dict[str, Any] = {}
    if corruption.needs == "donor":
        if donor is None:
            raise MsmaError(f"{clip.name}: {corruption.name} needs a clip of another person; give a donor")
        needed["donor"] = donor
    # A part that is missing cannot be corrupted.
    if corruption.acts_on == "waveform":
        if not len(clip.waveform):
            return clip
        return replace(clip, waveform=corruption.apply(clip.waveform, rng, level, **needed))
    if corruption.needs == "face":
        needed["face"] = track_face(clip, ClipConfig(), default_detector()) if face is None else face
    if corruption.acts_on == "frames":
        if not len(clip.frames):
            return clip
        return replace(clip, frames=corruption.apply(clip.frames, rng, level, **needed))
    return corruption.apply(clip, rng, level, **needed)


def seeded(clip: Clip, corruption: Corruption, severity: int) -> np.random.Generator:
    seed = f"{clip.name}|{clip.start_s:.3f}|{corruption.name}|{severity}"
    digest = hashlib.sha256(seed.encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def in_stretches(rng: np.random.Generator, count: int, share: float, most: int = 3) -> Bool[np.ndarray, " count"]:
    """True in `share` of `count` places (rounded, at least one), which lie together in 1 to `most` stretches.

    Stretches do not touch each other; how long each is and where it lies is random.
    """
    covered = min(count, max(1, round(share * count)))
    free = count - covered
    if not free:
        return np.ones(count, bool)
    number = int(rng.integers(1, min(most, covered, free + 1), endpoint=True))
    cuts = 1 + np.sort(rng.choice(covered - 1, number - 1, replace=False)) if number > 1 else np.zeros(0, int)
    lengths = np.diff([0, *cuts, covered])
    starts = np.sort(rng.choice(free + 1, number, replace=False))
    return np.insert(np.zeros(free, bool), np.repeat(starts, lengths), True)
