"""Read a file as consecutive windows of sampled frames and waveform."""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from av import AudioFrame
from jaxtyping import Float32, Float64, UInt8

from msma.config import ClipConfig, Limits
from msma.media.colour import colour_problem
from msma.media.container import Media
from msma.media.decode import MIN_BREAK_S, audio_samples, frames_on_display
from msma.media.geometry import fitted, geometry, to_rgb
from msma.media.packets import Problems
from msma.media.phases import Taken, kept, sample_times
from msma.media.streams import opened
from msma.types import SAMPLE_RATE, Clip, MediaInfo, MsmaError

FrameWindow = tuple[list[UInt8[np.ndarray, "h w 3"]], list[float], float]
"""Frames, their times in seconds, and until when there is a frame, at most the end of the window."""

Source = str | Path | bytes | Clip
TICK_S = 2e-5
"""A moment this near to the start of a frame is in it: the clocks of containers round (by 1 / 90000 s and less)."""
CONFIG, LIMITS = ClipConfig(), Limits()


def load_windows(
    source: Source, config: ClipConfig = CONFIG, limits: Limits = LIMITS, *, name: str | None = None, phases: int = 1
) -> Generator[Clip, None, None]:
    """Consecutive windows of `config.window_s`, decoded as they are asked for; memory does not grow with the length.

    A remainder shorter than `config.min_window_s` is left out, unless it is all there is. A Clip that is one window
    already comes back as it is, another one is cut. `name` is the name of `bytes` (and may replace a file name). Each
    step of 1 / fps has up to `phases` frames, one of them that of its middle.
    MsmaError where the file cannot be read, is refused by `limits`, or holds no video and no audio.
    """
    if isinstance(source, Clip):
        yield from [source] if is_window(source, config) else cut_windows(source, config, phases)
        return
    # One window is held back: what goes wrong behind it (a stream that breaks off) is a reason of the last one.
    last = held = None
    for last in read_windows(source, config, limits, name, phases):
        if held is not None:
            yield held
        held = with_problems(*last)
    if last is not None:
        yield with_problems(*last)


def load_clip(source: Source, config: ClipConfig = CONFIG, limits: Limits = LIMITS, *, name: str | None = None) -> Clip:
    """The first window of `load_windows`, and its errors; nothing behind it is decoded."""
    if isinstance(source, Clip):
        return next(load_windows(source, config))
    with closing(read_windows(source, config, limits, name, 1)) as windows:
        return with_problems(*next(windows))


def with_problems(clip: Clip, problems: Problems) -> Clip:
    return replace(clip, reasons=(*clip.reasons, *problems.values()))


def read_windows(
    source: str | Path | bytes, config: ClipConfig, limits: Limits, name: str | None, phases: int
) -> Generator[tuple[Clip, Problems], None, None]:
    """The windows of a file, each with the problems of decoding, one value that grows as it continues."""
    if isinstance(source, str) and "://" in source:
        raise MsmaError(f"{source}: addresses are not read; download the file and give its path")
    if not isinstance(source, bytes):
        source = Path(source)
        label, name = str(source), name or source.name
    else:
        label = name = name or "bytes"
    problems: Problems = {}
    with (
        opened(source, limits, label, problems) as (video, audio, heard),
        closing(frame_windows(video, config, problems, phases)) as visual_windows,
        closing(waveform_windows(audio, heard, config, problems)) as audio_windows,
    ):
        nothing = True
        for index, (visual, waveform) in enumerate(itertools.zip_longest(visual_windows, audio_windows)):
            start_s = index * config.window_s
            frames, times_s, end_s = visual or ([], [], start_s)
            waveform = np.zeros(0, np.float32) if waveform is None else waveform
            end_s = min(max(end_s, start_s + len(waveform) / SAMPLE_RATE), start_s + config.window_s)
            empty = not frames and not len(waveform)
            if empty or (not nothing and end_s - start_s < config.min_window_s):
                continue
            nothing = False
            stacked = np.stack(frames) if frames else np.zeros((0, 0, 0, 3), np.uint8)
            times = np.array(times_s, np.float64)
            info = replace(video.info, audio_mix=audio.notes.get("audio mix"))
            yield Clip(name, stacked, times, waveform, start_s, end_s, info, video.reasons), problems
        if nothing:
            raise MsmaError(f"{label}: holds no video and no audio; record or download it again")


