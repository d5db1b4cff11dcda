"""What tells of the quality of a signal, whoever is seen and heard: detail, noise floor, exposure, level, repetition.

In the manner of blind quality assessment (natural scene statistics, Mittal et al. 2012); the choice is ours. Logarithms
are scaled to about [-1, 1]. What is masked plays no part.
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from msma.types import VISUAL_STATISTICS

LEVELS = 4
"""Octaves of detail in a picture, the finest first."""
BLOCK = 8
"""Side in pixels of the blocks whose flattest and median ones are looked at: noise is there, contours are not."""
BLOCK_QUANTILES = (0.1, 0.5)
LUMA_QUANTILES = (0.02, 0.25, 0.5, 0.75, 0.98)
LUMA_SIDE = 32
SAME = 5e-4
"""Mean difference of two pictures that are taken for the same, as a share of the range."""
SCENE_SIDE = 128
"""Side in pixels of the whole pictures whose motion is looked at."""
LEAST_SLOPE = 0.01
"""Of the luma from one pixel to the next, as a share of the range: so flat is what shows no motion."""
LEAST_MOTION = 0.01
"""In pixels. Below it there is none to be told."""
MOTION_QUANTILES = (0.1, 0.25, 0.5)
"""Of the blocks of a whole picture, from what should stand still to what may move."""
BANDS = 8
BAND_QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
LAGS = (1, 4, 16)
"""Log-mel steps between which a band's change is measured."""
LEAST = 1 / 32768
FLOOR = -0.95
"""Log-mel values below this are as good as silence."""


def picture_statistics(
    frames: UInt8[Tensor, "t 3 s s"],
    boxes: Float[Tensor, "t 4"],
    mask: Bool[Tensor, " t"],
    scene: UInt8[Tensor, "t2 3 h w"],
    coverage: float,
) -> Float[Tensor, " k"]:
    """VISUAL_STATISTICS numbers of face crops, places of the face and whole pictures; zeros where no frame is kept.

    `scene` holds the whole pictures, SCENE_SIDE large; `coverage` is the share of the window up to the last of them.
    """
    if not mask.any():
        return torch.zeros(VISUAL_STATISTICS)
    rgb = frames.float() / 255
    gray = rgb.mean(dim=1, keepdim=True)
    pyramid = [torch.cat([gray, rgb[:, :1] - rgb[:, 1:2], rgb[:, 2:] - rgb[:, 1:2]], dim=1)]
    for _ in range(LEVELS):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2, ceil_mode=True))
    frame_by_frame = torch.cat([*detail(pyramid), exposure(gray), 3 * pyramid[0][:, 1:].mean(dim=(2, 3))], dim=1)
    changes = []
    for luma in (pyramid[0][:, 0], pyramid[2][:, 0]):
        change = (luma[1:] - luma[:-1]).abs().mean(dim=(1, 2))
        changes += [logarithm(change), (change < SAME).float()]
    return torch.cat(
        [
            mean_and_deviation(frame_by_frame[mask]),
            mean_and_deviation(torch.stack(changes, dim=1)[mask[1:] & mask[:-1]]),
            mean_and_deviation((2 * boxes - 0.5)[mask]),
            apparent_motion(scene),
            torch.tensor([float(mask.float().mean()), coverage]),
        ]
    )


