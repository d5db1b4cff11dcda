"""Missing parts: a stream, what it should show, or the end of the file."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from msma.corruptions.audio import Waveform
from msma.corruptions.corruption import AUDIO, BOTH, VISUAL, in_stretches, row
from msma.corruptions.visual import Frames
from msma.types import SAMPLE_RATE, Clip, FaceTrack

HEAD_WIDTHS, HEAD_ABOVE, HEAD_BELOW = 2.0, 0.6, 0.4
"""Size of the head: its width over that of the face box; how far it reaches above and below the box, in heights."""


def no_audio(clip: Clip, rng: np.random.Generator, share: float) -> Clip:
    """No audio track."""
    return replace(clip, waveform=clip.waveform[:0], reasons=with_reason(clip, "no audio track"))


def no_visual(clip: Clip, rng: np.random.Generator, share: float) -> Clip:
    """No video track."""
    reasons = with_reason(clip, "no video track")
    return replace(clip, frames=clip.frames[:0], frame_times_s=clip.frame_times_s[:0], reasons=reasons)


def with_reason(clip: Clip, reason: str) -> tuple[str, ...]:
    """The reasons of the clip, and one more as the reader of a file gives it."""
    return tuple(dict.fromkeys((*clip.reasons, reason)))


def silent_audio(waveform: Waveform, rng: np.random.Generator, share: float) -> Waveform:
    """An audio track that holds digital silence only."""
    return np.zeros_like(waveform)


def black_frames(frames: Frames, rng: np.random.Generator, share: float) -> Frames:
    """A share of the frames, in random stretches, is black."""
    black = in_stretches(rng, len(frames), share)
    return np.where(black[:, None, None, None], np.uint8(0), frames)


def no_face(frames: Frames, rng: np.random.Generator, share: float, face: FaceTrack) -> Frames:
    """In a share of the frames, in random stretches, the head is gone: what is beside it continues where it was.

    Only the face that is followed goes; where none is, the whole frame becomes one colour.
    """
    empty = frames.copy()
    for index in np.flatnonzero(in_stretches(rng, len(frames), share)):
        remove_head(empty[index], face.boxes[index])
    return empty


def remove_head(frame: UInt8[np.ndarray, "h w 3"], box: Float32[np.ndarray, "4"]) -> None:
    """Each row of the head, in place, fades from the colour on its left to that on its right."""
    height, width = frame.shape[:2]
    left, top, box_width, box_height = (float(side) for side in box)
    spread = (HEAD_WIDTHS - 1) / 2 * box_width
    first, last = max(0, round(left - spread)), min(width, round(left + box_width + spread))
    above, below = max(0, round(top - HEAD_ABOVE * box_height)), min(height, round(top + (1 + HEAD_BELOW) * box_height))
    if first >= last or above >= below:
        return
    rows = frame[above:below]
    # Beyond the edge of the frame there is no colour to be had: then that of the other side, or the mean.
    beside = [rows[:, place : place + 1] for place in (first - 1, last) if 0 <= place < width]
    colours = beside or [np.broadcast_to(rows.mean(axis=(0, 1)), (len(rows), 1, 3))]
    start, end = (cv2.blur(colours[place].astype(np.float32), (1, 9)) for place in (0, -1))
    fade = np.linspace(0.0, 1.0, last - first, dtype=np.float32)[None, :, None]
    rows[:, first:last] = np.rint(start * (1 - fade) + end * fade).astype(np.uint8)


def truncated_file(clip: Clip, rng: np.random.Generator, share: float) -> Clip:
    """The end of the file is lost, while its header still claims the whole length."""
    left_s = (1 - share) * clip.duration_s
    shown = clip.frame_times_s - clip.start_s < left_s
    return replace(
        clip,
        frames=clip.frames[shown],
        frame_times_s=clip.frame_times_s[shown],
        waveform=clip.waveform[: round(left_s * SAMPLE_RATE)],
    )


ROWS = (
    row(no_audio, "missing", (1.0,), "no audio track", AUDIO),
    row(silent_audio, "missing", (1.0,), "an audio track of digital silence"),
    row(no_visual, "missing", (1.0,), "no video track", VISUAL),
    row(black_frames, "missing", (0.1, 0.3, 0.5, 0.75, 1.0), "a share of the frames is black"),
    row(no_face, "missing", (0.1, 0.3, 0.5, 0.75, 1.0), "the head is gone from a share of the frames"),
    row(truncated_file, "missing", (0.1, 0.3, 0.5, 0.7, 0.9), "the end of both streams is lost", BOTH),
)
