"""What a model card is made of: the result files in a run's folder, all of them there and all of the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from msma.config import ClipConfig, ModelConfig, Recipe, load_recipe, parse
from msma.types import MsmaError
from msma.weights.checkpoint import Weights, calibration_sha256, weights_sha256
from msma.weights.config import read_json

MAX_BYTES = 64 * 1024**2
EVALUATION = "test/evaluation.json"
SUITES = ("six/summary.json", "full/summary.json")
"""The second is taken where it is there."""

Scores = dict[str, float | None]
"""By trait and `mean`; None where it is not defined."""


class Told(BaseModel):
    """A part of a result file: of what it says, that which the card says too."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Range(Told):
    low: float | None
    high: float | None


Ranges = Annotated[
    dict[str, Range],
    # The ends for the mean stand beside the traits once more.
    BeforeValidator(lambda found: {name: ends for name, ends in found.items() if isinstance(ends, dict)}),
]


class Count(Told):
    clips: int
    sources: int


class Metrics(Told):
    mean_accuracy: Scores
    ccc: Scores
    skill: Scores
    bias: Scores


class Part(Count, Metrics):
    """Clips that were scored together."""


class Baselines(Told):
    constant: Metrics
    same_source: Metrics


class Ceiling(Told):
    ccc: Scores
    mean_accuracy: Scores


class Slices(Told):
    seen_source: Part
    unseen_source: Part
    columns: dict[str, dict[str, Part]]


class Held(Told):
    """Of prediction intervals."""

    clips: int
    coverage: Scores
    width: Scores


class Intervals(Told):
    nominal: float
    whole: Held
    available: dict[str, Held]
    columns: dict[str, dict[str, Held]]


class LargestBias(Range):
    value: str
    trait: str
    difference: float


class LargestAccuracy(Range):
    value: str
    difference: float


class Largest(Told):
    bias: LargestBias | None
    mean_accuracy: LargestAccuracy | None


class Gap(Told):
    clear: bool
    largest: Largest
    comparisons: int


class Evaluation(Count):
    """What `msma evaluate` wrote."""

    corpus: str
    split: str
    splits: dict[str, Count]
    degraded: int
    failed: dict[str, str]
    warnings: list[str]
    ceiling: Ceiling | None
    metrics: Metrics
    baselines: Baselines
    intervals: dict[str, Ranges]
    slices: Slices
    gaps: dict[str, Gap]
    prediction_intervals: Intervals


class Cell(Told):
    cell: str
    skill: float
    mean_accuracy: float
    failed: int


class Group(Told):
    held_out: bool
    retention: dict[str, float | None]
    mean_retention: float | None
    area: float | None
    coverage: dict[str, float | None]


class Clean(Told):
    skill: float
    mean_accuracy: float
    coverage: float | None


class Check(Told):
    verdict: str
    found: list[str]


class Suite(Told):
    """What `msma robustness` wrote."""

    corpus: str
    split: str
    suite: str
    clips: int
    clean: Clean
    six: dict[str, Any]
    seen: Group | None
    held_out: Group | None
    worst: Cell | None
    below_constant: dict[str, list[str]]
    checks: dict[str, Check]
    scenarios: dict[str, Group]
    cells: list[Cell]
    not_run: dict[str, str]


ResultT = TypeVar("ResultT", Evaluation, Suite)
ProfileRow = dict[str, str | int | Annotated[float, Field(allow_inf_nan=False)] | bool | None]


class Profile(Told):
    """What `msma profile` wrote."""

    model: ModelConfig
    clip: ClipConfig
    rows: Annotated[list[ProfileRow], Field(max_length=1000)]


@dataclass(frozen=True)
class Results:
    weights: Weights
    sha256: str
    evaluation: Evaluation
    suites: tuple[Suite, ...]
    """The six scenarios first."""
    profile: list[ProfileRow]
    """Rows of `msma profile`; none where it was not run."""
    recipe: Recipe | None
    """None for weights that are not in the folder of their run."""


def read_results(weights: Weights, run: Path) -> Results:
    """The results of a run, of these very weights.

    Raises:
        MsmaError: a result is missing (one line names them all, and the commands that make them), of other weights, of
            another split than test, or damaged.
    """
    make = commands(run)
    missing = [name for name in (EVALUATION, SUITES[0]) if not (run / name).is_file()]
    if weights.calibration is None:
        missing.insert(0, "calibration.json")
    if missing:
        told = "; ".join(f"{name} ({make[name]})" for name in missing)
        raise MsmaError(f"{run}: a model card is made of results, and these are missing: {told}")
    digests = weights_sha256(weights), calibration_sha256(weights)
    evaluation = result(run / EVALUATION, Evaluation, digests, make[EVALUATION])
    there = [name for name in SUITES if (run / name).is_file()]
    suites = tuple(result(run / name, Suite, digests, make[name]) for name in there)
    return Results(weights, digests[0], evaluation, suites, profile_rows(weights, run), recipe_of(weights, run))


def commands(run: Path) -> dict[str, str]:
    """By file, how it is made."""
    asked = f"--model {run} --manifest MANIFEST.csv"
    suites = {
        name: f"msma robustness {asked} --suite {Path(name).parent} --out {run / Path(name).parent}" for name in SUITES
    }
    return {"calibration.json": f"msma calibrate {asked}", EVALUATION: f"msma evaluate {asked}", **suites}


def result(path: Path, kind: type[ResultT], digests: tuple[str, str | None], make: str) -> ResultT:
    """A result file, if it is of the weights and the calibration with these digests, on test clips."""
    again = f"delete {path.parent} and make it again: {make}"  # a suite of another calibration is not gone on with
    values = read_json(path, again, MAX_BYTES)
    if not isinstance(values, dict) or values.get("weights_sha256") is None:
        raise MsmaError(f"{path}: does not say of which weights it is; {again}")
    if values["weights_sha256"] != digests[0]:
        raise MsmaError(f"{path}: is of other weights; {again}")
    if values.get("calibration_sha256") != digests[1]:
        raise MsmaError(f"{path}: is of another calibration; {again}")
    found = parse(kind, values, f"{path} ({again})")
    if found.split != "test":
        raise MsmaError(f"{path}: is of split {found.split!r}, not of test; {again}")
    return found


def profile_rows(weights: Weights, run: Path) -> list[ProfileRow]:
    """What a network like this one costs; times do not depend on what its weights hold."""
    path = run / "profile.json"
    if not path.exists():
        return []
    again = f"make it again with `msma profile --model {run} --out {path}`, or delete it"
    found = parse(Profile, read_json(path, again, MAX_BYTES), f"{path} ({again})")
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
