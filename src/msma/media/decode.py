"""Decode the video or the audio stream of an open file, lazily.

Times are seconds from the earliest start of the two streams that are used, so that video and audio stay together.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from av import AudioFrame, AudioResampler, VideoFrame
from av.error import FFmpegError
from jaxtyping import Float32

from msma.media.container import ORDER_ONLY, Media, check_pixels
from msma.media.coverage import MIN_MISSING_S
from msma.media.mix import gathered, mixed
from msma.media.packets import Problems, packets_of, seconds
from msma.types import SAMPLE_RATE, MsmaError

MAX_HOLD_S = 10.0
"""Longest time for which the last frame of a track is taken to stand."""
MIN_BREAK_S = 0.5
"""A stream that ends this much before the file's claimed end breaks off."""
JITTER_S = 0.05
"""Audio timestamps this near to where the samples run to are rounding, not gaps."""
MAX_TICK_S = 0.002
"""Coarsest clock of a container that is taken for what rounds the start of the audio."""
FILL_SAMPLES = 10 * SAMPLE_RATE
"""Longest piece of the zeros that fill a gap."""


def decoded(packets: Iterable[Any], kind: str, problems: Problems) -> Iterator[Any]:
    """The frames of one stream. Packets that are broken are left out and counted."""
    broken = 0
    for packet in packets:
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
    """Record that a stream held nothing, or ended long before the file claims; a clock that jumps makes no claim."""
    if end_s is None:
        problems[f"{kind} end"] = f"{kind} track holds nothing that can be decoded"
    elif media.claimed_s is not None and media.claimed_s - end_s > MIN_BREAK_S and "clock" not in problems:
        problems[f"{kind} end"] = f"{kind} breaks off at {max(0.0, end_s):.1f} s of {media.claimed_s:.1f} s"


def clock_s(frame: VideoFrame | AudioFrame) -> float | None:
    """The frame's own timestamp on the file's clock."""
    base = frame.time_base
    return None if frame.pts is None or base is None else seconds(frame.pts, base)


def in_order(frames: Iterable[VideoFrame], start: int) -> Iterator[VideoFrame]:
    """Frames of a file that tells only when packets are decoded, at the times at which they are shown, from `start` on.

    They come from the decoder in the order in which they are shown, each as long after the first one as the packet with
    which it came. Those that come after the last packet have no time.
    """
    first = None
    for frame in frames:
        if frame.dts is None:
            frame.pts = None
        else:
            first = frame.dts if first is None else first
            frame.pts = start + frame.dts - first
        yield frame


def video_frames(media: Media, problems: Problems) -> Iterator[tuple[float, float, VideoFrame]]:
    """(time at which it appears, until when it stands by its own account, frame), in rising order of time.

    MsmaError over the limits of length, frame size or frame rate.
    """
    video = media.video
    if video is None:
        return
    video.thread_type = "AUTO"
    video.thread_count = min(os.cpu_count() or 1, 4)
    video.codec_context.options = {"max_pixels": str(2 * media.limits.max_pixels)}
    step_s = 1 / (media.info.fps or 25.0)
    first_s = last_s = end_s = None
    frames = decoded(packets_of(media, video, "video", problems), "video", problems)
    if media.info.container in ORDER_ONLY:
        frames = in_order(frames, video.start_time or 0)
    for count, frame in enumerate(frames):
        check_pixels(frame.width, frame.height, media.limits, media.name)
        own_s = clock_s(frame)
        next_s = 0.0 if last_s is None else last_s + step_s
        time_s = next_s if own_s is None else own_s - media.origin_s
        check_time(time_s, media)
        first_s = time_s if first_s is None else first_s
        if count > media.limits.max_fps * (time_s - first_s + 1.0):
            raise MsmaError(
                f"{media.name}: more than {media.limits.max_fps:g} frames a second; re-encode it at 25 or 30 a second"
            )
        if last_s is not None and time_s <= last_s:
            continue
        duration_s = seconds(frame.duration, frame.time_base) if frame.duration and frame.time_base else step_s
        last_s, end_s = time_s, time_s + min(max(duration_s, 0.0) or step_s, MAX_HOLD_S)
        yield time_s, end_s, frame
    note_end(media, "video", end_s, problems)


def frames_on_display(media: Media, problems: Problems) -> Iterator[tuple[float, float, VideoFrame]]:
    """(from when, until when it is on display, frame), in rising order of time.

    A frame that would stand for `MIN_MISSING_S` or longer, in a track that is quicker, has a gap behind it.
    """
    step_s = 1 / (media.info.fps or 25.0)
    longest_s = max(MIN_MISSING_S, 2 * step_s)
    frames: Iterator[Any] = itertools.chain(video_frames(media, problems), [None])
    for (from_s, own_end_s, frame), after in itertools.pairwise(frames):
        end_s = after[0] if after else own_end_s
        yield from_s, end_s if end_s - from_s <= longest_s else from_s + step_s, frame


def audio_samples(
    media: Media, frames: Iterator[AudioFrame], problems: Problems
) -> Iterator[Float32[np.ndarray, " n"]]:
    """Mono 16 kHz in [-1, 1], in pieces that follow one another from time 0; zeros where the file has no audio.

    `frames` are those of `msma.media.streams.begun`. MsmaError over the limits of length and of packets.
    """
    if media.audio is None:
        return
    tick_s = min(float(media.audio.time_base or 0), MAX_TICK_S)
    whole = gathered(frames, media.limits.max_audio_packets_per_s, JITTER_S, media.name)
    written = 0
    found = False
    resampler, form = None, None
    for frame in mixed(whole, media.notes):
        own_s = clock_s(frame)
        start = written if own_s is None else round((own_s - media.origin_s) * SAMPLE_RATE)
        if resampler is None and abs(start) <= tick_s * SAMPLE_RATE:
            start = 0
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
