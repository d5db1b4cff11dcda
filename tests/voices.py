"""What is said in media that tests make on the fly."""

from __future__ import annotations

import numpy as np

from msma.data.synthetic.cues import behaviour
from msma.data.synthetic.people import cast
from msma.data.synthetic.voice import speak
from msma.types import SAMPLE_RATE


def voice(seconds: np.ndarray) -> np.ndarray:
    """A rendered person who talks: of a tone, predicted quality says that it is nothing the bundled weights know."""
    plan, length_s = cast(12, seed=1)[0], 1 + float(seconds[-1])
    waveform = speak(behaviour(plan.cues), plan.source, length_s, 12, np.random.default_rng(0)).waveform
    return np.interp(seconds, np.arange(len(waveform)) / SAMPLE_RATE, waveform)
