"""Random changes of Inputs in training: the data half of the modal enhancement strategy.

The paper simulates modality loss and noise in training; families, chances and strengths here are ours. Each change of a
modality has a severity in [0, 1], and 1 - severity is what its quality head learns.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Generator, Tensor

from msma.config import ClipConfig, TrainConfig
from msma.media.audio import log_mel
from msma.model.partials import sample_mask
from msma.types import Features, Inputs

QUIETEST_SNR_DB, LOUDEST_SNR_DB = 20.0, -5.0
"""Signal to noise ratio at severity 0 (barely heard) and 1."""
STRONGEST_PIXEL_NOISE = 80.0
"""Standard deviation at severity 1, of 255."""
DARKEST = 0.1
"""Share of the light that is left at severity 1."""


def augment(
    inputs: Inputs, config: TrainConfig, clip_config: ClipConfig, generator: Generator
) -> tuple[Inputs, Float[Tensor, " 2"]]:
    """Augment one window (no batch axis). Returns it with the quality, audio and visual, that it has now.

    What is masked in the end is zero in the waveform, so that an encoder that reads it sees no more than log-mel shows.
    """
    inputs, quality = degrade(inputs, config, clip_config, generator)
    inputs = replace(
        inputs,
        frame_mask=drop(inputs.frame_mask, config.frame_dropout, 1, generator),
        mel_mask=drop(inputs.mel_mask, config.frame_dropout, 25, generator),
    )
    if bool(inputs.present.all()) and bool(torch.rand((), generator=generator) < config.modality_dropout):
        inputs = lose(inputs, int(torch.randint(2, (), generator=generator)))
    return replace(inputs, waveform=inputs.waveform * sample_mask(inputs.mel_mask, inputs.waveform)), quality


def augment_features(features: Features, config: TrainConfig, generator: Generator) -> Features:
    """The part of `augment` that is left where the backbones' work is done: frames, segments, a modality drop out."""
    frame_mask = drop(features.frame_mask, config.frame_dropout, 1, generator)
    audio_mask = drop(features.audio_mask, config.frame_dropout, 1, generator)
    present = features.present.clone()
    if bool(present.all()) and bool(torch.rand((), generator=generator) < config.modality_dropout):
        present[int(torch.randint(2, (), generator=generator))] = False
    return replace(features, audio_mask=audio_mask & present[0], frame_mask=frame_mask & present[1], present=present)


def degrade(
    inputs: Inputs, config: TrainConfig, clip_config: ClipConfig, generator: Generator
) -> tuple[Inputs, Float[Tensor, " 2"]]:
    """Mirror the pictures and make a modality noisy, each by chance; returns the quality too."""

    def chance(probability: float) -> bool:
        return bool(torch.rand((), generator=generator) < probability)

    quality = torch.ones(2)
    if config.flip and chance(0.5):
        inputs = flip(inputs)
    if chance(config.noise):
        severity = torch.rand((), generator=generator)
        waveform = noisy_waveform(inputs.waveform, inputs.mel_mask, severity, generator)
        inputs = replace(inputs, waveform=waveform, log_mel=log_mel(waveform, clip_config))
        quality[0] = 1 - severity
    if chance(config.noise):
        severity = torch.rand((), generator=generator)
        spoil = noisy_frames if chance(0.5) else dark_frames
        inputs = replace(inputs, frames=spoil(inputs.frames, severity, generator))
        quality[1] = 1 - severity
    return inputs, quality


def flip(inputs: Inputs) -> Inputs:
    """Mirror left to right."""
    boxes = inputs.boxes.clone()
    boxes[..., 0] = 1 - boxes[..., 0]
    return replace(inputs, frames=inputs.frames.flip(-1), boxes=boxes)


def noisy_waveform(
    waveform: Float[Tensor, " n"], mask: Bool[Tensor, " f"], severity: Tensor, generator: Generator
) -> Float[Tensor, " n"]:
    """Add white noise; the ratio is to the mean power of what the mask of mel steps keeps."""
    kept = sample_mask(mask, waveform)
    power = (waveform.square() * kept).sum() / kept.sum().clamp(min=1)
    snr_db = QUIETEST_SNR_DB + severity * (LOUDEST_SNR_DB - QUIETEST_SNR_DB)
    amplitude = (power * 10 ** (-snr_db / 10)).sqrt()
    return waveform + amplitude * torch.randn(waveform.shape, generator=generator)


def noisy_frames(frames: UInt8[Tensor, "t 3 s s"], severity: Tensor, generator: Generator) -> UInt8[Tensor, "t 3 s s"]:
    noise = torch.randn(frames.shape, generator=generator) * (severity * STRONGEST_PIXEL_NOISE)
    return (frames + noise).round().clamp(0, 255).to(torch.uint8)


def dark_frames(frames: UInt8[Tensor, "t 3 s s"], severity: Tensor, generator: Generator) -> UInt8[Tensor, "t 3 s s"]:
    """Less light, and the sensor noise that comes with it."""
    light = 1 - severity * (1 - DARKEST)
    noise = torch.randn(frames.shape, generator=generator) * (severity * 6)
    return (frames * light + noise).round().clamp(0, 255).to(torch.uint8)


def drop(mask: Tensor, share: float, run: int, generator: Generator) -> Tensor:
    """Mask about `share` of the places in runs of `run`; at least one kept place stays."""
    runs = -(-mask.shape[-1] // run)
    dropped = (torch.rand(runs, generator=generator) < share).repeat_interleave(run)[: mask.shape[-1]]
    kept = mask & ~dropped
    return kept if bool(kept.any()) else mask


def lose(inputs: Inputs, modality: int) -> Inputs:
    """Take one modality away: 0 audio, 1 visual."""
    present = inputs.present.clone()
    present[modality] = False
    if modality == 0:
        return replace(inputs, present=present, mel_mask=torch.zeros_like(inputs.mel_mask))
    return replace(inputs, present=present, frame_mask=torch.zeros_like(inputs.frame_mask))
