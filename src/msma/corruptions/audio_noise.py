"""Noise and interference on top of the voice: waveform `(n,)` → waveform of the same length, in [-1, 1].

`snr_db` is the ratio of the mean powers of the whole waveform, pauses included, and of what is added. Where the sum
would go beyond [-1, 1] it is turned down as a whole, which leaves the ratio as it is. Digital silence stays silent.
"""

from __future__ import annotations

import numpy as np

from msma.corruptions.audio import Waveform, fitted, rms
from msma.corruptions.corruption import row
from msma.types import SAMPLE_RATE

VOICES = 8
"""Voices in a babble."""
HARMONICS = np.arange(1, 13)
"""Multiples of the frequency of mains hum."""
CHORDS = np.array([[0, 16, 19, 24], [-5, 14, 19, 23], [-3, 12, 16, 21], [-7, 12, 17, 21]])
"""I V vi IV: semitones above the tonic of bass and three upper voices."""
OVERTONES = (1, 2, 3, 4)


def with_noise(waveform: Waveform, noise: np.ndarray, snr_db: float) -> Waveform:
    """Add `noise`, scaled to the ratio."""
    scale = rms(waveform) / max(rms(noise), 1e-20) * 10 ** (-snr_db / 20)
    return fitted(waveform + scale * noise)


def white_noise(waveform: Waveform, rng: np.random.Generator, snr_db: float) -> Waveform:
    """White noise."""
    return with_noise(waveform, rng.standard_normal(len(waveform)), snr_db)


def environment_noise(waveform: Waveform, rng: np.random.Generator, snr_db: float) -> Waveform:
    """A street or a busy room: a rumble that swells and ebbs, and now and then something that knocks or rustles."""
    samples = len(waveform)
    time_s = np.arange(samples) / SAMPLE_RATE
    rumble = coloured(samples, rng, slope_db=rng.uniform(-6.0, -3.0))
    knots_s = np.arange(0.0, time_s[-1] + 4.0, 2.0)
    swell_db = np.interp(time_s, knots_s - rng.uniform(0, 2), rng.uniform(-8, 8, len(knots_s)))
    loudness = np.zeros(samples)
    for start_s in rng.uniform(0, time_s[-1], 1 + rng.poisson(0.7 * time_s[-1])):
        since_s = time_s[round(start_s * SAMPLE_RATE) :] - start_s
        burst = np.minimum(since_s / 0.01, 1) * np.exp(-since_s / rng.uniform(0.05, 0.3))
        loudness[samples - len(since_s) :] += np.maximum(burst, 0) * 10 ** (rng.uniform(3, 12) / 20)
    return with_noise(waveform, rumble * 10 ** (swell_db / 20) + loudness * coloured(samples, rng, -1.5), snr_db)


def coloured(samples: int, rng: np.random.Generator, slope_db: float) -> np.ndarray:
    """Noise of RMS 1 whose spectrum goes by `slope_db` per octave from 50 Hz on."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 50.0) / 50.0)
    shape = 10 ** (slope_db * octaves / 20)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * shape, samples)
    return noise / max(rms(noise), 1e-20)


def mains_hum(waveform: Waveform, rng: np.random.Generator, snr_db: float) -> Waveform:
    """The hum of 50 or 60 Hz mains with its harmonics."""
    turns = np.arange(len(waveform)) / SAMPLE_RATE * rng.choice((50.0, 60.0))
    heights = rng.uniform(0.3, 1.0, len(HARMONICS)) / np.sqrt(HARMONICS)
    phases = rng.uniform(0, 2 * np.pi, len(HARMONICS))
    waves = (h * np.sin(2 * np.pi * k * turns + p) for k, h, p in zip(HARMONICS, heights, phases, strict=True))
    return with_noise(waveform, sum(waves, np.zeros(len(waveform))), snr_db)


def babble(waveform: Waveform, rng: np.random.Generator, snr_db: float) -> Waveform:
    """Several other voices.

    They are made of the clip's own audio, so that no other clip is needed: each is higher or lower by 1 to 5 semitones
    (played faster or slower, round and round), begins elsewhere, and every second one runs backwards.
    """
    samples = len(waveform)
    voices = np.zeros(samples)
    for voice in range(VOICES):
        pace = rng.uniform(1.06, 1.33) ** rng.choice((-1, 1)) * (-1) ** voice
        at = rng.uniform(0, samples) + pace * np.arange(samples)
        voices += np.interp(at % samples, np.arange(samples), waveform)
    return with_noise(waveform, voices, snr_db)


def music(waveform: Waveform, rng: np.random.Generator, snr_db: float) -> Waveform:
    """A band that plays four chords over and over, with a beat."""
    time_s = np.arange(len(waveform)) / SAMPLE_RATE
    beats = time_s * rng.uniform(80, 140) / 60 + rng.uniform(0, 8)
    tonic_hz = 110 * 2 ** (rng.integers(-5, 7) / 12)
    beat_s = time_s[-1] / max(beats[-1] - beats[0], 1e-9)
    notes_hz = (tonic_hz * 2 ** (CHORDS / 12))[(beats // 2).astype(int) % len(CHORDS)]
    chords = np.zeros(len(waveform))
    for note in notes_hz.T:
        for overtone in OVERTONES:
            chords += np.sin(2 * np.pi * overtone * note * time_s) / overtone
    drum = rng.standard_normal(len(waveform)) * np.exp(-(2 * beats % 1) / 2 * beat_s / 0.02)
    return with_noise(waveform, chords * np.exp(-(beats % 1) * beat_s / 0.35) + 2 * drum, snr_db)


ROWS = (
    row(white_noise, "noise", (20, 15, 10, 5, 0), "white noise"),
    row(environment_noise, "noise", (20, 14, 8, 2, -4), "a street or a busy room"),
    row(mains_hum, "noise", (15, 8, 1, -6, -13), "hum of 50 or 60 Hz mains and its harmonics"),
    row(babble, "interference", (15, 10, 5, 0, -5), "other voices, made of the clip's own audio"),
    row(music, "interference", (15, 10, 5, 0, -5), "chords and a beat"),
)
