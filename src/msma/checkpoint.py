"""Weights in a folder: `model.safetensors`, `config.json` and, where they are there, `calibration.json` (of prediction
intervals) and a card. Never a pickle.

Loading is strict: every tensor and every config key must be there, of the right shape, finite, and known.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, field_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from msma.config import ClipConfig, ConfigError, Frozen, ModelConfig, parse
from msma.conformal import Calibration
from msma.files import written_whole
from msma.model.msma_net import MsMANet
from msma.traits import TRAITS
from msma.types import MsmaError

FORMAT = "msma-net/1"
MAX_JSON_BYTES = 1024**2


class WeightsConfig(Frozen):
    """What `config.json` holds."""

    format: str = FORMAT
    name: str
    """Shown as `model` in every answer."""
    corpus: str
    """What the weights were trained on."""
    notice: str
    """What a reader of an answer must know of these weights."""
    clip: ClipConfig
    model: ModelConfig
    traits: tuple[str, ...] = TRAITS
    """What the corpus labels; of the others the network knows nothing."""
    pretrained: dict[str, dict[str, str]] = Field(default_factory=dict)
    """By modality, which weights its backbone started from: name, version, licence, sha256."""

    @field_validator("traits")
    @classmethod
    def traits_are_known(cls, traits: tuple[str, ...]) -> tuple[str, ...]:
        if not traits or set(traits) - set(TRAITS):
            raise ValueError(f"name one or more of {', '.join(TRAITS)}")
        return traits


@dataclass(frozen=True)
class Weights:
    """A network ready for inference and what it was built with."""

    network: MsMANet
    config: WeightsConfig
    calibration: Calibration | None = None
    """Of its prediction intervals; None: not calibrated."""


def save_weights(folder: Path, config: WeightsConfig, tensors: dict[str, Tensor]) -> None:
    """Write `config.json` and `model.safetensors`; each file appears whole or not at all."""
    with written_whole(folder / "config.json") as path:
        path.write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    with written_whole(folder / "model.safetensors") as path:
        path.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def save_calibration(folder: Path, calibration: Calibration) -> None:
    """Write `calibration.json` beside the weights that it is of."""
    with written_whole(folder / "calibration.json") as path:
        path.write_text(calibration.model_dump_json() + "\n", encoding="utf-8")


def load_weights(folder: Path | None = None, device: str | torch.device = "cpu") -> Weights:
    """Load a folder written by `save_weights` (a training run is one); None loads the bundled demonstration weights.

    Raises:
        MsmaError: files missing, truncated or foreign; tensors unknown, missing, misshaped or not finite; a
            calibration of other weights.
    """
    if folder is None:
        with as_file(files("msma") / "weights" / "synthetic") as bundled:
            return load_weights(bundled, device)
    config = _read_config(folder / "config.json")
    path = folder / "model.safetensors"
    try:
        with torch.device("meta"):  # shapes without memory: a config may claim any size
            expected = MsMANet(config.model, config.clip).state_dict()
    except ConfigError as error:
        raise ConfigError(f"{folder / 'config.json'}: {error}") from error
    tensors = _read_tensors(path, expected)
    network = MsMANet(config.model, config.clip)
    network.load_state_dict(tensors, strict=True)
    weights = Weights(network.to(device).eval(), config)
    return replace(weights, calibration=_read_calibration(folder / "calibration.json", weights))


def weights_sha256(weights: Weights) -> str:
    """Digest of all that decides what a network answers, wherever it was loaded from."""
    digest = hashlib.sha256(weights.config.model_dump_json().encode())
    for name, tensor in sorted(weights.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def calibration_sha256(weights: Weights) -> str | None:
    """Digest of all that decides how wide intervals are; None without a calibration."""
    calibration = weights.calibration
    if calibration is None:
        return None
    return hashlib.sha256(calibration.model_dump_json(exclude={"labels"}).encode()).hexdigest()


def _read_calibration(path: Path, weights: Weights) -> Calibration | None:
    remedy = "delete it, and make a new one with `msma calibrate`"
    if not path.exists():
        return None
    calibration = parse(Calibration, _read_json(path, remedy), f"{path} ({remedy})")
    if calibration.about.weights_sha256 != weights_sha256(weights):
        raise MsmaError(f"{path}: is of other weights; {remedy}")
    return calibration


def _read_json(path: Path, remedy: str) -> Any:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise MsmaError(f"{path}: too large; {remedy}")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MsmaError(f"{path}: cannot be read as JSON; {remedy}") from error


def _read_config(path: Path) -> WeightsConfig:
    if not path.exists():
        raise MsmaError(f"{path.parent}: holds no config.json; name a folder written by `msma train`")
    values = _read_json(path, "name a folder written by `msma train`")
    if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
        raise MsmaError(f"{path}: format {values['format']!r} is not {FORMAT!r}; use the msma version that wrote it")
    config = parse(WeightsConfig, values, str(path))
    lacking = _leaves(config.model_dump()) - _leaves(values)
    if lacking:  # a default could differ from what the weights were trained with
        raise MsmaError(f"{path}: lacks {min(lacking)}; name a folder written by `msma train`")
    return config


def _leaves(values: dict[str, Any], prefix: str = "") -> set[str]:
    """Dotted names of everything that is not a section itself."""
    named = ((f"{prefix}{key}", value) for key, value in values.items())
    return set().union(*(_leaves(value, f"{name}.") if isinstance(value, dict) else {name} for name, value in named))


def _read_tensors(path: Path, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    remedy = "copy the whole folder again or train anew"
    try:
        with safe_open(path, framework="pt") as file:
            found = set(file.keys())
            for problem, names in (("lacks", set(expected) - found), ("has an unknown", found - set(expected))):
                if names:
                    raise MsmaError(f"{path}: {problem} tensor {min(names)} ({len(names)} in all); {remedy}")
            for name, tensor in expected.items():
                shape = tuple(file.get_slice(name).get_shape())
                if shape != tuple(tensor.shape):
                    raise MsmaError(f"{path}: {name} has shape {shape}, not {tuple(tensor.shape)}; {remedy}")
            tensors = {name: file.get_tensor(name) for name in expected}
    except FileNotFoundError as error:
        raise MsmaError(f"{path}: not there; {remedy}") from error
    except (OSError, SafetensorError) as error:
        raise MsmaError(f"{path}: truncated or not a safetensors file ({error}); {remedy}") from error
    for name, tensor in tensors.items():
        if tensor.dtype != expected[name].dtype:
            raise MsmaError(f"{path}: {name} is {tensor.dtype}, not {expected[name].dtype}; {remedy}")
        if not torch.isfinite(tensor).all():
            raise MsmaError(f"{path}: {name} holds values that are not finite; {remedy}")
    return tensors
