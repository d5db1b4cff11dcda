"""A tiny network in a folder of weights, with intervals, and the same exported to ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from msma.config import ClipConfig, ModelConfig
from msma.model.msma_net import MsMANet
from msma.types import MODALITIES, TRAITS
from msma.weights.calibration import CalibratedOn, Calibration, calibration_of
from msma.weights.checkpoint import Weights, load_weights, save_weights, weighting_of, weights_sha256
from msma.weights.config import WeightsConfig, save_calibration
from msma.weights.precisions import Precisions

CLIP = ClipConfig(crop_size=16, mels=20, window_s=4.0)
SMALL = ModelConfig(width=16, heads=2, spatial_scales=(1, 3), temporal_scales_s=(0.25, 0.5))


def weights_of(model: ModelConfig, seed: int = 0) -> Weights:
    """An untrained network, whose statistics of normalisation are not what they begin with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MsMANet(model, CLIP).eval()
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "running_var", "_weights")):
                buffer.copy_(0.5 + 0.1 * torch.rand(buffer.shape))
    config = WeightsConfig(name="tiny", corpus="made up", notice="for tests", clip=CLIP, model=model)
    return Weights(network, config)


def saved_weights(folder: Path, weights: Weights, calibrated: bool = True) -> Weights:
    save_weights(folder, weights.config, weights.network.state_dict())
    if calibrated:
        save_calibration(folder, made_up_calibration(weights_sha256(load_weights(folder))))
    return load_weights(folder)


def made_up_calibration(sha256: str) -> Calibration:
    rng = np.random.default_rng(1)
    clips = 300
    quality = [
        dict(zip(("audio", "visual"), pair, strict=True))
        for pair in (rng.uniform(0.1, 1, (clips, 2)) * rng.choice([[1, 1], [1, 0], [0, 1]], clips)).tolist()
    ]
    about = CalibratedOn(
        weights_sha256=sha256, operating_point="accuracy", corpus="made up", split="val", clips=clips, sources=clips
    )
    errors = np.abs(rng.normal(0, 0.1, (clips, 5)))
    return calibration_of(errors, quality, [str(clip) for clip in range(clips)], TRAITS, about, rng.random((clips, 5)))


PRECISIONS = Precisions(
    baseline=dict(zip(TRAITS, (0.0, 0.1, 0.2, 0.3, 0.4), strict=True)),
    alone={modality: dict(zip(TRAITS, (0.5, 0.4, 0.3, 0.2, 0.0), strict=True)) for modality in MODALITIES},
    alone_slopes={"audio": 1.0, "visual": 0.5},
    fused_slopes={"audio": 0.3, "visual": 0.2},
)


def weighed(weights: Weights) -> Weights:
    """The same with an adaptive weighting."""
    weights.network.weighting = weighting_of(PRECISIONS)
    return replace(weights, config=weights.config.model_copy(update={"precisions": PRECISIONS}))
