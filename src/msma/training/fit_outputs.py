"""Fit what stands between the outputs of a trained network and its predictions, on the validation clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from msma.config import TrainConfig
from msma.corruptions.corruption import SEVERITIES
from msma.corruptions.scenarios import Cell, Step, corrupt_window
from msma.data.augment import SEEN
from msma.data.cache_entry import cached_windows
from msma.data.corpora.manifest import Row, targets
from msma.data.corpus import Corpus
from msma.data.dataset import mixed_seed
from msma.media.faces import default_detector
from msma.media.prepare import prepare
from msma.training.loop import LabelledClips, predict
from msma.training.operating_points import fit_operating_points
from msma.training.precisions import Readings, fit_precisions
from msma.types import MODALITIES, RawWindow
from msma.weights.checkpoint import Weights, load_weights, weighting_of
from msma.weights.config import read_config, save_config

MAX_CLIPS = 150
"""Validation clips that the adaptive weighting is fitted to, each corrupted in one modality, the other and both."""


def fit_outputs(
    run: Path, corpus: Corpus, validation: LabelledClips, config: TrainConfig, device: str | torch.device
) -> None:
    """Fit the adaptive weighting and then the operating points of the weights in a run folder, and write them to its
    `config.json`; once: weights that have them keep them. MsmaError where the weights are damaged."""
    if read_config(run / "config.json").operating_points is not None:
        return
    weights = load_weights(run, device, calibrated=False)
    network, precisions = weights.network, None
    if weights.config.model.adaptive_weighting and network.reads == MODALITIES:
        readings = corrupted_readings(weights, corpus, validation.rows, config.seed)
        precisions = fit_precisions(readings, network.head.prior.cpu().double())
    if precisions is not None:
        network.weighting = weighting_of(precisions).to(device)
    found = predict(network, validation, config).traits
    points = fit_operating_points(found, targets(validation.rows), [row.source for row in validation.rows])
    fitted = {"precisions": precisions, "operating_points": points}
    save_config(run, weights.config.model_copy(update=fitted), None)


def corrupted_readings(weights: Weights, corpus: Corpus, rows: Sequence[Row], seed: int) -> Readings:
    """What the network makes of the first window of up to MAX_CLIPS clips, with each modality clean, corrupted and
    missing; the corruptions are those of training."""
    order = np.random.default_rng(seed).permutation(len(rows))[:MAX_CLIPS]
    parts: list[tuple[torch.Tensor, ...]] = []
    clips: list[str] = []
    sources: list[str] = []
    for place in sorted(order.tolist()):
        row = rows[place]
        (window,) = cached_windows(corpus.entry(row), [0], name=row.clip)
        clean: torch.Tensor | None = None
        for one in conditions(weights, window, mixed_seed(seed, place)):
            output = weights.output(prepare(one, weights.config.clip).inputs, return_intermediates=True)
            alone = torch.stack([output.named[f"{modality}_traits"] for modality in MODALITIES], dim=1)
            present, clean = output.quality > 0, output.traits if clean is None else clean
            # Without the other modality, the fused output is the one from this modality alone.
            cases = [(output.traits, present)]
            if present.all():
                cases += [(alone[:, at], torch.arange(2, device=present.device)[None] == at) for at in (0, 1)]
            for fused, there in cases:
                parts.append((fused, alone, output.quality * there, there, torch.tensor([row.target]), clean))
                clips.append(row.clip)
                sources.append(row.source)
    together = [torch.cat([one.cpu() for one in of]) for of in zip(*parts, strict=True)]
    fused, alone, quality, present, target, clean = (
        one if one.dtype == torch.bool else one.double() for one in together
    )
    return Readings(fused, alone, quality, present, target, clean, clips, sources)


def conditions(weights: Weights, window: RawWindow, seed: int) -> Iterator[RawWindow]:
    """The window clean, with its audio corrupted, its frames, and both, by a random corruption at a random severity."""
    yield window
    rng, changed = np.random.default_rng(seed), []
    for modality in MODALITIES:
        rows = [row for row in SEEN if tuple(row.modalities) == (modality,)]
        step = Step(rows[rng.integers(len(rows))].name, int(rng.choice(SEVERITIES)))
        cell = Cell("held out", "", (step,), severity=step.severity, held_out=False)
        changed.append(corrupt_window(window, cell, weights.config.clip, default_detector()))
    yield from changed
    audio, visual = changed
    yield RawWindow(replace(visual.clip, waveform=audio.clip.waveform), visual.face)
