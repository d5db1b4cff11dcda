"""Corruptions of a stretch of a clip alone, and what corruptions leave of the quality of its segments and its face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32

from msma.config import ClipConfig
from msma.corruptions.corruption import Corruption, corrupt, same_frames
from msma.media.audio import hop_samples
from msma.media.faces import WHOLE_FRAME, Detector, track_face
from msma.media.phases import frames_of
from msma.media.prepare import frame_slots, segment_cuts_of
from msma.media.segments import segments_in
from msma.types import MODALITIES, SAMPLE_RATE, Clip, FaceTrack, RawWindow

Stretch = tuple[float, float]
"""Its begin and its end, in seconds from the start of the window."""
PARTS = {"audio": "waveform", "visual": "frames"}


def places_in(clip: Clip, part: str, stretch: Stretch) -> Bool[np.ndarray, " n"]:
    """Which samples of the waveform, or which frames, lie in a stretch."""
    waveform = part == "waveform"
    times_s = np.arange(len(clip.waveform)) / SAMPLE_RATE if waveform else clip.frame_times_s - clip.start_s
    return (times_s >= stretch[0]) & (times_s < stretch[1])


def corrupt_stretch(
    clip: Clip,
    corruption: Corruption,
    severity: int,
    stretch: Stretch,
    rng: np.random.Generator,
    face: FaceTrack | None = None,
) -> Clip:
    """The clip with a corruption that is `local` in this stretch of it, as `corrupt` would leave that part alone; all
    else is the very same. The clip itself where nothing changes."""
    part = corruption.acts_on
    inside = np.flatnonzero(places_in(clip, part, stretch))
    if not len(inside):
        return clip
    if part == "waveform":
        before = replace(clip, waveform=clip.waveform[inside])
    else:
        before = frames_of(clip, inside)
        face = None if face is None else replace(face, boxes=face.boxes[inside], valid=face.valid[inside])
    after = corrupt(before, corruption, severity, rng, face=face)
    if after is before:
        return clip
    whole = getattr(clip, part).copy()
    whole[inside] = getattr(after, part)
    return replace(clip, **{part: whole})


def struck_shares(before: Clip, after: Clip, stretch: Stretch, config: ClipConfig) -> Float32[np.ndarray, "r 2"]:
    """Share of each segment, audio and visual, that lies in the stretch; 0 where the corruption that made `after` of
    `before` changed none of its samples, 1 everywhere where it shortened the modality."""
    shares = np.zeros((segments_in(before.duration_s), len(MODALITIES)), np.float32)
    heard, seen = segment_cuts_of(before, config)
    cuts = heard * hop_samples(config), np.searchsorted(frame_slots(before, config), seen)
    for place, (part, cut) in enumerate(zip(PARTS.values(), cuts, strict=True)):
        old, new = getattr(before, part), getattr(after, part)
        if len(old) != len(new):
            shares[:, place] = 1
            continue
        pieces = zip(np.split(places_in(before, part, stretch), cut), np.split(differing(old, new), cut), strict=True)
        for segment, (inside, changed) in enumerate(pieces):
            shares[segment, place] = inside.mean() if changed.any() else 0
    return shares


def differing(old: np.ndarray, new: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Which samples, or which frames, are not the same in both."""
    if old is new:
        return np.zeros(len(old), bool)
    return old != new if old.ndim == 1 else np.array([not np.array_equal(*pair) for pair in zip(old, new, strict=True)])


def face_where_changed(corrupted: Clip, clean: RawWindow, config: ClipConfig, detector: Detector | None) -> FaceTrack:
    """The face in what corruptions left of `clean`: in frames that are the very same where it was, in others as
    detected; masked where it is not found any more."""
    frames, face = clean.clip.frames, clean.face
    if len(corrupted.frames) != len(frames):
        return track_face(corrupted, config, detector)
    if same_frames(corrupted, clean.clip) or face.detector == WHOLE_FRAME:
        return face
    changed = np.flatnonzero(differing(frames, corrupted.frames))
    found = track_face(frames_of(corrupted, changed), config, detector)
    boxes, valid, lost = face.boxes.copy(), face.valid.copy(), found.detector == WHOLE_FRAME
    boxes[changed] = boxes[changed] if lost else found.boxes
    valid[changed] = found.valid & (not lost)
    return replace(face, boxes=boxes, valid=valid) if valid.any() else track_face(corrupted, config, detector)
