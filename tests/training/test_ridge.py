"""Ridge regression: what it finds, what it never looks at, and how far a network may step away from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from msma.metrics import ccc, pcc
from msma.training import ridge
from msma.training.ridge import (
    SPREADS,
    STEPS,
    TOLERANCE,
    LinearFit,
    Shrinkage,
    choose_shrinkage,
    fit_linear,
    ridge_baseline,
    shrunk,
    source_folds,
)


def sources_of(clips: int, each: int = 2) -> list[str]:
    return [f"source{index // each}" for index in range(clips)]


def planted(clips: int, widths: tuple[int, ...], noise: float = 0.0, seed: int = 0) -> tuple[list[np.ndarray], ...]:
    """Blocks that hold four hidden causes (wide ones many times over), scaled anyhow, and traits linear in them."""
    causes_rng, rng = np.random.default_rng(99), np.random.default_rng(seed)
    loadings = [causes_rng.normal(size=(4, width)) for width in widths]
    scales = [10.0 ** causes_rng.uniform(-3, 3, width) for width in widths]
    to_traits = causes_rng.normal(0, 0.05, (4, 5))
    causes = rng.normal(size=(clips, 4))
    blocks = [
        (causes @ loading + noise * rng.normal(size=(clips, loading.shape[1]))) * scale + 3 * scale
        for loading, scale in zip(loadings, scales, strict=True)
    ]
    return blocks, 0.5 + causes @ to_traits


def fit_blocks(blocks: list[np.ndarray], target: np.ndarray, sources: list[str], seed: int) -> LinearFit:
    ends = np.cumsum([block.shape[1] for block in blocks])
    columns = np.split(np.arange(ends[-1]), ends[:-1])
    return fit_linear(np.concatenate(blocks, axis=1), columns, target, sources, seed)


def error(predicted: np.ndarray, target: np.ndarray) -> float:
    return float(((predicted - target) ** 2).mean())


# the linear path


WIDE = [pytest.param(widths, marks=pytest.mark.slow) for widths in ((200, 300), (6, 300))]


@pytest.mark.parametrize("widths", [(6,), (300,), (6, 8), *WIDE], ids=str)
def test_a_planted_linear_map_is_found_with_few_or_many_features_in_one_block_or_two(widths):
    blocks, target = planted(80, widths, noise=0.1)
    fit = fit_blocks(blocks, target, sources_of(80), seed=0)
    fresh, truth = planted(200, widths, noise=0.1, seed=1)
    assert fit.weights.shape == (sum(widths), 5)
    assert ccc(np.concatenate(fresh, axis=1) @ fit.weights + fit.bias, truth).min() > 0.95
    assert ccc(fit.held_out, target).min() > 0.95


def test_a_block_that_tells_nothing_costs_little():
    (telling,), target = planted(80, (20,), noise=0.5)
    nothing = np.random.default_rng(5).normal(size=(80, 200))
    alone, both = (fit_blocks(blocks, target, sources_of(80), seed=0) for blocks in ([telling], [telling, nothing]))
    assert error(both.held_out, target) < 1.5 * error(alone.held_out, target)


def test_noise_is_answered_with_about_the_mean():
    rng = np.random.default_rng(0)
    target = rng.uniform(size=(60, 5))
    fit = fit_blocks([rng.normal(size=(60, 100))], target, sources_of(60), seed=0)
    assert fit.held_out.std(axis=0).mean() < 0.25 * target.std(axis=0).mean()
    assert abs(ccc(fit.held_out, target).mean()) < 0.15


def test_what_tells_the_source_only_tells_nothing_of_held_out_clips():
    """The features are the name of the source, and so are the labels: a clip's own source would give it away."""
    sources = sources_of(90, each=3)
    _, source_of = np.unique(sources, return_inverse=True)
    names = np.eye(30)[source_of]
    target = np.random.default_rng(0).uniform(size=(30, 5))[source_of]
    fit = fit_blocks([names], target, sources, seed=0)
    assert pcc(names @ fit.weights + fit.bias, target).mean() > 0.9
    assert pcc(fit.held_out, target).mean() < 0.1


