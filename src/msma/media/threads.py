"""One thread for what must not depend on how many there are."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.RLock()  # so that two callers do not restore each other's 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes with a single thread, and so does what was loaded after it and shares its OpenMP.

    Where torch was not loaded there is nothing to share, and it is not loaded for this.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with _LOCK:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
