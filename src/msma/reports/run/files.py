"""What lies in a run folder, read and checked: results only, never weights or media."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from msma.config import first_line, read_mapping
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import read_evaluation
from msma.training.provenance import FILE as PROVENANCE
from msma.types import MsmaError
from msma.weights.calibration import Calibration

MOST_BYTES = 256 * 1024**2
T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """A file of JSON and what it holds; `remedy` says how to make it anew."""

    path: Path
    values: Any
    remedy: str


@dataclass(frozen=True)
class RunFiles:
    """None or empty: not there."""

    folder: Path
    recipe: dict[str, Any] | None
    config: Found | None
    corpus: Found | None
    log: Found | None
    """A list, of the validations."""
    sessions: Found | None
    """A list, of the times that training was begun or gone on with."""
    evaluations: tuple[tuple[Found, Predictions], ...]
    calibration: Found | None
    """`values` is a Calibration."""
    suites: tuple[Found, ...]
    cells_only: tuple[Path, ...]
    """Folders of suites whose summary was never written."""
    ablation: Found | None
    profile: Found | None


def read_run(folder: Path) -> RunFiles:
    """Everything that msma writes into a run folder, and the ablation study that it is of.

    Raises:
        MsmaError: a file that is damaged or foreign, or nothing to report at all.
    """
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    recipe, train = folder / "recipe.yaml", "train anew into another --out"
    study = next((at / "ablation.json" for at in (folder, *folder.resolve().parents[:2]) if has_study(at)), None)
    found = RunFiles(
        folder=folder,
        recipe=read_mapping(recipe, train) if recipe.exists() else None,
        config=read(folder / "config.json", train),
        corpus=read(folder / "corpus.json", train),
        log=read(folder / "metrics.jsonl", train, lines),
        sessions=read(folder / PROVENANCE, train, lines),
        evaluations=tuple(evaluation(at) for at in (folder, *inside) if (at / "evaluation.json").exists()),
        calibration=read(folder / "calibration.json", "make it with `msma calibrate`", Calibration.model_validate_json),
        suites=tuple(suite for at in (folder, *inside) if (suite := summary(at)) is not None),
        cells_only=tuple(at for at in inside if (at / "cells").is_dir() and not (at / "summary.json").exists()),
        ablation=None if study is None else read(study, "make it with `msma ablate`"),
        profile=read(folder / "profile.json", "make it with `msma profile --out`"),
    )
    if not any((found.recipe, found.config, found.log, found.evaluations, found.suites, found.ablation, found.profile)):
        raise MsmaError(f"{folder}: holds nothing to report; name a folder that `msma train` or `msma evaluate` wrote")
    return found


def has_study(folder: Path) -> bool:
    return (folder / "ablation.json").exists()


def summary(folder: Path) -> Found | None:
    remedy = f"make it with `msma robustness --out {folder}`"
    return read(folder / "summary.json", remedy)


def evaluation(folder: Path) -> tuple[Found, Predictions]:
    remedy = f"make it with `msma evaluate --out {folder}`"
    for name in ("evaluation.json", "predictions.csv"):
        check_size(folder / name, remedy)
    values, predictions = read_evaluation(folder)
    return Found(folder / "evaluation.json", values, remedy), predictions


def read(path: Path, remedy: str, parse: Callable[[str], Any] = json.loads) -> Found | None:
    """None where it is not there.

    Raises:
        MsmaError: it cannot be read.
    """
    if not path.exists():
        return None
    check_size(path, remedy)
    try:
        return Found(path, parse(path.read_text(encoding="utf-8")), remedy)
    except (OSError, ValueError, RecursionError) as error:
        raise MsmaError(f"{path}: cannot be read ({first_line(error)}); {remedy}") from error


def check_size(path: Path, remedy: str) -> None:
    if path.exists() and path.stat().st_size > MOST_BYTES:
        raise MsmaError(f"{path}: larger than {MOST_BYTES // 1024**2} MiB; {remedy}")


def lines(content: str) -> list[Any]:
    return [json.loads(line) for line in content.splitlines() if line.strip()]


@contextmanager
def understood(found: Found) -> Iterator[Any]:
    """What a file holds; whatever is not there, or is not what it should be, is told as one line.

    Raises:
        MsmaError: the block did not find what it needs.
    """
    try:
        yield found.values
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        what = f"{type(error).__name__}: {first_line(error)}"
        raise MsmaError(f"{found.path}: damaged or foreign ({what}); {found.remedy}") from error
