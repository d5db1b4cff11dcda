"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from msma.files.locks import LOCKS, hold
from msma.files.names import shown
from msma.files.reading import why
from msma.types import WriteError

MAX_STEM = 50
"""Characters of a file's name in that of its unfinished one, which must not be longer than 255 bytes."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block that writes a file; WriteError where the disk (OSError) or a library (RuntimeError) cannot."""
    try:
        yield
    except WriteError:
        raise
    except (OSError, RuntimeError) as error:
        raise WriteError(f"{path}: cannot be written ({why(error)}{room(path)}); make room or name another") from error


def room(path: Path) -> str:
    """What is free where a file should be, in words, if that is little."""
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(next(at for at in path.absolute().parents if at.exists())).free
        return f", {free // 1024**2} MiB are free" if free < 1024**3 else ""
    return ""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, which takes its name, with its content on the disk, when the block ends well.

    WriteError as `writing`.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished, held = new_part(path)
        try:
            yield unfinished
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
            held.close()


def new_part(path: Path) -> tuple[Path, IO[str]]:
    """An empty file beside `path` that no living process has, and what holds it; that of a killed run is reused."""
    numbers = itertools.count(0 if LOCKS else os.getpid())
    parts = (path.with_name(f".{path.name[:MAX_STEM]}.{number}.part") for number in numbers)
    part, held = next((part, held) for part in parts if (held := hold(part)) is not None)
    os.truncate(part, 0)
    return part, held


def write_whole(path: Path, content: str | bytes) -> None:
    """Write text (UTF-8; see `shown` for names that are none) or bytes to a file that appears whole or not at all;
    WriteError as `writing`."""
    with written_whole(path) as unfinished:
        unfinished.write_bytes(shown(content).encode() if isinstance(content, str) else content)


def append(path: Path, line: str) -> None:
    """Add a line to a log, on the disk when it returns; WriteError as `writing`."""
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


def sweep(folder: Path, pattern: str = ".*.part") -> None:
    """Remove the files in a folder, unfinished ones by default, that no living process holds: their writers were
    killed."""
    for part in folder.glob(pattern) if LOCKS else ():
        with contextlib.suppress(OSError):  # another run may do the same
            held = hold(part)
            if held is not None:
                part.unlink(missing_ok=True)
                held.close()
