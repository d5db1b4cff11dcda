"""Corruptions of the audio: waveform `(n,)` → waveform of the same length, in [-1, 1]; a truncation alone shortens it.

`snr_db` is the ratio of the mean powers of the whole waveform, pauses included, and of what is added. Where the sum
would go beyond [-1, 1] it is turned down as a whole, which leaves the ratio as it is. Digital silence stays silent.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32
from scipy.signal import butter, fftconvolve, sosfilt, sosfiltfilt

from msma.corruptions.corruption import row
from msma.media.encode import recode_waveform
from msma.types import SAMPLE_RATE

Waveform = Float32[np.ndarray, " n"]

VOICES = 8
"""Voices in a babble."""
HARMONICS = np.arange(1, 13)
"""Multiples of the frequency of mains hum."""
CHORDS = np.array([[0, 16, 19, 24], [-5, 14, 19, 23], [-3, 12, 16, 21], [-7, 12, 17, 21]])
"""I V vi IV: semitones above the tonic of bass and three upper voices."""
OVERTONES = (1, 2, 3, 4)
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
FADE_S = 0.004
"""Length of the fades before a muted part and after it."""


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
    """Several other voices, made of the clip's own audio, so that no other clip is needed."""
    return with_noise(waveform, several_voices(waveform, rng), snr_db)


def several_voices(waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
    """The sum of VOICES voices made of one: each is higher or lower by 1 to 5 semitones (played faster or slower, round
    and round), begins elsewhere, and every second one runs backwards."""
    samples = len(waveform)
    voices = np.zeros(samples)
    for voice in range(VOICES):
        pace = rng.uniform(1.06, 1.33) ** rng.choice((-1, 1)) * (-1) ** voice
        at = rng.uniform(0, samples) + pace * np.arange(samples)
        voices += np.interp(at % samples, np.arange(samples), waveform)
    return voices


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


def reverberation(waveform: Waveform, rng: np.random.Generator, rt60_s: float) -> Waveform:
    """A room in which the sound decays by 60 dB in `rt60_s`; direct sound stays in time, and the RMS level as it is."""
    return in_a_room(waveform, rng, rt60_s, rt60_s / EVEN_RT60_S)


def in_a_room(waveform: Waveform, rng: np.random.Generator, rt60_s: float, reverberant: float) -> Waveform:
    """As `reverberation`; `reverberant` is the energy of the reverberation over that of the direct sound."""
    # The impulse response is the direct sound, 1 at sample 0, and noise that decays exponentially.
    time_s = np.arange(round(rt60_s * SAMPLE_RATE)) / SAMPLE_RATE
    rumble_free = butter(2, LOWEST_HZ, "highpass", fs=SAMPLE_RATE, output="sos")
    response = sosfilt(rumble_free, rng.standard_normal(len(time_s))) * 10 ** (-3 * time_s / rt60_s)
    response[time_s < DIRECT_S] = 0
    response *= np.sqrt(reverberant / np.sum(np.square(response)))
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
    count = max(1, round(total / SAMPLE_RATE / 0.6))  # of 0.6 s on the average
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
    """Overdriven: cut off at a threshold relative to the RMS level of the whole, and turned up to that level again."""
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
    row(white_noise, "noise", (20, 15, 10, 5, 0), "white noise"),
    row(environment_noise, "noise", (20, 14, 8, 2, -4), "a street or a busy room"),
    row(mains_hum, "noise", (15, 8, 1, -6, -13), "hum of 50 or 60 Hz mains and its harmonics"),
    row(babble, "interference", (15, 10, 5, 0, -5), "other voices, made of the clip's own audio"),
    row(music, "interference", (15, 10, 5, 0, -5), "chords and a beat"),
    row(reverberation, "reverberation", (0.3, 0.6, 1.0, 1.7, 3.0), "a room with a long reverberation"),
    row(band_limit, "bandwidth", (6000, 4000, 3000, 2000, 1300), "tinny: only a band around 1 kHz passes"),
    row(opus, "audio codec", (16.0, 10.0, 7.0, 5.0, 3.5), "Opus at a low rate"),
    row(mp3, "audio codec", (40, 32, 24, 16, 8), "MP3 at a low rate"),
    row(packet_loss, "audio loss", (0.05, 0.1, 0.2, 0.35, 0.6), "packets of 20 ms lost in bursts"),
    row(muted_gaps, "audio loss", (0.1, 0.2, 0.35, 0.55, 0.8), "silent gaps of 0.2 to 1 s"),
    row(audio_truncation, "audio loss", (0.1, 0.25, 0.45, 0.65, 0.85), "the audio track breaks off early", local=False),
    row(clipping, "level", (6, 2, -2, -7, -14), "overdriven, cut off at a level relative to the RMS"),
    row(gain, "level", (-6, -12, -18, -24, -30), "recorded too quietly, in 16 bit"),
)
