"""Operating points: maps for the least error and for the largest CCC, shrunk where clips are few."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from msma.metrics import ccc, mae
from msma.training.operating_points import fit_operating_points, largest_ccc, least_error
from msma.types import TRAITS
from msma.weights.operating_points import AffineMap, mapped


def drawn(clips: int, seed: int, *, spread: float = 1.0, shift: float = 0.0, noise: float = 0.08):
    """Labels, predictions whose spread about the mean and whose mean are off, and sources of two clips."""
    rng = np.random.default_rng(seed)
    target = np.clip(0.5 + 0.15 * rng.standard_normal((clips, 5)), 0, 1)
    predicted = 0.5 + shift + spread * (target - 0.5 + noise * rng.standard_normal((clips, 5)))
    return predicted.clip(0.01, 0.99), target, [str(clip // 2) for clip in range(clips)]


def map_scores(scores: np.ndarray, maps: dict[str, AffineMap]) -> np.ndarray:
    return np.array([list(mapped(dict(zip(TRAITS, of_clip, strict=True)), maps).values()) for of_clip in scores])


def test_the_map_for_accuracy_has_the_least_error_that_a_search_finds():
    predicted, target, _ = drawn(300, 0, spread=1.6, shift=0.05)
    shift, scale = least_error(predicted, target)
    for trait in range(5):
        x, y = predicted[:, trait], target[:, trait]
        found = minimize(lambda ab, x=x, y=y: np.abs(ab[0] + ab[1] * x - y).mean(), (0, 1), method="Nelder-Mead")
        assert np.abs(shift[trait] + scale[trait] * x - y).mean() <= found.fun + 1e-4


def test_the_map_for_ccc_gives_the_mean_and_the_spread_of_the_labels():
    predicted, target, _ = drawn(300, 1, spread=0.4, shift=-0.1)
    shift, scale = largest_ccc(predicted, target)
    np.testing.assert_allclose((shift + scale * predicted).mean(axis=0), target.mean(axis=0))
    np.testing.assert_allclose((shift + scale * predicted).std(axis=0), target.std(axis=0))


def test_predictions_that_say_nothing_are_not_spread():
    rng = np.random.default_rng(2)
    target, constant = rng.random((50, 5)), np.full((50, 5), 0.4)
    assert (largest_ccc(constant, target)[1] == 1).all()
    assert (largest_ccc(1 - target, target)[1] == 1).all()
    assert (least_error(constant, target)[1] == 1).all()


@pytest.mark.parametrize(("spread", "shift"), [(1.6, 0.0), (0.4, 0.0), (1.0, 0.08)])
def test_what_is_off_is_put_right_on_other_clips(spread, shift):
    points = fit_operating_points(*drawn(400, 3, spread=spread, shift=shift))
    predicted, target, _ = drawn(400, 4, spread=spread, shift=shift)
    exact, spread_out = (map_scores(predicted, points.maps(point)) for point in ("accuracy", "ccc"))
    assert mae(exact, target).mean() < mae(predicted, target).mean() - 0.001
    assert ccc(spread_out, target).mean() > ccc(predicted, target).mean() + 0.005
    assert mae(exact, target).mean() < mae(spread_out, target).mean()
    assert ccc(spread_out, target).mean() > ccc(exact, target).mean() - 0.002


def test_ten_clips_do_no_harm():
    """Scores that need no map, or a little of one: on average over many fits to ten clips, nothing is lost."""
    lost = []
    for seed in range(40):
        points = fit_operating_points(*drawn(10, seed, spread=0.9))
        predicted, target, _ = drawn(200, 1000 + seed, spread=0.9)
        exact, spread_out = (map_scores(predicted, points.maps(point)) for point in ("accuracy", "ccc"))
        lost.append([mae(exact, target).mean() - mae(predicted, target).mean(),
                     ccc(predicted, target).mean() - ccc(spread_out, target).mean()])  # fmt: skip
    error, concordance = np.mean(lost, axis=0)
    assert error < 0.001
    assert concordance < 0.01


def test_three_sources_change_nothing():
    predicted, target, _ = drawn(30, 5, spread=0.3)
    points = fit_operating_points(predicted, target, [str(clip % 3) for clip in range(30)])
    assert all(one == AffineMap() for one in (*points.accuracy.values(), *points.ccc.values()))


def test_a_trait_without_labels_keeps_its_scores():
    predicted, target, sources = drawn(100, 6, spread=0.4)
    target[:, 2] = np.nan
    points = fit_operating_points(predicted, target, sources)
    assert list(points.ccc) == [trait for trait in TRAITS if trait != "extraversion"]
    np.testing.assert_array_equal(map_scores(predicted, points.ccc)[:, 2], predicted[:, 2])


def test_scores_by_trait_and_in_arrays_are_mapped_alike_and_stay_in_range():
    maps = {"openness": AffineMap(scale=3.0, shift=-0.4), "neuroticism": AffineMap(scale=0.5, shift=0.1)}
    scores = np.array([[0.9, 0.2, 0.3, 0.4, 0.6]])
    assert mapped(dict(zip(TRAITS, scores[0], strict=True)), maps) == pytest.approx(
        dict(zip(TRAITS, (1.0, 0.2, 0.3, 0.4, 0.4), strict=True))
    )
    np.testing.assert_allclose(map_scores(scores, maps), [[1.0, 0.2, 0.3, 0.4, 0.4]])
