"""Files that one process holds, as long as it lives and no longer: the lock ends with it, however it ends."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows has other locks: there, nothing is held
    fcntl = None

LOCKS = fcntl is not None
UNLOCKABLE = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Errors of file systems without locks."""


def hold(path: Path) -> IO[str] | None:
    """The file at `path`, made if need be, held until it is closed or the process ends; None where another has it.

    Where nothing can be locked, it is open (or, without `LOCKS`, closed, so that it can be renamed), and not held.
    """
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            if fcntl is None:
                file.close()
                return file
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:  # another had it, and has just removed it
            pass
        except BlockingIOError:
            file.close()
            return None
        except OSError as error:
            if error.errno in UNLOCKABLE:
                return file
            raise
        file.close()
