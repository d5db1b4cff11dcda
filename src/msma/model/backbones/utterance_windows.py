"""The token grid of utterance windows: 1.6 s every 0.8 s, as GE2E was trained and is read."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msma.types import SAMPLE_RATE

WINDOW_S, STEP_S = 1.6, 0.8
WINDOW, STEP = round(WINDOW_S * SAMPLE_RATE), round(STEP_S * SAMPLE_RATE)
"""In samples."""
COVERAGE = 0.75
"""A window counts if this share of it is valid (Resemblyzer's value, for its last window)."""


def window_count(samples: Any) -> Any:
    """As many windows as cover all samples (an int, or a length that an export leaves open), at least one."""
    # No max(), which an export would settle for good; no negative numbers, which ONNX rounds the other way.
    return (torch.sym_max(samples, WINDOW) - WINDOW + STEP - 1) // STEP + 1


def sample_mask(mask: Bool[Tensor, "*b f"], waveform: Float[Tensor, "*b n"]) -> Bool[Tensor, "*b n"]:
    """The mask of log-mel steps, sample by sample."""
    return mask[..., None].expand(*mask.shape, waveform.shape[-1] // mask.shape[-1]).flatten(-2)


def valid_windows(valid: Bool[Tensor, "b n"]) -> Bool[Tensor, "b l"]:
    """Windows of which enough is valid, whatever padding follows; where there is none, the one with most, if any."""
    windows = window_count(valid.shape[1])
    # Half windows: each is one step, and a window is two of them.
    filled = torch.nn.functional.pad(valid.long(), (0, (windows + 1) * STEP - valid.shape[1]))
    halves = filled.unflatten(1, (windows + 1, STEP)).sum(dim=2)
    covered = halves[:, :-1] + halves[:, 1:]
    enough = covered >= COVERAGE * WINDOW
    most = (covered == covered.amax(dim=1, keepdim=True)) & (covered > 0)
    first_of_most = most & (most.long().cumsum(dim=1) == 1)
    return enough | (first_of_most & ~enough.any(dim=1, keepdim=True))
