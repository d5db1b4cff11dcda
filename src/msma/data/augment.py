"""Random changes of a window in training: the data half of the modal enhancement strategy.

The paper simulates modality loss and noise in training; families, chances and strengths here are ours. A corruption has
a severity and strikes the whole clip or a stretch of it. The quality head of the modality that it corrupts learns, for
each segment in which a sample changed, 1 - severity / 5 times the share of the segment that lies in the stretch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from msma.config import ClipConfig, TrainConfig
from msma.corruptions.audio import coloured, with_noise
from msma.corruptions.corruption import SEVERITIES, WORST, corrupt, same_frames
from msma.corruptions.stretch import Stretch, corrupt_stretch, face_where_changed, struck_shares
from msma.corruptions.table import CORRUPTIONS, HELD_OUT
from msma.media.faces import default_detector
from msma.media.frames import Jitter
from msma.media.prepare import prepare
from msma.media.segments import segments_in
from msma.model.backbones.backbone import sample_mask
from msma.model.tensors import Features, Inputs, inputs_of
from msma.types import MODALITIES, Clip, RawWindow

SEEN = tuple(row for row in CORRUPTIONS.values() if row.family not in HELD_OUT and row.severities == SEVERITIES)
"""The corruptions of training. Those that are all or nothing are left to modality dropout."""
CORRUPTIONS_BY_MODALITY = {
    modality: {
        family: [row for row in SEEN if row.family == family and modality in row.modalities]
        for family in dict.fromkeys(row.family for row in SEEN if modality in row.modalities)
    }
    for modality in MODALITIES
}
"""The corruptions of training by modality and family."""
STRETCH_SHARES = (0.2, 0.8)
"""Shortest and longest stretch that a corruption strikes, as shares of the clip."""
SAME_STRETCH = 0.25
"""Chance that of two corruptions in stretches the second strikes where the first did, as one cause of both would."""
EVERYWHERE = (-math.inf, math.inf)
ROOM_DB = (30.0, 60.0)
ROOM_SLOPE_DB = (-3.0, 0.0)
"""Per octave: from pink to white."""
SEGMENT_STEPS = 25
"""Log-mel steps that drop out together."""
MaskedT = TypeVar("MaskedT", Inputs, Features)


def degraded_inputs(
    window: RawWindow, config: TrainConfig, clip_config: ClipConfig, generator: Generator
) -> tuple[Inputs, Float[Tensor, "r 2"]]:
    """One window, corrupted by chance, jittered and mirrored by chance; and the quality of its segments."""
    if happens(config.room_noise, generator):
        window = replace(window, clip=in_a_room(window.clip, generator))
    jitter = drawn_jitter(config, generator)
    degraded, quality = corrupted(window, config, clip_config, generator)
    inputs = inputs_of(prepare(degraded, clip_config, jitter).inputs)
    quality = quality * perfect_quality(inputs)
    return flip(inputs) if config.flip and happens(0.5, generator) else inputs, quality


def corrupted(
    window: RawWindow, config: TrainConfig, clip_config: ClipConfig, generator: Generator
) -> tuple[RawWindow, Float[Tensor, "r 2"]]:
    """Corrupt each modality by chance, by any family and severity, as a whole or in a stretch; in frames that changed,
    detect the face again. The quality of the segments is of the corrupted window."""
    clip, stretch = window.clip, None
    quality = torch.ones(segments_in(clip.duration_s), len(MODALITIES))
    for families in CORRUPTIONS_BY_MODALITY.values():
        if not happens(config.corruption, generator):
            continue
        rows = list(families.values())[draw(len(families), generator)]
        row, severity = rows[draw(len(rows), generator)], SEVERITIES[draw(WORST, generator)]
        rng = np.random.default_rng(draw(2**62, generator))
        known = window.face if same_frames(clip, window.clip) else None
        before = clip
        if row.local and happens(config.local_corruption, generator):
            if stretch is None or not happens(SAME_STRETCH, generator):
                stretch = drawn_stretch(clip, generator)
            clip, struck = corrupt_stretch(clip, row, severity, stretch, rng, known), stretch
        else:
            clip, struck = corrupt(clip, row, severity, rng, face=known), EVERYWHERE
        if clip is not before:
            shares = torch.from_numpy(struck_shares(before, clip, struck, clip_config))
            harmed = torch.tensor([modality in row.modalities for modality in MODALITIES])
            quality = quality * (1 - severity / WORST * harmed * shares)
    if clip is window.clip:
        return window, quality
    return RawWindow(clip, face_where_changed(clip, window, clip_config, default_detector())), quality


def drawn_stretch(clip: Clip, generator: Generator) -> Stretch:
    """A random stretch of a clip, as long as STRETCH_SHARES of it."""
    least, most = STRETCH_SHARES
    length, place = torch.rand(2, generator=generator).tolist()
    share = least + (most - least) * length
    begin = place * (1 - share)
    return begin * clip.duration_s, (begin + share) * clip.duration_s


def perfect_quality(inputs: Inputs) -> Float[Tensor, "r 2"]:
    """Quality of the segments of a clip that nothing has damaged: 1, or NaN where a segment is masked."""
    return torch.where(inputs.segment_mask, 1.0, math.nan)


def in_a_room(clip: Clip, generator: Generator) -> Clip:
    """The clip with faint noise, between white and pink, ROOM_DB below its audio. Rendered voices are cleaner than any
    real one, and a quality head would take every microphone for damage."""
    if not len(clip.waveform):
        return clip
    rng = np.random.default_rng(draw(2**62, generator))
    noise = coloured(len(clip.waveform), rng, rng.uniform(*ROOM_SLOPE_DB))
    return replace(clip, waveform=with_noise(clip.waveform, noise, rng.uniform(*ROOM_DB)))


def drawn_jitter(config: TrainConfig, generator: Generator) -> Jitter:
    """A change of the face crops that is no damage: their quality stays 1."""
    across, down, scale, *colour = (2 * torch.rand(6, generator=generator) - 1).tolist()
    brightness, contrast, saturation = (config.colour_jitter * one for one in colour)
    return Jitter(
        across=config.crop_shift * across,
        down=config.crop_shift * down,
        scale=1 + config.crop_scale * scale,
        brightness=brightness,
        contrast=1 + contrast,
        saturation=1 + saturation,
    )


def happens(chance: float, generator: Generator) -> bool:
    return bool(torch.rand((), generator=generator) < chance)


def draw(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def masked(inputs: Inputs, config: TrainConfig, generator: Generator) -> Inputs:
    """Drop frames, segments of audio and a modality.

    The waveform is zero where it is masked, so that an encoder that reads it sees no more than log-mel shows.
    """
    inputs = dropped_out(inputs, "mel_mask", SEGMENT_STEPS, config, generator)
    return replace(inputs, waveform=inputs.waveform * sample_mask(inputs.mel_mask, inputs.waveform))


def masked_features(features: Features, config: TrainConfig, generator: Generator) -> Features:
    """Drop frames, steps of audio and a modality where the backbones' work is done."""
    return dropped_out(features, "audio_mask", 1, config, generator)


