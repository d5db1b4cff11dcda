"""Files of predictions: what msma wrote is read, and all else is refused in one line with the remedy."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict

import pytest
from answered import jpeg_text as picture
from answered import prediction as answer
from answered import written

from msma.prediction.predictions_json import MAX_PREDICTIONS, load_predictions
from msma.types import TRAITS, MsmaError

STATUSES = ("ok", "degraded", "abstained", "failed")


def test_a_list_is_read_as_it_was_written(tmp_path):
    answers = [answer(status) for status in STATUSES]
    assert load_predictions(written(tmp_path / "a.json", *answers)) == answers


def test_a_single_prediction_and_one_a_line_are_read_too(tmp_path):
    one, other = answer(), answer("failed")
    (tmp_path / "one.json").write_text(json.dumps(asdict(one), indent=2))
    (tmp_path / "lines.jsonl").write_text(f"{json.dumps(asdict(one))}\n{json.dumps(asdict(other))}\n")
    (tmp_path / "line.jsonl").write_text(f"{json.dumps(asdict(one))}\n")
    assert load_predictions(tmp_path / "one.json") == load_predictions(tmp_path / "line.jsonl") == [one]
    assert load_predictions(tmp_path / "lines.jsonl") == [one, other]


WHOLE = json.dumps([asdict(answer())])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"no json",
        b"\x00\xff\xfe",
        WHOLE[: len(WHOLE) // 2].encode(),
        b"[" * 100_000,
        b"[1, 2]",
        b"[null]",
        b'{"status": "ok"}',
        b'"ok"',
        f"{WHOLE[1:-1]}\n{WHOLE[1:-10]}".encode(),
        WHOLE.replace('"path"', '"way"').encode(),
        WHOLE.replace("0.2", "NaN").encode(),
        WHOLE.replace("0.2", "1" * 5000).encode(),
        WHOLE.replace("0.2", "1e999").encode(),
    ],
    ids=range(15),
)
def test_what_is_damaged_or_foreign_is_refused_in_one_line_with_the_remedy(tmp_path, content):
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(MsmaError, match=r"bad\.json.*; make it again with `msma predict") as refused:
        load_predictions(tmp_path / "bad.json")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(MsmaError, match=r"gone\.json.*; make it again"):
        load_predictions(tmp_path / "gone.json")


def test_more_predictions_than_a_page_can_hold_are_refused(tmp_path):
    line = json.dumps(asdict(answer("failed")))
    (tmp_path / "many.jsonl").write_text(f"{line}\n" * (MAX_PREDICTIONS + 1))
    with pytest.raises(MsmaError, match="too many for a page"):
        load_predictions(tmp_path / "many.jsonl")


def faces(*jpegs: str):
    return {"media_preview": {"start_s": 0, "end_s": 1, "low": [], "high": [], "faces": [face(jpeg) for jpeg in jpegs]}}


def face(jpeg: str):
    return {"time_s": 0.5, "jpeg": jpeg}


SMALL = picture()
LONG_SIDES = bytearray(b64decode(SMALL))
PLACE = LONG_SIDES.index(b"\xff\xc0")
LONG_SIDES[PLACE + 5 : PLACE + 9] = b"\xff\xff\xff\xff"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "fine"},
        {"status": "failed"},
        {"traits": {"kindness": 0.5}},
        {"traits": {}},
        {"traits": {"openness": 1.5}},
        {"intervals": {"openness": [0.1, 0.2]}},
        {"intervals": {trait: [0.9, 0.1] for trait in TRAITS}},
        {"intervals": {trait: [0.9] for trait in TRAITS}},
        {"coverage": 2.0},
        {"quality": {"audio": 0.5}},
        {"used": {"audio": 0.5, "visual": -1.0}},
        {"windows": [{**asdict(answer().windows[0]), "end_s": -1.0}]},
        {"media_preview": {"start_s": 0, "end_s": 1, "faces": [], "low": [0.0], "high": []}},
        {"media_preview": {"start_s": 0, "end_s": 1, "faces": [], "low": [0.0] * 9999, "high": [0.0] * 9999}},
        faces(*[picture()] * 9),
        faces("<script>"),
        faces(b64encode(b"<svg onload=alert(1)>").decode()),
        faces(b64encode(b"\xff\xd8\xff\xe0\x00\x02").decode()),
        faces("A" * 10**6),
        faces(picture(2000)),
        faces(b64encode(LONG_SIDES).decode()),
    ],
    ids=range(21),
)
def test_what_no_prediction_has_is_refused(tmp_path, changes):
    (tmp_path / "bad.json").write_text(json.dumps([asdict(answer()), asdict(answer()) | changes]))
    with pytest.raises(MsmaError, match=r"bad\.json: 1[.:].*; make it again"):
        load_predictions(tmp_path / "bad.json")
