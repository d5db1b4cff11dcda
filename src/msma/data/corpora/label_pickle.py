"""Reads the small part of the pickle language that dictionaries of scores need, and nothing else.

Label files come from other people's machines. Python's own unpickler runs what a pickle names; restricted to known
globals it can still be crashed by nested tuples or made to fill the memory, so this one knows strings, numbers,
dictionaries with string keys, and numpy float scalars as Python 2 and 3 write them (protocols 0 to 5).
"""

from __future__ import annotations

import codecs
import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_STACK = 10_000
"""Values that wait to be put into a dictionary; a pickler writes them in thousands."""
MARK = object()


def read_label_pickle(data: bytes) -> Any:
    """The value that a pickle holds.

    Raises:
        ValueError: anything that labels do not need, or a file that ends too early.
    """
    file = io.BytesIO(data)
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        while (code := take(file, 1)) != b".":
            if code in CONSTANTS:
                stack.append(CONSTANTS[code]())
            elif code in LITERALS:
                stack.append(LITERALS[code](file))
            elif code in PUTS:
                index = PUTS[code](file)
                memo[len(memo) if index is None else index] = stack[-1]
            elif code in GETS:
                stack.append(memo[GETS[code](file)])
            elif code in HEADERS:
                take(file, HEADERS[code])
            elif code in ACTIONS:
                ACTIONS[code](stack)
            else:
                raise ValueError(f"refused pickle instruction {code!r}")
            if len(stack) > MAX_STACK:
                raise ValueError("refused, too deep")
        return stack.pop()
    except (IndexError, KeyError, OverflowError, TypeError, struct.error) as error:
        raise ValueError("broken pickle") from error


def take(file: io.BytesIO, count: int) -> bytes:
    taken = file.read(count)
    if len(taken) < count:
        raise ValueError("ends too early")
    return taken


def line(file: io.BytesIO) -> str:
    text = file.readline()
    if not text.endswith(b"\n"):
        raise ValueError("ends too early")
    return text[:-1].decode("latin1")


def number(form: str) -> Callable[[io.BytesIO], Any]:
    return lambda file: struct.unpack(form, take(file, struct.calcsize(form)))[0]


def counted(form: str, encoding: str | None = None) -> Callable[[io.BytesIO], Any]:
    """Bytes, or text in `encoding`, after their count."""
    count = number(form)

    def read(file: io.BytesIO) -> Any:
        raw = take(file, count(file))
        return raw if encoding is None else raw.decode(encoding)

    return read


def quoted(file: io.BytesIO) -> str:
    """A Python 2 string literal."""
    text = line(file)
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        raise ValueError("broken string")
    return codecs.escape_decode(text[1:-1].encode("latin1"))[0].decode("latin1")


def known_global(module: Any, name: Any) -> Callable[..., Any]:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("refused a name that is not text")
    if f"{module}.{name}" not in GLOBALS:
        raise ValueError(f"refused to load {f'{module}.{name}'[:80]!r}")
    return GLOBALS[f"{module}.{name}"]


