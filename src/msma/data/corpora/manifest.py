"""The manifest: one CSV row per labelled clip, and a JSON file beside it with what is known of the corpus.

    clip,path,source,split,openness,conscientiousness,extraversion,agreeableness,neuroticism
    abcdefghijk.001.mp4,train/abcdefghijk.001.mp4,abcdefghijk,train,0.51,0.48,0.60,0.44,0.57

Paths are relative to the manifest's folder or absolute. Scores are in [0, 1], OCEAN order; a trait that the corpus does
not label has no column, or an empty one. `source` is the group that must not be split (YouTube id, person). Any other
column (gender, age group, transcript) is kept as text.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.files import write_whole, written_whole
from msma.types import TRAITS, MsmaError

SPLITS = ("train", "val", "test")
COLUMNS = ("clip", "path", "source", "split")


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
    """Whatever else the corpus says of the clip."""


@dataclass(frozen=True)
class Manifest:
    """Every clip has labels for the same traits."""

    corpus: str
    rows: tuple[Row, ...]
    facts: dict[str, Any]
    """What is known beside the rows: `notes`, and for the synthetic corpus the `ceiling`."""

    @property
    def traits(self) -> tuple[str, ...]:
        """The labelled traits."""
        return tuple(trait for trait, score in zip(TRAITS, self.rows[0].target, strict=True) if not math.isnan(score))

    def split(self, name: str) -> tuple[Row, ...]:
        """Rows of one split, or of `all`.

        Raises:
            MsmaError: the manifest has no such rows.
        """
        rows = tuple(row for row in self.rows if name in ("all", row.split))
        if not rows:
            known = ", ".join(sorted({row.split for row in self.rows}))
            raise MsmaError(f"split {name!r} has no clips in this manifest; it has: {known}")
        return rows


@dataclass(frozen=True)
class Found:
    """What a search for a corpus gives: the rows of its manifest, and all that was left out or looks odd."""

    corpus: str
    rows: list[Row]
    facts: dict[str, Any]
    """As in Manifest."""
    problems: dict[str, list[str]]
    """Kind of problem to its clips, or to one line each; a kind that was looked for and not found is empty."""


def targets(rows: Sequence[Row]) -> Float[np.ndarray, "clips 5"]:
    return np.array([row.target for row in rows], dtype=np.float64)


def mean_target(rows: Sequence[Row]) -> Float[np.ndarray, " 5"]:
    """What a constant predictor answers; 0.5 for traits without labels."""
    mean = targets(rows).mean(axis=0)
    return np.where(np.isnan(mean), 0.5, mean)


def write_manifest(path: Path, corpus: str, rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """Write `path` and its JSON. Paths below the manifest's folder are stored relative, so that a corpus can move.

    Raises:
        MsmaError: `path` does not end in .csv.
    """
    check_manifest_path(path)
    home = path.parent.resolve()
    with written_whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
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
    """Raises:
    MsmaError: `path` does not end in .csv.
    """
    if path.suffix != ".csv":
        raise MsmaError(f"{path}: a manifest ends in .csv; name it {path.with_suffix('.csv')}")


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        MsmaError: unreadable, a column is missing, a clip comes twice, a split is unknown, a score is not in [0, 1], or
            a clip lacks a score that others have.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            present = reader.fieldnames or []
            missing = [column for column in COLUMNS if column not in present]
            missing = missing or ([] if set(TRAITS) & set(present) else ["(at least one of) " + ", ".join(TRAITS)])
            if missing:
                raise MsmaError(
                    f"{path}: not a manifest, lacks the columns {', '.join(missing)}; make it with `msma prepare`"
                )
            rows = tuple(_row(path, reader.line_num, record) for record in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MsmaError(f"{path}: cannot be read as a manifest ({error}); make it with `msma prepare`") from error
    if not rows:
        raise MsmaError(f"{path}: the manifest has no clips")
    seen: set[str] = set()
    for row in rows:
        if row.clip in seen:
            raise MsmaError(f"{path}: clip {row.clip} comes twice; each clip has one row")
        seen.add(row.clip)
    labelled = np.isfinite(targets(rows))
    for trait, has in zip(TRAITS, labelled.T, strict=True):
        if has.any() and not has.all():
            raise MsmaError(f"{path}: clip {rows[int(has.argmin())].clip} has no {trait}; label all clips or none")
    if not labelled.any():
        raise MsmaError(f"{path}: no clip has a score; label at least one trait")
    facts = _facts(facts_path(path))
    return Manifest(str(facts.pop("corpus", path.stem)), rows, facts)


def facts_path(path: Path) -> Path:
    return path.with_suffix(".facts.json")


def _row(path: Path, line: int, record: dict[str, str]) -> Row:
    scores = []
    for trait in TRAITS:
        text = record.get(trait, "")
        try:
            score = float(text) if text != "" else math.nan
            if text != "" and not 0 <= score <= 1:
                raise ValueError
        except (TypeError, ValueError) as error:
            raise MsmaError(f"{path}, line {line}: {trait} is {text!r}, not a number in [0, 1]") from error
        scores.append(score)
    if record["split"] not in SPLITS:
        raise MsmaError(f"{path}, line {line}: split is {record['split']!r}; use {', '.join(SPLITS)}")
    if None in record or None in record.values():
        raise MsmaError(f"{path}, line {line}: has more or fewer cells than the header has columns")
    known = {*COLUMNS, *TRAITS}
    columns = {name: text for name, text in record.items() if name not in known}
    where = path.parent / record["path"]
    return Row(record["clip"], where, record["source"], record["split"], tuple(scores), columns)


def _facts(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MsmaError(f"{path}: cannot be read as JSON ({error}); make it again with `msma prepare`") from error
    if not isinstance(facts, dict):
        raise MsmaError(f"{path}: must hold a JSON object; make it again with `msma prepare`")
    return facts
