"""Scenarios: what is wrong with a clip, as corruptions one after the other; and suites of them, cell by cell.

A cell is a scenario at a severity. Corruptions that are all or nothing act as they do, whatever the cell's severity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from msma.config import ClipConfig, ConfigError, Frozen, parse, read_yaml
from msma.corruptions.corruption import SEVERITIES, WORST, corrupt
from msma.corruptions.table import CORRUPTIONS, HELD_OUT, find_corruption
from msma.media.faces import WHOLE_FRAME, Detector, track_face
from msma.types import Clip, FaceTrack, MsmaError, RawWindow

REMOVES = {"no_audio": "audio", "no_visual": "visual"}
"""The corruptions that leave nothing of a modality."""


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str
    corruptions: tuple[str, ...]
    """Names, in the order in which they are applied."""


SIX = (
    Scenario("visual_missing", "no video track", ("no_visual",)),
    Scenario("audio_missing", "no audio track", ("no_audio",)),
    Scenario("visual_noise", "Gaussian noise in the frames", ("gaussian_noise",)),
    Scenario("audio_noise", "white noise in the audio", ("white_noise",)),
    Scenario("visual_missing_audio_noise", "no video track, white noise in the audio", ("no_visual", "white_noise")),
    Scenario("audio_missing_visual_noise", "no audio track, noise in the frames", ("no_audio", "gaussian_noise")),
)
"""The paper's six scenarios, of which only the number is known: this definition is ours."""
NOTHING = Scenario("nothing", "neither audio nor visual", ("no_audio", "no_visual"))


@dataclass(frozen=True)
class Step:
    """One corruption at one severity."""

    corruption: str
    severity: int


@dataclass(frozen=True)
class Cell:
    scenario: str
    family: str
    """Families of its corruptions, joined by ` + `."""
    steps: tuple[Step, ...]
    """Applied one after the other."""
    severity: int
    """0 is the clean clip."""
    held_out: bool
    """True where a family among them is never used in training."""

    @property
    def name(self) -> str:
        return f"{self.scenario}_{self.severity}"

    @property
    def removed(self) -> frozenset[str]:
        """The modalities of which nothing is left."""
        return frozenset(REMOVES[step.corruption] for step in self.steps if step.corruption in REMOVES)


CLEAN = Cell("clean", "clean", (), 0, held_out=False)


def cells_of(scenario: str, steps: Sequence[tuple[str, int | None]], severities: Sequence[int]) -> list[Cell]:
    """A scenario at each severity that it has; where nothing in it is graded, it has one.

    Args:
        steps: names of corruptions, each with its own severity where that is fixed.

    Raises:
        MsmaError: no such corruption, or a severity that it does not have.
    """
    rows = [find_corruption(name) for name, _ in steps]
    fixed = [
        severity if severity is not None else WORST if row.severities == (WORST,) else None
        for row, (_, severity) in zip(rows, steps, strict=True)
    ]
    for row, severity in zip(rows, fixed, strict=True):
        for one in severities if severity is None else [severity]:
            row.level(one)
    graded = [severity for severity in fixed if severity is not None]
    return [
        Cell(
            scenario,
            " + ".join(dict.fromkeys(row.family for row in rows)),
            tuple(Step(row.name, severity if own is None else own) for row, own in zip(rows, fixed, strict=True)),
            severity,
            any(row.family in HELD_OUT for row in rows),
        )
        for severity in ([max(graded)] if len(graded) == len(rows) else severities)
    ]


def scenario_cells(scenario: Scenario, severities: Sequence[int]) -> list[Cell]:
    return cells_of(scenario.name, [(name, None) for name in scenario.corruptions], severities)


def six(severities: Sequence[int] = (3,)) -> list[Cell]:
    return [cell for scenario in SIX for cell in scenario_cells(scenario, severities)]


def full(severities: Sequence[int] = SEVERITIES) -> list[Cell]:
    """Every corruption of the table by itself, at every severity that it has; and nothing at all."""
    alone = [Scenario(row.name, row.about, (row.name,)) for row in CORRUPTIONS.values()]
    return [cell for scenario in (*alone, NOTHING) for cell in scenario_cells(scenario, severities)]


