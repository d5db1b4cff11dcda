"""A window of a cached clip as training draws it: where its grid begins, and which frame of each step it has."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Generator

from msma.config import ClipConfig, TrainConfig
from msma.data.augment import draw
from msma.data.cache_entry import cached_windows, read_notes
from msma.media.phases import begun_later, frame_of_each_step, longest_shift_s
from msma.types import MODALITIES, RawWindow


def drawn_window(
    entry: Path,
    place: int | None,
    config: TrainConfig,
    clip_config: ClipConfig,
    generator: Generator,
    modalities: tuple[str, ...] = MODALITIES,
) -> RawWindow:
    """The window at `place` (None: at a random one) of a cache entry, with a random phase where `config` wants one."""
    notes = read_notes(entry)
    place = draw(len(notes), generator) if place is None else place
    if not config.random_phase:
        (window,) = cached_windows(entry, [place], modalities)
        return window
    longest_s = longest_shift_s(notes[place]["end_s"] - notes[place]["start_s"], clip_config)
    shift_s = longest_s * float(torch.rand((), generator=generator))
    rng = np.random.default_rng(draw(2**62, generator))
    choose = partial(frame_of_each_step, fps=clip_config.fps, shift_s=shift_s, rng=rng)
    (window,) = cached_windows(entry, [place], modalities, choose=choose)
    return begun_later(window, shift_s)
