"""Corruptions of the audio: waveform `(n,)` → waveform of the same length, in [-1, 1]; a truncation alone shortens it.

Noise and other sources on top of the voice are in `audio_noise`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32
from scipy.signal import butter, fftconvolve, sosfilt, sosfiltfilt

from msma.corruptions.corruption import row
from msma.media.encode import recode_waveform
from msma.types import SAMPLE_RATE

Waveform = Float32[np.ndarray, " n"]

DIRECT_S = 0.003
"""Time between the direct sound and the first reflection."""
LOWEST_HZ = 80.0
"""No small room resonates below, least of all to a constant offset."""
EVEN_RT60_S = 0.4
"""Reverberation time at which the reverberation has as much energy as the direct sound; it grows with the time."""
TINNY_CENTRE_HZ = 1000.0
"""Geometric mean of the edges of a band limit."""
PACKET_S = 0.02
BURST_PACKETS = 3.0
"""Mean number of packets that are lost in a row."""
GAP_S = 0.6
"""Middle length of a muted gap; they last 0.2 to 1 s."""
FADE_S = 0.004
"""Length of the fades before a muted part and after it."""


def reverberation(waveform: Waveform, rng: np.random.Generator, rt60_s: float) -> Waveform:
    """A room in which the sound decays by 60 dB in `rt60_s`; direct sound stays in time, and the RMS level as it is."""
    # The impulse response is the direct sound, 1 at sample 0, and noise that decays exponentially.
    time_s = np.arange(round(rt60_s * SAMPLE_RATE)) / SAMPLE_RATE
    rumble_free = butter(2, LOWEST_HZ, "highpass", fs=SAMPLE_RATE, output="sos")
    response = sosfilt(rumble_free, rng.standard_normal(len(time_s))) * 10 ** (-3 * time_s / rt60_s)
    response[time_s < DIRECT_S] = 0
    response *= np.sqrt(rt60_s / EVEN_RT60_S / np.sum(np.square(response)))
    response[0] = 1
    return fitted(at_level(fftconvolve(waveform.astype(np.float64), response)[: len(waveform)], waveform))


def band_limit(waveform: Waveform, rng: np.random.Generator, upper_hz: float) -> Waveform:
    """Tinny: only a band around 1 kHz passes, up to `upper_hz` and from as many octaves below 1 kHz; no delay."""
    edges_hz = (TINNY_CENTRE_HZ**2 / upper_hz, upper_hz)
    sections = butter(2, edges_hz, "bandpass", fs=SAMPLE_RATE, output="sos")
    padding = min(SAMPLE_RATE // 50, len(waveform) - 1)
    return fitted(sosfiltfilt(sections, waveform.astype(np.float64), padlen=padding))


def opus(waveform: Waveform, rng: np.random.Generator, kbit_s: float) -> Waveform:
    """Through Opus and back."""
    return recode_waveform(waveform, "opus", kbit_s)


def mp3(waveform: Waveform, rng: np.random.Generator, kbit_s: float) -> Waveform:
    """Through MP3 and back; its lowest rate, 8 kbit/s, still leaves speech that can be understood."""
    return recode_waveform(waveform, "mp3", kbit_s)


def packet_loss(waveform: Waveform, rng: np.random.Generator, loss_share: float) -> Waveform:
    """Packets of 20 ms, `loss_share` of them expected and at least one, are lost in bursts (Gilbert–Elliott)."""
    size = round(PACKET_S * SAMPLE_RATE)
    lost = lost_packets(-(-len(waveform) // size), rng, loss_share)
    return muted(waveform, np.repeat(lost, size)[: len(waveform)])


def lost_packets(count: int, rng: np.random.Generator, loss_share: float) -> Bool[np.ndarray, " count"]:
    """The two states of the channel, from one packet to the next; bad ones last BURST_PACKETS on the average."""
    stays_bad = 1 - 1 / BURST_PACKETS
    turns_bad = loss_share / (1 - loss_share) / BURST_PACKETS
    lost = np.zeros(count, dtype=bool)
    bad = rng.random() < loss_share
    for packet, chance in enumerate(rng.random(count)):
        bad = chance < (stays_bad if bad else turns_bad)
        lost[packet] = bad
    if not lost.any():
        lost[rng.integers(count)] = True
    return lost


def muted_gaps(waveform: Waveform, rng: np.random.Generator, muted_share: float) -> Waveform:
    """Silent gaps of 0.2 to 1 s, anywhere, that together take `muted_share` of the time."""
    total = muted_share * len(waveform)
    count = max(1, round(total / SAMPLE_RATE / GAP_S))
    lengths = rng.uniform(0.75, 1.25, count)
    lengths *= total / lengths.sum()
    # What is left of the time is cut at random, never right beside another cut; a gap follows on each of them.
    left = len(waveform) - total
    cuts = 0.8 * np.sort(rng.uniform(0, left, count)) + 0.2 * left * np.arange(count) / count
    starts = np.round(cuts + np.cumsum(lengths) - lengths).astype(int)
    silent = np.zeros(len(waveform), dtype=bool)
    for start, end in zip(starts, np.round(starts + lengths).astype(int), strict=True):
        silent[start:end] = True
    return muted(waveform, silent)


def muted(waveform: Waveform, silent: Bool[np.ndarray, " n"]) -> Waveform:
    """Silence in the samples that are `silent`, with fades before and after."""
    edge = round(FADE_S * SAMPLE_RATE)
    audible = np.cumsum(np.pad(~silent, (edge + 1, edge), mode="edge"))
    gain = 2 * (audible[2 * edge + 1 :] - audible[: -2 * edge - 1]) / (2 * edge + 1) - 1
    gain[silent] = 0
    return waveform * np.maximum(gain, 0).astype(np.float32)


def audio_truncation(waveform: Waveform, rng: np.random.Generator, missing_share: float) -> Float32[np.ndarray, " m"]:
    """The track breaks off: the waveform is shorter by the last `missing_share` of it."""
    return waveform[: round(len(waveform) * (1 - missing_share))].copy()


def clipping(waveform: Waveform, rng: np.random.Generator, threshold_db: float) -> Waveform:
    """Overdriven: all beyond a threshold is cut off, and the rest turned up to the RMS level of before.

    `threshold_db` is relative to the RMS level of the whole waveform: quiet speech is clipped just as loud speech is.
    """
    threshold = rms(waveform) * 10 ** (threshold_db / 20)
    return fitted(at_level(np.clip(waveform.astype(np.float64), -threshold, threshold), waveform))


def gain(waveform: Waveform, rng: np.random.Generator, gain_db: float) -> Waveform:
    """Recorded at a lower level, in 16 bit, so that turning it up does not bring back what was faint."""
    return (np.rint(waveform * (10 ** (gain_db / 20) * 32767)) / 32767).astype(np.float32)


def at_level(samples: np.ndarray, waveform: Waveform) -> np.ndarray:
    """Samples brought to the RMS level of the waveform; silence stays silent."""
    return samples * (rms(waveform) / max(rms(samples), 1e-20))


def rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


def fitted(samples: np.ndarray) -> Waveform:
    """As float32; turned down as a whole where it would go beyond [-1, 1]: clipping would be a damage of its own."""
    return np.clip(samples / max(1.0, float(np.abs(samples).max())), -1.0, 1.0).astype(np.float32)


ROWS = (
    row(reverberation, "reverberation", (0.3, 0.6, 1.0, 1.7, 3.0), "a room with a long reverberation"),
    row(band_limit, "bandwidth", (6000, 4000, 3000, 2000, 1300), "tinny: only a band around 1 kHz passes"),
    row(opus, "audio codec", (16.0, 10.0, 7.0, 5.0, 3.5), "Opus at a low rate"),
    row(mp3, "audio codec", (40, 32, 24, 16, 8), "MP3 at a low rate"),
    row(packet_loss, "audio loss", (0.05, 0.1, 0.2, 0.35, 0.6), "packets of 20 ms lost in bursts"),
    row(muted_gaps, "audio loss", (0.1, 0.2, 0.35, 0.55, 0.8), "silent gaps of 0.2 to 1 s"),
    row(audio_truncation, "audio loss", (0.1, 0.25, 0.45, 0.65, 0.85), "the audio track breaks off early"),
    row(clipping, "level", (6, 2, -2, -7, -14), "overdriven, cut off at a level relative to the RMS"),
    row(gain, "level", (-6, -12, -18, -24, -30), "recorded too quietly, in 16 bit"),
)
