"""Mix the channels of a track to one.

None is dropped, the level is that of the loudest, and opposite phases do not cancel.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from av import AudioFrame
from av.audio.plane import AudioPlane
from jaxtyping import Float32, Float64, Shaped

from msma.types import MsmaError

MIN_FRAME_S = 0.008
"""Shorter frames are gathered to this length or more: some demuxers give one sample a packet."""
BLOCK_S = 5.0
"""Time over which the levels of channels are measured before it is mixed."""
MAX_HELD = 2**23
"""Samples over all channels beyond which a block is mixed though it is shorter."""
MEMORY = 0.5
"""Weight of what was measured before each block, so that a pause of the speaker does not turn up the room."""
COMPARABLE = 0.1
"""Power of one side of stereo over that of the other from which on their mean is taken (-10 dB)."""
CARRIES = 1e-4
"""Power of a channel over that of the loudest from which on it is reported to carry signal (40 dB)."""
CORRELATED = 0.5
"""Correlation of two channels from which on they carry the same sound, so that its sign is their phase."""
MAX_PLANES = 7
"""Channels up to which PyAV reads and writes planar frames rightly; it looks for a null pointer behind the last."""
STEREO = ("stereo", "2 channels")
"""Layouts that FFmpeg mixes as left and right; a WAV file names no layout."""
DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}

Notes = dict[str, str]


def samples_of(frame: AudioFrame) -> Shaped[np.ndarray, "channels n"]:
    """The samples of a frame as they are, one row a channel."""
    channels = frame.layout.nb_channels
    dtype = np.dtype(DTYPES[frame.format.name.removesuffix("p")])
    planes: list[Any] = [AudioPlane(frame, plane) for plane in range(channels if frame.format.is_planar else 1)]
    if frame.format.is_planar:
        return np.stack([np.frombuffer(plane, dtype, frame.samples) for plane in planes])
    return np.frombuffer(planes[0], dtype, frame.samples * channels).reshape(-1, channels).T


def frame_like(first: AudioFrame, samples: Shaped[np.ndarray, "channels n"], skipped: int = 0) -> AudioFrame:
    """A frame of these samples in the form of `first`, so many samples after its start."""
    planar = first.format.is_planar and len(samples) <= MAX_PLANES
    form = first.format.name if planar else first.format.packed.name
    rows = samples if planar else samples.T.reshape(1, -1)
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(rows), format=form, layout=first.layout)
    return placed(frame, first, skipped)


def placed(frame: AudioFrame, first: AudioFrame, skipped: int = 0) -> AudioFrame:
    """The frame with the rate and time of another one, so many samples later."""
    frame.sample_rate, frame.time_base = first.sample_rate, first.time_base
    if first.pts is not None and first.time_base:
        frame.pts = first.pts + round(skipped / first.sample_rate / first.time_base)
    return frame


def gathered(
    frames: Iterable[AudioFrame], max_packets_per_s: float, jitter_s: float, name: str
) -> Iterator[AudioFrame]:
    """Frames of MIN_FRAME_S at least, where they follow one another within `jitter_s`; longer ones as they are.

    MsmaError for more than `max_packets_per_s` of them.
    """
    held: list[AudioFrame] = []
    held_s = total_s = 0.0
    for count, frame in enumerate(frames):
        if count > max_packets_per_s * (total_s + 1.0):
            raise MsmaError(
                f"{name}: more than {max_packets_per_s:g} audio packets a second; re-encode it (ffmpeg -i IN -c:a aac "
                "OUT.mp4) or raise max_audio_packets_per_s"
            )
        seconds = frame.samples / frame.sample_rate
        total_s += seconds
        follows = bool(held) and same_form(held[0], frame) and follows_on(held[0], frame, held_s, jitter_s)
        if held and not (follows and seconds < MIN_FRAME_S):
            yield joined(held)
            held, held_s = [], 0.0
        held.append(frame)
        held_s += seconds
        if held_s >= MIN_FRAME_S:
            yield joined(held)
            held, held_s = [], 0.0
    if held:
        yield joined(held)


def same_form(first: AudioFrame, frame: AudioFrame) -> bool:
    forms = [(one.format.name, one.layout.name, one.sample_rate) for one in (first, frame)]
    return forms[0] == forms[1]


def follows_on(first: AudioFrame, frame: AudioFrame, seconds: float, jitter_s: float) -> bool:
    """Whether a frame stands so many seconds after the first one, by its own time if it has one."""
    return first.time is None or frame.time is None or abs(frame.time - first.time - seconds) <= jitter_s


def joined(frames: list[AudioFrame]) -> AudioFrame:
    if len(frames) == 1:
        return frames[0]
    return frame_like(frames[0], np.concatenate([samples_of(frame) for frame in frames], axis=1))


def mixed(frames: Iterable[AudioFrame], notes: Notes) -> Iterator[AudioFrame]:
    """Frames of one channel; ordinary stereo passes as it is, for FFmpeg takes the mean of its sides.

    What was done to other channels is put into `notes`.
    """
    before = None
    for form, block in blocks(frames):
        if form[1] == 1:
            yield from block
            continue
        sound = np.concatenate([as_float(samples_of(frame)) for frame in block], axis=1)
        centred = sound - sound.mean(axis=1, keepdims=True, dtype=np.float64)
        covariance = centred @ centred.T / sound.shape[1]
        if before is not None and before[0] == form:
            covariance = covariance + MEMORY * before[1]
        before = form, covariance
        weights = channel_weights(covariance)
        if form[0] in STEREO and (weights == 0.5).all():
            yield from block
            continue
        notes["audio mix"] = mix_note(covariance, weights)
        mix = weights.astype(np.float32) @ sound
        mix /= max(1.0, float(np.abs(mix).max(initial=0.0)))
        ends = np.cumsum([frame.samples for frame in block])
        for frame, piece in zip(block, np.split(mix, ends[:-1]), strict=True):
            yield placed(AudioFrame.from_ndarray(piece[None], format="fltp", layout="mono"), frame)


def blocks(frames: Iterable[AudioFrame]) -> Iterator[tuple[tuple[str, int, int], list[AudioFrame]]]:
    """Up to BLOCK_S of frames of one form (layout, channels, rate); those of one channel one by one."""
    for form, alike in itertools.groupby(
        frames, lambda frame: (frame.layout.name, frame.layout.nb_channels, frame.rate)
    ):
        _, channels, rate = form
        longest = 0 if channels == 1 else min(BLOCK_S * rate, MAX_HELD / channels)
        held, samples = [], 0
        for frame in alike:
            held.append(frame)
            samples += frame.samples
            if samples >= longest:
                yield form, held
                held, samples = [], 0
        if held:
            yield form, held


def as_float(samples: Shaped[np.ndarray, "channels n"]) -> Float32[np.ndarray, "channels n"]:
    """Samples of any format in [-1, 1], as far as floats keep to it."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    zero = 128 if samples.dtype.kind == "u" else 0
    return ((samples.astype(np.float64) - zero) / 2 ** (8 * samples.itemsize - 1)).astype(np.float32)


