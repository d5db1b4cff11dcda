"""The manifest: one CSV row per labelled clip, and a JSON file beside it with what is known of the corpus.

    clip,path,source,split,openness,conscientiousness,extraversion,agreeableness,neuroticism
    abcdefghijk.001.mp4,train/abcdefghijk.001.mp4,abcdefghijk,train,0.51,0.48,0.60,0.44,0.57

Paths are relative to the manifest's folder or absolute. Scores are in [0, 1], OCEAN order. `source` is the group that
must not be split (YouTube id, person).
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.errors import MsmaError
from msma.files import written_whole
from msma.traits import TRAITS

SPLITS = ("train", "val", "test")
COLUMNS = ("clip", "path", "source", "split", *TRAITS)


@dataclass(frozen=True)
class Row:
    """One labelled clip; `target` in OCEAN order."""

    clip: str
    path: Path
    source: str
    split: str
    target: tuple[float, ...]


@dataclass(frozen=True)
class Manifest:
    corpus: str
    rows: tuple[Row, ...]
    facts: dict[str, Any]
    """What is known beside the rows: `notes`, and for the synthetic corpus the `ceiling`."""

    def split(self, name: str) -> tuple[Row, ...]:
        """Rows of one split.

        Raises:
            MsmaError: the manifest has no such rows.
        """
        rows = tuple(row for row in self.rows if row.split == name)
        if not rows:
            known = ", ".join(sorted({row.split for row in self.rows}))
            raise MsmaError(f"split {name!r} has no clips in this manifest; it has: {known}")
        return rows


def targets(rows: Sequence[Row]) -> Float[np.ndarray, "clips 5"]:
    return np.array([row.target for row in rows], dtype=np.float64)


def write_manifest(path: Path, corpus: str, rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """Write `path` and its JSON. Paths below the manifest's folder are stored relative, so that a corpus can move.

    Raises:
        MsmaError: `path` does not end in .csv.
    """
    if path.suffix != ".csv":
        raise MsmaError(f"{path}: a manifest ends in .csv; name it {path.with_suffix('.csv')}")
    home = path.parent.resolve()
    with written_whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            where = row.path.resolve()
            shown = where.relative_to(home) if where.is_relative_to(home) else where
            writer.writerow(
                [row.clip, shown.as_posix(), row.source, row.split, *(repr(float(score)) for score in row.target)]
            )
    with written_whole(facts_path(path)) as unfinished:
        unfinished.write_text(json.dumps({"corpus": corpus, **facts}, indent=2) + "\n", encoding="utf-8")


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        MsmaError: unreadable, a column is missing, a clip comes twice, a split is unknown or a score is not in [0, 1].
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
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
    facts = _facts(facts_path(path))
    return Manifest(str(facts.pop("corpus", path.stem)), rows, facts)


def facts_path(path: Path) -> Path:
    return path.with_suffix(".facts.json")


def _row(path: Path, line: int, record: dict[str, str]) -> Row:
    scores = []
    for trait in TRAITS:
        try:
            score = float(record[trait])
        except (TypeError, ValueError):
            score = math.nan
        if not 0 <= score <= 1:
            raise MsmaError(f"{path}, line {line}: {trait} is {record[trait]!r}, not a number in [0, 1]")
        scores.append(score)
    if record["split"] not in SPLITS:
        raise MsmaError(f"{path}, line {line}: split is {record['split']!r}; use {', '.join(SPLITS)}")
    return Row(record["clip"], path.parent / record["path"], record["source"], record["split"], tuple(scores))


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
