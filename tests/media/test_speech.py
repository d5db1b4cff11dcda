"""What is like speech, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from msma.media.speech import speech_likeness

SECONDS = np.arange(10 * 16000) / 16000
NOISE = np.random.default_rng(0).normal(size=len(SECONDS))
BEAT = np.exp(-(SECONDS % 0.5) / 0.05)


def babble(seconds: np.ndarray, level: float = 0.2) -> np.ndarray:
    """Voiced syllables at 4 a second, of a pitch that wanders, with pauses."""
    phase = 2 * np.pi * np.cumsum(120 + 25 * np.sin(2 * np.pi * 0.7 * seconds)) / 16000
    voiced = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 4 * seconds), 0, 1) * (seconds % 3 < 2.3)
    return (level * voiced * syllables).astype(np.float32)


def test_syllables_of_a_voice_are_speech():
    assert speech_likeness(babble(SECONDS)) > 0.3


@pytest.mark.parametrize(
    "sound",
    [
        0.0 * SECONDS,
        0.1 * NOISE,
        0.1 * NOISE * BEAT,
        0.3 * np.sin(2 * np.pi * 220 * SECONDS),
        0.05 * np.sign(np.sin(2 * np.pi * 50 * SECONDS)),
        sum(0.1 * np.sin(2 * np.pi * hz * SECONDS) for hz in (220, 277, 330, 440)) + 0.2 * BEAT * NOISE,
    ],
    ids=["silence", "noise", "drum", "tone", "hum", "chord and drum"],
)
def test_other_sounds_are_not(sound):
    assert speech_likeness(sound.astype(np.float32)) < 0.1


def test_a_voice_that_leaked_into_another_microphone_counts_less():
    assert speech_likeness(babble(SECONDS, 0.002)) < 0.5 * speech_likeness(babble(SECONDS))


def test_a_moment_is_too_short_to_tell():
    assert speech_likeness(babble(SECONDS)[:1000]) == 0.0
