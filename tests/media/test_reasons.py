"""The order of reasons: what matters most to a prediction stands first."""

from __future__ import annotations

import pytest

from msma.media.reasons import by_weight

NO_FACE = "no face found; the whole frame is used"
POOR = "visual is poor, or unlike what the weights learned from (quality 0.02)"
PART = "face found in 38 % of the frames"
TRACKS = "several video tracks (2); the best one is used"


def test_what_is_missing_stands_before_what_is_poor_in_part_or_chosen():
    assert by_weight([TRACKS, PART, POOR, NO_FACE]) == [NO_FACE, POOR, PART, TRACKS]


@pytest.mark.parametrize(
    "missing",
    [
        "no audio track",
        "no video track",
        "audio track is silent",
        "audio track has an impossible sample rate (1 Hz)",
        "video track holds nothing that can be decoded",
        "no face detector is installed; the whole frame is used",
        "no face found; the whole frame is used (in 1 of 3 windows)",
    ],
)
def test_a_missing_modality_or_face_is_first(missing):
    assert by_weight([PART, "audio is very quiet (-60 dBFS)", missing])[0] == missing


def test_reasons_of_one_kind_stay_in_their_order():
    reasons = ["video breaks off at 1.0 s of 2.0 s", "3 audio packets could not be decoded", PART]
    assert by_weight(reasons) == reasons
