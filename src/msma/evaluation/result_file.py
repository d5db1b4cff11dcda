"""Result files: each is one value as JSON, written whole and checked when it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from msma.config import parse
from msma.files.reading import read_json, read_text, why
from msma.files.writing import write_whole
from msma.types import MsmaError

MAX_BYTES = 256 * 1024**2
T = TypeVar("T")


class Result(BaseModel):
    """A value of a result file; the dataclasses in it are as strict as itself. NaN is null in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="null")


def as_json(value: Result) -> str:
    return value.model_dump_json(indent=2) + "\n"


def write_result(path: Path, value: Result) -> None:
    write_whole(path, as_json(value))


def read_result(path: Path, kind: type[T] | TypeAdapter, remedy: str) -> T:
    """The value in a result file; MsmaError, which names file and key and ends with `remedy`, where it is unreadable,
    larger than MAX_BYTES or does not fit the schema of `kind`."""
    return checked(read_json(path, remedy, MAX_BYTES), kind, str(path), remedy)


def read_lines(path: Path, kind: type[T], remedy: str) -> list[T]:
    """The values in a file of JSON lines, none where it is not there; MsmaError as `read_result`."""
    if not path.exists():
        return []
    lines = read_text(path, remedy, MAX_BYTES).splitlines()
    return [
        checked(json_of(line, f"{path}, line {number}", remedy), kind, f"{path}, line {number}", remedy)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def json_of(line: str, where: str, remedy: str) -> Any:
    """The values in a line of JSON; MsmaError, with the remedy, where it is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MsmaError(f"{where}: cannot be read as JSON ({why(error)}); {remedy}") from error


def checked(values: Any, kind: type[T] | TypeAdapter, where: str, remedy: str) -> T:
    """The plain values of a result file as `kind`; MsmaError as `read_result`."""
    try:
        return parse(kind, values, where)
    except MsmaError as error:
        raise MsmaError(f"{error}; {remedy}") from error
