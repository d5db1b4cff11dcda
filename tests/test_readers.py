"""Every file that msma reads may be anybody's: whatever is in it, it is read, or refused in one line."""

from __future__ import annotations

import io
import json
import os
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from readers import Reader, readers, readers_in_source, unguarded_in_source

from msma.types import MAX_MESSAGE, MsmaError
from msma.weights.wheels import FOLDER_VARIABLE

QUICK, MANY = 12, int(os.environ.get("MSMA_FUZZ", "60"))
"""Mutations of each file; MSMA_FUZZ=1200 makes more than 50,000 of all, which takes half an hour."""
BYTES = (b"\x00", b"\xff", b"\n", b'"', b"[", b"{", b"}", b"-", b",", b"1e999", b"9" * 400, b"&a *a ", b"!!bool q")
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**400, 2**63, 1e308, float("nan"), float("inf"), "", "x" * 1000, "a\nb", "\x00", "é\ud800"),
    *([], {}, [[]], {"": None}, [1, "a"], "2026-13-45", "0x_"),
)
SCALARS = ("2026-13-45", "0x_", "!!bool q", "!!int x", "!!binary é", "&a [*a]", "{? [a] : b}", "[" * 300, "1_", ".nan")


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Iterator[list[Reader]]:
    folder = tmp_path_factory.mktemp("readers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder))
        yield readers(folder)


def test_every_reader_of_a_file_is_in_the_table(table):
    assert readers_in_source() == {name for reader in table for name in reader.names}


def test_no_file_is_read_without_a_guard_outside_of_media():
    assert unguarded_in_source() == {"reports.contact_sheet.film"}  # of a file that it has just written


def test_what_a_writer_made_is_read(table):
    for reader in table:
        if reader.whole:
            reader.read()


def test_a_file_that_is_not_there_is_refused_in_one_line_or_passed_over(table):
    for reader in table:
        with restored(reader.path):
            reader.path.unlink()
            check(reader, "not there")


def test_mutated_files_are_read_or_refused_in_one_line(table):
    fuzz(table, QUICK)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_mutated_files_are_read_or_refused_in_one_line(table):
    assert fuzz(table, MANY) >= MANY * len(table) // 2


@contextmanager
def restored(path: Path) -> Iterator[bytes]:
    """The content of a file, which it has again when the block ends."""
    content = path.read_bytes()
    try:
        yield content
    finally:
        path.write_bytes(content)


def fuzz(table: list[Reader], count: int) -> int:
    """Read so many mutations of each file; gives how many there were."""
    done = 0
    for place, reader in enumerate(table):
        with restored(reader.path) as whole:
            for seed in range(count):
                reader.path.write_bytes(mutated(whole, reader.path, random.Random(f"{place}.{seed}")))
                check(reader, f"seed {place}.{seed}")
        done += count
    return done


def check(reader: Reader, what: str) -> None:
    """The file is read, or refused by a MsmaError of one line."""
    line = "read"
    try:
        reader.read()
    except MsmaError as error:
        line = str(error)
    except Exception as error:
        error.add_note(f"{reader.path.name} by {reader.names}, {what}")
        raise
    assert len(line.splitlines()) == 1, what
    assert len(line) <= MAX_MESSAGE, what


def mutated(content: bytes, path: Path, rng: random.Random) -> bytes:
    """The content with a mutation of its bytes or of its structure."""
    structured = STRUCTURED.get(path.suffix)
    return structured(content, rng) if structured and rng.random() < 0.6 else with_other_bytes(content, rng)


def with_other_bytes(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3))):
        at, length = rng.randrange(len(changed) + 1), rng.choice((1, 2, 8, 64))
        match rng.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = rng.randbytes(length)
            case 3:
                changed[at:at] = rng.choice(BYTES)
            case 4:
                changed[at : at + length] = changed[-length:]
            case _:
                del changed[at:]
    return bytes(changed)


def with_another_value(value: Any, rng: random.Random) -> Any:
    """Plain nested values, of which one, somewhere, is another, is lacking, or has another name."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.15:
        return rng.choice(VALUES)
    if isinstance(value, list):
        place = rng.randrange(len(value))
        kept = [with_another_value(value[place], rng)] if rng.random() < 0.8 else rng.choice(([], [value[place]] * 2))
        return [*value[:place], *kept, *value[place + 1 :]]
    key = rng.choice(list(value))
    rest = {name: other for name, other in value.items() if name != key}
    match rng.randrange(8):
        case 0:
            return rest
        case 1:
            return rest | {f"{key}x": value[key]}
        case _:
            return value | {key: with_another_value(value[key], rng)}


def other_json(content: bytes, rng: random.Random) -> bytes:
    return json.dumps(with_another_value(json.loads(content), rng)).encode()


def other_line(content: bytes, rng: random.Random) -> bytes:
    lines = [line for line in content.split(b"\n") if line]
    place = rng.randrange(len(lines))
    lines[place] = other_json(lines[place], rng)
    return b"\n".join(lines) + b"\n"


def other_yaml(content: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        lines = content.decode().splitlines()
        place = rng.randrange(len(lines))
        lines[place] = f"{lines[place].partition(':')[0]}: {rng.choice(SCALARS)}"
        return "\n".join(lines).encode()
    return yaml.safe_dump(with_another_value(yaml.safe_load(content), rng)).encode("utf-8", "surrogatepass")


def other_cell(content: bytes, rng: random.Random) -> bytes:
    rows = [line.split(b",") for line in content.splitlines()]
    row = rng.choice(rows)
    row[rng.randrange(len(row))] = str(rng.choice(VALUES)).encode("utf-8", "surrogatepass")
    return b"\n".join(b",".join(cells) for cells in rows)


def other_header(content: bytes, rng: random.Random) -> bytes:
    """A safetensors file with another header of the right length."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    if "__metadata__" in header and rng.random() < 0.5:
        entry = json.loads(header["__metadata__"]["entry"])
        header["__metadata__"]["entry"] = json.dumps(with_another_value(entry, rng))
    else:
        header = with_another_value(header, rng)
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + content[8 + length :]


def other_state(content: bytes, rng: random.Random) -> bytes:
    state, file = torch.load(io.BytesIO(content), weights_only=True), io.BytesIO()
    torch.save(with_another_value(state, rng), file)
    return file.getvalue()


STRUCTURED: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".json": other_json,
    ".jsonl": other_line,
    ".yaml": other_yaml,
    ".csv": other_cell,
    ".safetensors": other_header,
    ".clip": other_header,
    ".pt": other_state,
}