def frame_windows(
    media: Media, config: ClipConfig, problems: Problems, phases: int = 1
) -> Generator[FrameWindow, None, None]:
    """The sampled frames of each window; only these are converted to RGB.

    Of a track too short for the middle of any step its last frame is taken.
    """
    samples = sample_times(config, phases)
    window, time_s, middle = next(samples)
    taken: list[Taken] = []
    first = shape = size = last = None
    nothing, end_s = True, 0.0
    for from_s, end_s, frame in frames_on_display(media, problems):
        if shape is None or first is None:
            shape = first = geometry(media, frame, config.frame_side)
            if (problem := colour_problem(frame)) is not None:
                problems["colour"] = problem
            from_s -= 1 / config.fps  # the first frame also stands for the moment before it
        elif (frame.width, frame.height) != size:
            shape = fitted(geometry(media, frame, config.frame_side), first)
            problems["video size"] = "frame size changes; all frames are fitted into the first size"
        last, size = frame, (frame.width, frame.height)
        pixels = None
        while time_s < end_s - TICK_S:
            if time_s >= from_s - TICK_S:
                pixels = to_rgb(media, frame, shape, first) if pixels is None else pixels
                taken.append((pixels, time_s, middle))
                nothing = nothing and not middle
            window_before = window
            window, time_s, middle = next(samples)
            if window > window_before:
                frames, times_s = kept(taken)
                yield frames, times_s, window * config.window_s if frames else 0.0
                taken = []
    if last is None or shape is None or first is None:
        return
    if nothing:
        taken = [(to_rgb(media, last, shape, first), max(0.0, end_s), True)]
    yield *kept(taken), min(end_s, (window + 1) * config.window_s)


def waveform_windows(
    media: Media, heard: Iterator[AudioFrame], config: ClipConfig, problems: Problems
) -> Generator[Float32[np.ndarray, " n"], None, None]:
    """The samples of each window; the last one is as long as the audio that is left."""
    size = round(config.window_s * SAMPLE_RATE)
    held: list[np.ndarray] = []
    missing = size
    for piece in audio_samples(media, heard, problems):
        while len(piece) >= missing:
            yield np.concatenate([*held, piece[:missing]])
            held, piece, missing = [], piece[missing:], size
        held.append(piece)
        missing -= len(piece)
    if missing < size:
        yield np.concatenate(held)