def dropped_out(inputs: MaskedT, audio: str, run: int, config: TrainConfig, generator: Generator) -> MaskedT:
    """Drop frames and runs of the mask called `audio`, and one of two modalities."""
    frame_mask = drop(inputs.frame_mask, config.frame_dropout, 1, generator)
    audio_mask = drop(getattr(inputs, audio), config.frame_dropout, run, generator)
    present = inputs.present.clone()
    if bool(present.all()) and happens(config.modality_dropout, generator):
        present[draw(2, generator)] = False
    masks = {audio: audio_mask & present[0], "frame_mask": frame_mask & present[1]}
    return replace(inputs, present=present, **masks)


def flip(inputs: Inputs) -> Inputs:
    """Mirror left to right."""
    boxes = inputs.boxes.clone()
    boxes[..., 0] = 1 - boxes[..., 0]
    scene = None if inputs.scene is None else inputs.scene.flip(-1)
    return replace(inputs, frames=inputs.frames.flip(-1), boxes=boxes, scene=scene)


def drop(mask: Tensor, share: float, run: int, generator: Generator) -> Tensor:
    """Mask about `share` of the places in runs of `run`; at least one that is not masked stays so."""
    runs = -(-mask.shape[-1] // run)
    dropped = (torch.rand(runs, generator=generator) < share).repeat_interleave(run)[: mask.shape[-1]]
    left = mask & ~dropped
    return left if bool(left.any()) else mask


def at_progress(config: TrainConfig, epoch: int, clips: int) -> TrainConfig:
    """The chances of this epoch, those of its end: they grow to what `config` names over its ramp.

    Those of its start would leave the whole first epoch clean, and the quality heads sure that all clips are.
    """
    steps_in_epoch = max(1, clips // min(config.batch_size, clips))
    strength = config.strength((epoch + 1) * steps_in_epoch / config.steps)
    ramped = {name: strength * getattr(config, name) for name in ("modality_dropout", "frame_dropout", "corruption")}
    return config.model_copy(update=ramped)
