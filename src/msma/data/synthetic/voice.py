"""The voice: glottal pulses and breath through moving formants, in syllables, phrases and a room."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32
from numpy.random import Generator

from msma.data.synthetic.cues import Behaviour
from msma.data.synthetic.events import BURST_DB, Events, bumps
from msma.data.synthetic.people import Source
from msma.types import SAMPLE_RATE

FRAME, HOP = 512, 128
WINDOW = np.sin(np.pi * (np.arange(FRAME) + 0.5) / FRAME).astype(np.float32)
"""Root of a Hann window; squared and overlapped four times it is constant."""
PHRASE_S = 1.7
"""Time from one pause to the next, about."""
EDGE_S = 0.03
"""Time in which a phrase fades in or out."""
CONSONANT_DB = -16.0
MELODY_HZ = np.array([0.55, 0.93])
LIP_HZ = 1.9
"""The lips move at one pace for everyone: moving with the syllables they would give the speech rate away."""

VOWELS_HZ = np.array([[730, 1090, 2440], [530, 1840, 2480], [270, 2290, 3010], [570, 840, 2410], [300, 870, 2240]])
FORMANT_WIDTH_HZ = np.array([90.0, 110.0, 170.0, 250.0])

Samples = Float32[np.ndarray, " n"]


class Speech(NamedTuple):
    """A waveform, and the mouth that goes with it."""

    waveform: Samples
    """Mono, 16 kHz, in [-1, 1]."""
    mouth: Float[np.ndarray, " t"]
    """Distance between the lips at each frame, in [0, 1]."""


def speak(
    act: Behaviour, source: Source, seconds: float, fps: int, rng: Generator, events: Events | None = None
) -> Speech:
    """`seconds` of the person's voice with the level, pace and melody of `act`.

    With `events` the voice pauses and bursts out when they say; the lips keep pauses of their own, so that frames don't
    tell when the voice pauses.
    """
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pauses = place_pauses(seconds, act.pause_share, rng)
    talking = outside(time_s, pauses if events is None else events.pauses)
    mouth = move_lips(np.arange(round(seconds * fps)) / fps, pauses, rng)
    syllables = act.syllables_per_s * time_s + rng.uniform()
    pulses, breath = excite(act, source, time_s, talking, syllables, rng)
    waveform = add_room(filter_frames(pulses, breath, act, source, syllables, rng), source, rng)
    level = np.sqrt(np.mean(np.square(waveform[talking > 0.5])))
    waveform *= 10 ** (act.level_db / 20) / level
    if events is not None:
        waveform *= 10 ** (BURST_DB * bumps(time_s, events.bursts) / 20)
    waveform += 10 ** (source.noise_db / 20) * rng.standard_normal(len(waveform), dtype=np.float32)
    return Speech(np.clip(waveform, -1, 1).astype(np.float32), mouth)


def place_pauses(seconds: float, share: float, rng: Generator) -> Float[np.ndarray, "p 2"]:
    """Starts and ends in seconds of evenly spread pauses that together take exactly `share` of the time."""
    count = max(1, round(seconds / PHRASE_S))
    length, period = share * seconds / count, seconds / count
    starts = (np.arange(count) + rng.uniform(0.1, 0.9, count) * (1 - share)) * period
    return np.stack([starts, starts + length], axis=1)


def outside(time_s: np.ndarray, pauses: Float[np.ndarray, "p 2"], edge_s: float = EDGE_S) -> np.ndarray:
    """1 in speech, 0 in pauses, soft over `edge_s`; the middle of the edge is the border."""
    depth = np.full(len(time_s), -np.inf)
    for start, end in pauses:
        depth = np.maximum(depth, np.minimum(time_s - start, end - time_s))
    return 0.5 - 0.5 * np.sin(np.pi * np.clip(depth / edge_s, -0.5, 0.5))


def move_lips(frames_s: np.ndarray, pauses: Float[np.ndarray, "p 2"], rng: Generator) -> np.ndarray:
    """Opening of the mouth at each frame: open in phrases, shut in pauses."""
    flutter = 0.85 + 0.15 * np.sin(2 * np.pi * (LIP_HZ * frames_s + rng.uniform()))
    return outside(frames_s, pauses, edge_s=0.12) * flutter


def excite(
    act: Behaviour, source: Source, time_s: np.ndarray, talking: np.ndarray, syllables: np.ndarray, rng: Generator
) -> tuple[Samples, Samples]:
    """Glottal pulses at unit power, and the noise of breath and consonants."""
    accents_db = rng.uniform(-1.5, 1.5, int(syllables[-1]) + 2)
    beat = np.sin(np.pi * syllables) ** 2
    loud = talking * (0.06 + 0.94 * beat) * 10 ** (accents_db[syllables.astype(int)] / 20)

    turns = 2 * np.pi * (time_s * MELODY_HZ[:, None] + rng.uniform(size=(2, 1)))
    slow = np.sin(turns[0]) + 0.5 * np.sin(turns[1])
    voiced = slow[loud > 0.1]
    semitones = act.pitch_range_st * (slow - voiced.mean()) / voiced.std()
    phase = np.cumsum(act.pitch_hz * 2 ** (semitones / 12)) / SAMPLE_RATE
    at = np.interp(np.arange(1, int(phase[-1])), phase, np.arange(len(phase)))
    period = np.diff(at, prepend=0)
    at = np.clip(at + act.jitter * period * rng.standard_normal(len(at)), 0, len(phase) - 2)
    whole = at.astype(int)
    # A pulse between two samples is shared by them; its height keeps the power independent of the pitch.
    height = loud[whole] * np.sqrt(period)
    pulses = np.bincount(whole, height * (1 - (at - whole)), len(phase))
    pulses += np.bincount(whole + 1, height * (at - whole), len(phase))

    onset = np.exp(-0.5 * ((syllables % 1 - 0.06) / act.syllables_per_s / 0.022) ** 2)
    hiss = talking * onset * 10 ** (CONSONANT_DB / 20) + loud * 10 ** (source.breath_db / 20)
    return pulses.astype(np.float32), (hiss * rng.standard_normal(len(phase), dtype=np.float32)).astype(np.float32)


def filter_frames(
    pulses: Samples, breath: Samples, act: Behaviour, source: Source, syllables: np.ndarray, rng: Generator
) -> Samples:
    """Shape the excitation with a vowel per syllable, frame by frame (overlap-add)."""
    hz = np.fft.rfftfreq(FRAME, 1 / SAMPLE_RATE)
    octaves = np.log2(np.maximum(hz, 150.0) / 150.0)
    tables = vowel_tables_db(hz, source.formants) + act.tilt_db * octaves
    tables -= 10 * np.log10(np.mean(10 ** (tables / 10), axis=1, keepdims=True))  # every vowel as loud as the source
    samples = len(pulses)
    frames = -(-samples // HOP) + FRAME // HOP
    centres = np.clip(np.arange(frames) * HOP - FRAME // 2, 0, samples - 1)
    place = syllables[centres]
    vowel = rng.integers(len(tables), size=int(place[-1]) + 3)
    glide = np.clip((place % 1) * 3 - 2, 0, 1)[:, None].astype(np.float32)  # the last third moves to the next vowel
    first = place.astype(int)
    shape_db = tables[vowel[first]] * (1 - glide) + tables[vowel[first + 1]] * glide
    # A chirp of 4 ms spreads each pulse in time, so that loud voices don't clip.
    chirp = np.exp(-1j * np.pi * 0.004 * hz**2 / SAMPLE_RATE * 2).astype(np.complex64)
    hiss_db = 6.0 * np.clip(octaves - 3.5, -3, 1.5) - 6.0
    hiss = (10 ** (hiss_db / 20)).astype(np.float32)
    spectrum = to_frames(pulses, frames) * (np.power(10.0, shape_db / 20, dtype=np.float32) * chirp)
    spectrum += to_frames(breath, frames) * (hiss * 0.5)
    pieces = np.fft.irfft(spectrum, FRAME, axis=1) * WINDOW
    steps = FRAME // HOP
    waveform = np.zeros(((frames + steps) * HOP), dtype=np.float32)
    for step in range(steps):
        waveform[step * HOP : (step + frames) * HOP] += pieces[:, step * HOP : (step + 1) * HOP].ravel()
    return waveform[FRAME : FRAME + samples]


def vowel_tables_db(hz: np.ndarray, scale: float) -> Float32[np.ndarray, "v f"]:
    """Spectral envelope of each vowel in dB for a vocal tract with formants `scale` times the average."""
    formants = np.concatenate([VOWELS_HZ, np.full((len(VOWELS_HZ), 1), 3500.0)], axis=1) * scale
    distance = (hz - formants[:, :, None]) / FORMANT_WIDTH_HZ[:, None]
    gains = np.array([1.0, 0.8, 0.6, 0.5])[:, None] / (1 + distance**2)
    return (10 * np.log10(gains.sum(axis=1) + 0.01)).astype(np.float32)


def to_frames(signal: Samples, frames: int) -> np.ndarray:
    """Spectra of overlapping frames; frame i is centred at i * HOP - FRAME / 2."""
    padded = np.zeros((frames - 1) * HOP + FRAME, dtype=np.float32)
    padded[FRAME : FRAME + len(signal)] = signal[: len(padded) - FRAME]
    pieces = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    return np.fft.rfft(pieces * WINDOW, axis=1).astype(np.complex64)


def add_room(dry: Samples, source: Source, rng: Generator) -> Samples:
    """Add a diffuse tail that falls by 60 dB in `reverb_s`."""
    time_s = np.arange(round(source.reverb_s * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time_s), dtype=np.float32) * 10 ** (-3 * time_s / source.reverb_s)
    tail[: SAMPLE_RATE // 200] = 0
    tail *= 10 ** (source.reverb_db / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    size = 1 << (len(dry) + len(tail) - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(tail.astype(np.float32), size), size)
    return wet[: len(dry)].astype(np.float32)