class AppliedFile(Frozen):
    """`name`, or `{name: severity}`."""

    corruption: str
    severity: Annotated[int, Field(strict=True, ge=1, le=5)] | None = None

    @model_validator(mode="before")
    @classmethod
    def from_yaml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"corruption": value}
        if isinstance(value, dict) and len(value) == 1:
            ((name, severity),) = value.items()
            return {"corruption": name, "severity": severity}
        raise ValueError("write a name, or a name with its severity as {name: 3}")

    @field_validator("corruption")
    @classmethod
    def is_known(cls, name: str) -> str:
        try:
            return find_corruption(name).name
        except MsmaError as error:
            raise ValueError(str(error)) from error


def a_list(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError(f"write a list, as [{'white_noise' if value is None else value}]")
    return value


class ScenarioFile(Frozen):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    """Names files too."""
    corruptions: Annotated[tuple[AppliedFile, ...], Field(min_length=1), BeforeValidator(a_list)]
    severities: Annotated[tuple[Annotated[int, Field(strict=True, ge=1, le=5)], ...], Field(min_length=1)] | None = None

    @field_validator("name")
    @classmethod
    def is_not_taken(cls, name: str) -> str:
        if name == CLEAN.scenario:
            raise ValueError("the clean clips are always there; choose another name")
        return name

    @field_validator("severities")
    @classmethod
    def each_once(cls, severities: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return None if severities is None else tuple(sorted(set(severities)))


def read_suite(path: Path, severities: Sequence[int] = SEVERITIES) -> list[Cell]:
    """A suite of the user's: a YAML list of scenarios.

        - name: phone_call
          corruptions: [no_visual, {white_noise: 2}]
        - name: dark_and_noisy
          corruptions: [gaussian_noise, white_noise]
          severities: [1, 3, 5]

    Args:
        severities: of scenarios that name none.

    Raises:
        ConfigError: not readable, or a key or value that is unknown; one line that names the key.
    """
    values = read_yaml(path)
    if not isinstance(values, list) or not values or not all(isinstance(value, dict) for value in values):
        raise ConfigError(f"{path}: a suite is a list of scenarios, each with a name and corruptions")
    cells: list[Cell] = []
    taken: set[str] = set()
    for place, value in enumerate(values, start=1):
        scenario = parse(ScenarioFile, value, f"{path}: {value.get('name') or f'scenario {place}'}")
        if scenario.name in taken:
            raise ConfigError(f"{path}: {scenario.name} is duplicated; each scenario has a name of its own")
        taken.add(scenario.name)
        steps = [(one.corruption, one.severity) for one in scenario.corruptions]
        try:
            cells += cells_of(scenario.name, steps, scenario.severities or severities)
        except MsmaError as error:
            raise ConfigError(f"{path}: {scenario.name}: {error}") from error
    return cells


def needs_donor(cell: Cell) -> bool:
    return any(find_corruption(step.corruption).needs == "donor" for step in cell.steps)


def corrupt_window(
    window: RawWindow, cell: Cell, config: ClipConfig, detector: Detector | None, donor: Clip | None = None
) -> RawWindow:
    """The window with every corruption of the cell, and where its face is then; with those of the clean cell, itself.

    A corruption of the face that comes after one of the frames has it detected again; it stays where it was if it is
    not found any more.

    Raises:
        MsmaError: see `corrupt`.
    """
    clip = window.clip
    for step in cell.steps:
        row, face = find_corruption(step.corruption), window.face
        if row.needs == "face":
            found = face_after(clip, window, config, detector)
            lost = found.detector == WHOLE_FRAME and len(found.boxes) == len(face.boxes)
            face = face if lost else found
        clip = corrupt(clip, row, step.severity, face=face, donor=donor)
    return window if clip is window.clip else RawWindow(clip, face_after(clip, window, config, detector))


def face_after(corrupted: Clip, clean: RawWindow, config: ClipConfig, detector: Detector | None) -> FaceTrack:
    """The face in what corruptions left of `clean`: in the same frames where it was, in others as detected.

    (The cache knows where it was before its JPEG: detected again in clean frames, it is a pixel or two beside that.)
    """
    return clean.face if same_frames(corrupted, clean.clip) else track_face(corrupted, config, detector)


def same_frames(one: Clip, other: Clip) -> bool:
    """Are the very same frames at the same times in both, so that a face is where it was?"""
    return one.frames is other.frames and one.frame_times_s is other.frame_times_s
