"""Memory of a process that trains on a CPU."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Settings of mallopt(3)."""
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let the C library keep the memory of freed tensors for the next ones, if it is glibc.

    By default it hands blocks of more than 32 MiB back to the system at once, which must fill each new one with zeros:
    as much work as a step's own (benchmarks/training_memory.py). The process never needs more than it did at its peak.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, LARGEST)
