"""Statistics of a signal: finite, blind to what is masked, and moved by what spoils a clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from msma.config import ClipConfig
from msma.media.audio import hop_samples, log_mel
from msma.media.signal_statistics import LEAST_MOTION, apparent_motion, picture_statistics, sound_statistics
from msma.types import AUDIO_STATISTICS, VISUAL_STATISTICS

CLIP = ClipConfig()


def pictures(frames: int = 4, side: int = 32) -> torch.Tensor:
    """Smooth pictures that move."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    moved = [torch.sin((rows + 2 * columns) / 9 + t) for t in range(frames)]
    return (128 + 60 * torch.stack(moved)).to(torch.uint8)[:, None].repeat(1, 3, 1, 1)


def of_pictures(
    frames: torch.Tensor, mask: torch.Tensor | None = None, scene: torch.Tensor | None = None
) -> torch.Tensor:
    mask = torch.ones(len(frames), dtype=torch.bool) if mask is None else mask
    scene = pictures() if scene is None else scene
    return picture_statistics(frames, torch.full((len(frames), 4), 0.5), mask, scene, coverage=1.0)


def sound(steps: int = 60, level: float = 0.1) -> torch.Tensor:
    samples = torch.randn(steps * hop_samples(CLIP), generator=torch.Generator().manual_seed(0))
    return level * samples * torch.sin(torch.arange(len(samples)) / 900)


def of_sound(waveform: torch.Tensor) -> torch.Tensor:
    return sound_statistics(log_mel(waveform, CLIP), waveform, coverage=1.0)


@given(frames=st.integers(1, 5), side=st.sampled_from([8, 17, 32, 64]), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_of_any_pictures_they_are_finite(frames, side, seed):
    values = torch.randint(256, (frames, 3, side, side), generator=torch.Generator().manual_seed(seed))
    found = of_pictures(values.to(torch.uint8))
    assert found.shape == (VISUAL_STATISTICS,)
    assert found.isfinite().all()
    assert found.abs().max() < 10


@given(steps=st.integers(1, 40), level=st.sampled_from([0.0, 1e-6, 0.1, 1.0]))
@settings(max_examples=20, deadline=None)
def test_of_any_sound_they_are_finite(steps, level):
    found = of_sound(sound(steps, level).clamp(-1, 1))
    assert found.shape == (AUDIO_STATISTICS,)
    assert found.isfinite().all()
    assert found.abs().max() < 10


def test_of_no_frame_at_all_they_are_zero():
    assert not of_pictures(pictures(), torch.zeros(4, dtype=torch.bool)).any()


def test_a_frame_that_is_masked_plays_no_part():
    frames, other = pictures(5), pictures(5)
    other[2] = 255
    mask = torch.tensor([True, True, False, True, True])
    torch.testing.assert_close(of_pictures(frames, mask), of_pictures(other, mask))


@pytest.mark.parametrize("spoil", ["noise", "dark", "still"])
def test_what_spoils_a_picture_moves_them_the_more_the_worse(spoil):
    clean = pictures(8, side=64)
    rng = torch.Generator().manual_seed(0)

    def spoiled(share: float) -> torch.Tensor:
        frames = clean.float()
        if spoil == "noise":
            frames = frames + 60 * share * torch.randn(frames.shape, generator=rng)
        if spoil == "dark":
            frames = (1 - 0.9 * share) * frames
        if spoil == "still":
            frames[1 : 1 + round(7 * share)] = frames[0]
        return frames.clamp(0, 255).to(torch.uint8)

    apart = [float((of_pictures(spoiled(share)) - of_pictures(clean)).norm()) for share in (0.0, 0.3, 0.6, 1.0)]
    assert apart[0] == 0
    assert (np.diff(apart) > 0).all()


def test_a_camera_that_shakes_moves_them_the_more_the_worse_though_crops_follow_the_face():
    frames = pictures(8)
    still = torch.randint(256, (3, 128, 128), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    still = F.interpolate(still[None, :, ::8, ::8].float(), size=(128, 128), mode="bilinear")[0].to(torch.uint8)

    def shaken(pixels: int) -> torch.Tensor:
        scene = torch.stack([still.roll((-1) ** t * pixels, dims=2) for t in range(8)])
        return of_pictures(frames, scene=scene)

    apart = [float((shaken(pixels) - shaken(0)).norm()) for pixels in (0, 1, 3)]
    assert apart[0] == 0
    assert (np.diff(apart) > 0.1).all()


@given(moves=st.integers(1, 4), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_apparent_motion_is_near_the_pixels_that_a_smooth_picture_moves_by(moves, seed):
    phases = torch.rand(2, generator=torch.Generator().manual_seed(seed))
    columns = torch.arange(128.0).expand(128, 128)
    scene = [torch.sin(columns / 16 - moves * t / 16 + phases[0]) for t in range(4)]
    scene = (128 + 100 * torch.stack(scene)).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)
    pixels = ((apparent_motion(scene) - 1) * 3).exp() - LEAST_MOTION
    assert moves / 2 < float(pixels[-1]) < moves * 1.5


@pytest.mark.parametrize("spoil", ["noise", "clipping", "gaps"])
def test_what_spoils_a_sound_moves_them_the_more_the_worse(spoil):
    clean = sound(200)
    rng = torch.Generator().manual_seed(1)

    def spoiled(share: float) -> torch.Tensor:
        if spoil == "noise":
            return clean + 0.05 * share * torch.randn(clean.shape, generator=rng)
        if spoil == "clipping":
            peak = float(clean.abs().max())
            return clean.clamp(-peak * (1 - 0.8 * share), peak * (1 - 0.8 * share))
        return clean * (torch.arange(len(clean)) % 8000 >= 4000 * share)

    apart = [float((of_sound(spoiled(share)) - of_sound(clean)).norm()) for share in (0.0, 0.2, 0.5, 1.0)]
    assert apart[0] == 0
    assert (np.diff(apart) > 0).all()
