"""Corruptions of both streams and of their time: transmission, recording, and what is missing or does not belong.

Frames are RGB `(t, h, w, 3)`, uint8; whole clips keep their window, the times of their frames and the length of their
waveform. What a clip does not hold cannot be corrupted.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from msma.corruptions.audio import Waveform, band_limit, packet_loss
from msma.corruptions.corruption import AUDIO, BOTH, NEITHER, VISUAL, in_stretches, row
from msma.corruptions.visual import Frames
from msma.media.audio import SILENT_DB, level_db
from msma.media.encode import recode_frames
from msma.media.frames import resize
from msma.types import SAMPLE_RATE, Clip, FaceTrack, MsmaError

COLLAPSED_STEPS = 100
"""Steps of equal length into which the time of a clip is cut; each is collapsed as a whole."""
COLLAPSED_SIDE, COLLAPSED_CRF = 1 / 3, 40.0
"""Share of the sides of a frame that is left while the bandwidth is collapsed, and how coarsely it is coded."""
COLLAPSED_HZ, COLLAPSED_LOSS = 1500.0, 0.3
"""Upper end of the audio band, and the share of its packets that are lost."""
SECONDS_A_FREEZE = 5.0
"""So much clip to every stretch in which the frame stands still, at least."""
SWAYS_HZ = 0.3, 3.0
"""Slowest and fastest of the movements of a camera that is held in the hand."""
SWAYS = 4
DEGREES_AT_WHOLE_HEIGHT = 60.0
"""A camera that moves by a tenth of the height also turns by up to 6 degrees."""
HEAD_WIDTHS, HEAD_ABOVE, HEAD_BELOW = 2.0, 0.6, 0.4
"""Size of the head: its width over that of the face box; how far it reaches above and below the box, in heights."""


def h264(frames: Frames, rng: np.random.Generator, crf: float) -> Frames:
    """H.264 at a low rate."""
    return recode_frames(frames, crf)


def bandwidth_collapse(clip: Clip, rng: np.random.Generator, share: float) -> Clip:
    """In random stretches frames are small and coarsely coded, and audio is tinny and full of holes."""
    collapsed = in_stretches(rng, COLLAPSED_STEPS, share)
    streams = clip.frame_times_s - clip.start_s, np.arange(len(clip.waveform)) / SAMPLE_RATE
    steps = (times_s / max(clip.duration_s, 1e-9) * COLLAPSED_STEPS for times_s in streams)
    seen, heard = (collapsed[np.clip(step, 0, COLLAPSED_STEPS - 1).astype(int)] for step in steps)
    frames, waveform = clip.frames.copy(), clip.waveform
    if seen.any():
        frames[seen] = collapsed_frames(frames[seen])
    if heard.any():
        waveform = np.where(heard, packet_loss(band_limit(waveform, rng, COLLAPSED_HZ), rng, COLLAPSED_LOSS), waveform)
    return replace(clip, frames=frames, waveform=waveform)


def collapsed_frames(frames: Frames) -> Frames:
    """Coded while they are small."""
    height, width = frames.shape[1:3]
    rows, columns = (max(1, round(COLLAPSED_SIDE * side)) for side in (height, width))
    small = recode_frames(np.stack([resize(frame, rows, columns) for frame in frames]), COLLAPSED_CRF)
    return np.stack([resize(frame, height, width) for frame in small])


def frame_rate_drop(frames: Frames, rng: np.random.Generator, share_new: float) -> Frames:
    """Only a share of the frames is new, at even steps; the others repeat the last one."""
    count = len(frames)
    new = max(1, round(share_new * count))
    newest = np.arange(count) * new // count  # which of the new frames is on the screen
    return frames[np.searchsorted(newest, newest)]


def freeze(clip: Clip, rng: np.random.Generator, share: float) -> Clip:
    """The frame stands still in random stretches; from 4 s of clip on, the longest is no shorter than a second."""
    count = len(clip.frames)
    if count < 2:
        return clip
    most = max(1, int(clip.duration_s / SECONDS_A_FREEZE))
    frozen = np.concatenate([[False], in_stretches(rng, count - 1, share, most)])
    return replace(clip, frames=clip.frames[np.maximum.accumulate(np.where(frozen, 0, np.arange(count)))])


def camera_shake(clip: Clip, rng: np.random.Generator, height_share: float) -> Clip:
    """The camera is held in an unsteady hand: the frame moves by up to a share of its height, and turns a little."""
    if not len(clip.frames):
        return clip
    right, down, turn = (sway(clip.frame_times_s, rng) for _ in range(3))
    largest = height_share * clip.frames.shape[1] / max(float(np.hypot(right, down).max()), 1e-9)
    degrees = DEGREES_AT_WHOLE_HEIGHT * height_share / max(float(np.abs(turn).max()), 1e-9) * turn
    return replace(clip, frames=moved(clip.frames, largest * right, largest * down, degrees))


def moved(
    frames: Frames,
    right_px: Float64[np.ndarray, " t"],
    down_px: Float64[np.ndarray, " t"],
    degrees: Float64[np.ndarray, " t"],
) -> Frames:
    """Each frame turned about its middle and moved; its edge is repeated."""
    height, width = frames.shape[1:3]
    result = np.empty_like(frames)
    for index, frame in enumerate(frames):
        move = cv2.getRotationMatrix2D((width / 2, height / 2), float(degrees[index]), 1.0)
        move[:, 2] += right_px[index], down_px[index]
        result[index] = cv2.warpAffine(frame, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return result


def sway(times_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random movement, as a sum of slow waves."""
    slowest, fastest = np.log(SWAYS_HZ)
    hz, phases = np.exp(rng.uniform(slowest, fastest, SWAYS)), rng.uniform(0, 2 * np.pi, SWAYS)
    return np.sin(2 * np.pi * hz * times_s[:, None] + phases).sum(axis=1)


