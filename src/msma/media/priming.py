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
TOLD = ("mov", "ogg", "mp3")
"""Demuxers that tell the delay (by edit list, granule position, LAME's header): where they do not, there is none."""
OPUS_HEAD = struct.Struct("<8sBBH")
"""Signature, version, channels and the delay in samples at 48 kHz."""


def delay_samples(stream: Any, demuxer: str, first: AudioFrame) -> int:
    """Samples at the start of what the decoder gives that are not of the sound, if nobody skipped any."""
    codec = stream.codec_context
    usual = 0 if demuxer in TOLD else first.samples if codec.name == "aac" else DELAYS.get(codec.name, 0)
    if "opus" in codec.name and len(codec.extradata or b"") >= OPUS_HEAD.size:
        return OPUS_HEAD.unpack_from(codec.extradata)[3] or usual
    return usual


def without_first(frames: Iterable[AudioFrame], samples: int) -> Iterator[AudioFrame]:
    """Frames without so many samples at their start; those that are left keep their times."""
    for frame in frames:
        if samples >= frame.samples:
            samples -= frame.samples
        elif samples:
            yield frame_like(frame, samples_of(frame)[:, samples:], samples)
            samples = 0
        else:
            yield frame
