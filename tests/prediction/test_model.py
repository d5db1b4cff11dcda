"""From a file to an answer: status, reasons, pooling, and one path with evaluation."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from voices import voice

import msma
from msma.config import Limits
from msma.media.clip import load_clip
from msma.prediction.batch import failed, predict_each
from msma.prediction.folders import media_files
from msma.prediction.pooling import WindowOutput, pool, pooled_reasons, pooled_traits
from msma.types import TRAITS, MediaInfo, MsmaError, Window


@pytest.fixture(scope="module")
def model():
    return msma.load()


def window(start_s: float, end_s: float, trait: float, quality: float) -> Window:
    shares = {"audio": quality, "visual": quality}
    return Window(start_s, end_s, dict.fromkeys(TRAITS, trait), shares, shares)


def test_an_answer_has_five_traits_in_0_1_and_says_what_was_used(model, make_media):
    answer = model.predict(make_media(sound=voice))
    assert list(answer.traits) == list(TRAITS)
    assert all(0 <= score <= 1 for score in answer.traits.values())
    assert answer.status == "degraded"
    assert answer.reasons[0] == "no face found; the whole frame is used"
    assert answer.used == {"audio": pytest.approx(1.0), "visual": pytest.approx(1.0)}
    assert (answer.device, answer.face_detector) == ("cpu", "whole frame")
    assert (answer.media.video_codec, answer.media.audio_codec) == ("h264", "aac")


def test_the_bundled_weights_say_that_they_come_from_rendered_people(model, make_media):
    assert "rendered people" in model.predict(make_media()).notice


def test_progress_is_told_window_by_window(model, make_media):
    told = []
    model.predict(make_media(seconds=34.0, fps=4), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_an_answer_is_plain_json(model, make_media):
    answer = asdict(model.predict(make_media()))
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


def test_path_text_bytes_and_clip_give_the_same_answer(model, make_media):
    path = make_media()
    expected = model.predict(path).traits
    assert model.predict(str(path)).traits == expected
    assert model.predict(path.read_bytes()).traits == expected
    assert model.predict(load_clip(path, model.clip)).traits == expected


def test_arrays_give_the_answer_of_the_clip_that_they_come_from(model, make_media):
    clip = load_clip(make_media(), model.clip)
    answer = model.predict_arrays(clip.frames, model.clip.fps, clip.waveform)
    assert answer.traits == pytest.approx(model.predict(clip).traits, abs=1e-6)


def test_arrays_at_another_frame_rate_are_sampled_as_a_file_is(model, make_media):
    path = make_media(fps=20, seconds=3.0)
    dense = load_clip(path, model.clip.model_copy(update={"fps": 20.0}))
    answer = model.predict_arrays(dense.frames, 20.0, dense.waveform)
    assert answer.traits == pytest.approx(model.predict(path).traits, abs=1e-6)


def test_a_missing_sound_track_is_degraded_with_audio_unused(model, make_media):
    answer = replace(model, min_quality=0.0).predict(make_media(rate=None))  # its picture is no face
    assert answer.status == "degraded"
    assert "no audio track" in answer.reasons
    assert (answer.quality["audio"], answer.used["audio"]) == (0, 0)


def test_a_missing_picture_is_degraded_with_visual_unused(model, make_media):
    answer = model.predict(make_media(fps=None, sound=voice))
    assert answer.status == "degraded"
    assert "no video track" in answer.reasons
    assert (answer.quality["visual"], answer.used["visual"]) == (0, 0)


def test_a_long_video_is_answered_window_by_window(model, make_media):
    answer = model.predict(make_media(seconds=34.0, fps=4))
    assert [(w.start_s, w.end_s) for w in answer.windows] == [(0, 15), (15, 30), (30, pytest.approx(34, abs=0.1))]


def test_pooling_weights_windows_by_duration_and_quality():
    assert pooled_traits([window(0.0, 15.0, 0.2, 1.0), window(15.0, 20.0, 0.6, 1.0)])["openness"] == pytest.approx(0.3)
    assert pooled_traits([window(0.0, 15.0, 0.2, 0.0), window(15.0, 20.0, 0.6, 0.5)])["openness"] == pytest.approx(0.6)


def test_pooling_of_windows_without_any_quality_is_by_duration():
    assert pooled_traits([window(0.0, 15.0, 0.2, 0.0), window(15.0, 20.0, 0.6, 0.0)])["openness"] == pytest.approx(0.3)


def test_poor_quality_makes_an_answer_degraded(model, make_media):
    path = make_media()
    quality = model.predict(path).quality["visual"]
    strict = replace(model, min_quality=quality + 0.01)
    assert (
        f"visual is poor, or unlike what the weights learned from (quality {quality:.2f})"
        in strict.predict(path).reasons
    )


def test_a_file_that_fails_stops_nothing(model, make_media, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video at all")
    answers = list(predict_each(model, [str(broken), str(make_media(sound=voice))]))
    assert [answer.status for answer in answers] == ["failed", "degraded"]
    assert answers[0].traits is None
    assert str(broken) in answers[0].reasons[0]


def test_a_failed_answer_has_the_form_of_every_other(model):
    assert asdict(failed("x.mp4", "why", model)).keys() == asdict(model.predict_arrays(*arrays())).keys()


def arrays():
    return np.zeros((4, 48, 64, 3), np.uint8), 4.0, np.zeros(16000, np.float32)


def test_limits_are_the_callers(make_media):
    strict = msma.load(limits=Limits(max_seconds=1.0))
    with pytest.raises(MsmaError, match="seconds"):
        strict.predict(make_media(seconds=3.0))


def test_the_whole_picture_can_be_asked_for(make_media):
    answer = msma.load(face="whole").predict(make_media())
    assert answer.status == "ok" or all("face" not in reason for reason in answer.reasons)


def test_a_device_that_is_not_there_is_one_clear_line():
    with pytest.raises(MsmaError, match="--device cpu"):
        msma.load(device="quantum")


def test_folders_are_searched_for_media_and_globs_are_expanded(tmp_path):
    for name in ("a.mp4", "deep/b.MKV", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [Path(path).name for path in media_files([str(tmp_path)]).files]
    assert names == ["a.mp4", "b.MKV"]
    assert media_files([str(tmp_path / "*.mp4")]).files == [str(tmp_path / "a.mp4")]


def test_a_file_that_is_named_is_taken_whatever_its_name_and_only_once(tmp_path):
    odd = tmp_path / "what [is] this?.dat"
    odd.touch()
    assert media_files([str(odd), str(odd)]).files == [str(odd)]


def test_a_folder_without_media_fails_and_the_rest_is_answered(model, make_media, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    paths = media_files([str(empty), str(make_media(sound=voice))]).files
    first, second = predict_each(model, paths)
    assert "holds no media file" in first.reasons[0]
    assert second.status == "degraded"


def test_a_pattern_without_a_match_fails(model, tmp_path):
    (answer,) = predict_each(model, media_files([str(tmp_path / "*.mp4")]).files)
    assert "no such file" in answer.reasons[0]


def test_the_path_of_an_answer_is_the_text_that_was_given(model, make_media, monkeypatch):
    path = make_media()
    monkeypatch.chdir(path.parent)
    (answer,) = predict_each(model, media_files([f"./{path.name}"]).files)
    assert answer.path == f"./{path.name}"


def test_an_address_is_told_from_a_path(model):
    (answer,) = predict_each(model, media_files(["https://example.org/clip.mp4"]).files)
    assert "download the file" in answer.reasons[0]


def test_the_reason_that_matters_most_is_first():
    noticed = ["several video tracks (2); the best one is used", "no face found; the whole frame is used"]
    shares = {"audio": 0.9, "visual": 0.05}
    seen = Window(0.0, 15.0, dict.fromkeys(TRAITS, 0.5), shares, shares, noticed)
    output = WindowOutput(seen, shares, None, "whole frame", MediaInfo("mov"))
    kinds = [reason.split(" ")[0] for reason in pool([output], {}, None, 0.9, 0.1).reasons]
    assert kinds == ["no", "visual", "several"]
    assert pool([output], {}, None, 0.9, 1.0).reasons[0].startswith("no prediction: ")


def test_a_reason_that_holds_in_some_windows_says_in_how_many():
    told = [replace(window(0.0, 15.0, 0.5, 1.0), reasons=[reason] if reason else []) for reason in ("a 1", "a 2", "")]
    assert pooled_reasons(told) == ["a 2 (in 2 of 3 windows)"]


@pytest.mark.parametrize(
    ("frames", "waveform", "told"),
    [
        (np.zeros((4, 48, 64, 3), np.float32), None, "uint8"),
        (np.zeros((4, 3, 48, 64), np.uint8), None, "(t, h, w, 3)"),
        (np.zeros((4, 48, 64), np.uint8), None, "(t, h, w, 3)"),
        (None, np.zeros((16000, 2), np.float32), "(n,)"),
        (None, np.zeros(16000, np.int16), "float"),
        (None, None, "no video and no audio"),
    ],
)
def test_arrays_of_another_form_are_refused(model, frames, waveform, told):
    with pytest.raises(MsmaError, match=re.escape(told)):
        model.predict_arrays(frames, 4.0, waveform)


def test_arrays_of_unequal_length_say_what_breaks_off(model):
    answer = model.predict_arrays(np.zeros((8, 48, 64, 3), np.uint8), 4.0, 0.1 * np.ones(16000 * 6, np.float32))
    assert "video breaks off at 2.0 s of 6.0 s" in answer.reasons
    assert answer.used["visual"] == pytest.approx(1 / 3, abs=0.1)
