"""Predictions clip by clip, matched with the clips of a manifest.

The file is another tool's: its names and numbers are checked, and what is not scored is counted and told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool, Float

from msma.data.corpora.manifest import Manifest, Row, targets
from msma.evaluation.coverage import Bounds
from msma.evaluation.predictions_csv import Reading, Record, open_records
from msma.types import TRAITS, MsmaError

NAMED = 3
"""Clips or columns that a warning names."""


@dataclass(frozen=True)
class Predictions:
    """What was answered and what is true, clip by clip, in the order of the manifest."""

    clips: list[str]
    sources: list[str]
    predicted: Float[np.ndarray, "clips 5"]
    target: Float[np.ndarray, "clips 5"]
    """NaN for the traits that the corpus does not label; `predicted` may be NaN there too."""
    bounds: Bounds | None = None
    """Where the predictions have intervals."""
    abstained: Bool[np.ndarray, " clips"] | None = None
    """Where the model abstains, and `predicted` is what its network says all the same; None for another tool."""


@dataclass(frozen=True)
class Read:
    """The predictions for one split in a file, and what is not perfect about them."""

    predictions: Predictions
    failed: dict[str, str]
    """Clips of the split that have no usable prediction, and why; they are not scored."""
    warnings: list[str]
    """One line each, with counts."""


@dataclass
class Counted:
    """How many, and the first of them by name."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(name)


@dataclass
class Tally:
    """What the lines of a file say."""

    answers: dict[str, tuple[float, ...] | str] = field(default_factory=dict)
    """By clip of the split: a score for each labelled trait, or why there is none."""
    unknown: Counted = field(default_factory=Counted)
    repeated: Counted = field(default_factory=Counted)
    elsewhere: int = 0
    """Lines for clips of other splits."""
    clamped: int = 0
    """Scores."""


def read_predictions(path: Path, manifest: Manifest, split: str, reading: Reading | None = None) -> Read:
    """The predictions for one split in a CSV with a clip column and a column for each trait that is labelled.

    A clip is written as in the manifest, without `.mp4`, or as a path that ends in it.

    Raises:
        MsmaError: the file cannot be read (see `open_records`), a score is not in [0, 1], a clip comes twice with
            different scores, a name fits several clips, or no clip of the split has scores.
    """
    reading, tally, rows = reading or Reading(), Tally(), manifest.split(split)
    in_split, names = {row.clip for row in rows}, names_of_clips(manifest.rows)
    with open_records(path, manifest.traits, reading) as (records, ignored):
        for record in records:
            clip = clip_of(record, names)
            if clip is None:
                tally.unknown.add(repr(record.clip[:100]))
            elif clip not in in_split:
                tally.elsewhere += 1
            else:
                add_answer(tally, clip, record, reading.clamp)
    scores = {clip: answer for clip, answer in tally.answers.items() if isinstance(answer, tuple)}
    scored = [row for row in rows if row.clip in scores]
    if not scored:
        raise MsmaError(
            f"{path}: has no usable scores for any clip of split {split!r}: {len(tally.answers)} lines without scores, "
            f"{tally.elsewhere} for other splits, {tally.unknown.count} for unknown clips{examples(tally.unknown)}; "
            f"clips are called like {rows[0].clip!r}; check --manifest, --split and --clip-column"
        )
    failed = {row.clip: str(tally.answers.get(row.clip, "no prediction")) for row in rows if row.clip not in scores}
    problems = problems_of(tally, failed, split, len(rows))
    if problems and reading.strict:
        raise MsmaError(f"{path}: {problems[0]}; mend the file, or leave out --strict and this is counted")
    predicted = np.full((len(scored), len(TRAITS)), math.nan)
    predicted[:, [TRAITS.index(trait) for trait in manifest.traits]] = [scores[row.clip] for row in scored]
    predictions = Predictions([r.clip for r in scored], [r.source for r in scored], predicted, targets(scored))
    return Read(predictions, failed, [f"{path}: {text}" for text in (*problems, *notes_of(tally, ignored))])


