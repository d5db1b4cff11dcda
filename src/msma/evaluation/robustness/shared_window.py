"""One window that several networks read: what their backbones have in common is computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from msma.data.features import BACKBONES
from msma.model.msma_net import MsMANet, features_of
from msma.model.tensors import Inputs, ModelOutput, collate, inputs_of
from msma.prediction.model import Model
from msma.types import InputArrays
from msma.weights.wheels import tensors_sha256


@dataclass(frozen=True)
class SharedWindow:
    """A window on a device, and the maps of the backbones that have read it."""

    arrays: InputArrays
    inputs: Inputs
    """The same as a batch of this window alone."""
    maps: dict[tuple[str, nn.Module | None], Any] = field(default_factory=dict)
    """By stream and backbone; None where the stream is not read."""

    def output(self, model: Model) -> ModelOutput:
        """The output of a model's network with every intermediate, to the bit what it gives for the window alone."""
        network = model.tensors().network
        with torch.inference_mode():
            audio = self.once("audio", network, network.audio_maps)
            visual = self.once("visual", network, network.visual_maps)
            scene = self.once("scene", network, network.pooled_scene)
            return network(features_of(self.inputs, audio, visual, scene), return_intermediates=True)

    def once(self, stream: str, network: MsMANet, maps: Callable[[Inputs], Any]) -> Any:
        """The maps of a stream, which are computed where its backbone has not read the window yet."""
        encoder = network.streams.get(stream)
        key = stream, None if encoder is None else encoder.backbone
        if key not in self.maps:
            self.maps[key] = maps(self.inputs)
        return self.maps[key]


def shared_window(arrays: InputArrays, model: Model) -> SharedWindow:
    """A prepared window on the device of a model."""
    return SharedWindow(arrays, collate([inputs_of(arrays)]).to(model.tensors().network.head.prior.device))


def share_backbones(models: Sequence[Model]) -> None:
    """Give networks whose backbones are of the same kind, with the same tensors, the very same module: frozen backbones
    of networks that were trained behind them. It is held in memory once, and reads a SharedWindow once."""
    known: dict[tuple[str, str, str], Any] = {}
    for model in models:
        weights = model.tensors()
        # Everything but the tensors that decides maps: the same for the same module.
        settings = weights.config.model_dump_json(include={"clip": True, "model": BACKBONES})
        for stream, encoder in weights.network.streams.items():
            backbone = encoder.backbone
            assert backbone is not None
            key = stream, settings, tensors_sha256(backbone.state_dict())
            encoder.backbone = known.setdefault(key, backbone)
