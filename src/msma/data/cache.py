"""The clip cache: media is decoded once, for every recipe that samples it in the same way.

One file per clip (its entry), named by the content of the media file and by the settings that decide what is stored of
it. A changed file or configuration makes a new entry. `media.jsonl` beside the entries remembers the content of each
file, so that media that has not changed is not even opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError

from msma.config import ClipConfig, Limits
from msma.data.cache_entry import read_notes, write_entry
from msma.data.corpora.manifest import Row
from msma.files.folders import locked
from msma.files.names import shown
from msma.files.reading import first_line, read_file
from msma.files.writing import append
from msma.media.bounded import begin_media, granted, why_failed
from msma.media.container import open_file
from msma.media.faces import default_detector
from msma.media.prepare import raw_windows
from msma.media.processes import in_processes
from msma.types import MsmaError, RawWindow, WriteError

FORMAT = 5
STORED_BY = {"window_s", "min_window_s", "fps", "phases", "frame_side", "face"}
"""The fields of ClipConfig that decide what is stored; the others act on what is read from the cache."""
INDEX = "media.jsonl"
MAX_INDEX_BYTES = 1024**3
SETTLED_S = 2.0
"""A file that changed this short a time ago may change again within one tick of its clock: it is not remembered."""

Stamp = tuple[int, int, int]
"""Size, and the times (ns) of the last change of the content and of the file: by it a change is seen."""
RECORD = TypeAdapter(tuple[str, int, int, int, str], config=ConfigDict(strict=True))
"""A line of the index: path, stamp and content."""
Remembered = tuple[Stamp, str]
"""Stamp of a media file and SHA-256 of its content."""


@dataclass(frozen=True)
class CacheReport:
    """Where each clip's entry is, and what was less than perfect; by clip, in the order of the manifest."""

    folder: Path
    """The cache itself."""
    entries: dict[str, Path]
    degraded: dict[str, list[str]] = field(default_factory=dict)
    """Reasons why a clip is not as good as it should be."""
    failed: dict[str, str] = field(default_factory=dict)
    """The reason why a clip cannot be read."""
    total_bytes: int = 0
    """Size of all entries."""


class Cached(NamedTuple):
    """A clip whose entry is there and valid, as far as its header and size tell."""

    entry: Path
    reasons: list[str]


def fill_cache(
    rows: Sequence[Row],
    config: ClipConfig,
    limits: Limits,
    folder: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
    waiting: Callable[[str], None] = lambda _: None,
) -> CacheReport:
    """Decode what is not there yet, in parallel processes; interrupted or killed, it resumes.

    A clip that cannot be read, or that kills the process that reads it, is reported in `failed` and stops nothing.
    Entries that are there are looked at (header and size); their digest is checked whenever they are read. Another run
    that fills the same cache is waited for; `waiting` gets a line that says so. MsmaError where no process can be
    started or the folder cannot be written to.
    """
    cached, failed = find_entries(rows, config, folder), {}
    progress(len(cached), len(rows))
    if len(cached) < len(rows):
        with locked(folder, waiting):
            cached = find_entries(rows, config, folder)  # another run may have been at it
            missing = [row for row in rows if row.clip not in cached]
            work = partial(cache_media, config=config, limits=limits, folder=folder)
            for row, done in in_processes(work, missing, workers or os.cpu_count() or 1, begin_media):
                error = done.exception()
                if error is None:
                    cached[row.clip], line = done.result()
                    if line:  # a line of its own, whatever a killed run left unfinished before it
                        append(folder / INDEX, f"\n{line}")
                elif isinstance(error, WriteError):
                    raise error
                else:
                    failed[row.clip] = why_failed(row.path, error)
                progress(len(cached) + len(failed), len(rows))
    in_order = {row.clip: cached[row.clip] for row in rows if row.clip in cached}
    return CacheReport(
        folder,
        entries={clip: entry for clip, (entry, _) in in_order.items()},
        degraded={clip: reasons for clip, (_, reasons) in in_order.items() if reasons},
        failed={row.clip: failed[row.clip] for row in rows if row.clip in failed},
        total_bytes=sum(entry.stat().st_size for entry, _ in in_order.values()),
    )


