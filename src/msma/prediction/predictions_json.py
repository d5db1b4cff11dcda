"""The predictions that `msma predict --format json` or `jsonl` wrote, checked: the file may be anybody's."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, TypeAdapter

from msma.config import parse
from msma.files.reading import first_line, read_text
from msma.prediction.media_preview import MAX_FACES, MAX_STEPS
from msma.types import MODALITIES, TRAITS, MsmaError, Prediction

MAX_BYTES = 256 * 1024**2
MAX_PREDICTIONS = 2000
"""A page of more is too long to be read, or opened."""
MAX_JPEG_BYTES = 64 * 1024
MAX_JPEG_SIDE = 1024
"""A small JPEG may claim sides that fill the memory of whoever opens it."""
REMEDY = "make it again with `msma predict CLIP --format json --out predictions.json`"


def load_predictions(path: Path) -> list[Prediction]:
    """Read a list of predictions, a single one, or one per line; MsmaError where the file is unreadable, truncated or
    foreign, has values that no prediction has, or is too much for a page."""
    try:
        values = json_values(read_text(path, REMEDY, MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise MsmaError(f"{path}: cannot be read as predictions in JSON ({first_line(error)}); {REMEDY}") from error
    if not 0 < len(values) <= MAX_PREDICTIONS:
        count = f"{len(values)} predictions are too many for a page" if values else "holds no prediction"
        raise MsmaError(f"{path}: {count}; {REMEDY} for {MAX_PREDICTIONS} clips at most at once")
    try:
        return parse(PREDICTIONS, values, str(path))
    except MsmaError as error:
        raise MsmaError(f"{error}; {REMEDY}") from error


def json_values(text: str) -> list[Any]:
    """The values of a JSON list, of JSON lines, or a single one; ValueError where it is not JSON."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.startswith("{") for line in lines):
        return [json.loads(line) for line in lines]
    value = json.loads(text)
    return value if isinstance(value, list) else [value]


def checked(one: Prediction) -> Prediction:
    """The same prediction; ValueError where it has a value that none has."""
    scores = [window.traits for window in one.windows] + ([] if one.traits is None else [one.traits])
    shares = [share for of in (one, *one.windows) for share in (of.quality, of.used)]
    spans = [(window.start_s, window.end_s) for window in one.windows]
    preview, intervals = one.media_preview, one.intervals
    if (one.traits is None) != (one.status in ("abstained", "failed")):
        raise ValueError(f"status {one.status} does not go with its traits")
    if not all(of and set(of) <= set(TRAITS) and within(of.values()) for of in scores):
        raise ValueError(f"traits: not scores in [0, 1] of {', '.join(TRAITS)}")
    if not all(set(of) == set(MODALITIES) and within(of.values()) for of in shares):
        raise ValueError(f"quality or used: not shares in [0, 1] of {' and '.join(MODALITIES)}")
    if intervals is not None:
        ends_rise = (len(ends) == 2 and within(ends) and ends[0] <= ends[1] for ends in intervals.values())
        if intervals.keys() != (one.traits or {}).keys() or not all(ends_rise):
            raise ValueError("intervals: not a low and a high end in [0, 1] for each of its traits")
    if one.coverage is not None and not 0 < one.coverage < 1:
        raise ValueError("coverage is not between 0 and 1")
    if preview is not None:
        spans += [(preview.start_s, preview.end_s), *((face.time_s, face.time_s) for face in preview.faces)]
        if len(preview.low) != len(preview.high) or len(preview.low) > MAX_STEPS:
            raise ValueError(f"media_preview: low and high are not {MAX_STEPS} steps or fewer")
        if len(preview.faces) > MAX_FACES:
            raise ValueError(f"media_preview: more than {MAX_FACES} faces")
        for face in preview.faces:
            check_jpeg(face.jpeg)
    if not all(0 <= start_s <= end_s for start_s, end_s in spans):
        raise ValueError("start_s, end_s or time_s: not a stretch of time")
    return one


def within(values: Iterable[float]) -> bool:
    return all(0 <= value <= 1 for value in values)


def check_jpeg(encoded: str) -> None:
    """Walk from marker to marker up to the one with the sides; ValueError where it is too large or no JPEG."""
    if len(encoded) > MAX_JPEG_BYTES * 4 // 3:
        raise ValueError(f"media_preview: a face of more than {MAX_JPEG_BYTES // 1024} KiB")
    content, place = b64decode(encoded, validate=True), 2
    while content[:2] == b"\xff\xd8" and place + 9 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xC2:
            height, width = (int.from_bytes(content[place + at : place + at + 2], "big") for at in (5, 7))
            if not 0 < max(height, width) <= MAX_JPEG_SIDE:
                raise ValueError(f"media_preview: a face of {width} x {height} pixels")
            return
        place += 2 + length
    raise ValueError("media_preview: a face that is no JPEG")


PREDICTIONS = TypeAdapter(
    list[Annotated[Prediction, AfterValidator(checked)]],
    config=ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True),
)
"""The content of what `msma predict --format json` writes."""
