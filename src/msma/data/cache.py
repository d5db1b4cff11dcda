"""Prepared clips on disk: media is decoded once for every recipe that reads it in the same way.

One safetensors file a clip, keyed by the content of the media file and by everything that decides what becomes of it
(clip configuration, face detector, format version). A changed file or configuration makes a new entry.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from msma.config import ClipConfig, Limits
from msma.data.manifest import Row
from msma.files import written_whole
from msma.media.faces import default_detector
from msma.media.windows import prepare_windows
from msma.types import Inputs, MediaInfo, MsmaError, Prepared

FORMAT = 1


@dataclass(frozen=True)
class CacheReport:
    """Where each clip's entry is, and what was less than perfect."""

    entries: dict[str, Path]
    degraded: dict[str, list[str]]
    failed: dict[str, str]


def fill_cache(
    rows: Sequence[Row],
    config: ClipConfig,
    limits: Limits,
    folder: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CacheReport:
    """Prepare what is not there yet, in parallel processes; interrupted, it goes on where it was.

    A clip that cannot be read is reported in `failed` and stops nothing.
    """
    workers = workers or os.cpu_count() or 1
    report = CacheReport({}, {}, {})
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        jobs = {pool.submit(_ensure_entry, row.path, config, limits, folder): row for row in rows}
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                clip = jobs[job].clip
                try:
                    report.entries[clip], reasons = job.result()
                    if reasons:
                        report.degraded[clip] = reasons
                except MsmaError as error:
                    report.failed[clip] = str(error)
                if progress is not None:
                    progress(done, len(rows))
        except BrokenProcessPool as error:
            raise MsmaError(
                f"{folder}: a process that reads media died, out of memory or on a broken file; "
                "what was prepared is kept, run again with --workers 1"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return report


def _start_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for the workers


def read_entry(path: Path) -> list[Prepared]:
    """The windows of one clip.

    Raises:
        MsmaError: the entry is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise MsmaError(f"{path}: damaged cache entry ({error}); delete it, it will be made again") from error
    return [
        Prepared(
            inputs=Inputs(**{field.name: tensors[f"{index}.{field.name}"] for field in fields(Inputs)}),
            reasons=tuple(note.pop("reasons")),
            media=MediaInfo(**note.pop("media")),
            **note,
        )
        for index, note in enumerate(read_notes(path))
    ]


def read_notes(path: Path) -> list[dict[str, Any]]:
    """What is to be told of each window of an entry, without its tensors.

    Raises:
        MsmaError: the entry is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["windows"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise MsmaError(f"{path}: damaged cache entry ({error}); delete it, it will be made again") from error


def _ensure_entry(media: Path, config: ClipConfig, limits: Limits, folder: Path) -> tuple[Path, list[str]]:
    """Runs in a worker process: make the entry unless it is there; returns where it is and its reasons."""
    detector = default_detector()
    entry = folder / f"{_key(media, config, detector.name if detector else 'none')}.safetensors"
    if not entry.exists():
        write_entry(entry, list(prepare_windows(media, config, limits, detector)))
    return entry, list(dict.fromkeys(reason for note in read_notes(entry) for reason in note["reasons"]))


def _key(media: Path, config: ClipConfig, detector: str) -> str:
    try:
        with media.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise MsmaError(f"{media}: cannot be read ({error.strerror}); check the path and the permissions") from error
    digest.update(f"{FORMAT}|{detector}|{config.model_dump_json()}".encode())
    return digest.hexdigest()[:32]


def write_entry(entry: Path, windows: Sequence[Prepared]) -> None:
    """Write the windows of one clip; the file appears whole or not at all."""
    tensors = {
        f"{index}.{field.name}": getattr(window.inputs, field.name).contiguous()
        for index, window in enumerate(windows)
        for field in fields(Inputs)
    }
    notes = [{k: v for k, v in asdict(window).items() if k != "inputs"} for window in windows]
    with written_whole(entry) as path:
        path.write_bytes(save(tensors, metadata={"windows": json.dumps(notes)}))
