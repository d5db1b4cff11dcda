"""Prepared clips on disk: media is decoded once for every recipe that reads it in the same way.

One safetensors file a clip, keyed by the content of the media file and by everything that decides what becomes of it
(clip configuration, face detector, format version). A changed file or configuration makes a new entry.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from msma.config import ClipConfig, Limits
from msma.data.manifest import Row
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
    folder.mkdir(parents=True, exist_ok=True)
    workers = workers or os.cpu_count() or 1
    report = CacheReport({}, {}, {})
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        jobs = {pool.submit(_ensure_entry, row.path, config, limits, folder): row for row in rows}
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
    return report


def read_entry(path: Path) -> list[Prepared]:
    """The windows of one clip.

    Raises:
        MsmaError: the entry is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            notes = json.loads(file.metadata()["windows"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise MsmaError(f"{path}: damaged cache entry ({error}); delete it, it will be made again") from error
    return [
        Prepared(
            inputs=Inputs(**{field.name: tensors[f"{index}.{field.name}"] for field in fields(Inputs)}),
            reasons=tuple(note.pop("reasons")),
            media=MediaInfo(**note.pop("media")),
            **note,
        )
        for index, note in enumerate(notes)
    ]


def _ensure_entry(media: Path, config: ClipConfig, limits: Limits, folder: Path) -> tuple[Path, list[str]]:
    """Runs in a worker process: make the entry unless it is there; returns where it is and its reasons."""
    detector = default_detector()
    entry = folder / f"{_key(media, config, detector.name if detector else 'none')}.safetensors"
    if entry.exists():
        windows = read_entry(entry)
    else:
        windows = list(prepare_windows(media, config, limits, detector))
        write_entry(entry, windows)
    return entry, list(dict.fromkeys(reason for window in windows for reason in window.reasons))


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
    half = entry.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, half, metadata={"windows": json.dumps(notes)})
    half.replace(entry)
