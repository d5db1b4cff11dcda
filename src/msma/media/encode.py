"""Encode frames and waveforms: files to keep, JPEGs, and codecs there and back."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple, cast

import av
import cv2
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import CodecContext, Flags
from jaxtyping import Float32, UInt8

from msma.types import SAMPLE_RATE, MsmaError


def write_mp4(
    path: Path, frames: Iterable[UInt8[np.ndarray, "h w 3"]], fps: int, waveform: Float32[np.ndarray, " n"] | None
) -> None:
    """Encode RGB `frames` (even height and width) at `fps` and mono 16 kHz `waveform` in [-1, 1].

    One encoder thread and no clock: the same input gives the same bytes. `waveform` None: no audio track.
    """
    frames = iter(frames)
    first = next(frames)
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=fps)
        (video.height, video.width), video.pix_fmt = first.shape[:2], "yuv420p"
        video.codec_context.thread_count = 1
        # Without the last option x264 (AVX-512, macroblock tree) gives other bytes from one call to the next.
        video.options = {"crf": "20", "preset": "veryfast", "x264-params": "cpu-independent=1"}
        audio = None if waveform is None else container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        if audio is not None:
            audio.codec_context.flags |= int(Flags.bitexact)
        for index, pixels in enumerate(itertools.chain([first], frames)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None and waveform is not None:
            container.mux(audio.encode(audio_frame(waveform, "fltp")))
            container.mux(audio.encode(None))


def audio_frame(waveform: Float32[np.ndarray, " n"], sample_format: str) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(waveform[None].astype(np.float32), format=sample_format, layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
    return frame


FOR_PEOPLE = (cv2.IMWRITE_JPEG_QUALITY, 85)
"""Settings of frames that people look at."""


def to_jpeg(frame: UInt8[np.ndarray, "h w 3"], settings: Sequence[int] = FOR_PEOPLE) -> UInt8[np.ndarray, " _"]:
    """The bytes of an RGB frame as JPEG; `settings` are OpenCV's."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), settings)
    return encoded


def shrunk(frame: UInt8[np.ndarray, "h w 3"], longest: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The frame with no side longer than `longest` pixels; a small one comes back itself."""
    height, width = frame.shape[:2]
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return frame if scale >= 1 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


CODED_FPS = 25
"""A constant rate factor means less quality the more frames there are a second. Frames are coded as those of a
stream of this rate, whatever time lies between them, so that a factor always means the same."""
X264_PARAMETERS = "bframes=0:keyint=infinite:scenecut=0:cpu-independent=1"
"""One key frame, all others coded from what stood before. The last is for the same bytes in every call."""


def recode_frames(frames: UInt8[np.ndarray, "t h w 3"], crf: float) -> UInt8[np.ndarray, "t h w 3"]:
    """RGB frames as they come out of H.264 (4:2:0) at the constant rate factor `crf`: 0 is best, 51 worst.

    A factor and not a bit rate: few frames a second are sampled, so that the rate of the stream that they stand for
    cannot be known from them, nor can a rate controller settle on so few. The factor fixes how coarse the frame is.
    Odd sizes are padded by repeating the edge, and cut back. As many frames come out as go in.
    """
    if not len(frames):
        return frames
    recoded = np.stack(decode_frames(encode_frames(frames, crf)))
    return np.ascontiguousarray(recoded[:, : frames.shape[1], : frames.shape[2]])


def encode_frames(frames: UInt8[np.ndarray, "t h w 3"], crf: float) -> list[av.Packet]:
    """One packet for each of the frames, of which there must be one at least."""
    height, width = frames.shape[1:3]
    encoder = CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(CODED_FPS), Fraction(1, CODED_FPS)
    encoder.thread_count = 1
    encoder.options = {"crf": f"{crf:g}", "preset": "fast", "x264-params": X264_PARAMETERS}
    packets: list[av.Packet] = []
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    for index, pixels in enumerate(even):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = index
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)


def decode_frames(packets: Iterable[av.Packet]) -> list[np.ndarray]:
    """RGB frames `(h, w, 3)`."""
    decoder = CodecContext.create("h264", "r")
    decoder.thread_count = 1
    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    return [np.asarray(frame.to_ndarray(format="rgb24")) for frame in frames + decoder.decode(None)]


class AudioFormat(NamedTuple):
    encoder: str
    container: str
    """One that tells the decoder how many samples the codec put before the waveform and after it."""
    options: dict[str, object]
    rates_kbit_s: tuple[float, float]
    """Lowest and highest for mono speech."""


AudioCodec = Literal["opus", "mp3"]
FORMATS: dict[AudioCodec, AudioFormat] = {
    "opus": AudioFormat("libopus", "ogg", {"vbr": "off"}, (0.5, 256.0)),
    "mp3": AudioFormat("libmp3lame", "mp3", {}, (8.0, 160.0)),
}
MIN_CODED_S = 0.1
"""Shorter waveforms are filled up with silence: a decoder may give nothing back of a single packet."""


def recode_waveform(waveform: Float32[np.ndarray, " n"], codec: AudioCodec, kbit_s: float) -> Float32[np.ndarray, " n"]:
    """Encode a mono 16 kHz waveform in [-1, 1] at a constant `kbit_s` and decode it again.

    The delay of the codec is taken back: sample i of the result is the same moment as sample i of the input. MP3 has
    few rates (8, 16, 24, 32, ... 160); the encoder takes the nearest. MsmaError for a rate that the codec lacks.
    """
    lowest, highest = FORMATS[codec].rates_kbit_s
    if not lowest <= kbit_s <= highest:
        raise MsmaError(f"{codec}: no rate of {kbit_s:g} kbit/s; choose one from {lowest:g} to {highest:g}")
    filled = np.pad(waveform, (0, max(0, round(MIN_CODED_S * SAMPLE_RATE) - len(waveform))))
    decoded = decode(encode(filled, codec, kbit_s))[: len(waveform)]
    return np.clip(decoded, -1.0, 1.0)


def encode(waveform: Float32[np.ndarray, " n"], codec: AudioCodec, kbit_s: float) -> bytes:
    """The waveform as a file: Opus in Ogg, or MP3."""
    file, form = io.BytesIO(), FORMATS[codec]
    with av.open(file, "w", format=form.container, options={"fflags": "+bitexact"}) as container:
        stream = cast(AudioStream, container.add_stream(form.encoder, rate=SAMPLE_RATE, layout="mono"))
        stream.bit_rate = round(1000 * kbit_s)
        stream.options = form.options
        stream.codec_context.flags |= int(Flags.bitexact)
        container.start_encoding()
        resampler = AudioResampler(format=stream.codec_context.format, layout="mono", rate=SAMPLE_RATE)
        for frame in (audio_frame(waveform, "flt"), None):
            for piece in resampler.resample(frame):
                container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


def decode(file: bytes) -> Float32[np.ndarray, " n"]:
    """The mono 16 kHz waveform of a file in memory, from its first sample on."""
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    pieces = []
    with av.open(io.BytesIO(file), "r") as container:
        for frame in container.decode(audio=0):
            frame.pts = None  # the resampler counts for itself
            pieces += resampler.resample(frame)
    pieces += resampler.resample(None)
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])
