"""The answers that `msma predict --format json` or `jsonl` wrote, checked: the file may be anybody's."""

from __future__ import annotations

import json
import math
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from msma.config import first_line
from msma.prediction.media_preview import MAX_FACES, MAX_STEPS
from msma.types import MODALITIES, TRAITS, MediaPreview, MsmaError, Prediction

PREDICTIONS = TypeAdapter(list[Prediction], config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
"""What `msma predict --format json` writes."""
MOST_BYTES = 256 * 1024**2
MOST_ANSWERS = 2000
"""A page of more is too long to be read, or opened."""
MOST_JPEG_BYTES = 64 * 1024
MOST_JPEG_SIDE = 1024
"""A small JPEG may claim sides that fill the memory of whoever opens it."""
REMEDY = "make it again with `msma predict CLIP --format json --out answers.json`"


def read_answers(path: Path) -> list[Prediction]:
    """A list of answers, a single one, or one a line.

    Raises:
        MsmaError: unreadable, truncated or foreign, with values that no answer has, or too much for a page.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise MsmaError(f"{path}: larger than {MOST_BYTES // 1024**2} MiB; report fewer clips at once")
        values = json_values(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MsmaError(f"{path}: cannot be read as answers in JSON ({first_line(error)}); {REMEDY}") from error
    if not values:
        raise MsmaError(f"{path}: holds no answer; {REMEDY}")
    if len(values) > MOST_ANSWERS:
        raise MsmaError(f"{path}: {len(values)} answers are too many for a page; report {MOST_ANSWERS} at most at once")
    return [read_answer(value, f"{path}: answer {place}") for place, value in enumerate(values, start=1)]


def json_values(content: str) -> list[Any]:
    """Raises:
    ValueError: no JSON and no JSON lines; NaN is none.
    """
    try:
        value = json.loads(content, parse_constant=refuse)
    except json.JSONDecodeError:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.startswith("{") for line in lines):
            raise
        return [json.loads(line, parse_constant=refuse) for line in lines]
    return value if isinstance(value, list) else [value]


def refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def read_answer(value: Any, where: str) -> Prediction:
    try:
        answer = TypeAdapter(Prediction).validate_python(value)
        check(answer)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise MsmaError(f"{where}: {key or 'it'}: {first['msg'].lower()}; {REMEDY}") from error
    except ValueError as error:
        raise MsmaError(f"{where}: {first_line(error)}; {REMEDY}") from error
    return answer


def check(answer: Prediction) -> None:
    """Raises:
    ValueError: something that no answer has.
    """
    if (answer.traits is None) != (answer.status in ("abstained", "failed")):
        raise ValueError(f"status {answer.status} does not go with its traits")
    if answer.traits is not None:
        check_traits(answer.traits, "traits")
    if answer.intervals is not None:
        if answer.traits is None or set(answer.intervals) != set(answer.traits):
            raise ValueError("intervals are not of its traits")
        for trait, ends in answer.intervals.items():
            if len(ends) != 2 or not rising(ends):
                raise ValueError(f"intervals: {trait}: not a low and a high end in [0, 1]")
    if answer.coverage is not None and not 0 < answer.coverage < 1:
        raise ValueError("coverage is not between 0 and 1")
    check_modalities(answer.quality, answer.used)
    for window in answer.windows:
        check_traits(window.traits, "windows: traits")
        check_modalities(window.quality, window.used)
        check_span(window.start_s, window.end_s)
    if answer.media_preview is not None:
        check_preview(answer.media_preview)


def check_traits(traits: Mapping[str, float], where: str) -> None:
    if not traits or set(traits) - set(TRAITS) or not within(traits.values()):
        raise ValueError(f"{where}: not scores in [0, 1] of {', '.join(TRAITS)}")


def check_modalities(*shares: Mapping[str, float]) -> None:
    for share in shares:
        if set(share) != set(MODALITIES) or not within(share.values()):
            raise ValueError(f"quality or used: not shares in [0, 1] of {' and '.join(MODALITIES)}")


def check_span(start_s: float, end_s: float) -> None:
    if not (math.isfinite(start_s) and math.isfinite(end_s) and 0 <= start_s <= end_s):
        raise ValueError("start_s and end_s: no stretch of time")


def check_preview(kept: MediaPreview) -> None:
    check_span(kept.start_s, kept.end_s)
    if len(kept.low) != len(kept.high) or len(kept.low) > MAX_STEPS:
        raise ValueError(f"media_preview: low and high are not {MAX_STEPS} steps or fewer")
    if not all(math.isfinite(value) for value in (*kept.low, *kept.high)):
        raise ValueError("media_preview: low or high is not finite")
    if len(kept.faces) > MAX_FACES:
        raise ValueError(f"media_preview: more than {MAX_FACES} faces")
    for face in kept.faces:
        check_span(face.time_s, face.time_s)
        check_jpeg(jpeg_bytes(face.jpeg))


def jpeg_bytes(encoded: str) -> bytes:
    """Raises:
    ValueError: too long, or no base64.
    """
    if len(encoded) > MOST_JPEG_BYTES * 4 // 3:
        raise ValueError(f"media_preview: a face of more than {MOST_JPEG_BYTES // 1024} KiB")
    return b64decode(encoded, validate=True)


def check_jpeg(content: bytes) -> None:
    """Walks from marker to marker up to the one that tells the sides.

    Raises:
        ValueError: no JPEG, or one with long sides.
    """
    place = 2
    while content[:2] == b"\xff\xd8" and place + 9 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xC2:
            height, width = (int.from_bytes(content[place + at : place + at + 2], "big") for at in (5, 7))
            if not 0 < max(height, width) <= MOST_JPEG_SIDE:
                raise ValueError(f"media_preview: a face of {width} x {height} pixels")
            return
        place += 2 + length
    raise ValueError("media_preview: a face that is no JPEG")


def within(values: Any) -> bool:
    return all(0 <= value <= 1 for value in values)


def rising(values: Sequence[float]) -> bool:
    return within(values) and list(values) == sorted(values)