class FloatDtype:
    """Stands for a numpy float dtype; takes the byte order and ignores the rest of its state."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or code not in ("f2", "f4", "f8"):
            raise ValueError("refused a numpy dtype that is not a float")
        self.dtype = np.dtype(code)

    def order(self, state: Any) -> None:
        if isinstance(state[1], str) and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


def float_scalar(dtype: Any, raw: Any) -> float:
    raw = raw.encode("latin1") if isinstance(raw, str) else raw  # from Python 2
    if not isinstance(dtype, FloatDtype) or not isinstance(raw, bytes) or len(raw) != dtype.dtype.itemsize:
        raise ValueError("refused a numpy scalar that is not a float")
    return float(np.frombuffer(raw, dtype=dtype.dtype)[0])


def latin1(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("refused an encoding other than latin1")
    return text.encode("latin1")


GLOBALS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray.scalar": float_scalar,
    "numpy._core.multiarray.scalar": float_scalar,
    "numpy.dtype": FloatDtype,
    "_codecs.encode": latin1,
}


def since_mark(stack: list[Any]) -> list[Any]:
    """Take what was pushed after the last mark, and the mark."""
    for place in reversed(range(len(stack))):
        if stack[place] is MARK:
            taken = stack[place + 1 :]
            del stack[place:]
            return taken
    raise ValueError("lacks a mark")


def put_items(target: Any, items: list[Any]) -> None:
    if not isinstance(target, dict) or len(items) % 2:
        raise ValueError("refused to change anything but a dictionary")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str):
            raise ValueError("refused a key that is not text")
        target[key] = value


def make_dict(stack: list[Any]) -> None:
    items = since_mark(stack)
    stack.append({})
    put_items(stack[-1], items)


def set_item(stack: list[Any]) -> None:
    items = [stack.pop(), stack.pop()][::-1]
    put_items(stack[-1], items)


def set_items(stack: list[Any]) -> None:
    items = since_mark(stack)
    put_items(stack[-1], items)


def make_tuple(count: int) -> Callable[[list[Any]], None]:
    def action(stack: list[Any]) -> None:
        taken = [stack.pop() for _ in range(count)]
        stack.append(tuple(taken[::-1]))

    return action


def call(stack: list[Any]) -> None:
    arguments, function = stack.pop(), stack.pop()
    if not isinstance(arguments, tuple) or not any(function is known for known in GLOBALS.values()):
        raise ValueError("refused to call")
    stack.append(function(*arguments))


def build(stack: list[Any]) -> None:
    state = stack.pop()
    if not isinstance(stack[-1], FloatDtype) or not isinstance(state, tuple):
        raise ValueError("refused to change anything but a numpy dtype")
    stack[-1].order(state)


def load_global(stack: list[Any]) -> None:
    name, module = stack.pop(), stack.pop()
    stack.append(known_global(module, name))


CONSTANTS: dict[bytes, Callable[[], Any]] = {
    b"(": lambda: MARK,
    b"}": dict,
    b"N": lambda: None,
    b"\x88": lambda: True,
    b"\x89": lambda: False,
}
LITERALS: dict[bytes, Callable[[io.BytesIO], Any]] = {
    b"I": lambda file: int(line(file)),
    b"J": number("<i"),
    b"K": number("<B"),
    b"M": number("<H"),
    b"F": lambda file: float(line(file)),
    b"G": number(">d"),
    b"S": quoted,
    b"T": counted("<I", "latin1"),
    b"U": counted("<B", "latin1"),
    b"V": lambda file: line(file).encode("latin1").decode("raw-unicode-escape"),
    b"X": counted("<I", "utf-8"),
    b"\x8c": counted("<B", "utf-8"),
    b"\x8d": counted("<Q", "utf-8"),
    b"C": counted("<B"),
    b"B": counted("<I"),
    b"\x8e": counted("<Q"),
    b"c": lambda file: known_global(line(file), line(file)),
}
PUTS: dict[bytes, Callable[[io.BytesIO], int | None]] = {
    b"p": lambda file: int(line(file)),
    b"q": number("<B"),
    b"r": number("<I"),
    b"\x94": lambda _: None,
}
GETS: dict[bytes, Callable[[io.BytesIO], int]] = {
    b"g": lambda file: int(line(file)),
    b"h": number("<B"),
    b"j": number("<I"),
}
HEADERS = {b"\x80": 1, b"\x95": 8}
"""Protocol and frame: their sizes; what they say is not needed."""
ACTIONS: dict[bytes, Callable[[list[Any]], None]] = {
    b"d": make_dict,
    b"s": set_item,
    b"u": set_items,
    b"t": lambda stack: stack.append(tuple(since_mark(stack))),
    b"\x85": make_tuple(1),
    b"\x86": make_tuple(2),
    b"\x87": make_tuple(3),
    b"R": call,
    b"b": build,
    b"\x93": load_global,
}
