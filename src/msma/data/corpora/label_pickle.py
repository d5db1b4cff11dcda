"""Reads the small part of the pickle language that dictionaries of scores need, and nothing else.

Label files come from other people's machines. Python's own unpickler calls all that a pickle names; restricted to known
globals it can still be crashed by nested tuples or made to fill the memory, so this one knows strings, numbers,
dictionaries with string keys, and numpy float scalars as Python 2 and 3 write them (protocols 0 to 5).
"""

from __future__ import annotations

import codecs
import io
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_STACK = 10_000
"""Values that wait to be put into a dictionary; a pickler writes them in thousands."""
MARK = object()
OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
LITERALS = (
    *("INT", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),  # bytes of Python 2, read as latin1
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
)


def read_label_pickle(data: bytes) -> Any:
    """The value that a pickle holds; ValueError for anything that labels do not need, or a file that ends too early."""
    file = io.BytesIO(data)
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        while (name := (opcode := OPCODES[file.read(1).decode("latin1")]).name) != "STOP":
            reader = read_string if name == "STRING" else opcode.arg and opcode.arg.reader
            act(name, reader and reader(file), stack, memo)
            if len(stack) > MAX_STACK:
                raise ValueError("refused, too deep")
        return stack.pop()
    except (IndexError, KeyError, OverflowError, TypeError) as error:
        raise ValueError("broken pickle") from error


def act(instruction: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """Do one instruction, by its name in `pickletools`."""
    match instruction:
        case "PROTO" | "FRAME":
            pass
        case "MARK":
            stack.append(MARK)
        case "NONE" | "NEWTRUE" | "NEWFALSE":
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[instruction])
        case _ if instruction in LITERALS:
            stack.append(argument)
        case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
            memo[len(memo) if argument is None else argument] = stack[-1]
        case "GET" | "BINGET" | "LONG_BINGET":
            stack.append(memo[argument])
        case "EMPTY_DICT":
            stack.append({})
        case "DICT":
            stack.append(with_items({}, since_mark(stack)))
        case "SETITEM" | "SETITEMS":
            items = popped(stack, 2) if instruction == "SETITEM" else since_mark(stack)
            with_items(stack[-1], items)
        case "TUPLE":
            stack.append(tuple(since_mark(stack)))
        case "TUPLE1" | "TUPLE2" | "TUPLE3":
            stack.append(tuple(popped(stack, int(instruction[-1]))))
        case "GLOBAL" | "STACK_GLOBAL":
            stack.append(known_global(*(popped(stack, 2) if argument is None else argument.split(" ", 1))))
        case "REDUCE":
            function, arguments = popped(stack, 2)
            if not isinstance(arguments, tuple) or not any(function is known for known in GLOBALS.values()):
                raise ValueError("refused to call")
            stack.append(function(*arguments))
        case "BUILD":
            (state,) = popped(stack, 1)
            if not isinstance(stack[-1], FloatDtype) or not isinstance(state, tuple):
                raise ValueError("refused to change anything but a numpy dtype")
            stack[-1].order(state)
        case _:
            raise ValueError(f"refused pickle instruction {instruction}")


def read_string(file: io.BytesIO) -> str:
    """A Python 2 string literal; `pickletools` would take ASCII only."""
    text = file.readline()
    if len(text) < 3 or text[:1] not in (b"'", b'"') or text[-2:] != text[:1] + b"\n":
        raise ValueError("broken string")
    return codecs.escape_decode(text[1:-2])[0].decode("latin1")


def popped(stack: list[Any], count: int) -> list[Any]:
    """Take the last values, in the order in which they were pushed."""
    return [stack.pop() for _ in range(count)][::-1]


def since_mark(stack: list[Any]) -> list[Any]:
    """Take the values that were pushed after the last mark, and the mark."""
    for place in reversed(range(len(stack))):
        if stack[place] is MARK:
            _, *values = popped(stack, len(stack) - place)
            return values
    raise ValueError("lacks a mark")


def with_items(target: Any, items: list[Any]) -> dict[str, Any]:
    """The dictionary `target` with further keys and values."""
    if not isinstance(target, dict) or len(items) % 2:
        raise ValueError("refused to change anything but a dictionary")
    if not all(isinstance(key, str) for key in items[::2]):
        raise ValueError("refused a key that is not text")
    target.update(zip(items[::2], items[1::2], strict=True))
    return target


def known_global(module: Any, name: Any) -> Callable[..., Any]:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("refused a name that is not text")
    if f"{module}.{name}" not in GLOBALS:
        raise ValueError(f"refused to load {f'{module}.{name}'[:80]!r}")
    return GLOBALS[f"{module}.{name}"]


class FloatDtype:
    """A stand-in for a numpy float dtype; takes the byte order and ignores the rest of its state."""

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
