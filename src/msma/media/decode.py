"""Decode the video or the audio stream of an open file, lazily.

Times are seconds from the earliest start of the two streams that are used, so that video and audio stay together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from av import AudioFrame, AudioResampler, VideoFrame
from av.error import FFmpegError
from av.stream import Discard
from jaxtyping import Float32, UInt8

from msma.media.container import Media, check_pixels
from msma.media.mix import gathered, mixed
from msma.types import SAMPLE_RATE, MsmaError

MAX_HOLD_S = 10.0
"""Longest time for which the last frame of a track is taken to stand."""
MIN_BREAK_S = 0.5
"""A stream that ends this much before the file's claimed end breaks off."""
SET_BACK_S = 1.0
"""Timestamps that fall back by more than this are a clock that was set back, as in recordings that were joined."""
JITTER_S = 0.05
"""Audio timestamps this near to where the samples run to are rounding, not gaps."""
MAX_TICK_S = 0.002
"""Coarsest clock of a container that is taken for what rounds the start of the audio."""
FILL_SAMPLES = 10 * SAMPLE_RATE
"""Longest piece of the zeros that fill a gap."""

Problems = dict[str, str]
"""Problems of decoding, by topic; more come as decoding continues."""


def decoded(
    media: Media, stream: Any, kind: str, problems: Problems, packets: Iterator[Any] | None = None
) -> Iterator[Any]:
    """The frames of one stream. Packets that are broken are left out and counted; what cannot be read on ends it."""
    packets = media.container.demux(stream) if packets is None else packets
    broken = 0
    while True:
        try:
            packet = next(packets, None)
        except (FFmpegError, OSError) as error:
            problems[f"{kind} end"] = f"{kind} cannot be read to its end ({error.strerror or type(error).__name__})"
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except FFmpegError:
            broken += 1
            problems[f"{kind} packets"] = f"{broken} {kind} packet{'s' * (broken > 1)} could not be decoded"


def check_time(time_s: float, media: Media) -> None:
    if time_s > media.limits.max_seconds:
        raise MsmaError(
            f"{media.name}: runs beyond the limit of {media.limits.max_seconds:.0f} s; cut it or raise max_seconds"
        )


def note_end(media: Media, kind: str, end_s: float | None, problems: Problems) -> None:
    """Record that a stream held nothing, or ended long before the file claims."""
    if end_s is None:
        problems[f"{kind} end"] = f"{kind} track holds nothing that can be decoded"
    elif media.claimed_s is not None and media.claimed_s - end_s > MIN_BREAK_S:
        problems[f"{kind} end"] = f"{kind} breaks off at {end_s:.1f} s of {media.claimed_s:.1f} s"


def clock_s(frame: VideoFrame | AudioFrame) -> float | None:
    """The frame's own timestamp on the file's clock."""
    return None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)


def video_frames(media: Media, problems: Problems) -> Iterator[tuple[float, float, VideoFrame]]:
    """(time at which it appears, until when it stands by its own account, frame), in rising order of time.

    MsmaError over the limits of length, frame size or frame rate.
    """
    video = media.video
    if video is None:
        return
    if media.audio is not None:
        media.audio.discard = Discard.all
    video.thread_type = "AUTO"
    video.thread_count = min(os.cpu_count() or 1, 4)
    video.codec_context.options = {"max_pixels": str(2 * media.limits.max_pixels)}
    step_s = 1 / (media.info.fps or 25.0)
    shift_s = -media.origin_s
    first_s = last_s = end_s = None
    for count, frame in enumerate(decoded(media, video, "video", problems)):
        check_pixels(frame.width, frame.height, media.limits, media.name)
        own_s = clock_s(frame)
        next_s = 0.0 if last_s is None else last_s + step_s
        time_s = next_s if own_s is None else own_s + shift_s
        if last_s is not None and time_s < last_s - SET_BACK_S:
            shift_s += next_s - time_s
            time_s = next_s
        check_time(time_s, media)
        first_s = time_s if first_s is None else first_s
        if count > media.limits.max_fps * (time_s - first_s + 1.0):
            raise MsmaError(
                f"{media.name}: more than {media.limits.max_fps:g} frames a second; re-encode it at 25 or 30 a second"
            )
        if last_s is not None and time_s <= last_s:
            continue
        duration_s = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else step_s
        last_s, end_s = time_s, time_s + min(max(duration_s, 0.0) or step_s, MAX_HOLD_S)
        yield time_s, end_s, frame
    note_end(media, "video", end_s, problems)


