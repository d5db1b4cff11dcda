"""The predictions of any tool, from a table, matched with the clips of a manifest.

The file is another tool's: its names and numbers are checked, and what is not scored is counted and reported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from msma.data.corpora.clip_names import Names, match_clips, names_of_clips, own_name
from msma.data.corpora.manifest import Manifest, targets
from msma.data.corpora.scores import read_scores
from msma.data.corpora.table_file import Table, read_table
from msma.evaluation.predictions import Predictions
from msma.files.names import shown
from msma.types import TRAITS, MsmaError

CLIP_COLUMNS = ("clip", "path")
ENDS = ("target", "low", "high")
OWN_COLUMNS = ("source", "abstained", *TRAITS, *(f"{name}_{trait}" for name in ENDS for trait in TRAITS))
"""Written by `msma evaluate` beside the clips."""
NAMED = 3
"""Clips or columns that a warning names."""


@dataclass(frozen=True)
class Read:
    """The predictions for one split in a file, and what is not perfect about them."""

    predictions: Predictions
    failed: dict[str, str]
    """Clips of the split that have no usable prediction, and why; they are not scored."""
    warnings: list[str]
    """One line each, with counts."""


def parse_trait_columns(text: str) -> dict[str, str]:
    """`openness=o,neuroticism=n` by trait; MsmaError where it is not of this form or names what is not a trait."""
    named = {}
    for part in text.split(","):
        trait, _, column = (piece.strip() for piece in part.partition("="))
        if trait.lower() not in TRAITS or not column or trait.lower() in named:
            known = ", ".join(TRAITS)
            raise MsmaError(f"--trait-columns {text}: write trait=column,trait=column, each trait once, of {known}")
        named[trait.lower()] = column
    return named


def read_predictions(
    path: Path,
    manifest: Manifest,
    split: str,
    *,
    clip_column: str | None = None,
    trait_columns: Mapping[str, str] | None = None,
    clamp: bool = False,
    strict: bool = False,
) -> Read:
    """The predictions for one split in a CSV or Parquet file with a column of clips and one for each labelled trait.

    A clip is written as in the manifest, without `.mp4`, or as a path, of any system: see `match_clips`.

    Args:
        clip_column: by default `clip`, else `path`.
        trait_columns: the column of a trait, where it is not called like the trait.
        clamp: move scores outside [0, 1] to the nearer end instead of refusing them.
        strict: refuse a file with missing, unknown, duplicated or unusable clips.

    MsmaError where the file cannot be read (see `read_table`), a score is not in [0, 1], a clip is duplicated with
    different scores, a name fits several clips, or several names one, or no clip of the split has scores.
    """
    rows, table = manifest.split(split), read_table(path)
    in_split = {row.clip for row in rows}
    clip_at, traits_at = find_columns(table, manifest.traits, clip_column, trait_columns or {})
    columns = {trait: read_scores(table, place) for trait, place in traits_at.items()}
    found: dict[str, list[float] | str] = {}  # a score for each trait, or why there is none
    outside: list[str] = []
    unknown: list[str] = []
    duplicated: list[str] = []
    elsewhere = 0
    written = [cells[clip_at].strip() for cells in table.rows]
    matched = match_clips(written, Names(names_of_clips(manifest)), lambda place: f"{path}, {table.where(place)}")
    for number, (cells, clip) in enumerate(zip(table.rows, matched, strict=True)):
        where = f"{path}, {table.where(number)}"
        if clip is None or clip not in in_split:
            unknown += [repr(written[number][:100])] if clip is None else []
            elsewhere += clip is not None
            continue
        scores = {trait: column.values[number] for trait, column in columns.items()}
        texts = {trait: cells[place].strip()[:40] for trait, place in traits_at.items()}
        outside += [f"{table.where(number)}: {trait} is {texts[trait]}" for trait in beyond(scores)]
        scores = usable_scores(scores, texts)
        duplicated += [clip] if clip in found else []
        if found.setdefault(clip, scores) != scores:
            raise MsmaError(f"{where}: clip {clip} is duplicated with different scores; keep one of the rows")
    if outside and not clamp:
        raise MsmaError(
            f"{path}, {outside[0]}, not in [0, 1], one of {len(outside)} such scores; rescale the scores to the labels'"
            " range or move them to the nearer end with --clamp"
        )
    usable = {clip: scores for clip, scores in found.items() if not isinstance(scores, str)}
    scored = [row for row in rows if row.clip in usable]
    if not scored:
        raise MsmaError(
            f"{path}: has no usable scores for any clip of split {split!r}: {len(found)} rows without scores, "
            f"{elsewhere} for other splits, {len(unknown)} for unknown clips{examples(unknown)}; "
            f"clips are called like {own_name(manifest, rows[0])!r}; check --manifest, --split and --clip-column"
        )
    failed = {row.clip: str(found.get(row.clip, "no prediction")) for row in rows if row.clip not in usable}
    missing = [clip for clip in failed if clip not in found]
    bad = [f"{clip} ({why})" for clip, why in failed.items() if clip in found]
    kinds = (
        (missing, f"of {len(rows)} clips of split {split!r} have no prediction and are not scored"),
        (bad, "clips have a score that is not a number and are not scored"),
        (unknown, "rows are for clips that are not in the manifest"),
        (duplicated, "rows repeat a clip with the same scores"),
    )
    problems = [f"{len(of)} {text}{examples(of)}" for of, text in kinds if of]
    if problems and strict:
        raise MsmaError(f"{path}: {problems[0]}; fix the file, or leave out --strict and this is counted")
    read = {clip_at, *traits_at.values()}
    ignored = [name.casefold() for place, name in enumerate(table.columns) if place not in read]
    others = [repr(name[:40]) for name in ignored if name not in (*OWN_COLUMNS, "interview")]
    notes = (
        (elsewhere, f"{elsewhere} rows are for clips of other splits"),
        (outside, f"{len(outside)} scores outside [0, 1] were moved to the nearer end"),
        ("interview" in ignored, "the column interview is not scored: it is not a trait"),
        (others, f"{len(others)} other columns are not read{examples(others)}"),
    )
    table_notes = [*table.notes, *(note for column in columns.values() for note in column.notes)]
    told = (*problems, *(note for found, note in notes if found), *table_notes)
    warnings = [shown(f"{path}: {text}") for text in told]
    predicted = np.full((len(scored), len(TRAITS)), math.nan)
    predicted[:, [TRAITS.index(trait) for trait in traits_at]] = [usable[row.clip] for row in scored]
    clips, sources = [row.clip for row in scored], [row.source for row in scored]
    return Read(Predictions(clips, sources, predicted, targets(scored)), failed, warnings)


def averaged(reads: Mapping[Path, Read]) -> Read:
    """The mean of the predictions in several files, as those of several seeds of one recipe; MsmaError where one of
    them scores other clips than the first."""
    (first, one), *others = reads.items()
    for path, other in others:
        if other.predictions.clips != one.predictions.clips:
            raise MsmaError(f"{path}: has usable scores for other clips than {first}; average files of the same clips")
    mean = np.mean([read.predictions.predicted for read in reads.values()], axis=0)
    warnings = [warning for read in reads.values() for warning in read.warnings]
    return Read(replace(one.predictions, predicted=mean), one.failed, warnings)


def beyond(scores: Mapping[str, float]) -> list[str]:
    """The traits whose finite scores are not in [0, 1], where all are finite."""
    if not all(map(math.isfinite, scores.values())):
        return []
    return [trait for trait, score in scores.items() if not 0 <= score <= 1]


def usable_scores(scores: Mapping[str, float], texts: Mapping[str, str]) -> list[float] | str:
    """A score in [0, 1] for each trait, the nearer end for one beyond; or why there is none."""
    unusable = next((trait for trait, score in scores.items() if not math.isfinite(score)), None)
    if unusable is not None:
        return f"{unusable} is {texts[unusable]!r}"
    return [min(max(score, 0.0), 1.0) for score in scores.values()]


def find_columns(
    table: Table, traits: Sequence[str], clip_column: str | None, trait_columns: Mapping[str, str]
) -> tuple[int, dict[str, int]]:
    """The places of the clip and of the wanted traits; names are in any case. MsmaError where one is not clear."""
    names = [name.casefold() for name in table.columns]
    default = next((name for name in CLIP_COLUMNS if name in names), CLIP_COLUMNS[0])
    clip = (clip_column or default).strip().casefold()
    wanted = {trait: trait_columns.get(trait, trait).casefold() for trait in traits}
    for name in (clip, *wanted.values()):
        if names.count(name) != 1:
            what = "lacks the column" if name not in names else "has more than one column"
            raise MsmaError(
                f"{table.path}: {what} {name!r}; it has {table.shown_columns()[:300]}; "
                "name yours with --clip-column and --trait-columns openness=...,neuroticism=..."
            )
    return names.index(clip), {trait: names.index(name) for trait, name in wanted.items()}


def examples(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f": {', '.join(names[:NAMED])}{more}" if names else ""
