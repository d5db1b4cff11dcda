"""Fit what stands between the outputs of a trained network and its predictions, on the validation clips."""

from __future__ import annotations

from pathlib import Path

import torch

from msma.config import TrainConfig
from msma.data.corpora.manifest import targets
from msma.training.loop import LabelledClips, predict
from msma.training.operating_points import fit_operating_points
from msma.weights.checkpoint import load_weights
from msma.weights.config import read_config, save_config


def fit_outputs(run: Path, validation: LabelledClips, config: TrainConfig, device: str | torch.device) -> None:
    """Fit the operating points of the weights in a run folder and write them to its `config.json`; once: weights that
    have them keep them. MsmaError where the weights are damaged."""
    if read_config(run / "config.json").operating_points is not None:
        return
    weights = load_weights(run, device, calibrated=False)
    found = predict(weights.network, validation, config).traits
    points = fit_operating_points(found, targets(validation.rows), [row.source for row in validation.rows])
    save_config(run, weights.config.model_copy(update={"operating_points": points}), None)
