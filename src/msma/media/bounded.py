"""What is read of a media file, and what its reader may take: windows, in a process that is bounded."""

from __future__ import annotations

import functools
import math
import multiprocessing
import os
import resource
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from msma.config import ClipConfig, Limits
from msma.files.reading import unexpected
from msma.media.faces import default_detector, yunet_detector
from msma.media.prepare import check_media, prepare, prepare_views, raw_windows
from msma.media.processes import begin, in_processes
from msma.types import Clip, MsmaError

MEMORY_BYTES = 1024**3
"""Memory that a process may allocate for decoding, beside what it has when it begins, and for windows; more of it where
`max_pixels` is raised."""
WINDOWS = 2
"""Windows whose frames are in memory at once."""
OPEN_FILES = 256

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
    tta: bool = False
    """Whether prepared windows come with further views."""

    @property
    def name(self) -> str:
        if isinstance(self.source, Clip):
            return self.source.name
        return "bytes" if isinstance(self.source, bytes) else str(self.source)


def windows_of(reading: Reading) -> Iterator[Any]:
    """Read, detect faces and prepare in this process, window by window; MsmaError where that cannot be done."""
    detector = default_detector() if reading.yunet is None else yunet_detector(reading.yunet)
    tta = reading.tta and reading.prepared
    raw = raw_windows(reading.source, reading.clip, reading.limits, detector, reading.clip.phases if tta else 1)
    for window in islice(raw, reading.max_windows):
        ready = prepare_views if tta else prepare
        yield ready(window, reading.clip) if reading.prepared else window


def media_problems(paths: Sequence[Path]) -> dict[Path, str]:
    """Why files cannot be read, by path: each is opened and its headers are read, in parallel processes."""
    jobs = in_processes(check_headers, paths, os.cpu_count() or 1, begin_media)
    outcomes = {path: done.exception() for path, done in jobs}
    return {path: why_failed(path, error) for path, error in outcomes.items() if error is not None}


def check_headers(path: Path) -> None:
    """Open a file and read its headers, within what is granted; MsmaError where that cannot be done."""
    grant(Limits(), ClipConfig())
    check_media(path, Limits())


def why_failed(media: Path | str, error: BaseException) -> str:
    """Why a media file could not be read by a process of its own, in one line."""
    if isinstance(error, MsmaError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{media}: takes more memory than a reader may have; scale it down or leave it out"
    if isinstance(error, BrokenProcessPool):
        return f"{media}: the process that read it died twice, crashed or out of memory; convert it or leave it out"
    return unexpected(media, error)


def begin_media() -> None:
    """First thing in a process that reads media: bound what media can make it take."""
    begin()
    set_limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    grant(Limits(), ClipConfig())


def grant(limits: Limits, clip: ClipConfig) -> None:
    """Let a process that was started for media go on for `limits.max_cpu_s` of processor time, with memory for windows
    as `clip` has them."""
    if multiprocessing.parent_process() is not None:
        decoding_bytes = MEMORY_BYTES * max(1.0, limits.max_pixels / Limits().max_pixels)
        windows_bytes = WINDOWS * clip.window_bytes(heads=1)
        set_limit(resource.RLIMIT_DATA, bytes_at_first() + round(decoding_bytes + windows_bytes))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        set_limit(resource.RLIMIT_CPU, math.ceil(usage.ru_utime + usage.ru_stime + limits.max_cpu_s))


@functools.cache
def bytes_at_first() -> int:
    """Memory that this process had allocated when it began: that of libraries, more of it the more cores there are."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    except OSError:  # only Linux tells; elsewhere all counts
        return 0


def set_limit(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def granted(windows: Iterator[T], limits: Limits, clip: ClipConfig) -> Iterator[T]:
    """The same windows, with what is granted for each."""
    while True:
        grant(limits, clip)
        try:
            window = next(windows)
        except StopIteration:
            return
        yield window
