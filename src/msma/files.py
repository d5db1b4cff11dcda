"""Files: written whole or not at all, YAML read strictly, and what they are called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import yaml

from msma.types import ConfigError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, which takes its name when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes to a file that appears whole or not at all."""
    with written_whole(path) as unfinished:
        unfinished.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Each path by its shortest end that no other path has: the name of the file where that is unique."""
    parts = [PurePath(path).parts or (path,) for path in paths]
    ends = [[part[-length:] for length in range(1, len(part) + 1)] for part in parts]
    times = Counter(end for whole in {tuple(of) for of in ends} for end in whole)
    return [str(PurePath(*next((end for end in of if times[end] == 1), of[-1]))) for of in ends]


def read_mapping(path: str | Path, what: str) -> dict[str, Any]:
    """A YAML file that is a mapping, or empty; ConfigError, with `what` it should be, for anything else."""
    values = read_yaml(path) or {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: {what}")
    return values


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
        return EachKeyOnce(Path(path).read_text(encoding="utf-8")).get_single_data()
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
