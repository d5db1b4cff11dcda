"""The memory that a call holds, of the process or of a GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

T = TypeVar("T")
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Linux: the memory of a process, and where its peak is reset."""


class Held(NamedTuple):
    """Bytes that the process, or a GPU, held before and at the most."""

    before: int
    peak: int


def held_by(run: Callable[[], T], device: str) -> tuple[Held | None, T]:
    """The memory held in a call, None where it is not known (on a CPU but for Linux); and what the call returns."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        given = run()
        return Held(before, torch.cuda.max_memory_allocated(device)), given
    if not os.access(CLEAR_REFS, os.W_OK):
        return None, run()
    CLEAR_REFS.write_text("5")  # forgets the peak
    before = resident("VmRSS")
    given = run()
    return Held(before, max(before, resident("VmHWM"))), given


def resident(key: str) -> int:
    """Bytes of VmRSS, the resident memory, or VmHWM, its peak."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return 1024 * int(line.split()[1])
