"""First Impressions V2 as users have it on disk: folders of mp4 files and three label pickles.

The pickles are `dict[trait][clip name] -> score` and hold numpy scalars. They come from other people's machines, so
they are read by `label_pickle`, which knows what such a file needs and refuses everything else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msma.data.label_pickle import read_label_pickle
from msma.data.manifest import Row
from msma.errors import MsmaError
from msma.traits import TRAITS

ANNOTATIONS = {"train": "annotation_training.pkl", "val": "annotation_validation.pkl", "test": "annotation_test.pkl"}
MAX_PICKLE_BYTES = 16 * 1024**2
NEUROTICISM_NOTE = "neuroticism is kept as stored, where it behaves as emotional stability (high = stable)"

SYNTHETIC_NOTICE = (
    "Demonstration only: these weights learned from rendered people. Their scores have no validity for real ones."
)


@dataclass(frozen=True)
class Found:
    """What a folder holds; nothing is dropped silently."""

    rows: list[Row]
    clips_without_labels: list[str]
    labels_without_clips: list[str]
    unreadable: list[str]
    """One line each: the clip and why."""
    facts: dict[str, Any]
    corpus: str


def find_chalearn(folder: Path, check: Callable[[Path], None] | None) -> Found:
    """Match the mp4 files below `folder` with its label pickles.

    `check` is called with each labelled file and raises MsmaError where it cannot be read; None leaves media unread.

    Raises:
        MsmaError: no folder, no labels, a pickle that is not what it should be, or a clip that is there twice.
    """
    if not folder.is_dir():
        raise MsmaError(f"{folder}: not a folder; name the one that holds the clips and the annotation pickles")
    labels = _all_labels(folder)
    paths: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.mp4")):
        if path.name in paths:
            raise MsmaError(f"{path}: the clip is also at {paths[path.name]}; keep one of them")
        paths[path.name] = path
    rows, unreadable = [], []
    for clip, (split, target) in sorted(labels.items()):
        if clip not in paths:
            continue
        try:
            if check is not None:
                check(paths[clip])
        except MsmaError as error:
            unreadable.append(str(error))
            continue
        rows.append(Row(clip, paths[clip], clip.rsplit(".", 2)[0], split, target))
    oracle = folder / "oracle.json"
    facts: dict[str, Any] = {"notes": [NEUROTICISM_NOTE]}
    if oracle.exists():
        facts["notice"] = SYNTHETIC_NOTICE
        facts["ceiling"] = _ceilings(oracle)
    return Found(
        rows,
        clips_without_labels=sorted(set(paths) - set(labels)),
        labels_without_clips=sorted(set(labels) - set(paths)),
        unreadable=unreadable,
        facts=facts,
        corpus="synthetic" if oracle.exists() else "first-impressions-v2",
    )


def _ceilings(oracle: Path) -> dict[str, Any]:
    try:
        return json.loads(oracle.read_text(encoding="utf-8"))["ceilings"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise MsmaError(f"{oracle}: not what `msma synth` writes; remove it or render the corpus again") from error


def _all_labels(folder: Path) -> dict[str, tuple[str, tuple[float, ...]]]:
    labels: dict[str, tuple[str, tuple[float, ...]]] = {}
    for split, name in ANNOTATIONS.items():
        found = sorted(folder.rglob(name))
        if len(found) > 1:
            raise MsmaError(f"{found[1]}: also at {found[0]}; keep one of them")
        for path in found:
            for clip, target in read_annotation(path).items():
                if clip in labels:
                    raise MsmaError(f"{path}: clip {clip} is labelled in two splits")
                labels[clip] = (split, target)
    if not labels:
        raise MsmaError(f"{folder}: no annotation pickle below it; expected {', '.join(ANNOTATIONS.values())}")
    return labels


def read_annotation(path: Path) -> dict[str, tuple[float, ...]]:
    """Clip name to five scores in OCEAN order; `interview` is ignored.

    Raises:
        MsmaError: too large, not a pickle, a global that labels do not need, or not the expected dictionaries.
    """
    if path.stat().st_size > MAX_PICKLE_BYTES:
        raise MsmaError(f"{path}: larger than any label file ({MAX_PICKLE_BYTES >> 20} MiB); refused")
    try:
        return _scores(read_label_pickle(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise MsmaError(f"{path}: not a label pickle of First Impressions V2 ({error})") from error


def _scores(data: Any) -> dict[str, tuple[float, ...]]:
    if not isinstance(data, dict):
        raise ValueError("expected a dictionary of traits")
    columns = [column for trait in TRAITS if isinstance(column := data.get(trait), dict)]
    if len(columns) < len(TRAITS):
        raise ValueError(f"expected scores by clip for each of {', '.join(TRAITS)}")
    clips = columns[0].keys()
    for trait, column in zip(TRAITS, columns, strict=True):
        if column.keys() != clips:
            raise ValueError(f"{trait} does not score the same clips as {TRAITS[0]}")
    scores = {clip: tuple(column[clip] for column in columns) for clip in clips}
    for clip, values in scores.items():
        if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in values):
            raise ValueError(f"clip {clip!r} has a score that is not in [0, 1]")
    return scores
