"""Test-time augmentation: what is averaged, how, and that it is off unless it is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from exports import CLIP, SMALL, saved_weights, weights_of
from scipy.special import logit
from voices import voice

import msma
from msma.config import ClipConfig, Limits
from msma.evaluation.evaluate import read_entries
from msma.media.bounded import Reading, windows_of
from msma.prediction.settings import fingerprint
from msma.prediction.views import averaged, mirrored, output_of, views_of
from msma.types import MsmaError


def sloping(index: int, width: int, height: int) -> np.ndarray:
    """A frame that grows lighter to the right, and with its index."""
    row = np.linspace(0, 150, width) + 2 * index
    return np.tile(row[None, :, None], (height, 1, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def plain():
    return msma.load()


@pytest.fixture(scope="module")
def model():
    return msma.load(tta=True)


def prepared(path, model):
    (window,) = windows_of(model.reading(path))
    return window


def test_it_is_off_by_default_and_a_prediction_says_which_it_is(plain, model, make_media):
    path = make_media(seconds=3.0, fps=12, sound=voice)
    off, on = plain.predict(path), model.predict(path)
    assert (off.tta, on.tta) == (False, True)
    assert off.traits != on.traits
    assert on.used == off.used
    assert fingerprint(plain) != fingerprint(model)


def test_the_first_view_is_what_is_read_without_it(plain, model, make_media):
    path = make_media(seconds=3.0, fps=12)
    first, window = prepared(path, plain), prepared(path, model)
    assert first.views == ()
    assert all(np.array_equal(array, getattr(window.inputs, name)) for name, array in vars(first.inputs).items())


def test_the_views_are_three_grids_each_as_it_is_and_mirrored(model, make_media):
    window = prepared(make_media(seconds=3.0, fps=12, picture=sloping), model)
    views = list(views_of(window, tta=True))
    assert len(views) == 6
    assert len({view.waveform.tobytes() for view in views}) == 3
    assert len({view.frames.tobytes() for view in views}) == 6  # each grid has frames of its own, at 12 a second too
    twice = mirrored(mirrored(window.inputs))
    assert np.array_equal(twice.frames, window.inputs.frames)
    assert twice.boxes == pytest.approx(window.inputs.boxes)
    assert list(views_of(window, tta=False)) == [window.inputs]


def test_without_frames_nothing_is_mirrored(model, make_media):
    window = prepared(make_media(seconds=3.0, fps=None), model)
    assert len(list(views_of(window, tta=True))) == 3


def test_traits_are_averaged_in_logits_and_quality_as_it_is(model, make_media):
    window = prepared(make_media(seconds=3.0, fps=12), model)
    each = [output_of(model.weights, replace(window, inputs=view), tta=False) for view in views_of(window, tta=True)]
    mean = output_of(model.weights, window, tta=True)
    for trait, score in mean.window.traits.items():
        assert logit(score) == pytest.approx(np.mean([logit(one.window.traits[trait]) for one in each]))
    for modality, quality in mean.window.quality.items():
        assert quality == pytest.approx(np.mean([one.window.quality[modality] for one in each]))
    assert averaged(each[:1]) is each[0]


def test_a_clip_in_memory_and_one_of_a_moment_are_predicted_too(model, plain, make_media):
    frames = np.random.default_rng(0).integers(0, 255, (8, 40, 40, 3), np.uint8)
    assert model.predict_arrays(frames, plain.clip.fps, None).status != "failed"
    assert model.predict(make_media(seconds=0.04, fps=25, audio_seconds=0.1)).tta


def test_a_window_too_large_for_its_views_is_refused_in_one_line(tmp_path):
    weights = weights_of(SMALL)
    long = weights.config.model_copy(update={"clip": CLIP.model_copy(update={"window_s": 500.0})})
    saved_weights(tmp_path, replace(weights, config=long), calibrated=False)
    msma.load(tmp_path)
    with pytest.raises(MsmaError, match=r"tiny: .*phases") as caught:
        msma.load(tmp_path, tta=True)
    assert "\n" not in str(caught.value)


def test_windows_of_the_cache_have_the_same_views(model, make_media, tmp_path):
    from msma.data.cache import fill_cache
    from msma.data.corpora.manifest import Row

    path = make_media(seconds=3.0, fps=12)
    report = fill_cache([Row("a", path, "a", "test", (0.5,) * 5)], model.clip, Limits(), tmp_path, workers=1)
    ((kept,),) = read_entries([report.entries["a"]], model.clip, tta=True)
    direct = prepared(path, model)
    for one, other in zip((kept.inputs, *kept.views), (direct.inputs, *direct.views), strict=True):
        assert np.array_equal(one.log_mel, other.log_mel)
        assert np.array_equal(one.boxes, other.boxes)
        assert np.abs(one.frames.astype(int) - other.frames).max() <= 3


def test_raw_windows_for_corruptions_hold_the_middles_alone(make_media):
    config = ClipConfig(fps=2.0)
    (window,) = windows_of(Reading(make_media(seconds=2.0, fps=12), config, Limits(), prepared=False, tta=True))
    assert window.middle is None
    assert len(window.clip.frames) == 4
