"""One thread for what must not depend on how many there are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LOCK = threading.RLock()  # so that two callers do not restore each other's 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes with a single thread: sums then come out the same on any machine, in any process."""
    with _LOCK:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