def test_the_labels_of_a_source_do_not_reach_its_own_held_out_answers(monkeypatch):
    """At one setting; how much each of several settings weighs is learned from all labels."""
    monkeypatch.setattr(ridge, "PENALTIES", np.array([0.1]))
    (block,), target = planted(40, (60,), noise=0.5)
    sources = sources_of(40)
    changed = target.copy()
    changed[6:8] = 1 - changed[6:8]
    before = fit_blocks([block], target, sources, seed=0).held_out
    after = fit_blocks([block], changed, sources, seed=0).held_out
    np.testing.assert_allclose(after[6:8], before[6:8], atol=1e-10)
    assert (np.abs(np.delete(after - before, [6, 7], axis=0)).max(axis=1) > 1e-6).all()


def test_the_scale_and_the_place_of_zero_of_a_feature_play_no_part():
    (block,), target = planted(50, (30,), noise=0.5)
    sources = sources_of(50)
    other = block * np.logspace(-2, 2, 30) - 7
    one, same = fit_blocks([block], target, sources, seed=0), fit_blocks([other], target, sources, seed=0)
    np.testing.assert_allclose(same.held_out, one.held_out, atol=1e-6)


@pytest.mark.parametrize("clips", [60, 1600])
def test_a_trait_that_is_the_same_for_all_clips_is_answered_and_spoils_nothing(clips):
    (block,), target = planted(clips, (6,), noise=0.1)
    target[:, 2] = 0.4
    fit = fit_blocks([block], target, sources_of(clips), seed=0)
    np.testing.assert_allclose(fit.held_out[:, 2], 0.4, atol=1e-6)
    np.testing.assert_allclose((block @ fit.weights + fit.bias)[:, 2], 0.4, atol=1e-6)
    assert np.delete(ccc(fit.held_out, target), 2).min() > 0.95


@pytest.mark.parametrize("blocks", [1, 2])
def test_features_that_are_the_same_for_all_clips_are_answered_with_the_mean(blocks):
    target = np.random.default_rng(0).uniform(size=(30, 2))
    fit = fit_blocks([np.full((30, 4), 2.0)] * blocks, target, sources_of(30), seed=0)
    np.testing.assert_allclose(np.full((1, 4 * blocks), 2.0) @ fit.weights + fit.bias, target.mean(axis=0)[None])
    assert np.isfinite(fit.held_out).all()


def test_one_trait_can_be_fitted_by_itself():
    blocks, target = planted(40, (6,), noise=0.1)
    assert ccc(fit_blocks(blocks, target[:, :1], sources_of(40), seed=0).held_out, target[:, :1]) > 0.95


# the baseline


def test_the_baseline_is_a_ridge_on_standardised_features_with_its_penalty_chosen_by_source():
    (train,), target = planted(40, (60,), noise=1.0)
    (test,), _ = planted(20, (60,), noise=1.0, seed=1)
    sources = sources_of(40)
    scaler = StandardScaler().fit(train)
    x = scaler.transform(train)
    explained = {
        penalty: np.mean(
            [
                r2_score(target[held], Ridge(alpha=penalty).fit(x[fit], target[fit]).predict(x[held]))
                for fit, held in source_folds(sources, 5, 0)
            ]
        )
        for penalty in np.logspace(0, 6, 25)
    }
    best = Ridge(alpha=max(explained, key=lambda penalty: explained[penalty])).fit(x, target)
    expected = best.predict(scaler.transform(test)).clip(0, 1)
    np.testing.assert_allclose(ridge_baseline(train, target, sources, test), expected, atol=1e-10)


def test_the_baseline_stays_in_0_to_1():
    (train,), target = planted(40, (6,))
    answers = ridge_baseline(train, target, sources_of(40), 100 * train)
    assert (answers.min(), answers.max()) == (0, 1)


# folds


@given(
    sources=st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40).filter(lambda s: len(set(s)) > 1),
    folds=st.integers(2, 10),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=50, deadline=None)
