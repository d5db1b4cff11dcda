"""Files that are read within limits, whatever they hold and whatever their parser raises."""

from __future__ import annotations

import json
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from msma.files.names import shown
from msma.types import ConfigError, MsmaError

T = TypeVar("T")

MAX_SETTINGS_BYTES = 1024**2
"""Limit of a file of settings (YAML or JSON), which people write or read."""


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


@contextmanager
def path_in_text(path: Path) -> Iterator[Path]:
    """A path to a file for libraries that take text only: by its number where its name is no UTF-8."""
    if shown(str(path)) == str(path):
        yield path
        return
    with path.open("rb") as file:
        yield Path("/dev/fd", str(file.fileno()))


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


def unexpected(name: object, error: BaseException) -> str:
    """A defect of ours, in one line, where it costs one file of many."""
    return f"{name}: unexpected {type(error).__name__} ({first_line(error)}); please report it"


def why(error: BaseException) -> str:
    """The reason in few words: no path that a message names anyway, and of a KeyError that the key is missing."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"unknown or missing {first_line(error)}" if isinstance(error, KeyError) else first_line(error)
