"""Files: read within limits, written whole or not at all, in folders that one run holds; and what they are called."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import shutil
import socket
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePath
from typing import IO, Any, TypeVar

import yaml

from msma.locks import LOCKS, hold
from msma.types import ConfigError, MsmaError, WriteError

T = TypeVar("T")

MAX_SETTINGS_BYTES = 1024**2
"""Limit of a file of settings (YAML or JSON), which people write or read."""
LOCK = ".lock"
"""The file in a folder that whoever writes into the folder holds."""
POLL_S = 0.2
"""Time between two looks at a folder that is waited for."""
MAX_STEM = 50
"""Characters of a file's name in that of its unfinished one, which must not be longer than 255 bytes."""


# reading


@contextmanager
def reading(path: Path, remedy: str, max_bytes: int, problem: str = "cannot be read") -> Iterator[None]:
    """A block that reads, parses and checks a regular file of at most `max_bytes`; MsmaError, with `problem` and
    `remedy`, for another kind of file (a device or pipe may never end) and for whatever the block raises."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        if status.st_size > max_bytes:
            raise ValueError(f"larger than {max_bytes / 1024**2:g} MiB")
        yield
    except MsmaError:
        raise
    except Exception as error:  # parsers raise what they like
        raise MsmaError(f"{path}: {problem} ({why(error)}); {remedy}") from error


def read_file(
    path: Path, parse: Callable[[bytes], T], remedy: str, max_bytes: int, problem: str = "cannot be read"
) -> T:
    """The content of a file, parsed; MsmaError as `reading`."""
    with reading(path, remedy, max_bytes, problem):
        return parse(path.read_bytes())


def read_text(path: Path, remedy: str, max_bytes: int) -> str:
    """The content of a text file (UTF-8); MsmaError as `reading`."""
    return read_file(path, lambda content: content.decode("utf-8"), remedy, max_bytes)


def read_json(path: Path, remedy: str, max_bytes: int = MAX_SETTINGS_BYTES) -> Any:
    """The values in a JSON file; MsmaError as `reading`."""
    return read_file(path, json.loads, remedy, max_bytes, "cannot be read as JSON")


def read_mapping(path: str | Path, what: str) -> dict[str, Any]:
    """A YAML file that is a mapping, or empty; ConfigError, with `what` it should be, for anything else."""
    values = read_yaml(path)
    if not isinstance({} if values is None else values, dict):
        raise ConfigError(f"{path}: {what}")
    return values or {}


class EachKeyOnce(yaml.SafeLoader):
    """A loader that refuses duplicate keys in a mapping; of such keys YAML takes the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        times = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if times.total() > len(times):
            raise yaml.constructor.ConstructorError(problem=f"{times.most_common(1)[0][0]} is duplicated")
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> Any:
    """Plain values of a YAML file, each key of a mapping once; ConfigError where it is unreadable or broken."""
    try:
        return read_file(Path(path), yaml_values, "check it", MAX_SETTINGS_BYTES, "cannot be read as YAML")
    except MsmaError as error:
        raise ConfigError(*error.args) from error


def yaml_values(text: str | bytes) -> Any:
    """Plain values in YAML (UTF-8); whatever the parser raises, of which ValueError and KeyError for bad scalars."""
    return EachKeyOnce(text if isinstance(text, str) else text.decode("utf-8")).get_single_data()


def first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def why(error: BaseException) -> str:
    """The reason in few words: no path that a message names anyway, and of a KeyError that the key is missing."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"unknown or missing {first_line(error)}" if isinstance(error, KeyError) else first_line(error)


# writing


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
    """Write text (UTF-8) or bytes to a file that appears whole or not at all; WriteError as `writing`."""
    with written_whole(path) as unfinished:
        unfinished.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def append(path: Path, line: str) -> None:
    """Add a line to a log, on the disk when it returns; WriteError as `writing`."""
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


def sweep(folder: Path, pattern: str = ".*.part") -> None:
    """Remove the unfinished files in a folder that no living process holds: their writers were killed."""
    for part in folder.glob(pattern) if LOCKS else ():
        with contextlib.suppress(OSError):  # another run may do the same
            held = hold(part)
            if held is not None:
                part.unlink(missing_ok=True)
                held.close()


# one run, one folder


@contextmanager
def locked(folder: Path, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a folder, which is made if need be, while the block writes into it, so that no other run does.

    MsmaError, which says who holds it, where another does; or, with `waiting`, say it by that once, and wait. A holder
    that died holds nothing. File systems without locks hold nothing either.
    """
    with writing(folder):
        new = not folder.exists()
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
    try:
        with writing(path):
            command = shlex.join([PurePath(sys.argv[0] if sys.argv else "").name, *sys.argv[1:]])
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            about = {"pid": os.getpid(), "command": command, "host": socket.gethostname(), "since": since}
            path.write_text(json.dumps(about), encoding="utf-8")
            sweep(folder)
        yield
    finally:
        path.unlink(missing_ok=True)
        held.close()
        if new:
            with contextlib.suppress(OSError):  # it holds what was written
                folder.rmdir()


def holder(path: Path) -> str:
    """Who holds a lock file, in words."""
    try:
        about = read_json(path, "")
        return f"process {about['pid']} on {about['host']} ({about['command'][:100]}), since {about['since']},"
    except (MsmaError, KeyError, TypeError):  # it has not said so yet
        return "another run"


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Each path by its shortest end that no other path has: the name of the file where that is unique."""
    parts = [PurePath(path).parts or (path,) for path in paths]
    ends = [[part[-length:] for length in range(1, len(part) + 1)] for part in parts]
    times = Counter(end for whole in {tuple(of) for of in ends} for end in whole)
    return [str(PurePath(*next((end for end in of if times[end] == 1), of[-1]))) for of in ends]
