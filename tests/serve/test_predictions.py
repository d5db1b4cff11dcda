"""Predictions and what is shown of them, without a server."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

import pytest
from parsed_page import Page

import msma
from msma.corruptions.scenarios import CLEAN, Step
from msma.media.isolated import MediaProcesses
from msma.serve.predictions import OFFERED, Predictor, chosen_cell
from msma.serve.views import view
from msma.types import MsmaError


@pytest.fixture(scope="module")
def predictor():
    with MediaProcesses(1) as media:
        yield Predictor(msma.load(), media, Lock())


def test_nothing_wrong_is_the_clean_clip():
    assert chosen_cell("white_noise", 0, mute=False, black_out=False) == CLEAN


def test_what_is_wrong_comes_before_silence_and_darkness():
    cell = chosen_cell("gaussian_noise", 2, mute=True, black_out=True)
    assert cell.steps == (Step("gaussian_noise", 2), Step("no_audio", 5), Step("black_frames", 5))


def test_what_is_all_or_nothing_acts_at_every_severity_but_0():
    assert chosen_cell("no_visual", 1, mute=False, black_out=False).steps == (Step("no_visual", 5),)
    assert chosen_cell("no_visual", 0, mute=False, black_out=False) == CLEAN


@pytest.mark.parametrize("severity", [-1, 6])
def test_a_severity_that_is_none_is_refused(severity):
    with pytest.raises(MsmaError, match=f"has no severity {severity}"):
        chosen_cell("white_noise", severity, mute=False, black_out=False)


def test_no_corruption_is_offered_that_needs_another_clip():
    assert len(OFFERED) > 35
    assert all("donor" not in row.needs for row in OFFERED)


def test_a_long_clip_is_compared_by_its_first_window_and_the_view_says_so(predictor, make_media):
    compared = predictor.compare(
        make_media(seconds=34.0, fps=4), chosen_cell("no_visual", 5, mute=False, black_out=False)
    )
    assert (compared.clip.start_s, compared.clip.end_s) == (0.0, 15.0)
    assert "The first 15 s with no_visual" in view("comparison", compared)


def test_a_trait_without_a_prediction_is_shown_as_none(predictor, make_media):
    open_minded = replace(predictor, model=replace(predictor.model, min_quality=0.0))
    compared = open_minded.compare(make_media(), chosen_cell("white_noise", 1, mute=False, black_out=False))
    page = view("comparison", replace(compared, corrupted=replace(compared.corrupted, traits=None, intervals=None)))
    assert page.count("→ none") == 5
    assert page.count("no prediction</span>") == 5


def test_reasons_name_the_file_and_not_where_it_lies(predictor, tmp_path):
    (tmp_path / "fake.mp4").write_text("text")
    found = predictor.predict(tmp_path / "fake.mp4")
    assert found.path == "fake.mp4"
    assert found.reasons == ["fake.mp4: is not a known video or audio file; convert it to mp4 (ffmpeg -i IN OUT.mp4)"]
    with pytest.raises(MsmaError, match=r"^fake\.mp4: "):
        predictor.compare(tmp_path / "fake.mp4", CLEAN)
    with pytest.raises(MsmaError, match=r"^fake\.mp4: "):
        predictor.explain(tmp_path / "fake.mp4", lambda *_: None)


def test_a_name_cannot_smuggle_anything_into_the_page(predictor, make_media):
    path = make_media("<img src=x onerror=alert(1)>.mp4")
    shown = view("prediction", predictor.predict(path, media_preview=True), None)
    shown += view("explanation", predictor.explain(path, lambda *_: None), None)
    shown += view("problem", f"{path.name}: no")
    assert not [attributes for _, attributes in Page(shown).tags if "onerror" in attributes]
    assert "&lt;img src=x" in shown
