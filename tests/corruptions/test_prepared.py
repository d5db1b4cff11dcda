"""Whatever a corruption leaves of a clip goes through the same preparation as a clean one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from raw import with_face
from specimens import specimen

from msma.config import ClipConfig
from msma.corruptions.corruption import corrupt
from msma.corruptions.table import CORRUPTIONS
from msma.media.audio import SILENT_DB, level_db
from msma.media.faces import Detector
from msma.media.prepare import prepare
from msma.types import Clip

CONFIG = ClipConfig(crop_size=16, mels=8)
MIDDLE = Detector("middle", lambda _: np.array([[80, 50, 90, 100, 0.9]], np.float32))


def whole(clip: Clip) -> Clip:
    return clip


def without_audio(clip: Clip) -> Clip:
    return replace(clip, waveform=clip.waveform[:0])


def without_frames(clip: Clip) -> Clip:
    return replace(clip, frames=clip.frames[:0], frame_times_s=clip.frame_times_s[:0])


def with_one_frame(clip: Clip) -> Clip:
    return replace(clip, frames=clip.frames[:1], frame_times_s=clip.frame_times_s[:1])


def empty(clip: Clip) -> Clip:
    return without_audio(without_frames(clip))


@pytest.mark.parametrize("row", CORRUPTIONS.values(), ids=lambda row: row.name)
@pytest.mark.parametrize("kind", [whole, without_audio, without_frames, with_one_frame, empty])
def test_every_corrupted_clip_can_be_prepared(row, kind):
    one = specimen(0)
    clip = kind(replace(one.clip, frames=one.clip.frames.copy(), waveform=one.clip.waveform.copy()))
    face = replace(one.face, boxes=one.face.boxes[: len(clip.frames)], valid=one.face.valid[: len(clip.frames)])
    for severity in {row.severities[0], row.severities[-1]}:
        after = corrupt(clip, row, severity, face=face, donor=one.donor)
        ready = prepare(with_face(after, CONFIG, MIDDLE), CONFIG)
        assert ready.inputs.present.tolist() == [level_db(after.waveform) >= SILENT_DB, len(after.frames) > 0]
        assert np.isfinite(ready.inputs.log_mel).all()
        assert ready.inputs.frame_mask.sum() == len(after.frames)
        assert (ready.start_s, ready.end_s) == (clip.start_s, clip.end_s)
        assert all(0 <= share <= 1 for share in ready.used.values())