def detail(pyramid: list[Float[Tensor, "n 3 _ _"]]) -> list[Float[Tensor, "n _"]]:
    """Of the Laplacian pyramid: how much there is of each octave, in the flattest blocks and in the median one too."""
    found = []
    for level, (fine, coarse) in enumerate(itertools.pairwise(pyramid)):
        band = fine - F.interpolate(coarse, size=fine.shape[2:], mode="bilinear")
        found.append(logarithm(band.abs().mean(dim=(2, 3))))
        if level < 2:
            blocks = F.avg_pool2d(band.abs(), BLOCK // 2**level, ceil_mode=True).flatten(2).sort(dim=-1).values
            found += [logarithm(blocks[..., int(q * (blocks.shape[-1] - 1))]) for q in BLOCK_QUANTILES]
            found.append(logarithm(band[:, :1].square().mean(dim=(2, 3)).sqrt()))
    return found


def apparent_motion(scene: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, " k"]:
    """How far, in pixels, blocks of the picture seem to move from one to the next; zeros where there is only one.

    The background of a camera that stands still tells of noise where it seems to move, and of a codec that skips it
    where it does not at all; crops that follow the face cannot show a camera that shakes.
    """
    if len(scene) < 2:
        return torch.zeros(len(MOTION_QUANTILES))
    gray = F.avg_pool2d(scene.float().mean(dim=1, keepdim=True) / 255, 3, stride=1)
    slope = (gray[..., 1:, 1:] - gray[..., :-1, 1:]).abs() + (gray[..., 1:, 1:] - gray[..., 1:, :-1]).abs()
    change = (gray[1:] - gray[:-1])[..., 1:, 1:].abs()
    pixels = F.avg_pool2d(change, BLOCK) / (F.avg_pool2d((slope[1:] + slope[:-1]) / 2, BLOCK) + LEAST_SLOPE)
    ordered = pixels.flatten(1).sort(dim=1).values
    last = ordered.shape[1] - 1
    return torch.stack([logarithm(ordered[:, int(q * last)].mean(), LEAST_MOTION) for q in MOTION_QUANTILES])


def exposure(gray: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n _"]:
    """Quantiles of the luma, and the shares that are black or white."""
    luma = F.adaptive_avg_pool2d(gray, min(LUMA_SIDE, gray.shape[-1])).flatten(1).sort(dim=1).values
    places = [int(q * (luma.shape[1] - 1)) for q in LUMA_QUANTILES]
    shares = [(gray < 0.02).float().mean(dim=(2, 3)), (gray > 0.98).float().mean(dim=(2, 3))]
    return torch.cat([luma[:, places], *shares], dim=1)


def sound_statistics(
    log_mel: Float[Tensor, "m f"], waveform: Float[Tensor, " n"], coverage: float
) -> Float[Tensor, " k"]:
    """AUDIO_STATISTICS numbers of the log-mel and the waveform; `coverage` is the share of the window with sound."""
    bands = F.adaptive_avg_pool2d(log_mel[None], (BANDS, log_mel.shape[-1]))[0]
    ordered, last = bands.sort(dim=1).values, bands.shape[1] - 1
    size = waveform.abs()
    peak = size.max().clamp(min=LEAST)
    of_samples = [
        peak.log() / 3,
        ((size > 0.97 * peak).float().mean() + 1e-5).log() / 4,
        (size < LEAST).float().mean(),
        (size.square().mean().sqrt() + 1e-4).log() / 4,
        (bands.mean(dim=0) < FLOOR).float().mean(),
        torch.tensor(coverage),
    ]
    return torch.cat(
        [
            torch.stack([ordered[:, round(q * last)] for q in BAND_QUANTILES], dim=1).flatten(),
            *(5 * mean_change(bands, lag) for lag in LAGS),
            torch.stack(of_samples),
        ]
    )


def mean_change(bands: Float[Tensor, "c f"], lag: int) -> Float[Tensor, " c"]:
    """Of each band from one step to that `lag` later; zeros where the sound is shorter."""
    return (bands[:, lag:] - bands[:, :-lag]).abs().sum(dim=1) / max(1, bands.shape[1] - lag)


def mean_and_deviation(values: Float[Tensor, "l k"]) -> Float[Tensor, " k2"]:
    """Over the rows; zeros where there is none."""
    if not len(values):
        return torch.zeros(2 * values.shape[1])
    return torch.cat([values.mean(dim=0), values.std(dim=0, correction=0)])


def logarithm(share: Tensor, least: float = 1e-3) -> Tensor:
    return (share + least).log() / 3 + 1
