"""The result files in a run's folder that a model card is made of: all of them there and all of the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from msma.config import Recipe, load_recipe
from msma.evaluation.coverage import CoverageReport
from msma.evaluation.evaluation import Evaluation, Tested
from msma.evaluation.result_file import read_result
from msma.evaluation.results import Profile, StageCost
from msma.evaluation.robustness.summary import SuiteSummary
from msma.types import MsmaError
from msma.weights.calibration import Calibration
from msma.weights.checkpoint import Weights, calibration_sha256, weights_sha256

EVALUATION = "test/evaluation.json"
SUITES = ("six/summary.json", "full/summary.json", "joint/summary.json")
"""All but the first are taken where they are there."""
COMMANDS = {
    "calibration.json": "msma calibrate --model RUN --manifest CSV",
    EVALUATION: "msma evaluate --model RUN --manifest CSV",
    SUITES[0]: "msma robustness --model RUN --manifest CSV --suite six --out RUN/six",
    SUITES[1]: "msma robustness --model RUN --manifest CSV --suite full --out RUN/full",
    SUITES[2]: "msma robustness --model RUN --manifest CSV --suite joint --out RUN/joint",
}
"""The command that makes each file of a folder RUN, which messages name once: a line must not get too long."""
TestedT = TypeVar("TestedT", bound=Tested)


@dataclass(frozen=True)
class Results:
    sha256: str
    """Digest of the weights."""
    calibration: Calibration
    evaluation: Evaluation
    intervals: CoverageReport
    """How well the prediction intervals hold, from the evaluation."""
    suites: tuple[SuiteSummary, ...]
    """The six scenarios first."""
    profile: list[StageCost]
    """Empty where `msma profile` was not run."""
    recipe: Recipe | None
    """None for weights that are not in the folder of their run."""


def read_results(weights: Weights, run: Path) -> Results:
    """The results of a run, of these very weights; MsmaError where one is missing (it names them all, and the commands
    that make them), of other weights, of another split than test, or damaged."""
    calibration = weights.calibration
    missing = [name for name in (EVALUATION, SUITES[0]) if not (run / name).is_file()]
    if missing or calibration is None:
        names = [*(["calibration.json"] if calibration is None else []), *missing]
        commands = [COMMANDS[name] if len(names) == 1 else " ".join(COMMANDS[name].split()[:2]) for name in names]
        remedies = "; ".join(f"{name} ({command})" for name, command in zip(names, commands, strict=True))
        raise MsmaError(f"{run}: a model card is made of results, and these are missing: {remedies}")
    sha256, calibrated = weights_sha256(weights), calibration_sha256(weights)

    def result(name: str, kind: type[TestedT], calibrations: tuple[str | None, ...]) -> TestedT:
        path, again = run / name, f"make it again: {COMMANDS[name]}"
        found = read_result(path, kind, again)
        if found.weights_sha256 != sha256:
            problem = "is of other weights" if found.weights_sha256 else "does not say of which weights it is"
            raise MsmaError(f"{path}: {problem}; delete its folder and {again}")
        if found.calibration_sha256 not in calibrations:
            raise MsmaError(f"{path}: is of another calibration; {again}")
        if found.split != "test":
            raise MsmaError(f"{path}: is of split {found.split!r}, not of test; delete its folder and {again}")
        return found

    evaluation = result(EVALUATION, Evaluation, (calibrated,))
    if evaluation.prediction_intervals is None:
        raise MsmaError(f"{run / EVALUATION}: has no prediction intervals; make it again: {COMMANDS[EVALUATION]}")
    # A suite that was run before the weights were calibrated says nothing of intervals, and all else is the same.
    suites = [result(name, SuiteSummary, (calibrated, None)) for name in SUITES if (run / name).is_file()]
    intervals, profile, recipe = evaluation.prediction_intervals, profile_rows(weights, run), recipe_of(weights, run)
    return Results(sha256, calibration, evaluation, intervals, tuple(suites), profile, recipe)


def profile_rows(weights: Weights, run: Path) -> list[StageCost]:
    """What a network like this one costs; times do not depend on what its weights hold."""
    path = run / "profile.json"
    if not path.exists():
        return []
    again = f"make it again with `msma profile --model {run} --out {path}`, or delete it"
    found = read_result(path, Profile, again)
    if (found.model, found.clip) != (weights.config.model, weights.config.clip):
        raise MsmaError(f"{path}: is of another network; {again}")
    return found.rows


def recipe_of(weights: Weights, run: Path) -> Recipe | None:
    path, built = run / "recipe.yaml", weights.config
    if not path.exists():
        return None
    recipe = load_recipe(path)
    if (recipe.clip, recipe.model) != (built.clip, built.model):
        raise MsmaError(f"{path}: is not the recipe of these weights; put theirs in its place, or delete it")
    return recipe