def desync(clip: Clip, rng: np.random.Generator, shift_ms: float) -> Clip:
    """The audio comes too late or too early by `shift_ms`, at most by half of its length."""
    count = len(clip.waveform)
    shift = min(round(shift_ms / 1000 * SAMPLE_RATE), count // 2)
    start = 0 if rng.random() < 0.5 else 2 * shift
    return replace(clip, waveform=np.pad(clip.waveform, shift)[start : start + count])


def wrong_person_audio(clip: Clip, rng: np.random.Generator, share: float, donor: Clip) -> Clip:
    """In random stretches another person (`donor`, repeated if it is short) is heard, as loud as this one."""
    if not len(clip.waveform):
        return clip
    gain = 10 ** ((level_db(clip.waveform) - donor_level_db(donor, clip)) / 20)
    other = np.clip(gain * np.resize(donor.waveform, len(clip.waveform)), -1.0, 1.0).astype(np.float32)
    replaced = in_stretches(rng, len(clip.waveform), share)
    return replace(clip, waveform=np.where(replaced, other, clip.waveform))


def donor_level_db(donor: Clip, clip: Clip) -> float:
    """MsmaError where the donor cannot be heard."""
    donor_db = level_db(donor.waveform)
    if donor_db < SILENT_DB:
        raise MsmaError(f"{donor.name}: has no audio to put into {clip.name}; give a donor that speaks")
    return donor_db


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
    row(h264, "video codec", (35, 39, 43, 47, 51), "H.264 at a low rate"),
    row(bandwidth_collapse, "video codec", (0.1, 0.25, 0.5, 0.75, 1.0), "stretches with little of either stream", BOTH),
    row(frame_rate_drop, "timing", (0.75, 0.5, 0.33, 0.2, 0.1), "only a share of the frames is new"),
    row(freeze, "timing", (0.25, 0.4, 0.6, 0.8, 0.95), "the same frame is shown in stretches", VISUAL),
    row(camera_shake, "camera motion", (0.02, 0.04, 0.08, 0.14, 0.22), "a camera in an unsteady hand", VISUAL),
    row(desync, "synchrony", (80, 200, 500, 1000, 2000), "audio too late or too early", NEITHER),
    row(wrong_person_audio, "synchrony", (0.1, 0.25, 0.5, 0.75, 1.0), "another person is heard in stretches", NEITHER),
    row(no_audio, "missing", (1.0,), "no audio track", AUDIO),
    row(silent_audio, "missing", (1.0,), "an audio track of digital silence"),
    row(no_visual, "missing", (1.0,), "no video track", VISUAL),
    row(black_frames, "missing", (0.1, 0.3, 0.5, 0.75, 1.0), "a share of the frames is black"),
    row(no_face, "missing", (0.1, 0.3, 0.5, 0.75, 1.0), "the head is gone from a share of the frames"),
    row(truncated_file, "missing", (0.1, 0.3, 0.5, 0.7, 0.9), "the end of both streams is lost", BOTH),
)
