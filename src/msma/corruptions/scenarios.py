"""Scenarios: what is wrong with a clip, as corruptions one after the other; and suites of them, cell by cell.

A cell is a scenario at a severity. Corruptions that are all or nothing act as they do, whatever the cell's severity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from msma.config import ClipConfig, ConfigError, Frozen, parse
from msma.corruptions.corruption import SEVERITIES, WORST, corrupt, same_frames
from msma.corruptions.table import CORRUPTIONS, HELD_OUT, JOINT, find_corruption
from msma.files.reading import read_yaml
from msma.media.faces import WHOLE_FRAME, Detector, track_face
from msma.types import MODALITIES, Clip, FaceTrack, MsmaError, RawWindow

REMOVES = {"no_audio": "audio", "no_visual": "visual"}
"""The corruptions that leave nothing of a modality."""


SIX = {
    "visual_missing": ("no_visual",),
    "audio_missing": ("no_audio",),
    "visual_noise": ("gaussian_noise",),
    "audio_noise": ("white_noise",),
    "visual_missing_audio_noise": ("no_visual", "white_noise"),
    "audio_missing_visual_noise": ("no_audio", "gaussian_noise"),
}
"""The paper's six scenarios, of which only the number is known; this definition is ours. Scenarios are corruptions by
name, in the order in which they are applied."""
NOTHING = {"nothing": ("no_audio", "no_visual")}


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

    @property
    def leaves_nothing(self) -> bool:
        return self.removed == set(MODALITIES)


CLEAN = Cell("clean", "clean", (), 0, held_out=False)


def cells_of(scenario: str, steps: Sequence[tuple[str, int | None]], severities: Sequence[int]) -> list[Cell]:
    """A scenario at each severity that it has; where nothing in it is graded, it has one.

    `steps` are names of corruptions, each with its own severity where that is fixed; MsmaError where there is no such
    corruption or severity.
    """
    rows = [find_corruption(name) for name, _ in steps]
    fixed = [
        WORST if own is None and row.severities == (WORST,) else own for row, (_, own) in zip(rows, steps, strict=True)
    ]
    cells = []
    for severity in severities if None in fixed else [max(own for own in fixed if own is not None)]:
        at = [severity if own is None else own for own in fixed]
        applied = [Step(row.name, one) for row, one in zip(rows, at, strict=True)]
        for row, step in zip(rows, applied, strict=True):
            row.level(step.severity)
        families = list(dict.fromkeys(row.family for row in rows))
        cells.append(Cell(scenario, " + ".join(families), tuple(applied), severity, not HELD_OUT.isdisjoint(families)))
    return cells


def scenario_cells(scenarios: Mapping[str, Sequence[str]], severities: Sequence[int]) -> list[Cell]:
    """Every scenario, as in `SIX`, at each severity that it has."""
    steps = {name: [(corruption, None) for corruption in corruptions] for name, corruptions in scenarios.items()}
    return [cell for name, applied in steps.items() for cell in cells_of(name, applied, severities)]


def six(severities: Sequence[int] = (3,)) -> list[Cell]:
    return scenario_cells(SIX, severities)


def full(severities: Sequence[int] = SEVERITIES) -> list[Cell]:
    """Every single corruption of the table by itself, at every severity that it has; and nothing at all."""
    return scenario_cells({name: (name,) for name in CORRUPTIONS if name not in JOINT} | NOTHING, severities)


def joint(severities: Sequence[int] = SEVERITIES) -> list[Cell]:
    """Every cause that strikes both streams at once, at every severity."""
    return scenario_cells({name: (name,) for name in JOINT}, severities)


def with_severity(value: Any) -> tuple[Any, Any]:
    """`name`, or `{name: severity}`, as a pair."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, dict) and len(value) == 1:
        return next(iter(value.items()))
    raise ValueError("write a name, or a name with its severity as {name: 3}")


def a_list(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError(f"write a list, as [{'white_noise' if value is None else value}]")
    return value


Severity = Annotated[int, Field(strict=True, ge=1, le=5)]
Applied = Annotated[tuple[str, Severity | None], BeforeValidator(with_severity)]


class ScenarioFile(Frozen):
    """A scenario in the YAML of a suite."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    """Names files too."""
    corruptions: Annotated[tuple[Applied, ...], Field(min_length=1), BeforeValidator(a_list)]
    severities: Annotated[tuple[Severity, ...], Field(min_length=1)] | None = None


def read_suite(path: Path, severities: Sequence[int] = SEVERITIES) -> list[Cell]:
    """A suite of the user's: a YAML list of scenarios.

        - name: phone_call
          corruptions: [no_visual, {white_noise: 2}]
        - name: dark_and_noisy
          corruptions: [gaussian_noise, white_noise]
          severities: [1, 3, 5]

    `severities` are for scenarios that name none. ConfigError, in one line that names the key, where it does not fit.
    """
    values = read_yaml(path)
    if not isinstance(values, list) or not values or not all(isinstance(value, dict) for value in values):
        raise ConfigError(f"{path}: a suite is a list of scenarios, each with a name and corruptions")
    cells: list[Cell] = []
    taken = {CLEAN.scenario}
    for place, value in enumerate(values, start=1):
        scenario = parse(ScenarioFile, value, f"{path}: {value.get('name') or f'scenario {place}'}")
        if scenario.name in taken:
            raise ConfigError(f"{path}: {scenario.name} is duplicated, or is the clean clips; choose another name")
        taken.add(scenario.name)
        try:
            cells += cells_of(scenario.name, scenario.corruptions, sorted(set(scenario.severities or severities)))
        except MsmaError as error:
            raise ConfigError(f"{path}: {scenario.name}: {error}") from error
    return cells


def needs_donor(cell: Cell) -> bool:
    return any("donor" in find_corruption(step.corruption).needs for step in cell.steps)


def corrupt_window(
    window: RawWindow, cell: Cell, config: ClipConfig, detector: Detector | None, donor: Clip | None = None
) -> RawWindow:
    """The window with every corruption of the cell (see `corrupt`), and where its face is then; itself if it is clean.

    Before a corruption of the face, it is detected again in corrupted frames; if it is lost, it stays where it was.
    """
    clip = window.clip
    for step in cell.steps:
        row, face = find_corruption(step.corruption), window.face
        if "face" in row.needs:
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
