"""Sound through a lossy codec and back, in memory."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import Flags
from jaxtyping import Float32

from msma.types import SAMPLE_RATE, MsmaError

SoundCodec = Literal["opus", "mp3"]

ENCODERS = {"opus": "libopus", "mp3": "libmp3lame"}
CONTAINERS = {"opus": "ogg", "mp3": "mp3"}
"""Both tell the decoder how many samples the codec put before the sound and after it."""
OPTIONS = {"opus": {"vbr": "off"}, "mp3": {}}
RATES_KBIT_S = {"opus": (0.5, 256.0), "mp3": (8.0, 160.0)}
"""Lowest and highest for this kind of sound."""
SHORTEST_S = 0.1
"""Shorter sound is filled up with silence: a decoder may give nothing back of a single packet."""


def recode_sound(waveform: Float32[np.ndarray, " n"], codec: SoundCodec, kbit_s: float) -> Float32[np.ndarray, " n"]:
    """Encode mono 16 kHz sound in [-1, 1] at a constant `kbit_s` and decode it again.

    The delay of the codec is taken back: sample i of the answer is the same moment as sample i of the input. MP3 has
    few rates (8, 16, 24, 32, ... 160); the encoder takes the nearest.

    Raises:
        MsmaError: a rate that the codec does not have.
    """
    lowest, highest = RATES_KBIT_S[codec]
    if not lowest <= kbit_s <= highest:
        raise MsmaError(f"{codec}: no rate of {kbit_s:g} kbit/s; choose one from {lowest:g} to {highest:g}")
    filled = np.pad(waveform, (0, max(0, round(SHORTEST_S * SAMPLE_RATE) - len(waveform))))
    decoded = decode(encode(filled, codec, kbit_s))[: len(waveform)]
    return np.clip(decoded, -1.0, 1.0)


def encode(waveform: Float32[np.ndarray, " n"], codec: SoundCodec, kbit_s: float) -> bytes:
    """The sound as a file: Opus in Ogg, or MP3."""
    file = io.BytesIO()
    with av.open(file, "w", format=CONTAINERS[codec], options={"fflags": "+bitexact"}) as container:
        stream = cast(AudioStream, container.add_stream(ENCODERS[codec], rate=SAMPLE_RATE, layout="mono"))
        stream.bit_rate = round(1000 * kbit_s)
        stream.options = OPTIONS[codec]
        stream.codec_context.flags |= int(Flags.bitexact)
        container.start_encoding()
        form = stream.codec_context.format
        frame = av.AudioFrame.from_ndarray(waveform[None].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        resampler = AudioResampler(format=form, layout="mono", rate=SAMPLE_RATE)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


def decode(file: bytes) -> Float32[np.ndarray, " n"]:
    """Mono 16 kHz, from the first sample of the sound on."""
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    pieces = []
    with av.open(io.BytesIO(file), "r") as container:
        for frame in container.decode(audio=0):
            frame.pts = None  # the resampler counts for itself
            pieces += resampler.resample(frame)
    pieces += resampler.resample(None)
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])
