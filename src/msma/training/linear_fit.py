"""Fit the linear path of a network to pooled features, and predict the clips of held-out sources with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msma.data.corpora.manifest import Row, targets
from msma.data.features import read_features
from msma.metrics import labelled_traits
from msma.model.head import AVAILABLE, LinearPath, pool, pooled_blocks
from msma.model.msma_net import MsMANet
from msma.model.tensors import collate
from msma.training.ridge import MIN_ROWS, Shrinkage, fit_linear

MARGIN = 0.5
"""Share of its width by which the range of a feature is widened at both ends: with many features, any clip is a
little beyond the range of some."""


@dataclass(frozen=True)
class Pooled:
    """Mean and standard deviation over time of the backbone features of each clip's first window."""

    audio: Float[np.ndarray, "clips pa"]
    visual: Float[np.ndarray, "clips pv"]
    present: Bool[np.ndarray, "clips 2"]
    groups: tuple[tuple[int, ...], tuple[int, ...]]
    """Channels of each kind of feature: audio, visual."""

    def of(self, modalities: tuple[int, ...]) -> Float[np.ndarray, "clips p"]:
        """Some modalities (0 audio, 1 visual) side by side; zeros where one is missing."""
        return np.concatenate([(self.audio, self.visual)[m] for m in modalities], axis=1)

    def blocks(self, modalities: tuple[int, ...]) -> list[np.ndarray]:
        """The columns of each kind of feature in `of`."""
        found, start = [], 0
        for modality in modalities:
            found += [start + columns for columns in pooled_blocks(self.groups[modality])]
            start += 2 * sum(self.groups[modality])
        return found

    def rows(self, indices: np.ndarray) -> Pooled:
        return replace(self, audio=self.audio[indices], visual=self.visual[indices], present=self.present[indices])


def pooled_features(rows: Sequence[Row], files: dict[str, Path], network: MsMANet) -> Pooled:
    """The pooled features of each row; `network` is what they were computed with."""
    audio, visual, present = [], [], []
    for row in rows:
        features = collate([read_features(files[row.clip])[0]])
        for found, of_clip in zip((audio, visual), pool(features), strict=True):
            found.append(of_clip[0].double().numpy())
        kept = torch.stack([features.audio_mask.any(), features.frame_mask.any()])
        present.append((features.present[0] & kept).numpy())
    return Pooled(np.stack(audio), np.stack(visual), np.stack(present), network.groups)


def fit_linear_path(
    path: LinearPath, rows: Sequence[Row], pooled: Pooled, mean: Float[np.ndarray, " 5"], seed: int
) -> dict[str, Float[Tensor, "3 5"]]:
    """Fill `path` from all rows. Returns, by clip, its prediction from each of AVAILABLE with the source held out.

    Each is fitted to the clips that have its modalities; with too few of them it predicts the mean training label.
    """
    target = targets(rows)
    labelled = np.flatnonzero(labelled_traits(target))
    held_out = np.tile(mean, (len(rows), len(AVAILABLE), 1))
    for place, (available, modalities) in enumerate(AVAILABLE.items()):
        features, blocks = pooled.of(modalities), pooled.blocks(modalities)
        usable = np.flatnonzero(pooled.present[:, modalities].all(axis=1))
        sources = [rows[int(index)].source for index in usable]
        weights, bias = np.zeros((features.shape[1], len(mean))), mean.copy()
        read = all(pooled.groups[modality] for modality in modalities)
        if read and len(sources) >= MIN_ROWS and len(set(sources)) > 1:
            fit = fit_linear(features[usable], blocks, target[usable][:, labelled], sources, seed)
            weights[:, labelled], bias[labelled] = fit.weights, fit.bias
            held_out[:, place] = features @ weights + bias
            held_out[usable[:, None], place, labelled] = fit.held_out
            low, high = features[usable].min(axis=0), features[usable].max(axis=0)
            ends = low - MARGIN * (high - low), high + MARGIN * (high - low)
            path.fill(
                available, **{end: torch.from_numpy(at).float() for end, at in zip(("min", "max"), ends, strict=True)}
            )
        path.fill(available, weights=torch.from_numpy(weights).float(), bias=torch.from_numpy(bias).float())
    known = np.vstack([np.where(np.isnan(target), mean, target), mean])
    lowest, highest = known.min(axis=0), known.max(axis=0)
    path.lowest.copy_(torch.from_numpy(lowest))
    path.highest.copy_(torch.from_numpy(highest))
    held_out = held_out.clip(lowest, highest)
    return {row.clip: torch.from_numpy(predicted).float() for row, predicted in zip(rows, held_out, strict=True)}


def shrunk_tensors(network: MsMANet, by: Shrinkage) -> dict[str, Tensor]:
    """The tensors of `network` with its residual and spread shrunk: its predictions are those of `ridge.shrunk`."""
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    last = f"head.layers.{len(network.head.layers) - 1}"
    for leaf in ("weight", "bias"):
        tensors[f"{last}.{leaf}"] *= by.step
    mean = tensors["head.prior"]
    for name in ("lowest", "highest", *(f"{available}_bias" for available in AVAILABLE)):
        tensors[f"linear_path.{name}"] = mean + by.spread * (tensors[f"linear_path.{name}"] - mean)
    for available in AVAILABLE:
        tensors[f"linear_path.{available}_weights"] *= by.spread
    return tensors