def find_entries(rows: Sequence[Row], config: ClipConfig, folder: Path) -> dict[str, Cached]:
    """The entries of the clips whose files have not changed since they were read, by clip."""
    remembered = read_index(folder / INDEX)
    found = ((row.clip, find_entry(row.path, remembered, config, folder)) for row in rows)
    return {clip: entry for clip, entry in found if entry is not None}


def find_entry(media: Path, remembered: dict[str, Remembered], config: ClipConfig, folder: Path) -> Cached | None:
    """The entry of a media file that has not changed since its content was remembered; the file is not opened."""
    try:
        stamp = stamp_of(media.stat())
    except (OSError, ValueError):  # reading it will say what is wrong
        return None
    known, content = remembered.get(remembered_as(media), (None, ""))
    return valid_entry(entry_path(folder, content, config)) if known == stamp else None


def cache_media(row: Row, config: ClipConfig, limits: Limits, folder: Path) -> tuple[Cached, str]:
    """Make the entry unless it is there, in a process of its own; gives it and the line for the index, if any."""
    began_ns = time.time_ns()
    with open_file(row.path, str(row.path)) as file:
        stamp = stamp_of(os.fstat(file.fileno()))
        with naming(row.path):
            content = hashlib.file_digest(file, "sha256").hexdigest()
    entry = entry_path(folder, content, config)
    cached = valid_entry(entry)
    if cached is None:
        write_entry(entry, decoded_windows(row.path, config, limits, stamp))
        cached = Cached(entry, reasons_in(entry))
    if began_ns - max(stamp[1:]) < SETTLED_S * 1e9:
        return cached, ""
    return cached, json.dumps([remembered_as(row.path), *stamp, content])


def remembered_as(media: Path) -> str:
    """What the index calls a media file."""
    return shown(os.path.abspath(media))  # noqa: PTH100  (links stay)


def decoded_windows(media: Path, config: ClipConfig, limits: Limits, stamp: Stamp) -> Iterator[RawWindow]:
    with naming(media):
        yield from granted(raw_windows(media, config, limits, default_detector(), config.phases), limits, config)
        if stamp_of(media.stat()) != stamp:
            raise MsmaError(f"{media}: changed while it was read; run again when it is complete")


@contextlib.contextmanager
def naming(media: Path) -> Iterator[None]:
    """Name the media file in a failure to read it."""
    try:
        yield
    except OSError as error:
        raise MsmaError(f"{media}: cannot be read ({first_line(error)}); copy it again") from error


def valid_entry(entry: Path) -> Cached | None:
    try:
        return Cached(entry, reasons_in(entry))
    except MsmaError:
        return None  # missing, or damaged and recreated


def reasons_in(entry: Path) -> list[str]:
    """Each reason once, over all windows."""
    return list(dict.fromkeys(reason for note in read_notes(entry) for reason in note["degradations"]))


def entry_path(folder: Path, content: str, config: ClipConfig) -> Path:
    """Place of the entry of a media file whose SHA-256 is `content`."""
    detector = default_detector()
    stored_by = config.model_dump_json(include=STORED_BY)
    key = f"{FORMAT}|{detector.name if detector else 'none'}|{stored_by}|{content}"
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.clip"


def stamp_of(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_index(path: Path) -> dict[str, Remembered]:
    """The content of each media file when it was read; lines that are no whole record are passed over."""
    remembered: dict[str, Remembered] = {}
    lines = read_file(path, bytes.splitlines, "delete it", MAX_INDEX_BYTES) if path.exists() else ()
    for line in lines:
        with contextlib.suppress(ValidationError):
            media, size, changed_ns, replaced_ns, content = RECORD.validate_json(line)
            remembered[media] = (size, changed_ns, replaced_ns), content
    return remembered
