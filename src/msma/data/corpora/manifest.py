"""The manifest: one CSV row per labelled clip, and a JSON file beside it with facts of the corpus.

    clip,path,source,split,openness,conscientiousness,extraversion,agreeableness,neuroticism
    abcdefghijk.001.mp4,train/abcdefghijk.001.mp4,abcdefghijk,train,0.51,0.48,0.60,0.44,0.57

Paths are relative to the manifest's folder or absolute, of any system. Scores are in [0, 1], OCEAN order; a trait that
the corpus does not label has no column, or an empty one. `source` is the group that must not be split (YouTube id,
person). Any other column (gender, age group, transcript) is kept as text.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, Field, StrictBool

from msma.config import parse
from msma.data.corpora.scores import read_scores
from msma.data.corpora.table_file import Table, read_table
from msma.files.finding import find_files
from msma.files.names import shown
from msma.files.reading import read_json
from msma.files.writing import write_whole, written_whole
from msma.metrics import ByTrait, Keys
from msma.types import TRAITS, MsmaError

SPLITS = ("train", "val", "test")
COLUMNS = ("clip", "path", "source", "split")

Check = Callable[[Sequence[Path]], Mapping[Path, str]]
"""Why media files cannot be read, by path; of those that can there is nothing."""


@dataclass(frozen=True)
class Row:
    """One labelled clip."""

    clip: str
    path: Path
    source: str
    split: str
    target: tuple[float, ...]
    """Five scores in OCEAN order; NaN for the traits that the corpus does not label."""
    columns: dict[str, str] = field(default_factory=dict)
    """Further columns, as text."""


@dataclass(frozen=True)
class Manifest:
    """Every clip has labels for the same traits."""

    corpus: str
    rows: tuple[Row, ...]
    facts: dict[str, Any]
    """Beside the rows: `notes`, and for the synthetic corpus the `ceiling`."""

    @property
    def traits(self) -> tuple[str, ...]:
        """The labelled traits."""
        return tuple(trait for trait, score in zip(TRAITS, self.rows[0].target, strict=True) if not math.isnan(score))

    def split(self, name: str) -> tuple[Row, ...]:
        """Rows of one split, or of `all`; MsmaError where the manifest has none."""
        rows = tuple(row for row in self.rows if name in ("all", row.split))
        if not rows:
            known = ", ".join(
                f"{split} ({count})" for split, count in sorted(Counter(r.split for r in self.rows).items())
            )
            left_out = counts_of(self.facts.get("problems", {}))
            noted = f"; when it was made there were: {left_out}" if left_out else ""
            raise MsmaError(f"split {name!r} has no clips in this manifest; it has: {known}{noted}")
        return rows


@dataclass(frozen=True)
class Found:
    """The result of a search for a corpus: the rows of its manifest, and all that was left out or looks odd."""

    corpus: str
    rows: list[Row]
    facts: dict[str, Any]
    """As in Manifest."""
    problems: dict[str, list[str]]
    """Kind of problem to its clips, or to one line each; empty for a kind that was looked for and not found."""

    def counts(self) -> str:
        """The problems in a phrase, `7 no score, 1 unreadable`; empty where there are none."""
        return counts_of(self.problems)


def counts_of(problems: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(f"{len(lines)} {kind}" for kind, lines in problems.items() if lines)


def readable(rows: Iterable[Row], check: Check, problems: list[str]) -> list[Row]:
    """The rows whose files pass `check`; the errors of the others are added to `problems`."""
    rows = list(rows)
    found = check([row.path for row in rows])
    problems += [found[row.path] for row in rows if row.path in found]
    return [row for row in rows if row.path not in found]


def targets(rows: Sequence[Row]) -> Float[np.ndarray, "clips 5"]:
    return np.array([row.target for row in rows], dtype=np.float64)


def mean_target(rows: Sequence[Row]) -> Float[np.ndarray, " 5"]:
    """The mean-label baseline; 0.5 for traits without labels."""
    mean = targets(rows).mean(axis=0)
    return np.where(np.isnan(mean), 0.5, mean)


def write_manifest(path: Path, corpus: str, rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """Write `path` and its JSON. Paths below the manifest's folder are stored relative, so that a corpus can move."""
    check_manifest_path(path)
    home = path.parent.resolve()
    with (
        written_whole(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,  # as `shown`
    ):
        extra = list(dict.fromkeys(name for row in rows for name in row.columns))
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *TRAITS, *extra])
        for row in rows:
            where = row.path.resolve()
            shown = where.relative_to(home) if where.is_relative_to(home) else where
            scores = ["" if math.isnan(score) else repr(float(score)) for score in row.target]
            others = [row.columns.get(name, "") for name in extra]
            writer.writerow([row.clip, shown.as_posix(), row.source, row.split, *scores, *others])
    write_whole(facts_path(path), json.dumps({"corpus": corpus, **facts}, indent=2) + "\n")


