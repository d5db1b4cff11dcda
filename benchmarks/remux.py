"""Audio and traits of rendered clips copied into other containers, and traits of the same clips shifted in time.

    .venv/bin/python benchmarks/remux.py [--model RUN] [--tta]

CLIPS rendered people. Their audio is encoded once by each codec; the same packets are copied into each container. A
shift delays the audio alone, or cuts the start off audio and frames together.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from msma.config import ClipConfig
from msma.media.clip import clip_from_arrays, load_clip
from msma.types import SAMPLE_RATE, Clip

CLIPS = 20
SECONDS, FPS = 4.0, 12
SHIFTS_S = (0.016, 0.064, 0.125, 0.25)
CODECS = (
    ("libx264", "aac", 44100, ("mp4", "mov", "mkv", "ts", "flv", "avi")),
    ("libx264", "libmp3lame", 44100, ("mp4", "mov", "mkv", "ts", "flv", "avi")),
    ("libx264", "ac3", 48000, ("mp4", "mov", "mkv", "ts", "avi")),
    ("libx264", "libopus", 48000, ("mp4", "mkv", "ts")),
    ("libvpx-vp9", "libopus", 48000, ("mp4", "mkv", "webm")),
)
"""Codecs of video and audio, sample rate, containers; the first is what the others are compared with."""


def encoded(source: Path, path: Path, codecs: tuple[str, str], rate: int) -> Path:
    """The frames and the audio of a file, encoded anew."""
    with av.open(str(source)) as clip, av.open(str(path), "w") as container:
        video: Any = container.add_stream(codecs[0], rate=FPS)
        audio: Any = container.add_stream(codecs[1], rate=rate, layout="mono")
        video.width, video.height, video.pix_fmt = clip.streams.video[0].width, clip.streams.video[0].height, "yuv420p"
        video.options = {"preset": "fast"} if codecs[0] == "libx264" else {"deadline": "realtime", "cpu-used": "8"}
        for index, frame in enumerate(clip.decode(video=0)):
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        clip.seek(0)
        for frame in clip.decode(audio=0):
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


def remuxed(source: Path, path: Path) -> Path:
    """The packets of a file, copied into another container."""
    with av.open(str(source)) as clip, av.open(str(path), "w") as container:
        streams = {stream.index: container.add_stream_from_template(stream) for stream in clip.streams}
        h264 = path.suffix == ".avi" and clip.streams.video[0].codec_context.name == "h264"
        annexb = BitStreamFilterContext("h264_mp4toannexb", clip.streams.video[0]) if h264 else None
        for packet in clip.demux():
            if packet.dts is None:
                continue
            stream = streams[packet.stream.index]
            for one in annexb.filter(packet) if annexb and packet.stream.type == "video" else [packet]:
                one.stream = stream
                container.mux(one)
    return path


def shifted(clip: Clip, audio_s: float = 0.0, all_s: float = 0.0) -> Clip:
    """A clip whose audio comes so much later, or of which so much of the start is cut off."""
    waveform = np.concatenate([np.zeros(round(audio_s * SAMPLE_RATE), np.float32), clip.waveform])
    times_s = clip.frame_times_s - all_s
    kept = times_s >= 0
    return clip_from_arrays(clip.frames[kept], waveform[round(all_s * SAMPLE_RATE) :], times_s=times_s[kept])


def traits_of(model: Any, source: Path | Clip) -> np.ndarray:
    return np.array([*model.predict(source).traits.values()])


def line(name: str, changes: Iterable[np.ndarray], equal: str = "") -> str:
    change = np.abs(np.stack([*changes]))
    return f"| {name} | {equal} | {change.max():.4f} | {change.mean():.4f} |"


def copies(model: Any, clips: list[Path], folder: Path) -> Iterator[str]:
    for video, audio, rate, containers in CODECS:
        firsts = [encoded(clip, folder / f"{clip.stem}.{containers[0]}", (video, audio), rate) for clip in clips]
        before = [(load_clip(first).waveform, traits_of(model, first)) for first in firsts]
        for container in containers[1:]:
            targets = [remuxed(first, folder / f"{first.stem}_copy.{container}") for first in firsts]
            same = [np.array_equal(load_clip(one).waveform, of[0]) for one, of in zip(targets, before, strict=True)]
            changes = [traits_of(model, one) - of[1] for one, of in zip(targets, before, strict=True)]
            yield line(f"{audio} ({video}), {containers[0]} to {container}", changes, f"{sum(same)} of {len(same)}")


def shifts(model: Any, clips: list[Path]) -> Iterator[str]:
    read = [load_clip(clip, ClipConfig(fps=FPS)) for clip in clips]
    before = [traits_of(model, shifted(clip)) for clip in read]
    for name in ("audio_s", "all_s"):
        for shift_s in SHIFTS_S:
            changes = [
                traits_of(model, shifted(clip, **{name: shift_s})) - of for clip, of in zip(read, before, strict=True)
            ]
            what = "audio later" if name == "audio_s" else "start cut off"
            yield line(f"{what}, {1000 * shift_s:.0f} ms", changes)


def main() -> None:
    import msma
    from msma.data.synthetic.corpus import render_corpus

    parser = argparse.ArgumentParser()
    parser.add_argument("--model", help="a run folder; default: the bundled weights")
    parser.add_argument("--tta", action="store_true", help="average several sampling grids and the mirrored clip")
    asked = parser.parse_args()
    model = msma.load(asked.model, tta=asked.tta)
    with tempfile.TemporaryDirectory() as folder:
        render_corpus(Path(folder, "corpus"), CLIPS, seed=3, seconds=SECONDS, fps=FPS)
        clips = sorted(Path(folder, "corpus").rglob("*.mp4"))
        print("| | audio equal to the sample | largest change of a trait | mean change |\n|---|---|---|---|")
        for row in itertools.chain(copies(model, clips, Path(folder)), shifts(model, clips)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
