"""Leave out what an encoder puts in front of the sound, where the container does not tell FFmpeg to."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

from av import AudioFrame

from msma.media.mix import frame_like, samples_of

DELAYS = {"mp3": 1105, "mp3float": 1105, "opus": 312, "libopus": 312, "ac3": 256, "eac3": 256}
"""Samples, by decoder, that come out before the sound: half a block that overlaps with nothing; for MP3 those of LAME
and of the decoder. Of AAC it is the first frame."""
OPUS_HEAD = struct.Struct("<8sBBH")
"""Signature, version, channels and the delay in samples at 48 kHz."""


def delay_samples(stream: Any, first: AudioFrame, skipped: int) -> int:
    """Samples to leave out at the start of a stream of which FFmpeg skips so many, told by the container, itself.

    The first frame that is decoded is `first`. Where the container names no delay, the encoder's usual one is taken.
    """
    codec = stream.codec_context
    head = codec.extradata or b""
    if "opus" in codec.name and len(head) >= OPUS_HEAD.size and (told := OPUS_HEAD.unpack_from(head)[3]):
        return max(0, told - skipped)
    if skipped:
        return 0
    return first.samples if codec.name == "aac" else DELAYS.get(codec.name, 0)


def without_first(frames: Iterable[AudioFrame], samples: int, *, goes_back: bool = False) -> Iterator[AudioFrame]:
    """Frames without so many samples at their start; those that are left keep their times, or go back by what is left
    out."""
    left_out = samples
    for frame in frames:
        if samples >= frame.samples:
            samples -= frame.samples
            continue
        if samples:
            frame, samples = frame_like(frame, samples_of(frame)[:, samples:], samples), 0
        if goes_back and frame.pts is not None and frame.time_base:
            frame.pts -= round(left_out / frame.sample_rate / frame.time_base)
        yield frame
