"""Write frames and sound as an H.264 + AAC mp4 file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from jaxtyping import Float32, UInt8


def write_mp4(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "h w 3"]],
    fps: int,
    waveform: Float32[np.ndarray, " n"] | None,
    sample_rate: int,
    *,
    crf: int = 20,
    preset: str = "veryfast",
) -> None:
    """Encode RGB `frames` (even height and width) at `fps` and mono `waveform` in [-1, 1].

    One encoder thread and no clock: the same input gives the same bytes. `waveform` None: no audio track.
    """
    frames = iter(frames)
    first = next(frames)
    height, width = first.shape[:2]
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.thread_count = 1
        # Without the last option x264 (AVX-512, macroblock tree) gives other bytes from one call to the next.
        video.options = {"crf": str(crf), "preset": preset, "x264-params": "cpu-independent=1"}
        audio = None
        if waveform is not None:
            audio = container.add_stream("aac", rate=sample_rate, layout="mono")
            audio.codec_context.flags |= int(Flags.bitexact)
        for index, pixels in enumerate(itertools.chain([first], frames)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None and waveform is not None:
            sound = av.AudioFrame.from_ndarray(waveform[None].astype(np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = sample_rate, 0, Fraction(1, sample_rate)
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
