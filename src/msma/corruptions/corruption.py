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
SAMPLES = ("waveform", "frames", "frame_times_s")
"""The arrays of a clip."""
AUDIO, VISUAL, BOTH, NEITHER = ("audio",), ("visual",), ("audio", "visual"), ()


@dataclass(frozen=True)
class Corruption:
    """One row of the table; its `apply` is a pure function whose randomness comes from the generator that it is given.

    `apply(part, rng, level)` gets the part of the clip that it acts on and the level of its severity, and returns that
    part, never changed in place. With `needs`, it also gets, by name, the clip's FaceTrack, another person's Clip, or
    both.
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
    needs: tuple[str, ...] = ()
    """Of `face` and `donor`."""
    local: bool = True
    """Whether it can strike a stretch of a clip alone: it is no delay or truncation, and acts on one stream."""

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
    apply: Callable,
    family: str,
    levels: tuple[int | float, ...],
    about: str,
    modalities: tuple[str, ...] = (),
    local: bool = True,
) -> Corruption:
    """A corruption from its function: the names of `apply(acts_on, rng, parameter, *needs)` are those of the row.

    `modalities` are given for those that act on the whole clip; a waveform is audio, and frames are visual.
    """
    acts_on, _, parameter, *needs = inspect.signature(apply).parameters
    fields: Any = {"acts_on": acts_on, "parameter": parameter, "needs": tuple(needs)}
    fields["local"] = local and acts_on != "clip"
    modalities = {"waveform": AUDIO, "frames": VISUAL, "clip": modalities}[acts_on]
    levels = tuple(map(float, levels))
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
    """The clip as it would be with this corruption. What that leaves as it was is the very same array, and the clip
    itself where it changes nothing: severity 0, or a standstill in a clip of one frame.

    Args:
        severity: 0 to 5; MsmaError for one that the corruption does not have.
        rng: for training, where a clip looks different in every epoch; None: seeded by the clip (its name and window),
            the corruption and the severity alone.
        face: where the face is in the clean clip; detected where it is needed and not given.
        donor: a clip of another person; MsmaError where it is needed and not given.
    """
    if severity == 0:
        return clip
    level, acts_on = corruption.level(severity), corruption.acts_on
    if "donor" in corruption.needs and donor is None:
        raise MsmaError(f"{clip.name}: {corruption.name} needs a clip of another person; give a donor")
    if acts_on != "clip" and not len(getattr(clip, acts_on)):
        return clip  # what is missing cannot be corrupted
    if "face" in corruption.needs and face is None:
        face = track_face(clip, ClipConfig(), default_detector())
    needed = {name: value for name, value in (("face", face), ("donor", donor)) if name in corruption.needs}
    rng = seeded(clip, corruption, severity) if rng is None else rng
    if acts_on == "clip":
        return with_same_parts(clip, corruption.apply(clip, rng, level, **needed))
    return with_same_parts(
        clip, replace(clip, **{acts_on: corruption.apply(getattr(clip, acts_on), rng, level, **needed)})
    )


def with_same_parts(clip: Clip, corrupted: Clip) -> Clip:
    """`corrupted` with the very arrays of `clip` that are equal to its own; `clip` itself where all is."""
    arrays = {name: (getattr(clip, name), getattr(corrupted, name)) for name in SAMPLES}
    same = {name: own for name, (own, now) in arrays.items() if own is now or np.array_equal(own, now)}
    if len(same) == len(arrays) and corrupted.reasons == clip.reasons:
        return clip
    return replace(corrupted, **same)


def same_audio(one: Clip, other: Clip) -> bool:
    """Is the very same waveform in both?"""
    return one.waveform is other.waveform


def same_frames(one: Clip, other: Clip) -> bool:
    """Are the very same frames at the same times in both, so that a face is where it was?"""
    return one.frames is other.frames and one.frame_times_s is other.frame_times_s


def seeded(clip: Clip, corruption: Corruption, severity: int) -> np.random.Generator:
    seed = f"{clip.name}|{clip.start_s:.3f}|{corruption.name}|{severity}"
    digest = hashlib.sha256(seed.encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def in_stretches(rng: np.random.Generator, count: int, share: float, most: int = 3) -> Bool[np.ndarray, " count"]:
    """True in `share` of `count` places (rounded, at least one), which are 1 to `most` random stretches apart."""
    covered = min(count, max(1, round(share * count)))
    free = count - covered
    if not free:
        return np.ones(count, bool)
    number = int(rng.integers(1, min(most, covered, free + 1), endpoint=True))
    cuts = 1 + np.sort(rng.choice(covered - 1, number - 1, replace=False)) if number > 1 else np.zeros(0, int)
    lengths = np.diff([0, *cuts, covered])
    starts = np.sort(rng.choice(free + 1, number, replace=False))
    return np.insert(np.zeros(free, bool), np.repeat(starts, lengths), True)