def channel_weights(covariance: Float64[np.ndarray, "channels channels"]) -> Float64[np.ndarray, " channels"]:
    """Weights of the channels in the mix, all of one size; negative for those in opposite phase.

    The mix is as loud as the loudest channel: a voice in one of many keeps its level. Of stereo whose sides are
    comparable the mean is taken, as players do.
    """
    powers = covariance.diagonal()
    loudest = float(powers.max())
    if loudest <= 0.0:
        return np.full(len(powers), 1 / len(powers))
    scale = np.sqrt(np.where(powers > 0, powers, 1.0))
    correlation = covariance / np.outer(scale, scale)
    signs = np.ones(len(powers))
    for channel in range(1, len(powers)):
        partner = int(np.abs(correlation[channel, :channel]).argmax())
        if abs(correlation[channel, partner]) > CORRELATED:
            signs[channel] = signs[partner] * np.sign(correlation[channel, partner])
    if len(powers) == 2 and powers.min() >= COMPARABLE * loudest:
        return signs / 2
    return signs * np.sqrt(loudest / (signs @ covariance @ signs))


def mix_note(covariance: Float64[np.ndarray, "channels channels"], weights: Float64[np.ndarray, " channels"]) -> str:
    """The channels that carry signal, counted from 1, and those that were inverted."""
    powers = covariance.diagonal()
    carrying = powers >= CARRIES * powers.max()
    if not powers.any():
        return f"signal on none of {len(powers)} channels"
    loud, turned = (np.flatnonzero(chosen) + 1 for chosen in (carrying, carrying & (weights < 0)))
    note = f"signal on channel{'s' * (len(loud) > 1)} {', '.join(map(str, loud))} of {len(powers)}"
    return f"{note}; in opposite phase, inverted: {', '.join(map(str, turned))}" if len(turned) else note