def check_manifest_path(path: Path) -> None:
    """Refuse (MsmaError) a path that does not end in .csv."""
    if path.suffix != ".csv":
        raise MsmaError(f"{path}: a manifest ends in .csv; name it {path.with_suffix('.csv')}")


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    MsmaError where it is unreadable, a column is missing, a clip is duplicated, a split is unknown, a score is not in
    [0, 1], or a clip lacks a score that others have.
    """
    remedy = "make it with `msma prepare`"
    try:
        table = read_table(path)
    except MsmaError as error:
        raise MsmaError(f"{error}; or {remedy}") from error
    missing = [column for column in COLUMNS if column not in table.columns]
    if not missing and not {*TRAITS} & {*table.columns}:
        missing = ["(at least one of) " + ", ".join(TRAITS)]
    if missing:
        raise MsmaError(f"{path}: not a manifest, lacks the columns {', '.join(missing)}; {remedy}")
    rows = _rows(table)
    first: dict[str, int] = {}
    for number, row in enumerate(rows):
        if number != (other := first.setdefault(row.clip, number)):
            where = f"{table.where(other)} and {table.where(number)}"
            raise MsmaError(f"{path}: clip {row.clip} is duplicated ({where}); each clip has one row")
    labelled = np.isfinite(targets(rows))
    for trait, has in zip(TRAITS, labelled.T, strict=True):
        if has.any() and not has.all():
            one = int(has.argmin())
            count = f"so {np.count_nonzero(~has)} of {len(rows)} rows lack it"
            where = f"{path}, {table.where(one)}: clip {rows[one].clip}"
            raise MsmaError(f"{where} has no {trait}; label all clips or none; {count}")
    if not labelled.any():
        raise MsmaError(f"{path}: no clip has a score; label at least one trait")
    facts = _facts(facts_path(path), "recreate it with `msma prepare`")
    return Manifest(str(facts.pop("corpus", shown(path.stem))), rows, facts)


def facts_path(path: Path) -> Path:
    return path.with_suffix(".facts.json")


def _rows(table: Table) -> tuple[Row, ...]:
    """The rows of a manifest, with their media files; MsmaError, which names the line, for a bad score or split."""
    columns = {trait: table.columns.index(trait) for trait in TRAITS if trait in table.columns}
    scores = {trait: read_scores(table, place).values for trait, place in columns.items()}
    at = table.columns.index("path")
    files = find_files(table.path.parent, [cells[at] for cells in table.rows])
    rows = []
    for number, (cells, file) in enumerate(zip(table.records(), files, strict=True)):
        where = f"{table.path}, {table.where(number)}"
        for trait, numbers in scores.items():
            if (text := cells.pop(trait).strip()) and not 0 <= numbers[number] <= 1:
                raise MsmaError(f"{where}: {trait} is {text[:40]!r}, not a number in [0, 1]")
        clip, _, source, split = (cells.pop(column) for column in COLUMNS)
        if split not in SPLITS:
            raise MsmaError(f"{where}: split is {split!r}; use {', '.join(SPLITS)}")
        target = tuple(scores[trait][number] if trait in scores else math.nan for trait in TRAITS)
        rows.append(Row(clip, file, source, split, target, cells))
    return tuple(rows)


class KnownFacts(BaseModel):
    """The facts that something depends on; others are kept."""

    corpus: str = ""
    notice: str = ""
    problems: dict[str, list[Any]] = Field(default_factory=dict)
    named_folders: StrictBool | None = None
    """Whether the table that the corpus comes from gave each clip's folder; None: clips have names of their own."""
    ceiling: dict[str, Annotated[dict[str, ByTrait], Keys(("ccc", "mean_accuracy"))]] = Field(default_factory=dict)
    """By the modalities that are read: audio, visual, both."""
    ceiling_without: dict[str, Annotated[dict[str, ByTrait], Keys(("ccc", "mean_accuracy"))]] = Field(
        default_factory=dict
    )
    """Of both modalities, by the structure that is not seen."""


def _facts(path: Path, remedy: str) -> dict[str, Any]:
    facts = read_json(path, remedy) if path.exists() else {}
    if not isinstance(facts, dict):
        raise MsmaError(f"{path}: must hold a JSON object; {remedy}")
    parse(KnownFacts, facts, f"{path} ({remedy})")
    return facts
