"""What is read of a media file, and what its reader may take: windows, in a process that is bounded."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from msma.config import ClipConfig, Limits
from msma.files.reading import unexpected
from msma.media.faces import default_detector, yunet_detector
from msma.media.prepare import check_media, prepare, raw_windows
from msma.media.processes import begin, in_processes
from msma.types import Clip, MsmaError

MEMORY_BYTES = 3 * 1024**3
"""Memory that a process may allocate."""
OPEN_FILES = 256
CPU_S = 120
"""Processor seconds for one window."""

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """A source, and all that decides which windows come of it."""

    source: str | Path | bytes | Clip
    clip: ClipConfig
    limits: Limits
    yunet: Path | None = None
    """The model of OpenCV's face detector; None: the default detector."""
    prepared: bool = True
    """Whether windows come as the network sees them, or raw."""
    max_windows: int | None = None
    """Windows after which reading ends; None: all."""

    @property
    def name(self) -> str:
        if isinstance(self.source, Clip):
            return self.source.name
        return "bytes" if isinstance(self.source, bytes) else str(self.source)


def windows_of(reading: Reading) -> Iterator[Any]:
    """Read, detect faces and prepare in this process, window by window; MsmaError where that cannot be done."""
    detector = default_detector() if reading.yunet is None else yunet_detector(reading.yunet)
    raw = raw_windows(reading.source, reading.clip, reading.limits, detector)
    for window in islice(raw, reading.max_windows):
        yield prepare(window, reading.clip) if reading.prepared else window


def media_problems(paths: Sequence[Path]) -> dict[Path, str]:
    """Why files cannot be read, by path: each is opened and its headers are read, in parallel processes."""
    jobs = in_processes(partial(check_media, limits=Limits()), paths, os.cpu_count() or 1, begin_media)
    outcomes = {path: done.exception() for path, done in jobs}
    return {path: why_failed(path, error) for path, error in outcomes.items() if error is not None}


def why_failed(media: Path, error: BaseException) -> str:
    """Why a media file could not be read by a process of its own."""
    if isinstance(error, MsmaError):
        return str(error)
    if isinstance(error, BrokenProcessPool):
        return f"{media}: the process that read it died twice, crashed or out of memory; convert it or leave it out"
    return unexpected(media, error)


def begin_media() -> None:
    """First thing in a process that reads media: bound what media can make it take."""
    begin()
    set_limit(resource.RLIMIT_DATA, MEMORY_BYTES)
    set_limit(resource.RLIMIT_NOFILE, OPEN_FILES)


def set_limit(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def granted(windows: Iterator[T]) -> Iterator[T]:
    """The same windows, for each of which a process that was started for media gets CPU_S of processor time."""
    limited = multiprocessing.parent_process() is not None
    while True:
        if limited:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            limit, hard = int(usage.ru_utime + usage.ru_stime) + CPU_S, resource.getrlimit(resource.RLIMIT_CPU)[1]
            resource.setrlimit(
                resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
            )
        try:
            window = next(windows)
        except StopIteration:
            return
        yield window
