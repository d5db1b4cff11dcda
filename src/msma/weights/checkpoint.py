"""Weights in a folder: `model.safetensors`, `config.json` and perhaps `calibration.json` and a card; never a pickle.

Loading is strict: every tensor and every config key must be there, of the right shape, finite, and known.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from msma.config import ConfigError
from msma.files.reading import MAX_SETTINGS_BYTES, path_in_text, reading
from msma.files.writing import write_whole
from msma.model.msma_net import MsMANet
from msma.model.tensors import ModelOutput, collate, inputs_of
from msma.model.weighting import AdaptiveWeighting
from msma.types import MODALITIES, TRAITS, InputArrays, MsmaError
from msma.weights.calibration import Calibration
from msma.weights.config import BUNDLED, FOLDER_REMEDY, WeightsConfig, read_calibration, read_config, save_config
from msma.weights.hub import MAX_BYTES, found_folder
from msma.weights.precisions import Precisions


@dataclass(frozen=True)
class Weights:
    """A network ready for inference and what it was built with."""

    network: MsMANet
    config: WeightsConfig
    calibration: Calibration | None = None
    """For prediction intervals; None: not calibrated."""
    folder: Path | None = None
    """The folder they were read from; None: the bundled ones, or made otherwise."""
    hub: str | None = None
    """`owner/name@commit` where they came from the Hugging Face hub."""

    @property
    def name(self) -> str:
        """Shown as `model` in every prediction: by it, weights of the hub are found again."""
        return self.hub or self.config.name

    def output(self, window: InputArrays, *, return_intermediates: bool = False) -> ModelOutput:
        """The output of the network for a batch of this window alone."""
        device = self.network.head.prior.device
        with torch.inference_mode():
            batch = collate([inputs_of(window)]).to(device)
            return self.network(batch, return_intermediates=return_intermediates)


def save_weights(
    folder: Path, config: WeightsConfig, tensors: dict[str, Tensor], calibration: Calibration | None = None
) -> None:
    """Write the files of weights, each of which appears whole or not at all; a calibration of other weights goes."""
    save_config(folder, config, calibration)
    saved = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_whole(folder / "model.safetensors", saved)


def save_pretrained(folder: Path, weights: Weights) -> None:
    """Write weights, with their calibration where they have one, so that `load_weights` gives them back to the bit."""
    save_weights(folder, weights.config, weights.network.state_dict(), weights.calibration)


def find_weights(
    name: str | Path | None = None,
    revision: str | None = None,
    device: str | torch.device = "cpu",
    calibrated: bool = True,
) -> Weights:
    """Load a folder, a model of the Hugging Face hub or, by default, the bundled weights: see `found_folder`."""
    folder, hub = found_folder(name, revision)
    try:
        return replace(load_weights(folder, device, calibrated), hub=hub)
    except MsmaError as error:
        if hub is None:
            raise
        raise MsmaError(f"{hub}: {error}") from error


def load_weights(folder: Path | None = None, device: str | torch.device = "cpu", calibrated: bool = True) -> Weights:
    """Load a folder written by `save_weights` (a training run is one); None loads the bundled demonstration weights.

    MsmaError where a file is missing, damaged or foreign, a tensor does not fit, or a calibration is of other weights.
    """
    where = folder or BUNDLED
    path = where / "config.json"
    config = read_config(path)
    try:
        # Shapes without memory: a config may claim any size, and a library may raise what it likes of it.
        with reading(path, FOLDER_REMEDY, MAX_SETTINGS_BYTES), torch.device("meta"):
            expected = MsMANet(config.model, config.clip).state_dict()
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    tensors = _read_tensors(where / "model.safetensors", expected)
    network = MsMANet(config.model, config.clip)
    network.load_state_dict(tensors, strict=True)
    if config.precisions is not None:
        network.weighting = weighting_of(config.precisions)
    weights = Weights(network.to(device).eval(), config, folder=folder)
    if not calibrated:
        return weights
    return replace(weights, calibration=read_calibration(where / "calibration.json", weights_sha256(weights)))


def weighting_of(precisions: Precisions) -> AdaptiveWeighting:
    """The adaptive weighting of a network with these precisions."""
    fitted = (
        [precisions.baseline[trait] for trait in TRAITS],
        [[precisions.alone[modality][trait] for trait in TRAITS] for modality in MODALITIES],
        [precisions.alone_slopes[modality] for modality in MODALITIES],
        [precisions.fused_slopes[modality] for modality in MODALITIES],
    )
    return AdaptiveWeighting(*(torch.tensor(values, dtype=torch.float32) for values in fitted))


def weights_sha256(weights: Weights) -> str:
    """Digest of all that decides what a network predicts, wherever it was loaded from."""
    digest = hashlib.sha256(weights.config.model_dump_json().encode())
    for name, tensor in sorted(weights.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def calibration_sha256(weights: Weights) -> str | None:
    """Digest of all that decides how wide intervals are; None without a calibration."""
    if weights.calibration is None:
        return None
    return hashlib.sha256(weights.calibration.model_dump_json(exclude={"labels"}).encode()).hexdigest()


def _read_tensors(path: Path, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    remedy = "copy the whole folder again or train again"
    if not path.exists():
        raise MsmaError(f"{path}: not there; {remedy}")
    with (
        reading(path, remedy, MAX_BYTES["model.safetensors"], "truncated or not a safetensors file"),
        path_in_text(path) as readable,
        safe_open(readable, framework="pt") as file,
    ):
        found = set(file.keys())
        for problem, names in (("lacks", set(expected) - found), ("has an unknown", found - set(expected))):
            if names:
                raise MsmaError(f"{path}: {problem} tensor {min(names)} ({len(names)} in all); {remedy}")
        for name, tensor in expected.items():
            shape = tuple(file.get_slice(name).get_shape())
            if shape != tuple(tensor.shape):
                raise MsmaError(f"{path}: {name} has shape {shape}, not {tuple(tensor.shape)}; {remedy}")
        tensors = {name: file.get_tensor(name) for name in expected}
    for name, tensor in tensors.items():
        if tensor.dtype != expected[name].dtype:
            raise MsmaError(f"{path}: {name} is {tensor.dtype}, not {expected[name].dtype}; {remedy}")
        if not torch.isfinite(tensor).all():
            raise MsmaError(f"{path}: {name} holds values that are not finite; {remedy}")
    return tensors
