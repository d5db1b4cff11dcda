"""What each part of the network is for, on tasks that hang on nothing else: tokens in which labels are planted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from msma.config import ClipConfig, ModelConfig, TrainConfig
from msma.metrics import ccc
from msma.model.msma_net import MsMANet
from msma.model.tensors import Features
from msma.training.loop import learning_rate
from msma.training.losses import trait_loss
from msma.types import AUDIO_STATISTICS, SEGMENT_S, VISUAL_STATISTICS

CLIP = ClipConfig(fps=4, crop_size=32)
FRAMES = 60
"""15 s; audio has twice as many tokens."""
LAGS = (1, 2, 4, 8)
"""Tokens from one event to the other."""
TRAIN = TrainConfig(steps=600, batch_size=32, learning_rate=3e-3)
NOISE = 0.1


def planted(clips: int, generator: torch.Generator) -> tuple[Features, torch.Tensor]:
    """Clips with an event or none (1, -1) in each frame and in each quarter of a second of audio, at random.

    The first four labels are the means of the product of two frames 1, 2, 4 and 8 apart; the fifth that of frames and
    audio at the same time. How many events there are says nothing of any of them.
    """
    seen, heard = (2.0 * torch.randint(0, 2, (clips, FRAMES), generator=generator) - 1 for _ in range(2))
    pairs = [(seen[:, lag:], seen[:, :-lag]) for lag in LAGS] + [(seen, heard)]
    labels = [(one * other).mean(dim=1) * math.sqrt(one.shape[1]) for one, other in pairs]
    segments = math.ceil(FRAMES / CLIP.fps / SEGMENT_S)
    visual = NOISE * torch.randn(clips, FRAMES, 128, 1, 1, generator=generator)
    visual[:, :, :16] += seen[:, :, None, None, None]
    audio = NOISE * torch.randn(clips, 80, 1, 2 * FRAMES, generator=generator)
    audio[:, :16] += heard.repeat_interleave(2, dim=1)[:, None, None]
    features = Features(
        boxes=torch.full((clips, FRAMES, 4), 0.5),
        frame_mask=torch.ones(clips, FRAMES, dtype=torch.bool),
        present=torch.ones(clips, 2, dtype=torch.bool),
        segment_mask=torch.ones(clips, segments, 2, dtype=torch.bool),
        audio_statistics=torch.zeros(clips, segments, AUDIO_STATISTICS),
        visual_statistics=torch.zeros(clips, segments, VISUAL_STATISTICS),
        visual=(visual,),
        audio=(audio,),
        audio_mask=torch.ones(clips, 2 * FRAMES, dtype=torch.bool),
    )
    return features, (0.5 + 0.12 * torch.stack(labels, dim=1)).clamp(0, 1)


def learned(**model) -> np.ndarray:
    """CCC of each label on clips that were not trained on."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"width": 48, "map_channels": 32, "cell_channels": 32, "visual_grid": 1, "dropout": 0.0}
        network = MsMANet(ModelConfig(audio_backbone="mfcc", spatial_scales=(), **sizes, **model), CLIP)
    network.take_backbones()
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=TRAIN.weight_decay)
    for step in range(TRAIN.steps):
        features, target = planted(TRAIN.batch_size, generator)
        loss = trait_loss(network(features).traits, target, ccc_weight=0.1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), TRAIN.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, TRAIN)
        optimizer.step()
    features, target = planted(500, torch.Generator().manual_seed(1))
    with torch.inference_mode():
        predicted = network.eval()(features).traits
    return ccc(predicted.double().numpy(), target.double().numpy())


@pytest.mark.slow
def test_temporal_scales_find_events_at_every_lag():
    assert learned(fusion="visual")[:4].min() >= 0.95


@pytest.mark.slow
def test_without_temporal_scales_no_lag_is_found():
    """In a network of visual alone, where nothing else could take their place."""
    assert learned(fusion="visual", temporal_scales_s=())[:4].max() <= 0.1


@pytest.mark.slow
def test_cross_attention_finds_what_coincides():
    assert learned(fusion="cross_attention")[4] >= 0.95


@pytest.mark.slow
def test_without_cross_attention_what_coincides_is_not_found():
    assert learned(fusion="concat")[4] <= 0.7
