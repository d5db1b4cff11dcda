"""`config.json` and `calibration.json` beside the tensors of weights; every key must be there. No torch here."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from msma.config import ClipConfig, Frozen, ModelConfig, check_fit, parse
from msma.files.reading import read_json
from msma.files.writing import write_whole
from msma.types import TRAITS, MsmaError
from msma.weights.calibration import Calibration
from msma.weights.hub import found_folder
from msma.weights.operating_points import OperatingPoints
from msma.weights.precisions import Precisions

FORMAT = "msma-net/3"
FOLDER_REMEDY = "name a folder written by `msma train`"
BUNDLED = Path(__file__).with_name("synthetic")
"""The folder of the weights that come with the package."""


class WeightsConfig(Frozen):
    """The content of `config.json`."""

    format: str = FORMAT
    name: str
    """Shown as `model` in every prediction."""
    corpus: str
    """Corpus that the weights were trained on."""
    notice: str
    """Notice to a reader of a prediction of these weights."""
    clip: ClipConfig
    model: ModelConfig
    traits: tuple[str, ...] = TRAITS
    """Traits that the corpus labels; of the others the network knows nothing."""
    pretrained: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Weights that each backbone (audio, visual, scene) started from: name, version, licence, sha256."""
    operating_points: OperatingPoints | None = None
    """What scores are mapped to; None: to themselves, until training is over."""
    precisions: Precisions | None = None
    """Of the adaptive weighting; None: the fused output stands as it is."""

    @field_validator("traits")
    @classmethod
    def traits_are_known(cls, traits: tuple[str, ...]) -> tuple[str, ...]:
        if not traits or set(traits) - set(TRAITS):
            raise ValueError(f"name one or more of {', '.join(TRAITS)}")
        return traits

    @model_validator(mode="after")
    def fits_memory(self) -> WeightsConfig:
        check_fit(self.clip, self.model)
        return self

    @model_validator(mode="after")
    def is_text(self) -> WeightsConfig:
        self.model_dump_json()  # a ValueError for half a character in a name, which no digest or file could hold
        return self


def save_config(folder: Path, config: WeightsConfig, calibration: Calibration | None) -> None:
    """Write `config.json` and `calibration.json`; without a calibration, one of other weights goes."""
    write_whole(folder / "config.json", config.model_dump_json(indent=2) + "\n")
    if calibration is None:
        (folder / "calibration.json").unlink(missing_ok=True)
    else:
        save_calibration(folder, calibration)


def save_calibration(folder: Path, calibration: Calibration) -> None:
    """Write `calibration.json` beside the weights that it is of."""
    write_whole(folder / "calibration.json", calibration.model_dump_json() + "\n")


def named_calibration(name: str | Path | None) -> tuple[str, Calibration | None]:
    """The name of weights, as predictions have it, and their calibration, as `find_weights` but without any tensor."""
    folder, hub = found_folder(name)
    folder = folder or BUNDLED
    return hub or read_config(folder / "config.json").name, read_calibration(folder / "calibration.json")


def read_calibration(path: Path, sha256: str | None = None) -> Calibration | None:
    """The calibration, if there is one; MsmaError where it is none, or not of the weights with this digest."""
    remedy = "delete it, and make a new one with `msma calibrate`"
    if not path.exists():
        return None
    calibration = parse(Calibration, read_json(path, remedy), f"{path} ({remedy})")
    if sha256 not in (None, calibration.about.weights_sha256):
        raise MsmaError(f"{path}: is of other weights; {remedy}")
    return calibration


def read_config(path: Path) -> WeightsConfig:
    """`config.json` of a folder of weights; MsmaError where it is missing or foreign, or a key is left out."""
    remedy = FOLDER_REMEDY
    if not path.exists():
        raise MsmaError(f"{path.parent}: holds no config.json; {remedy}")
    values = read_json(path, remedy)
    if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
        raise MsmaError(f"{path}: format {values['format']!r} is not {FORMAT!r}; use the msma version that wrote it")
    config = parse(WeightsConfig, values, str(path))
    for section, part in (("", config), ("clip.", config.clip), ("model.", config.model)):
        # A default could differ from what the weights were trained with.
        written = {name for name, field in type(part).model_fields.items() if field.exclude_if is None}
        if lacking := written - part.model_fields_set:
            raise MsmaError(f"{path}: lacks {section}{min(lacking)}; {remedy}")
    return config