class Geometry(NamedTuple):
    """The way in which every frame of a track is brought upright to one size."""

    width: int
    """Before the turn, in square pixels."""
    height: int
    transposed: bool
    """Whether rows are shown as columns, before the flips."""
    flipped: tuple[int, ...]
    """Axes: 0 top to bottom, 1 left to right."""


def geometry(media: Media, frame: VideoFrame, longest_side: int) -> Geometry:
    """Scale to `longest_side` (never up), make pixels square, turn and mirror as the file's display matrix asks.

    FFmpeg's players show (x, y) at (a x + c y, b x + d y). A turn that is not by quarters is taken as the nearest.
    """
    ratio = media.video.sample_aspect_ratio if media.video is not None else None
    pixel = float(ratio) if isinstance(ratio, Fraction) and ratio > 0 else 1.0
    width, height = frame.width * min(pixel, 1.0), frame.height / max(pixel, 1.0)
    scale = min(1.0, longest_side / max(width, height))
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    a, b, _, c, d = (1, 0, 0, 0, 1) if matrix is None else np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    transposed = abs(a) + abs(d) < abs(b) + abs(c)
    down, right = (b, c) if transposed else (d, a)
    flipped = tuple(axis for axis, direction in enumerate((down, right)) if direction < 0)
    return Geometry(max(1, round(width * scale)), max(1, round(height * scale)), transposed, flipped)


def to_rgb(media: Media, frame: VideoFrame, shape: Geometry) -> UInt8[np.ndarray, "h w 3"]:
    width, height, transposed, flipped = shape
    try:
        pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA", threads=1)
    except (FFmpegError, ValueError) as error:
        raise MsmaError(f"{media.name}: pixel format {frame.format.name} cannot be read; convert it to mp4") from error
    return np.ascontiguousarray(np.flip(pixels.swapaxes(0, 1) if transposed else pixels, flipped))


def audio_samples(
    media: Media, frames: Iterator[AudioFrame], problems: Problems
) -> Iterator[Float32[np.ndarray, " n"]]:
    """Mono 16 kHz in [-1, 1], in pieces that follow one another from time 0; zeros where the file has no audio.

    `frames` are those of `msma.media.priming.begun`. MsmaError over the limits of length and of packets.
    """
    if media.audio is None:
        return
    tick_s = min(float(media.audio.time_base or 0), MAX_TICK_S)
    whole = gathered(frames, media.limits.max_audio_packets_per_s, JITTER_S, media.name)
    written = 0
    found = False
    shift_s = -media.origin_s
    resampler, form = None, None
    for frame in mixed(whole, media.notes):
        own_s = clock_s(frame)
        start = written if own_s is None else round((own_s + shift_s) * SAMPLE_RATE)
        if resampler is None and abs(start) <= tick_s * SAMPLE_RATE:
            start = 0
        if found and start < written - SET_BACK_S * SAMPLE_RATE:
            shift_s += (written - start) / SAMPLE_RATE
            start = written
        check_time(max(start, written) / SAMPLE_RATE, media)
        goes_on = resampler is not None and abs(start - written) <= JITTER_S * SAMPLE_RATE
        skip = 0
        if resampler is None or not goes_on or form != (frame.format.name, frame.layout.name, frame.sample_rate):
            for piece in resampled(problems, resampler, None):
                written += len(piece)
                yield piece
            # 16-bit output: only then does FFmpeg weigh the channels so that their sum cannot overflow.
            resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if not goes_on:
                while written < start:
                    zeros = np.zeros(min(start - written, FILL_SAMPLES), np.float32)
                    written += len(zeros)
                    yield zeros
                skip = written - start  # audio that was there already
        frame.pts = None  # the resampler counts for itself
        for piece in resampled(problems, resampler, frame):
            new = piece[skip:]
            skip = max(0, skip - len(piece))
            written += len(new)
            found = True
            yield new
        check_time(written / SAMPLE_RATE, media)
    for piece in resampled(problems, resampler, None):
        written += len(piece)
        yield piece
    note_end(media, "audio", written / SAMPLE_RATE if found else None, problems)


def resampled(
    problems: Problems, resampler: AudioResampler | None, frame: AudioFrame | None
) -> list[Float32[np.ndarray, " _"]]:
    """Push `frame` through the resampler (None: flush it) and take its output."""
    if resampler is None:
        return []
    try:
        return [out.to_ndarray()[0].astype(np.float32) / 32768 for out in resampler.resample(frame)]
    except (FFmpegError, ValueError) as error:
        problems["audio mix"] = f"audio cannot be mixed to mono in part ({str(error).splitlines()[0]})"
        return []
