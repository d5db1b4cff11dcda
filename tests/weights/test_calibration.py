"""Prediction intervals: what hierarchical conformal prediction promises, with another library as the judge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.regression import SplitConformalRegressor
from sklearn.dummy import DummyRegressor

from msma.types import TRAITS, MsmaError
from msma.weights.calibration import (
    COVERAGES,
    CalibratedOn,
    Calibration,
    bin_of,
    calibration_of,
    conformal_quantiles,
    label_quantiles,
    level_of,
    used_quality,
)

errors_of = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def singly(errors: list[float]) -> list[str]:
    return [str(index) for index in range(len(errors))]


@given(errors=errors_of, coverage=st.sampled_from(COVERAGES))
def test_with_one_prediction_a_source_it_is_split_conformal_prediction(errors, coverage):
    place = math.ceil(round(coverage * (len(errors) + 1), 9))
    expected = math.inf if place > len(errors) else sorted(errors)[place - 1]
    assert conformal_quantiles(np.array(errors), singly(errors), [coverage]) == [expected]


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_it_is_as_wide_as_that_of_mapie(coverage):
    label = np.random.default_rng(0).normal(0, 0.1, 400)
    judge = SplitConformalRegressor(
        DummyRegressor(strategy="constant", constant=0.0), confidence_level=coverage, prefit=False
    )
    judge.fit(np.zeros((1, 1)), np.zeros(1)).conformalize(np.zeros((400, 1)), label)
    _, limits = judge.predict_interval(np.zeros((1, 1)))
    ours = conformal_quantiles(np.abs(label), singly(label.tolist()), [coverage])[0]
    assert limits[0, :, 0].tolist() == pytest.approx([-ours, ours])


@given(errors=errors_of, times=st.integers(2, 5))
def test_a_prediction_that_is_repeated_in_its_source_changes_nothing(errors, times):
    once = conformal_quantiles(np.array(errors), singly(errors), COVERAGES)
    repeated = conformal_quantiles(np.repeat(errors, times), np.repeat(singly(errors), times).tolist(), COVERAGES)
    np.testing.assert_array_equal(once, repeated)


@given(errors=errors_of)
def test_more_coverage_is_never_narrower(errors):
    assert (
        np.diff(np.nan_to_num(conformal_quantiles(np.array(errors), singly(errors), COVERAGES), posinf=9)) >= 0
    ).all()


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_a_new_source_is_covered_as_often_as_is_said(shared):
    """Averaged over many calibrations, whether its errors resemble each other or not; the bound is the theorem's."""
    rng, covered = np.random.default_rng(1), []

    def errors(sources: int, clips: int) -> np.ndarray:
        common, own = rng.normal(size=(sources, 1)), rng.normal(size=(sources, clips))
        return np.abs(math.sqrt(shared) * common + math.sqrt(1 - shared) * own)

    for _ in range(400):
        names = np.repeat([str(source) for source in range(40)], 4).tolist()
        width = conformal_quantiles(errors(40, 4).ravel(), names, [0.9])[0]
        covered.append((errors(50, 1) <= width).mean())
    assert 0.9 - 0.005 < np.mean(covered) < 0.9 + 2 / (40 + 1)


def quality(audio: float, visual: float) -> dict[str, float]:
    return {"audio": audio, "visual": visual}


def made(predictions: int = 300):
    rng = np.random.default_rng(2)
    given_quality = [
        quality(a if rng.random() < 0.7 else 0.0, v) for a, v in rng.uniform(0.1, 1, (predictions, 2)).tolist()
    ]
    spread = [0.2 - 0.1 * used_quality(one)[1] for one in given_quality]
    errors = np.abs(rng.normal(size=(predictions, 5))) * np.array(spread)[:, None]
    about = CalibratedOn(
        weights_sha256="0",
        operating_point="accuracy",
        corpus="planted",
        split="val",
        clips=predictions,
        sources=predictions,
    )
    return calibration_of(errors, given_quality, singly(errors.tolist()), TRAITS, about, rng.random((predictions, 5)))


@given(coverage=st.sampled_from(COVERAGES), better=st.floats(0.01, 1), worse=st.floats(0.01, 1))
def test_a_worse_quality_is_never_narrower(coverage, better, worse):
    better, worse = max(better, worse), min(better, worse)
    calibration = made()
    for best, worst in ((quality(better, better), quality(worse, worse)), (quality(0.0, better), quality(0.0, worse))):
        wide, narrow = calibration.half_widths(worst, coverage), calibration.half_widths(best, coverage)
        assert all(wide[trait] >= narrow[trait] for trait in TRAITS)


def test_what_was_never_calibrated_has_the_whole_range():
    calibration = made()
    assert set(calibration.half_widths(quality(0.9, 0.0), 0.9).values()) == {math.inf}
    assert set(calibration.half_widths(quality(0.0, 0.0), 0.9).values()) == {math.inf}
    assert calibration.intervals({"openness": 0.4}, quality(0.9, 0.0), 0.9) == {"openness": [0.0, 1.0]}


def test_a_bin_with_too_few_sources_is_as_wide_as_the_next_worse_one():
    good, worse, bad = (quality(value, value) for value in (0.9, 0.6, 0.2))
    given_quality = [good] * 3 + [worse] * 100 + [bad] * 3
    errors = np.abs(np.random.default_rng(3).normal(size=(106, 5)))
    about = CalibratedOn(
        weights_sha256="0", operating_point="accuracy", corpus="planted", split="val", clips=106, sources=106
    )
    calibration = calibration_of(errors, given_quality, singly(errors.tolist()), TRAITS, about, errors.clip(0, 1))
    assert calibration.half_widths(good, 0.9) == calibration.half_widths(worse, 0.9)
    assert set(calibration.half_widths(bad, 0.9).values()) == {math.inf}


def test_too_few_sources_for_a_coverage_have_the_whole_range():
    calibration = made(12)
    assert math.inf in calibration.half_widths(quality(0.9, 0.9), 0.99).values()


def test_it_is_the_same_after_json():
    calibration = made()
    assert type(calibration).model_validate_json(calibration.model_dump_json()) == calibration


def test_the_labels_are_given_by_their_quantiles():
    labels = np.random.default_rng(4).random((400, 2))
    reported = label_quantiles(labels, ["openness", "neuroticism"])
    assert list(reported) == ["openness", "neuroticism"]
    assert reported["neuroticism"][0] == pytest.approx(labels[:, 1].min(), abs=1e-5)
    assert reported["neuroticism"][5] == pytest.approx(np.quantile(labels[:, 1], 0.25), abs=1e-5)
    assert reported["neuroticism"][-1] == pytest.approx(labels[:, 1].max(), abs=1e-5)


@pytest.mark.parametrize("values", [[0.5] * 20, [0.5] * 20 + [0.4], [0.5] * 20 + [1.1], [0.5] * 20 + [math.nan]])
def test_labels_that_are_no_quantiles_are_refused(values):
    fields = made().model_dump() | {"labels": {"openness": values}}
    with pytest.raises(ValueError, match="labels"):
        Calibration.model_validate(fields)


@pytest.mark.parametrize("coverage", [0.4, 0.905, 1.0, -0.5, math.nan])
def test_a_coverage_that_is_not_known_is_reported(coverage):
    with pytest.raises(MsmaError, match=r"hundredths from 0\.50 to 0\.99"):
        level_of(coverage)


@pytest.mark.parametrize(("value", "place"), [(0.0, 0), (0.499, 0), (0.5, 1), (0.8, 2), (1.0, 2)])
def test_an_edge_is_in_the_better_bin(value, place):
    assert bin_of(value) == place