def clip_from_arrays(
    frames: np.ndarray | None,
    waveform: np.ndarray | None,
    *,
    fps: float | None = None,
    times_s: Float64[np.ndarray, " t"] | None = None,
    name: str = "arrays",
) -> Clip:
    """A Clip of frames and a waveform that are in memory already.

    Args:
        frames: RGB `(t, h, w, 3)`, uint8; None or empty: no video.
        waveform: mono, 16 kHz, float in [-1, 1], `(n,)`; None or empty: no audio.
        fps: frames per second, all evenly spaced; or else
        times_s: seconds of each frame, rising from 0.

    MsmaError for another shape or type, neither or both of `fps` and `times_s`, times that do not rise, a waveform that
    is not finite or beyond [-1, 1], or nothing at all.
    """
    frames = np.zeros((0, 0, 0, 3), np.uint8) if frames is None or not len(frames) else frames
    waveform = np.zeros(0, np.float32) if waveform is None or not len(waveform) else waveform
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise MsmaError(f"{name}: frames are {frames.dtype} {frames.shape}; give RGB uint8 of shape (t, h, w, 3)")
    if waveform.ndim != 1 or waveform.dtype.kind != "f":
        form = f"{waveform.dtype} {waveform.shape}"
        raise MsmaError(f"{name}: the waveform is {form}; give mono float samples of shape (n,)")
    waveform = waveform.astype(np.float32)
    if not len(frames) and not len(waveform):
        raise MsmaError(f"{name}: holds no video and no audio; give frames or a waveform")
    if len(frames) and (fps is None) == (times_s is None):
        raise MsmaError(f"{name}: the times of the frames are not clear; give either fps or times_s")
    if fps is not None and not fps > 0:
        raise MsmaError(f"{name}: fps is {fps}; give a number above 0")
    given = times_s if len(frames) and times_s is not None else (np.arange(len(frames)) + 0.5) / (fps or 1.0)
    times = np.asarray(given, np.float64)
    if len(times) != len(frames) or (times < 0).any() or (np.diff(times) <= 0).any():
        raise MsmaError(f"{name}: times_s must rise from 0 on, one for each of the {len(frames)} frames")
    if not np.isfinite(waveform).all() or np.abs(waveform).max(initial=0.0) > 1.0:
        raise MsmaError(f"{name}: the waveform leaves [-1, 1]; divide it by its largest sample")
    step_s = 1 / fps if fps else float(np.diff(times).mean()) if len(times) > 1 else 0.0
    ends_s = {"video": float(times[-1]) + step_s / 2 if len(times) else 0.0, "audio": len(waveform) / SAMPLE_RATE}
    end_s = max(ends_s.values())
    reasons = [
        f"{kind} breaks off at {kind_end_s:.1f} s of {end_s:.1f} s" if kind_end_s else f"no {kind} track"
        for kind, kind_end_s in ends_s.items()
        if not kind_end_s or end_s - kind_end_s > MIN_BREAK_S
    ]
    info = MediaInfo("arrays", width=frames.shape[2], height=frames.shape[1], fps=fps or 0.0, duration_s=end_s)
    return Clip(name, frames, times, waveform, 0.0, end_s, info, tuple(reasons))


def is_window(clip: Clip, config: ClipConfig) -> bool:
    """Whether this Clip is one window, with its frames at the middle of different steps of 1 / fps."""
    steps = (clip.frame_times_s - clip.start_s) * config.fps
    on_grid = np.abs(steps - np.floor(steps) - 0.5) < 0.01
    return clip.duration_s <= config.window_s + 1e-6 and bool(on_grid.all()) and bool((np.diff(steps) > 0.5).all())


def cut_windows(clip: Clip, config: ClipConfig, phases: int = 1) -> Iterator[Clip]:
    """Cut a Clip of any length and frame rate into windows as `load_windows` would give them.

    The frame for a time is the one whose own time is nearest, if it is one of its neighbours.
    """
    own_s = clip.frame_times_s
    reach_s = 0.5 * max(float(np.median(np.diff(own_s))) if len(own_s) > 1 else 0.0, 1 / config.fps) + 1e-9
    for index in range(max(1, math.ceil(clip.duration_s / config.window_s))):
        start_s = clip.start_s + index * config.window_s
        end_s = min(start_s + config.window_s, clip.end_s)
        if index and end_s - start_s < config.min_window_s:
            return
        steps = itertools.takewhile(lambda at: at.window == 0, sample_times(config, phases))
        times_s = np.array([start_s + moment.time_s for moment in steps])
        changes_s = (own_s[:-1] + own_s[1:]) / 2
        nearest = np.searchsorted(changes_s, times_s + 1e-9, side="right")  # the later of two that are equally near
        shown = np.abs(own_s[nearest] - times_s) <= reach_s if len(own_s) else np.zeros(len(times_s), bool)
        first, last = (round((at - clip.start_s) * SAMPLE_RATE) for at in (start_s, end_s))
        yield replace(
            clip,
            frames=clip.frames[nearest[shown]],
            frame_times_s=times_s[shown],
            waveform=clip.waveform[first:last],
            start_s=start_s,
            end_s=end_s,
        )