def test_folds_never_part_a_source_and_hold_every_clip_out_once(sources, folds, seed):
    parted = source_folds(sources, folds, seed)
    assert len(parted) == min(folds, len(set(sources)))
    assert sorted(np.concatenate([held for _, held in parted])) == list(range(len(sources)))
    for fit, held in parted:
        assert not {sources[i] for i in fit} & {sources[i] for i in held}
        assert len(fit) + len(held) == len(sources)


def test_another_seed_parts_the_sources_in_another_way():
    def held(seed: int) -> list[list[int]]:
        return [list(rows) for _, rows in source_folds(sources_of(40), 5, seed)]

    assert held(1) == held(1) != held(2)


# shrinkage


def logit(share: np.ndarray) -> np.ndarray:
    return np.log(share / (1 - share))


def case(seed: int, fit: float = 1.0, clips: int = 200) -> tuple[np.ndarray, ...]:
    """Targets, a first answer that has `fit` of their spread and some error, and noise."""
    rng = np.random.default_rng(seed)
    target = rng.normal(0.5, 0.1, (clips, 5)).clip(0.1, 0.9)
    first = (0.5 + fit * (target - 0.5) + rng.normal(0, 0.02, target.shape)).clip(0.05, 0.95)
    return target, first, rng.normal(size=target.shape)


MEAN = np.full(5, 0.5)


def test_no_step_is_taken_where_the_steps_are_noise():
    target, first, noise = case(0)
    assert choose_shrinkage(first, 0.5 * noise, target, MEAN).step == 0


def test_the_whole_step_is_taken_where_it_leads_to_the_target():
    target, first, noise = case(0)
    steps = logit(target) - logit(first) + 0.01 * noise
    chosen = choose_shrinkage(first, steps, target, MEAN)
    assert (chosen.step, chosen.spread) == (1.0, pytest.approx(1.0))


def test_answers_that_are_too_close_to_the_mean_are_spread():
    target, first, noise = case(0, fit=0.9)
    target, first, noise = case(0, fit=0.8)
    assert choose_shrinkage(first, 0.0 * noise, target, MEAN).spread == pytest.approx(1.2)


@given(
    seed=st.integers(0, 10**6),
    fit=st.floats(-1, 2),
    size=st.floats(0, 3),
    share=st.floats(-1, 1.5),
    clips=st.integers(1, 40),
)
@settings(max_examples=40, deadline=None)
def test_what_is_chosen_errs_hardly_more_than_the_best_and_of_such_it_has_the_highest_ccc(
    seed, fit, size, share, clips
):
    target, first, noise = case(seed, fit, clips)
    steps = share * (logit(target) - logit(first)) + size * noise
    chosen = choose_shrinkage(first, steps, target, MEAN)
    options = [Shrinkage(step, float(spread)) for step in STEPS for spread in SPREADS]
    answers = {option: shrunk(first, steps, MEAN, option) for option in options}
    errors = {option: np.abs(answer - target).mean() for option, answer in answers.items()}
    allowed = [option for option in options if errors[option] <= TOLERANCE * min(errors.values())]
    assert chosen in allowed
    assert ccc(answers[chosen], target).mean() == max(ccc(answers[option], target).mean() for option in allowed)


def test_no_step_and_no_spread_leave_the_first_answer_and_the_whole_step_is_taken_in_logits():
    _, first, steps = case(0)
    np.testing.assert_allclose(shrunk(first, steps, MEAN, Shrinkage(0.0, 1.0)), first)
    np.testing.assert_allclose(logit(shrunk(first, steps, MEAN, Shrinkage(1.0, 1.0))), logit(first) + steps)


@given(first=st.floats(-10, 10), step=st.floats(-50, 50), spread=st.floats(0.5, 1.6))
def test_a_shrunk_answer_is_in_0_to_1(first, step, spread):
    answer = shrunk(np.full((1, 5), first), np.full((1, 5), step), MEAN, Shrinkage(1.0, spread))
    assert ((answer >= 0) & (answer <= 1)).all()
