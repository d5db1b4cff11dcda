"""The clip cache: media is decoded once, for every recipe that samples it in the same way.

One file a clip (`entry`), named by the content of the media file and by what decides what is kept of it. A changed file
or configuration makes a new entry. `media.jsonl` beside the entries remembers which content a file had, so that media
that has not changed is not even opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from msma.config import ClipConfig, Limits, first_line
from msma.data.cache_entry import read_notes, write_entry
from msma.data.corpora.manifest import Row
from msma.data.processes import in_processes
from msma.media.container import open_file
from msma.media.faces import default_detector
from msma.media.prepare import raw_windows
from msma.types import MsmaError, RawWindow

FORMAT = 3
KEPT_BY = {"window_s", "min_window_s", "fps", "frame_side", "face"}
"""The fields of ClipConfig that decide what is kept; the others act on what is read from the cache."""
INDEX = "media.jsonl"
SETTLED_S = 2.0
"""A file that changed this short a time ago may change again within one tick of its clock: it is not remembered."""
ABANDONED_S = 3600.0
"""An unfinished file as old as this was left by a run that was killed."""

Stamp = tuple[int, int, int]
"""Size, and the times (ns) of the last change of the content and of the file: by it a change is seen."""
Remembered = tuple[Stamp, str]
"""Stamp of a media file and SHA-256 of its content."""


@dataclass(frozen=True)
class CacheReport:
    """Where each clip's entry is, and what was less than perfect; by clip, in the order of the manifest."""

    folder: Path
    """The cache itself."""
    entries: dict[str, Path]
    degraded: dict[str, list[str]] = field(default_factory=dict)
    """Why a clip is not as good as it should be."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why a clip cannot be read."""
    total_bytes: int = 0
    """Of all entries."""


@dataclass(frozen=True)
class Kept:
    """What is known of a clip whose entry is there."""

    entry: Path
    reasons: list[str]


def fill_cache(
    rows: Sequence[Row],
    config: ClipConfig,
    limits: Limits,
    folder: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CacheReport:
    """Decode what is not there yet, in parallel processes; interrupted or killed, it resumes.

    A clip that cannot be read, or that kills the process that reads it, is reported in `failed` and stops nothing.
    Entries that are there are looked at (head and size); their digest is checked whenever they are read.

    Raises:
        MsmaError: no process can be started.
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    remembered = read_index(folder / INDEX)
    kept: dict[str, Kept] = {}
    failed: dict[str, str] = {}
    for row in rows:
        found = find_entry(row.path, remembered, config, folder)
        if found is not None:
            kept[row.clip] = found
    missing = [row for row in rows if row.clip not in kept]
    tell = progress or (lambda _done, _total: None)
    tell(len(kept), len(rows))
    work = partial(keep_media, config=config, limits=limits, folder=folder)
    with (folder / INDEX).open("ab", buffering=0) as index:
        for row, done in in_processes(work, missing, workers or os.cpu_count() or 1):
            error = done.exception()
            if error is None:
                kept[row.clip], line = done.result()
                index.write(line)
            elif isinstance(error, OSError):  # of the cache folder: it will not be better for the next clip
                raise error
            else:
                failed[row.clip] = why_failed(row.path, error)
            tell(len(kept) + len(failed), len(rows))
    in_order = {row.clip: kept[row.clip] for row in rows if row.clip in kept}
    return CacheReport(
        folder,
        entries={clip: found.entry for clip, found in in_order.items()},
        degraded={clip: found.reasons for clip, found in in_order.items() if found.reasons},
        failed={row.clip: failed[row.clip] for row in rows if row.clip in failed},
        total_bytes=sum(found.entry.stat().st_size for found in in_order.values()),
    )


def find_entry(media: Path, remembered: dict[str, Remembered], config: ClipConfig, folder: Path) -> Kept | None:
    """The entry of a media file that has not changed since its content was remembered; the file is not opened."""
    try:
        stamp = stamp_of(media.stat())
    except (OSError, ValueError):  # reading it will say what is wrong
        return None
    known, content = remembered.get(os.path.abspath(media), (None, ""))  # noqa: PTH100  (links stay)
    return look_at(entry_path(folder, content, config)) if known == stamp else None


def keep_media(row: Row, config: ClipConfig, limits: Limits, folder: Path) -> tuple[Kept, bytes]:
    """Runs in a process of its own: make the entry unless it is there; gives it and the line for the index."""
    began_ns = time.time_ns()
    with open_file(row.path, str(row.path)) as file:
        stamp = stamp_of(os.fstat(file.fileno()))
        with told_of(row.path):
            content = hashlib.file_digest(file, "sha256").hexdigest()
    entry = entry_path(folder, content, config)
    kept = look_at(entry)
    if kept is None:
        write_entry(entry, decoded_windows(row.path, config, limits, stamp))
        kept = Kept(entry, reasons_of(read_notes(entry)))
    if began_ns - max(stamp[1:]) < SETTLED_S * 1e9:
        return kept, b""
    # A line of its own, whatever a killed run left unfinished before it.
    path = os.path.abspath(row.path)  # noqa: PTH100
    return kept, f"\n{json.dumps([path, *stamp, content])}\n".encode()


def decoded_windows(media: Path, config: ClipConfig, limits: Limits, stamp: Stamp) -> Iterator[RawWindow]:
    with told_of(media):
        yield from raw_windows(media, config, limits, default_detector())
        if stamp_of(media.stat()) != stamp:
            raise MsmaError(f"{media}: changed while it was read; run again when it is complete")


@contextlib.contextmanager
def told_of(media: Path) -> Iterator[None]:
    """Name the media file in a failure to read it."""
    try:
        yield
    except OSError as error:
        raise MsmaError(f"{media}: cannot be read ({first_line(error)}); copy it again") from error


def look_at(entry: Path) -> Kept | None:
    """An entry that is there and sound as far as its head and size tell."""
    if not entry.exists():
        return None
    try:
        return Kept(entry, reasons_of(read_notes(entry)))
    except MsmaError:
        return None  # made again


def reasons_of(notes: list[dict[str, Any]]) -> list[str]:
    """Each reason once, over all windows."""
    return list(dict.fromkeys(reason for note in notes for reason in note["degradations"]))


def entry_path(folder: Path, content: str, config: ClipConfig) -> Path:
    """`content` is the SHA-256 of the media file."""
    detector = default_detector()
    kept_by = config.model_dump_json(include=KEPT_BY)
    key = f"{FORMAT}|{detector.name if detector else 'none'}|{kept_by}|{content}"
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.clip"


def stamp_of(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_index(path: Path) -> dict[str, Remembered]:
    """What each media file held when it was read; lines that are no whole record are passed over."""
    remembered: dict[str, Remembered] = {}
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            media, *stamp, content = json.loads(line)
            remembered[media] = tuple(stamp), content
        except (ValueError, TypeError):
            continue
    return remembered


def remove_abandoned(folder: Path) -> None:
    """Delete what runs that were killed left unfinished."""
    for part in folder.glob(".*.part"):
        with contextlib.suppress(FileNotFoundError):  # another run may do the same
            if time.time() - part.stat().st_mtime > ABANDONED_S:
                part.unlink()


def why_failed(media: Path, error: BaseException) -> str:
    if isinstance(error, MsmaError):
        return str(error)
    if isinstance(error, BrokenProcessPool):
        return f"{media}: the process that read it died twice, crashed or out of memory; convert it or leave it out"
    # A defect of ours must not lose the rest of the corpus.
    return f"{media}: unexpected {type(error).__name__} ({first_line(error)}); please report it"