def names_of_clips(rows: Sequence[Row]) -> dict[str, str | None]:
    """Every way to write a clip; None for what fits more than one. The name in the manifest always means its clip."""
    names: dict[str, str | None] = {}
    for row in rows:
        tails = {tail(row.clip), row.path.name}
        bare = {name.removesuffix(suffix) for name in tails for suffix in (".mp4", row.path.suffix)}
        for name in tails | bare:
            names[name] = row.clip if names.get(name, row.clip) == row.clip else None
    return {**names, **{row.clip: row.clip for row in rows}}


def tail(name: str) -> str:
    """The last part of a path, also of one from Windows."""
    return PurePosixPath(name.replace("\\", "/")).name


def clip_of(record: Record, names: Mapping[str, str | None]) -> str | None:
    """Which clip of the manifest a line is for; None: of none.

    Raises:
        MsmaError: it could be several.
    """
    last = tail(record.clip)
    for form in (record.clip, last, last.removesuffix(".mp4")):
        if form in names:
            if names[form] is None:
                raise MsmaError(
                    f"{record.where}: {record.clip!r} fits several clips of the manifest; write their names as it does"
                )
            return names[form]
    return None


def add_answer(tally: Tally, clip: str, record: Record, clamp: bool) -> None:
    answer, clamped = answer_of(record, clamp)
    tally.clamped += clamped
    if clip in tally.answers:
        if tally.answers[clip] != answer:
            raise MsmaError(f"{record.where}: clip {clip} comes twice with different scores; keep one of the lines")
        tally.repeated.add(clip)
    tally.answers[clip] = answer


def answer_of(record: Record, clamp: bool) -> tuple[tuple[float, ...] | str, int]:
    """The scores, or why they cannot be used; and how many were moved to an end of [0, 1]."""
    scores, clamped = [], 0
    for trait, text in record.scores.items():
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            return f"{trait} is {text[:40]!r}", 0
        if not 0 <= score <= 1:
            if not clamp:
                raise MsmaError(
                    f"{record.where}: {trait} is {text[:40]}, not in [0, 1]; rescale the scores to the labels' range"
                    " or move them to the nearer end with --clamp"
                )
            score, clamped = min(max(score, 0.0), 1.0), clamped + 1
        scores.append(score)
    return tuple(scores), clamped


def problems_of(tally: Tally, failed: Mapping[str, str], split: str, clips: int) -> list[str]:
    """What a perfect file has not, one line a kind."""
    missing, unusable = Counted(), Counted()
    for clip, reason in failed.items():
        if clip in tally.answers:
            unusable.add(f"{clip} ({reason})")
        else:
            missing.add(clip)
    kinds = (
        (missing, f"of {clips} clips of split {split!r} have no prediction and are not scored"),
        (unusable, "clips have a score that is not a number and are not scored"),
        (tally.unknown, "lines are for clips that are not in the manifest"),
        (tally.repeated, "lines repeat a clip with the same scores"),
    )
    return [f"{found.count} {text}{examples(found)}" for found, text in kinds if found.count]


def notes_of(tally: Tally, ignored: Sequence[str]) -> list[str]:
    """What is told but no fault."""
    others = Counted()
    for name in ignored:
        if name != "interview":
            others.add(repr(name[:40]))
    notes = (
        (tally.elsewhere, f"{tally.elsewhere} lines are for clips of other splits"),
        (tally.clamped, f"{tally.clamped} scores outside [0, 1] were moved to the nearer end"),
        ("interview" in ignored, "the column interview is not scored: it is no trait"),
        (others.count, f"{others.count} other columns are not read{examples(others)}"),
    )
    return [text for told, text in notes if told]


def examples(found: Counted) -> str:
    more = f" and {found.count - NAMED} more" if found.count > NAMED else ""
    return f": {', '.join(found.named)}{more}" if found.count else ""
