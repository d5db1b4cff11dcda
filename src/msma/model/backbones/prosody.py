"""Prosody over time, without any weights: pitch, voicing, loudness, spectral tilt, pauses and the pace of speech.

Pitch is the strongest lag of the autocorrelation, divided by that of the window (Boersma 1993, without its path through
the candidates). Jitter and shimmer are those of steps of 10 ms, not of single periods, which noise and codecs hide.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from msma.model.backbones.backbone import (
    STEP,
    WINDOW,
    AudioBackbone,
    Maps,
    sample_mask,
    valid_windows,
    window_count,
)
from msma.model.backbones.ge2e import normalise_volume
from msma.model.layers import masked_mean, masked_statistics
from msma.types import SAMPLE_RATE

HOP, FRAME, FFT = 160, 640, 1024
"""Samples: a step of 10 ms, the 40 ms about it, and those with zeros behind them."""
HOP_S = HOP / SAMPLE_RATE
LOWEST_HZ, HIGHEST_HZ = 65.0, 500.0
PITCH_HZ = 150.0
"""Pitch is in octaves above it."""
SHORT_LAGS = 0.06
"""The correlation must be higher by so much for a pitch to be taken that is an octave lower."""
JUMP = 0.25
"""Octaves from one step to the next beyond which one of them is taken for an error (of an octave, mostly)."""
VOICED = 0.45
"""The correlation from which on a step is voiced (Praat's value)."""
SPEECH_DB = -50.0
"""Level above which a step is no pause, in a clip that was brought to -30 dBFS."""
MIN_DB = -80.0
TILT_HZ = (50.0, 1000.0, 5000.0)
"""Tilt: level from the first to the second over that from there to the third (the alpha ratio)."""
REACH = 5
"""Steps on either side over which loudness is smoothed, and of which a peak is the highest."""
RISE_DB = 0.5
"""A peak of loudness is higher than the lowest of these steps by so much: about one peak is a syllable."""
NAMES = ("pitch", "pitch_spread", "pitch_speed", "voiced", "harmonicity_db", "jitter", "shimmer_db", "level_db",
         "level_spread_db", "tilt_db", "tilt_spread_db", "pause", "pauses_per_s", "peaks_per_s")  # fmt: skip
CENTRE_AND_SCALE = ((0.0, 0.4), (0.2, 0.12), (3.0, 2.0), (0.6, 0.2), (10.0, 4.0), (0.02, 0.012), (0.6, 0.4),
                    (-30.0, 5.0), (7.0, 3.0), (15.0, 7.0), (6.0, 3.0), (0.25, 0.2), (0.6, 0.6), (3.5, 1.5))  # fmt: skip
"""They bring each to about unit variance. Rough values for speech, fixed so that one clip's features do not depend on
others."""


class Prosody(AudioBackbone):
    """The features of NAMES on the grid of utterance windows, scaled; how loud a clip is as a whole does not matter.

    What only voices have is at its centre where nothing is voiced.
    """

    channels = (len(NAMES),)
    bands = (1,)
    step, reach = STEP, WINDOW
    stages = ()
    cosines: Tensor
    window: Tensor
    octaves: Tensor
    bins: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        hz = torch.arange(FFT // 2 + 1, device="cpu") * SAMPLE_RATE / FFT
        shortest, longest = math.floor(SAMPLE_RATE / HIGHEST_HZ), math.ceil(SAMPLE_RATE / LOWEST_HZ)
        lags = torch.arange(shortest - 1, longest + 2, device="cpu")
        # The autocorrelation is the inverse transform of the power; its bins but the outer ones count twice.
        turns = torch.arange(FFT // 2 + 1, device="cpu")[:, None] * lags * 2 * math.pi / FFT
        twice = torch.full((FFT // 2 + 1, 1), 2.0, device="cpu")
        twice[0] = twice[-1] = 1.0
        window = torch.hann_window(FRAME, device="cpu")
        power = torch.fft.rfft(window, FFT).abs().square()[:, None]
        of_window = (power * twice * turns.cos()).sum(dim=0) / (power * twice).sum()
        self.register_buffer("cosines", twice * turns.cos() / of_window, persistent=False)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("octaves", torch.log2(SAMPLE_RATE / lags / PITCH_HZ), persistent=False)
        low, middle, high = TILT_HZ
        sides = torch.stack([(hz >= low) & (hz < middle), (hz >= middle) & (hz < high)])
        self.register_buffer("bins", torch.cat([twice.T, twice.T * sides]), persistent=False)
        centre_and_scale = torch.tensor(CENTRE_AND_SCALE, device="cpu")
        self.register_buffer("centre", centre_and_scale[:, 0], persistent=False)
        self.register_buffer("scale", centre_and_scale[:, 1], persistent=False)

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Maps, Bool[Tensor, "b l"]]:
        valid = sample_mask(mask, waveform)
        windows = valid_windows(valid)
        with torch.autocast(waveform.device.type, enabled=False):  # correlations are ratios of large numbers
            steps, voiced, speech = self.steps(normalise_volume(waveform.float(), valid))
        length = WINDOW + (window_count(waveform.shape[1]) - 1) * STEP
        kept = F.pad(valid, (0, length - waveform.shape[1]))[:, ::HOP]
        values = self.of_windows(steps, voiced & kept, speech & kept, kept)
        values = (values - self.centre) / self.scale
        maps = rearrange(values, "(b l) c -> b c 1 l", b=mask.shape[0])
        return (maps * windows[:, None, None, :].to(maps.dtype),), windows

    def steps(
        self, waveform: Float[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b f 4"], Bool[Tensor, "b f"], Bool[Tensor, "b f"]]:
        """Pitch in octaves, harmonicity in dB, level and tilt in dB of each step; where it is voiced, and no pause."""
        length = WINDOW + (window_count(waveform.shape[1]) - 1) * STEP
        padded = F.pad(waveform, (FRAME // 2, length - waveform.shape[1] + FRAME // 2))
        frames = padded.unfold(1, FRAME, HOP)[:, : length // HOP] * self.window
        power = torch.view_as_real(torch.fft.rfft(frames, FFT)).square().sum(dim=-1)
        whole, low, high = (power @ side for side in self.bins)
        level_db = 10 * torch.log10(whole / (FFT * self.window.square().sum()) + 10 ** (MIN_DB / 10))
        floor = whole * 1e-4 + 1e-9
        tilt_db = 10 * torch.log10((low + floor) / (high + floor))
        correlation = power @ self.cosines / whole.clamp(min=1e-9)[..., None]
        octaves, peak = self.pitch(correlation)
        harmonicity_db = 10 * torch.log10(peak.clamp(0.1, 0.999) / (1 - peak.clamp(0.1, 0.999)))
        speech = level_db > SPEECH_DB
        return torch.stack([octaves, harmonicity_db, level_db, tilt_db], dim=-1), (peak > VOICED) & speech, speech

    def pitch(self, correlation: Float[Tensor, "b f lags"]) -> tuple[Float[Tensor, "b f"], Float[Tensor, "b f"]]:
        """Octaves above PITCH_HZ at the strongest lag, between lags by a parabola; and the correlation there."""
        left, middle, right = correlation[..., :-2], correlation[..., 1:-1], correlation[..., 2:]
        # A period's multiples are as strong as itself; a value on the slope to a lag out of range is no peak.
        peaks = torch.where((middle >= left) & (middle >= right), middle + SHORT_LAGS * self.octaves[1:-1], -1.0)
        best = peaks.argmax(dim=-1, keepdim=True)
        before, there, after = (part.gather(-1, best)[..., 0] for part in (left, middle, right))
        curve = (2 * there - before - after).clamp(min=1e-9)
        shift = ((after - before) / (2 * curve)).clamp(-0.5, 0.5)
        lag = best[..., 0] + math.floor(SAMPLE_RATE / HIGHEST_HZ) + shift
        found = peaks.amax(dim=-1) > -1
        return torch.log2(SAMPLE_RATE / lag / PITCH_HZ), torch.where(found, there.clamp(max=1.0), 0.0)

    def of_windows(
        self,
        steps: Float[Tensor, "b f 4"],
        voiced: Bool[Tensor, "b f"],
        speech: Bool[Tensor, "b f"],
        kept: Bool[Tensor, "b f"],
    ) -> Float[Tensor, "p 14"]:
        """The features of NAMES, window by window."""

        def windowed(x: Tensor) -> Tensor:
            return rearrange(x.unfold(1, WINDOW // HOP, STEP // HOP), "b l ... w -> (b l) w ...")

        octaves, harmonicity_db, level_db, tilt_db = steps.unbind(dim=-1)
        change = F.pad(octaves[:, 1:] - octaves[:, :-1], (1, 0)) / HOP_S
        both = voiced & F.pad(voiced[:, :-1], (1, 0)) & (change.abs() < JUMP / HOP_S)
        between = both & F.pad(both[:, 1:], (0, 1))
        jitter, shimmer = (from_neighbours(values) for values in (octaves, level_db))
        pauses = ~speech & kept
        begins = pauses & F.pad(speech[:, :-1], (1, 0))
        smooth = F.avg_pool1d(F.pad(level_db, (REACH, REACH), value=MIN_DB)[:, None], 2 * REACH + 1, 1)[:, 0]
        highest, lowest = (
            F.max_pool1d(sign * F.pad(smooth, (REACH, REACH), value=MIN_DB)[:, None], 2 * REACH + 1, 1)[:, 0]
            for sign in (1, -1)
        )
        peaks = speech & (smooth >= highest) & (smooth + lowest >= RISE_DB)
        of_voices = masked_statistics(windowed(torch.stack([octaves, change], dim=-1)), windowed(voiced & both))
        level_tilt = masked_statistics(windowed(torch.stack([level_db, tilt_db], dim=-1)), windowed(speech))
        harmonic = masked_mean(windowed(harmonicity_db[..., None]), windowed(voiced))
        unsteady = masked_mean(windowed(torch.stack([jitter, shimmer], dim=-1)), windowed(between))
        shares = torch.stack([voiced, pauses, begins, peaks], dim=-1).to(steps.dtype)
        voiced_share, pause, begun, peaked = masked_mean(windowed(shares), windowed(kept)).unbind(dim=1)
        pitch, _, pitch_spread, pitch_speed = of_voices.unbind(dim=1)
        level, tilt, level_spread, tilt_spread = level_tilt.unbind(dim=1)
        columns = [pitch, pitch_spread, pitch_speed, voiced_share, harmonic[:, 0], *unsteady.unbind(dim=1)]
        columns += [level, level_spread, tilt, tilt_spread, pause, begun / HOP_S, peaked / HOP_S]
        has_voice, has_speech = (windowed(mask).any(dim=1) for mask in (between, speech))
        known = [has_voice] * 3 + [torch.ones_like(has_voice)] + [has_voice] * 3
        known += [has_speech] * 4 + [torch.ones_like(has_voice)] * 3
        return torch.where(torch.stack(known, dim=1), torch.stack(columns, dim=1), self.centre)


def from_neighbours(values: Float[Tensor, "b f"]) -> Float[Tensor, "b f"]:
    """How far each is from the mean of the two beside it."""
    return F.pad((values[:, 1:-1] - (values[:, :-2] + values[:, 2:]) / 2).abs(), (1, 1))
