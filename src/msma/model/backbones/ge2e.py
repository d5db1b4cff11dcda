"""GE2E speaker encoder (Wan et al. 2018) with the shape of Resemblyzer's, as a sequence of embeddings.

Resemblyzer cuts a waveform into utterance windows of 1.6 s, embeds each and averages. Here the embeddings are the
tokens. Its shortening of long pauses is left out: pauses are a cue, and every token keeps its time.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from msma.media.audio import triangles
from msma.model.backbones.backbone import STEP, WINDOW, AudioBackbone, Maps, sample_mask, valid_windows, window_count
from msma.types import SAMPLE_RATE

MELS, WIDTH, LAYERS = 40, 256, 3
MEL_WINDOW, MEL_HOP = 400, 160
"""Samples: 25 ms, 10 ms."""
TARGET_DBFS = -30.0
"""RMS level that quieter waveforms are brought to."""
EMBEDDING_SCALE = math.sqrt(WIDTH)
"""An embedding has length 1; times this its channels have a mean square of 1, as a network likes them."""
BREAK_HZ, BREAK_MEL = 1000.0, 15.0
"""Where Slaney's mel scale turns logarithmic; 27 mels above, the frequency is 6.4 times as high."""


class Ge2e(AudioBackbone):
    """Speaker embeddings of 1.6 s every 0.8 s, from the waveform; how quiet a clip is does not matter."""

    channels = (WIDTH,)
    bands = (1,)
    step, reach = STEP, WINDOW
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        lstms = [nn.LSTM(MELS if layer == 0 else WIDTH, WIDTH, batch_first=True) for layer in range(LAYERS)]
        self.stages = nn.ModuleList([*lstms, nn.Linear(WIDTH, WIDTH)])
        self.register_buffer("filters", slaney_filters(MELS, MEL_WINDOW), persistent=False)

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Maps, Bool[Tensor, "b l"]]:
        valid = sample_mask(mask, waveform)
        windows = valid_windows(valid)
        mel = mel_power(normalise_volume(waveform, valid), self.filters)
        utterances = mel.unfold(2, WINDOW // MEL_HOP, STEP // MEL_HOP)
        embeddings = self.embed(rearrange(utterances, "b m l f -> (b l) f m"))
        maps = rearrange(embeddings, "(b l) c -> b c 1 l", b=mask.shape[0]) * EMBEDDING_SCALE
        return (maps * windows[:, None, None, :].to(maps.dtype),), windows

    def embed(self, mel: Float[Tensor, "p f m"]) -> Float[Tensor, "p c"]:
        """One embedding of length 1, nowhere negative, for each utterance window."""
        *lstms, linear = self.stages
        for lstm in lstms:
            mel, _ = lstm(mel)
        return F.normalize(torch.relu(linear(mel[:, -1])), dim=1)


def normalise_volume(waveform: Float[Tensor, "b n"], valid: Bool[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Bring what is valid to -30 dBFS where it is quieter, and silence the rest."""
    waveform = torch.where(valid, waveform, 0.0)
    power = waveform.square().sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True).clamp(min=1)
    gain = 10 ** (TARGET_DBFS / 20) / power.sqrt().clamp(min=torch.finfo(power.dtype).tiny)
    return torch.where(power > 0, waveform * gain.clamp(min=1), waveform)


def mel_power(waveform: Float[Tensor, "b n"], filters: Float[Tensor, "m bins"]) -> Float[Tensor, "b m f"]:
    """Mel spectrogram of power (no logarithm) up to the end of the last window; step j is centred on sample j * 160."""
    length = WINDOW + (window_count(waveform.shape[1]) - 1) * STEP
    half = MEL_WINDOW // 2
    padded = F.pad(waveform, (half, length - waveform.shape[1] + half))
    with torch.autocast(waveform.device.type, enabled=False):  # powers span far more than half precision holds
        hann = torch.hann_window(MEL_WINDOW, device=waveform.device)
        spectrum = torch.stft(padded.float(), MEL_WINDOW, MEL_HOP, window=hann, center=False, return_complex=True)
        return filters @ spectrum[:, :, : length // MEL_HOP].abs().square()


def slaney_filters(mels: int, fft_size: int) -> Float[Tensor, "m bins"]:
    """Triangles on Slaney's mel scale (linear below 1 kHz, logarithmic above) from 0 Hz to 8 kHz, each of area 1."""
    mel = np.linspace(0, BREAK_MEL + 27 * math.log(SAMPLE_RATE / 2 / BREAK_HZ) / math.log(6.4), mels + 2)
    edges = np.where(mel < BREAK_MEL, mel * BREAK_HZ / BREAK_MEL, BREAK_HZ * 6.4 ** ((mel - BREAK_MEL) / 27))
    filters = triangles(edges, fft_size) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return torch.from_numpy(filters.astype(np.float32))
