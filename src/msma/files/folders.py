"""Folders that one run holds while it writes into them."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path, PurePath

from msma.files.locks import hold
from msma.files.reading import read_json
from msma.files.writing import sweep, writing
from msma.types import MsmaError

LOCK = ".lock"
"""The file in a folder that whoever writes into the folder holds."""
HELD: ContextVar[frozenset[Path]] = ContextVar("HELD", default=frozenset())
"""The folders that this run holds."""
SECRET = "--key"
"""The option whose value is told to nobody."""
POLL_S = 0.2
"""Time between two looks at a folder that is waited for."""


@contextmanager
def locked(folder: Path, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a folder, which is made if need be, while the block writes into it, so that no other run does.

    MsmaError, which says who holds it, where another does; or, with `waiting`, say it by that once, and wait. A holder
    that died holds nothing. File systems without locks hold nothing either. Within the block, it may be held again.
    """
    place = folder.resolve()
    if place in HELD.get():
        yield
        return
    with writing(folder):
        new = [part for part in (folder, *folder.parents) if not part.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    path, told = folder / LOCK, False
    while True:
        with writing(path):
            held = hold(path)
        if held is not None:
            break
        taken = f"{folder}: {holder(path)} writes into it"
        if waiting is None:
            raise MsmaError(f"{taken}; wait until it has ended, or name another folder")
        if not told:
            waiting(f"{taken}; waiting until it has ended")
        told = True
        time.sleep(POLL_S)
    HELD.set(HELD.get() | {place})
    try:
        with writing(path):
            command = shlex.join([PurePath(sys.argv[0] if sys.argv else "").name, *without_secrets(sys.argv[1:])])
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            about = {"pid": os.getpid(), "command": command, "host": socket.gethostname(), "since": since}
            path.write_text(json.dumps(about), encoding="utf-8")
            sweep(folder)
        yield
    except BaseException:
        for left in ("**/.*.part", f"**/{LOCK}"):  # by processes that were killed
            sweep(folder, left)
        raise
    finally:
        HELD.set(HELD.get() - {place})
        path.unlink(missing_ok=True)
        held.close()
        with contextlib.suppress(OSError):  # it holds what was written
            for part in new:
                part.rmdir()


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command, but for the keys of archives."""
    hidden = [f"{SECRET}=..." if text.startswith(f"{SECRET}=") else text for text in arguments]
    return ["..." if before == SECRET else text for before, text in zip(["", *hidden], hidden, strict=False)]


def holder(path: Path) -> str:
    """Who holds a lock file, in words."""
    try:
        about = read_json(path, "")
        return f"process {about['pid']} on {about['host']} ({about['command'][:100]}), since {about['since']},"
    except (MsmaError, KeyError, TypeError):  # it has not said so yet
        return "another run"
