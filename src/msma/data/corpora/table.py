"""Any corpus as a table, one row per clip: columns for the file, some traits, and perhaps the source and the split.

Scores may be on any scale; they are brought to [0, 1] by a straight line. Which way a scale points is not known here,
so nothing is flipped. Columns that are not named are kept as text.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from msma.data.corpora.layout import Layout, Places, places_of, trait_columns
from msma.data.corpora.manifest import SPLITS, Check, Found, Row, readable
from msma.data.corpora.table_file import Table, read_table
from msma.files.finding import absolute, find_files
from msma.files.names import caseless, parts_of, shown
from msma.types import TRAITS, MsmaError

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
PROBLEMS = (
    *("no path", "no score", "out of range", "no source", "no split", "unknown split", "repeated"),
    *("no such file", "unreadable"),
)


class UnusableTable(MsmaError):
    """A table whose rows were counted, and of which no manifest can be made."""

    def __init__(self, message: str, found: Found) -> None:
        super().__init__(message)
        self.found = found


def find_table(path: Path, layout: Layout, check: Check | None) -> Found:
    """Read a table as a corpus; `check` finds the files that cannot be read.

    Rows that cannot be used are counted by kind and left out. None for `check` leaves files unread and unsought.
    MsmaError where the table or its scores cannot be read, it lacks a column, or a clip is repeated with different
    labels; UnusableTable where scores are not in [0, 1] without a range, a split has an unknown name, or there are
    fewer sources than splits.
    """
    table = read_table(path)
    columns = trait_columns(table, layout)
    places = places_of(table, layout, columns)
    problems: dict[str, list[str]] = {kind: [] for kind in PROBLEMS}
    usable = usable_rows(table, layout, places, problems)
    names = clip_names([row.clip for row in usable.values()])
    rows = [
        replace(row, clip=name, source=row.source or name) for row, name in zip(usable.values(), names, strict=True)
    ]
    lines: dict[Path, str] = {}
    if check is not None:
        lines = {row.path: line for line, row in zip(usable, rows, strict=True) if not is_there(row.path)}
        problems["no such file"] = [f"{line}: {file}" for file, line in lines.items()]
    there = [row for row in rows if row.path not in lines]
    counted = Found(shown(path.stem), there, {"notes": [*table.notes, *places.notes]}, problems)
    if problem := problem_of_rows(layout, problems, len(table.rows)):
        raise UnusableTable(f"{path}: {problem}", counted)
    # Names and splits are given before files are left out: a broken file changes them for no other clip.
    if layout.split is None and rows:
        try:
            splits = split_by_source(path, [row.source for row in rows], layout.shares, layout.seed)
        except MsmaError as error:
            counts = f"{len(there)} of {len(table.rows)} rows can be used"
            raise UnusableTable(f"{error} ({', '.join(filter(None, (counts, counted.counts())))})", counted) from error
        rows = [replace(row, split=split) for row, split in zip(rows, splits, strict=True)]
    if check is not None:
        rows = readable((row for row in rows if row.path not in lines), check, problems["unreadable"])
    facts = {
        "notes": [*places.notes, *notes_on(table, layout, columns, rows), *note_on_moved(list(usable.values()))],
        "named_folders": all(len(parts_of(row.clip)) > 1 for row in usable.values()),
        "range": list(layout.range or (0.0, 1.0)),
        "columns": {"path": layout.path, "source": layout.source, "split": layout.split, **columns},
        "split": None if layout.split else {"shares": list(layout.shares), "seed": layout.seed},
    }
    return Found(shown(path.stem), rows, facts, problems)


def problem_of_rows(layout: Layout, problems: Mapping[str, Sequence[str]], rows: int) -> str | None:
    """A problem of some rows that is one of the whole table, counted and with its remedy."""
    if layout.range is None and (outside := problems["out of range"]):
        remedy = "name the scale with --range LOW,HIGH"
        return f"{len(outside)} of {rows} rows have a score that is not in [0, 1], such as {outside[0]}; {remedy}"
    if unknown := problems["unknown split"]:
        known = ", ".join(SPLIT_NAMES)
        return f"{len(unknown)} of {rows} rows have an unknown split, such as {unknown[0]}; use {known}"
    return None


def usable_rows(table: Table, layout: Layout, places: Places, problems: dict[str, list[str]]) -> dict[str, Row]:
    """The rows that can be used, by what messages call them; the others are added to `problems`.

    `clip` is the path as written; `source` and `split` are empty where the layout has no column for them.
    """
    low, high = layout.range or (0.0, 1.0)
    root = layout.root or table.path.parent
    rows: dict[str, Row] = {}
    lines: dict[Path, str] = {}
    named = [cells[places.path].strip() for cells in table.rows]
    files = [Path(os.path.normpath(file)) for file in find_files(root, named)]
    for number, (cells, written, file) in enumerate(zip(table.rows, named, files, strict=True)):
        line = f"{table.where(number)} ({written[:200]})"
        raw = {trait: scores[number] for trait, scores in places.scores.items()}
        missing = [f"{trait} {cells[places.traits[trait]][:40]!r}" for trait, score in raw.items() if math.isnan(score)]
        outside = [f"{trait} {score:g}" for trait, score in raw.items() if not (low <= score <= high or score != score)]
        source, split = ("" if place is None else cells[place].strip() for place in (places.source, places.split))
        if not written or any(ord(character) < 32 for character in written):
            problems["no path"].append(line)
        elif missing:
            problems["no score"].append(f"{line}: {', '.join(missing)}")
        elif outside:
            problems["out of range"].append(f"{line}: {outside[0]}")
        elif places.source is not None and not source:
            problems["no source"].append(line)
        elif places.split is not None and not split:
            problems["no split"].append(line)
        elif split and split.casefold() not in SPLIT_NAMES:
            problems["unknown split"].append(f"{line}: {split!r}")
        else:
            target = tuple((raw.get(trait, math.nan) - low) / (high - low) for trait in TRAITS)
            further = {name: cells[place] for name, place in places.others.items()}
            row = Row(written, file, source, SPLIT_NAMES.get(split.casefold(), ""), target, further)
            first = lines.setdefault(file, line)
            if first == line:
                rows[line] = row
            elif labels_of(row) == labels_of(rows[first]):
                problems["repeated"].append(line)
            else:
                raise MsmaError(f"{table.path}: {line} has other labels than {first}, the same clip; keep one of them")
    return rows


def labels_of(row: Row) -> str:
    """The labels as text, because NaN is not NaN."""
    return repr((row.target, row.source, row.split))


def clip_names(paths: Sequence[str]) -> list[str]:
    """The name of the file where no other clip has it, else the path as written."""
    names = [PurePosixPath(path.replace("\\", "/")).name or path for path in paths]
    count = Counter(map(caseless, names))
    return [name if count[caseless(name)] == 1 else path for name, path in zip(names, paths, strict=True)]


def split_by_source(path: Path, sources: Sequence[str], shares: tuple[float, float, float], seed: int) -> list[str]:
    """A split for each clip: sources in random order, each to the split that lacks most clips.

    MsmaError where `shares` are none, or there are fewer sources than splits.
    """
    if not all(math.isfinite(share) and share >= 0 for share in shares) or not sum(shares):
        raise MsmaError("--split: give the shares of train, val and test, such as 60,20,20")
    wanted = {split: share * len(sources) / sum(shares) for split, share in zip(SPLITS, shares, strict=True) if share}
    sizes = Counter(sources)
    if len(sizes) < len(wanted):
        raise MsmaError(f"{path}: {len(sizes)} sources cannot fill {len(wanted)} splits; set a share of --split to 0")
    order = sorted(sizes)
    np.random.default_rng(seed).shuffle(order)
    split_of: dict[str, str] = {}
    for place, source in enumerate(order):
        empty = [split for split in wanted if split not in split_of.values()]
        # The last sources fill the splits that are still empty.
        choice = empty if len(order) - place <= len(empty) else list(wanted)
        split_of[source] = max(choice, key=lambda split: wanted[split])
        wanted[split_of[source]] -= sizes[source]
    return [split_of[source] for source in sources]


def notes_on(table: Table, layout: Layout, columns: Mapping[str, str], rows: Sequence[Row]) -> list[str]:
    notes = list(table.notes)
    if "neuroticism" in columns:
        notes.append("neuroticism is as the table has it; whether high means neurotic or stable, only its author knows")
    if layout.range is not None:
        low, high = layout.range
        notes.append(f"scores were brought from [{low:g}, {high:g}] to [0, 1]; no scale was flipped")
    if layout.source is None:
        notes.append("each clip is a source of its own; if persons or videos have several clips, name --source-column")
    if layout.split is None:
        notes.append(f"splits were drawn by source with seed {layout.seed}")
        if any(column.casefold() == "split" for column in table.columns):
            notes.append("the table has a column split, which was not used; name it with --split-column")
    if missing := sum(not is_there(row.path) for row in rows):
        notes.append(f"{missing} of {len(rows)} clips have no file")
    return notes


def note_on_moved(rows: Sequence[Row]) -> list[str]:
    moved = [row for row in rows if absolute(row.clip) and is_there(row.path) and not is_there(Path(row.clip))]
    about = f"{len(moved)} paths are of another place and were found by their ends"
    return [f"{about}, such as {moved[0].clip} at {moved[0].path}"] if moved else []


def is_there(path: Path) -> bool:
    """Whether there is such a file; there is none of a name that is too long for any."""
    return os.path.exists(path)  # noqa: PTH110  (Path.exists raises then)
