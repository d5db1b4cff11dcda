"""The result of a cell, read back from its file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from msma.config import first_line
from msma.corruptions.scenarios import Cell, Step
from msma.types import MODALITIES, MsmaError


@dataclass(frozen=True)
class CellResult:
    """What a summary needs of a cell. Scores are means over traits."""

    cell: Cell
    clips: tuple[str, ...]
    skill: float
    mean_accuracy: float
    ccc: float
    mae: float
    clean_skill: float
    """Of the same clips when clean."""
    late_skill: float | None
    """Of the static late fusion; None for a network of one modality."""
    clean_late_skill: float | None
    traits: Float64[np.ndarray, "clips k"]
    quality: Float64[np.ndarray, "clips 2"]
    """Audio, visual."""
    used: Float64[np.ndarray, "clips 2"]
    """Share of the time in which there was sound, and a picture, to be used."""
    distortion: Float64[np.ndarray, "clips 2"]
    face_lost: float
    """Share of the clips."""
    skill_interval: tuple[float, float] = (math.nan, math.nan)
    failed: int = 0
    coverage: float = math.nan
    """Of the prediction intervals; NaN where there are none."""
    width: float = math.nan
    """Mean of the prediction intervals."""


def with_modality(clean: CellResult, modalities: Iterable[str]) -> frozenset[str]:
    """The clips that have one of these modalities when clean: of others, nothing that spoils it can be seen."""
    there = clean.used[:, [MODALITIES.index(modality) for modality in modalities]].any(axis=1)
    return frozenset(np.array(clean.clips)[there].tolist())


@dataclass(frozen=True)
class NotRun:
    cell: Cell
    reason: str


def read_result(path: Path) -> CellResult | NotRun:
    """Raises:
    MsmaError: it is damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        cell = cell_of(values["cell"])
        return NotRun(cell, values["not_run"]) if "not_run" in values else result_of(cell, values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MsmaError(f"{path}: damaged ({first_line(error)}); delete it, the cell will be run again") from error


def cell_of(values: dict[str, Any]) -> Cell:
    steps = tuple(Step(step["corruption"], step["severity"]) for step in values["steps"])
    return Cell(values["scenario"], values["family"], steps, values["severity"], values["held_out"])


def result_of(cell: Cell, values: dict[str, Any]) -> CellResult:
    answers, difference = values["answers"], values["from_clean"]
    own, late = {name: values[name]["mean"] for name in ("skill", "mean_accuracy", "ccc", "mae")}, values["late_fusion"]
    clean, clean_late = (values, late) if difference is None else (difference["clean"], difference["clean_late_fusion"])
    bounds, held = values["intervals"]["skill"], values["prediction_intervals"]

    def shares(name: str) -> np.ndarray:
        return np.array([[answer[name][m] for m in MODALITIES] for answer in answers.values()], dtype=np.float64)

    return CellResult(
        cell=cell,
        clips=tuple(answers),
        **{name: number(value) for name, value in own.items()},
        clean_skill=clean["skill"]["mean"],
        late_skill=None if late is None else late["skill"]["mean"],
        clean_late_skill=None if clean_late is None else clean_late["skill"]["mean"],
        traits=np.array([list(answer["traits"].values()) for answer in answers.values()], dtype=np.float64),
        quality=shares("quality"),
        used=shares("used"),
        distortion=shares("distortion"),
        face_lost=values["face_lost"],
        skill_interval=(number(bounds["low"]), number(bounds["high"])),
        failed=len(values["failed"]),
        **{name: math.nan if held is None else held[name]["mean"] for name in ("coverage", "width")},
    )


def number(value: float | None) -> float:
    """Of the JSON; null is NaN."""
    return math.nan if value is None else value
