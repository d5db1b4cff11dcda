"""Names of files as people read and write them, whatever system they come from."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

SHOWN_BYTE = re.compile(r"\\u(dc[89a-f][0-9a-f])")
"""A byte of a name that is no UTF-8, as `shown` writes it."""


def shown(name: str) -> str:
    """A name as text that any file can hold: each byte that is no UTF-8 becomes `\\udc80` to `\\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def meant(text: str) -> str:
    """The name that `shown` made a text of."""
    return SHOWN_BYTE.sub(lambda byte: chr(int(byte[1], 16)), text)


def composed(name: str) -> str:
    """A name in NFC: macOS and others write `é` as two characters, and people read one."""
    return unicodedata.normalize("NFC", name)


def caseless(name: str) -> str:
    """A name without its upper case, for file systems and people that do not tell it from lower case."""
    return composed(composed(name).casefold())


def parts_of(path: str) -> tuple[str, ...]:
    """The parts of a path for comparison, at least one: in NFC, `\\` as `/`, without `.` and what `..` takes back."""
    parts = posixpath.normpath(composed(meant(path)).replace("\\", "/")).split("/")
    return tuple(filter(None, parts)) or (path,)


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Each path by its shortest end that no other path has: the name of the file where that is unique."""
    parts = [PurePath(path).parts or (path,) for path in paths]
    ends = [[part[-length:] for length in range(1, len(part) + 1)] for part in parts]
    times = Counter(end for whole in {tuple(of) for of in ends} for end in whole)
    return [str(PurePath(*next((end for end in of if times[end] == 1), of[-1]))) for of in ends]
