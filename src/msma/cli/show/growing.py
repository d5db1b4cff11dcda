"""Text that is written piece by piece, and is whole after each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from itertools import chain, repeat
from pathlib import Path

from msma.files.names import shown
from msma.files.reading import why
from msma.files.writing import write_whole, writing
from msma.types import WriteError

Add = Callable[[str], None]


@contextmanager
def growing_file(path: Path, begun: str, between: str, tail: str, *, resumed: bool) -> Iterator[Add]:
    """A function that adds a piece to a file, which ends with `tail` after each; WriteError where the disk is full, and
    then the file ends as before. What is `begun` holds pieces already where it is `resumed`, and then replaces at once
    what was there."""
    separators, end = chain([between if resumed else ""], repeat(between)), len(encoded(begun))
    with writing(path):
        if resumed:
            write_whole(path, encoded(begun + tail))
        opened = path.open("r+b" if resumed else "wb", buffering=0)
    with opened as file:

        def add(piece: str) -> None:
            nonlocal end
            text = next(separators) + piece
            with writing(path):
                try:
                    write_all(file, end, encoded(text + tail))
                except OSError:  # the tail still has the room that it had
                    write_all(file, end, encoded(tail))
                    file.truncate()
                    raise
            end += len(encoded(text))

        if not resumed:
            with writing(path):
                write_all(file, 0, encoded(begun + tail))
        yield add


def write_all(file: FileIO, place: int, content: bytes) -> None:
    """Write at a place in as few steps as the system allows."""
    file.seek(place)
    take(file, content)


def take(file: FileIO, content: bytes) -> None:
    while content:
        content = content[file.write(content) :]


def encoded(text: str) -> bytes:
    """In UTF-8; the name of a file may be no valid text."""
    return shown(text).encode()


@contextmanager
def growing_stream(path: Path | None = None, head: str = "", between: str = "", tail: str = "") -> Iterator[Add]:
    """The same for stdout, or a file that is written from its start: nothing can be taken back, and the `tail` comes
    when the block ends, however it does."""
    separators, taken = chain([""], repeat(between)), True
    with ExitStack() as opened:
        file = None
        if path is not None:
            with writing(path):  # without a buffer, which would be written once more when the file is closed
                file = opened.enter_context(path.open("wb", buffering=0))

        def put(text: str) -> None:
            nonlocal taken
            try:
                if file is not None:
                    take(file, encoded(text))
                else:
                    sys.stdout.write(text)
                    sys.stdout.flush()
            except OSError as error:
                taken = False
                if isinstance(error, BrokenPipeError):  # whoever read has seen enough
                    raise
                where = path or "stdout"
                raise WriteError(f"{where}: cannot be written ({why(error)}); make room or name another") from error

        put(head)
        try:
            yield lambda piece: put(next(separators) + piece)
        finally:
            if taken:
                put(tail)
