"""Which frames of a window are kept, and which of those a network is given.

A step is 1 / `fps` long and gives the network one frame. The cache keeps several of each (`ClipConfig.phases`), one of
them that of its middle. Training draws one (temporal segment sampling, Wang et al. 2016), on a grid that begins at a
random moment; all else reads the middles, which are the same however many are kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

from msma.config import ClipConfig
from msma.media.faces import WHOLE_FRAME, Detector, find_faces, separation, track_face
from msma.types import SAMPLE_RATE, Clip, FaceTrack, RawWindow

VIEWS = (0.618, 0.236)
"""Shares of a step by which further views of a window begin later: multiples of the golden ratio lie far from one
another and from 0, and so do their places in a token of audio, whatever the rates."""
VIEW_PHASES = 4
"""Frames of each step from which views take theirs; of two, they would be up to a quarter of a step off, as shows."""

Taken = tuple[np.ndarray, float, bool]
"""A frame, its time, and whether that is the middle of a step."""


class Moment(NamedTuple):
    """A time at which a frame is taken."""

    window: int
    time_s: float
    """From the start of the file."""
    middle: bool
    """Whether it is the middle of a step."""


def sample_times(config: ClipConfig, phases: int = 1) -> Iterator[Moment]:
    """Every moment, without end: in each step of 1 / fps of a window so many, evenly spread, one of them its middle."""
    in_window = max(1, math.ceil(config.window_s * config.fps - 0.5))
    offsets = [(phase - phases // 2) / phases for phase in range(phases)]
    for window in itertools.count():
        for step, offset in itertools.product(range(in_window), offsets):
            time_s = min((step + 0.5 + offset) / config.fps, config.window_s)
            yield Moment(window, window * config.window_s + time_s, not offset)


def is_middle(clip: Clip, config: ClipConfig) -> Bool[np.ndarray, " t"]:
    """Which frames lie at the middle of a step; all, where none does: of a short track the last frame is taken."""
    steps = (clip.frame_times_s - clip.start_s) * config.fps
    middle = np.abs(steps - np.floor(steps) - 0.5) < 0.01
    return middle if middle.any() else np.ones(len(steps), bool)


def kept(taken: Sequence[Taken]) -> tuple[list[np.ndarray], list[float]]:
    """The frames of a window that are kept, and their times; none, where there is none for the middle of a step.

    Of moments that show the very same frame it is the middles, or else the first: where the source has fewer frames
    than are asked for, those that are there are kept once.
    """
    found: list[Taken] = []
    for _, moments in itertools.groupby(taken, key=lambda one: id(one[0])):
        same = list(moments)
        found += [one for one in same if one[2]] or same[:1]
    if not any(middle for *_, middle in found):
        return [], []
    return [frame for frame, *_ in found], [time_s for _, time_s, _ in found]


def held_window(clip: Clip, config: ClipConfig, detector: Detector | None) -> RawWindow:
    """The window with its face, which is that of its middles whether or not it holds other frames too.

    In other frames it is the face that is nearest to where it must be by those around it, if one is near.
    """
    middle = is_middle(clip, config)
    if middle.all():
        return RawWindow(clip, track_face(clip, config, detector))
    at_middle = np.flatnonzero(middle)
    track = track_face(frames_of(clip, at_middle), config, detector)
    sides = [np.interp(clip.frame_times_s, clip.frame_times_s[at_middle], track.boxes[:, i]) for i in range(4)]
    boxes = np.stack(sides, axis=1).astype(np.float32)
    valid = np.ones(len(boxes), bool)
    boxes[at_middle], valid[at_middle] = track.boxes, track.valid
    if track.detector != WHOLE_FRAME and detector is not None:
        for place in np.flatnonzero(~middle):
            found = find_faces(clip.frames[place], detector)[:, :4]
            nearest = min(found, key=lambda box, by=boxes[place]: separation(by, box), default=None)
            valid[place] = nearest is not None and separation(boxes[place], nearest) < 1.0
            boxes[place] = nearest if valid[place] else boxes[place]
    return RawWindow(clip, FaceTrack(boxes, valid, track.detector, track.reasons), middle)


def middles(window: RawWindow) -> RawWindow:
    """The window as all but training sees it."""
    return window if window.middle is None else taken(window, np.flatnonzero(window.middle))


def every_frame(times_s: Float64[np.ndarray, " t"]) -> Int[np.ndarray, " t"]:
    """All places."""
    return np.arange(len(times_s))


def frame_of_each_step(
    times_s: Float64[np.ndarray, " t"], fps: float, shift_s: float = 0.0, rng: np.random.Generator | None = None
) -> Int[np.ndarray, " t2"]:
    """The places of one frame of each step that has one, in a grid that begins at `shift_s`: a random one, or without
    `rng` the one that is nearest to the middle. `times_s` count from the start of the window. Where all frames come
    before the grid, the last one.
    """
    steps = np.floor((times_s - shift_s) * fps + 1e-6)
    places = np.flatnonzero(steps >= 0)
    if not len(places):
        return np.arange(len(times_s))[-1:]
    away = np.abs((times_s[places] - shift_s) * fps - steps[places] - 0.5) if rng is None else rng.random(len(places))
    order = np.lexsort((away, steps[places]))
    _, first = np.unique(steps[places][order], return_index=True)
    return places[order][first]


def begun_later(window: RawWindow, shift_s: float) -> RawWindow:
    """The window, one frame in each step, as if it had begun so much later: in both streams."""
    clip, start_s = window.clip, window.clip.start_s + shift_s
    return replace(
        window,
        clip=replace(
            clip,
            start_s=start_s,
            frame_times_s=np.maximum(clip.frame_times_s, start_s),
            waveform=clip.waveform[round(shift_s * SAMPLE_RATE) :],
        ),
        middle=None,
    )


def at_phase(window: RawWindow, config: ClipConfig, share: float) -> RawWindow:
    """The window on a grid that begins at this share of a step, at most of half of the window; 0: its middles."""
    if not share:
        return middles(window)
    clip = window.clip
    shift_s = share * longest_shift_s(clip.duration_s, config)
    places = frame_of_each_step(clip.frame_times_s - clip.start_s, config.fps, shift_s)
    return begun_later(taken(window, places), shift_s)


def longest_shift_s(duration_s: float, config: ClipConfig) -> float:
    """What the start of a window may be moved by: a step, or less where the window is short."""
    return min(1 / config.fps, duration_s / 2)


def taken(window: RawWindow, places: Int[np.ndarray, " t"]) -> RawWindow:
    """The window with the frames at these places alone."""
    face = window.face
    track = replace(face, boxes=face.boxes[places], valid=face.valid[places])
    return RawWindow(frames_of(window.clip, places), track)


def frames_of(clip: Clip, places: Int[np.ndarray, " t"]) -> Clip:
    return replace(clip, frames=clip.frames[places], frame_times_s=clip.frame_times_s[places])
