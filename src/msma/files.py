"""Files that are whole or not there, and how they are called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath


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
