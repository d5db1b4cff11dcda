"""What lies in a run folder, read and checked: results only, never weights or media."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from msma.config import parse
from msma.evaluation.ablation import AblationStudy
from msma.evaluation.evaluation import Evaluation
from msma.evaluation.evaluation_folder import read_evaluation
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import read_lines, read_result
from msma.evaluation.results import Profile
from msma.evaluation.robustness.summary import SuiteSummary
from msma.files.reading import read_mapping
from msma.training.run import PROVENANCE, Session, Validation
from msma.types import MsmaError
from msma.weights.calibration import Calibration
from msma.weights.config import WeightsConfig

T = TypeVar("T")
RECIPE: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, dict[str, Any]])
"""Sections of a recipe, of whatever version of msma."""


@dataclass(frozen=True)
class RunFiles:
    """None or empty: not there."""

    folder: Path
    recipe: dict[str, Any] | None
    config: WeightsConfig | None
    corpus: dict[str, Any] | None
    log: list[Validation]
    sessions: list[Session]
    evaluations: tuple[tuple[Evaluation, Predictions], ...]
    calibration: Calibration | None
    suites: tuple[SuiteSummary, ...]
    cells_only: tuple[Path, ...]
    """Folders of suites whose summary was never written."""
    ablation: AblationStudy | None
    profile: Profile | None


def read_run(folder: Path) -> RunFiles:
    """Everything that msma writes into a run folder, and the ablation study that it is of; MsmaError for a file that is
    damaged or foreign, or nothing to report at all."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    recipe, train = folder / "recipe.yaml", "train again into another --out"
    studies = (at / "ablation.json" for at in (folder, *folder.resolve().parents[:2]))
    study = next((path for path in studies if path.exists()), folder / "ablation.json")
    suites = (read(at / "summary.json", SuiteSummary, f"make it with `msma robustness --out {at}`") for at in places)
    found = RunFiles(
        folder=folder,
        recipe=parse(RECIPE, read_mapping(recipe, train), f"{recipe} ({train})") if recipe.exists() else None,
        config=read(folder / "config.json", WeightsConfig, train),
        corpus=read(folder / "corpus.json", TypeAdapter(dict[str, Any]), train),
        log=read_lines(folder / "metrics.jsonl", Validation, train),
        sessions=read_lines(folder / PROVENANCE, Session, train),
        evaluations=tuple(read_evaluation(at) for at in places if (at / "evaluation.json").exists()),
        calibration=read(folder / "calibration.json", Calibration, "make it with `msma calibrate`"),
        suites=tuple(suite for suite in suites if suite is not None),
        cells_only=tuple(at for at in places if (at / "cells").is_dir() and not (at / "summary.json").exists()),
        ablation=read(study, AblationStudy, "make it with `msma ablate`"),
        profile=read(folder / "profile.json", Profile, "make it with `msma profile --out`"),
    )
    if not any((found.recipe, found.config, found.log, found.evaluations, found.suites, found.ablation, found.profile)):
        raise MsmaError(f"{folder}: holds nothing to report; name a folder that `msma train` or `msma evaluate` wrote")
    return found


def read(path: Path, kind: type[T] | TypeAdapter, remedy: str) -> T | None:
    """None where it is not there; else as `read_result`."""
    return read_result(path, kind, remedy) if path.exists() else None
