"""The page of an explanation: self-contained, whole, and true to the numbers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from parsed_page import Page
from planted import RECIPE, changed, planted_window

from msma.config import Limits
from msma.media.clip import clip_from_arrays
from msma.prediction.explain import Explanation, explain
from msma.prediction.model import Model
from msma.reports.explanation import explanation_page, faces, hundredths, shaded
from msma.reports.media import still
from msma.training.loop import fresh_network
from msma.types import SAMPLE_RATE
from msma.weights.checkpoint import Weights
from msma.weights.config import WeightsConfig

WHOLE = changed(RECIPE, clip={"face": "whole"})


@pytest.fixture(scope="module")
def model() -> Model:
    network = fresh_network(WHOLE, np.full(5, 0.5)).eval()
    config = WeightsConfig(name="fresh", corpus="planted", notice="Not of people.", clip=WHOLE.clip, model=WHOLE.model)
    return Model(Weights(network, config), WHOLE.clip, Limits(), None, "cpu")


@pytest.fixture(scope="module")
def clip():
    return planted_window("person.mp4", np.full(5, 0.7), np.random.default_rng(0)).clip


@pytest.fixture(scope="module")
def found(model, clip) -> Explanation:
    return explain(model, clip)


def test_the_page_is_whole_and_asks_nobody_for_anything(found):
    page = explanation_page(found, None)
    tags = Page(page).tags
    assert not re.findall(r"https?:|url\(|@import|<script", page)
    assert all((attributes["src"] or "").startswith("data:") for _, attributes in tags if "src" in attributes)


def test_what_carried_the_prediction_is_shown_trait_by_trait(found):
    page = explanation_page(found, None)
    (window,) = found.windows
    for modality in ("audio", "visual"):
        for shift in window.carried[modality].values():
            assert f">{shift:+.2f}</td>" in page
    assert window.shares is not None
    assert f"audio {window.shares['audio']:.0%} and visual {window.shares['visual']:.0%}" in page


def test_a_face_stands_in_its_second_though_the_frames_end_early(model):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)
    waveform = rng.normal(0, 0.1, 4 * SAMPLE_RATE).astype(np.float32)
    (window,) = explain(model, clip_from_arrays(frames, waveform, fps=2.0)).windows
    shown = [still(window.crops[at].transpose(1, 2, 0), f"second {second}") for second, at in enumerate((0, 2))]
    assert list(faces(window, 4)) == [*shown, "–", "–"]


def test_the_cost_and_the_notice_are_stated(found):
    page = explanation_page(found, None)
    assert f"This took {found.passes} passes of the network" in page
    assert "Not of people." in page


def test_what_is_missing_is_reported(model, clip):
    found = explain(model, replace(clip, frames=clip.frames[:0], frame_times_s=clip.frame_times_s[:0]))
    page = explanation_page(found, None)
    assert "There is no visual stream to mask." in page
    assert "None: it takes audio and visual" in page
    assert 'scope="row">face' not in page


def test_an_abstained_prediction_is_not_shown_as_one(model, clip):
    page = explanation_page(explain(replace(model, min_quality=1.0), clip), None)
    assert "abstained" in page
    assert 'class="traits"' not in page


def test_a_name_cannot_smuggle_anything_in(model, clip):
    page = explanation_page(explain(model, replace(clip, name='<img src="http://x">"')), None)
    assert '<img src="http' not in page
    assert "&lt;img src=" in page


def test_colour_shows_the_sign_and_the_size_and_the_number_shows_them_too():
    assert shaded(0.1, 0.1, "+10") != shaded(0.05, 0.1, "+10") != shaded(-0.05, 0.1, "+10")
    assert (hundredths(0.034), hundredths(-0.034), hundredths(0.004)) == ("+3", "-3", "0")
