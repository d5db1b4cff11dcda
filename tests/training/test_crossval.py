"""Cross-validation: nothing of a clip's source is seen before it is answered, and a broken-off run goes on."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import CACHED, RECIPE, changed, only, planted_corpus, with_rows, without

from msma.config import Recipe
from msma.data.corpora.manifest import targets
from msma.data.corpus import Corpus
from msma.evaluation.result_file import as_json
from msma.metrics import ccc
from msma.training import crossval, fold
from msma.training.crossval import OutOfFold, cross_validate, cross_validation
from msma.training.learner import Learner
from msma.training.loop import logit
from msma.training.ridge import source_folds
from msma.types import TRAITS, MsmaError

TINY = changed(CACHED, train={"steps": 3})
TUNED = changed(RECIPE, train={"steps": 2})
"""Small backbones, no kept features, no linear path."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return planted_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def unbroken(corpus, tmp_path_factory) -> tuple[Path, OutOfFold]:
    out = tmp_path_factory.mktemp("unbroken")
    return out, run(corpus, out, ridge=True)


def run(corpus, out: Path, recipe: Recipe = TINY, folds: int | None = 4, ridge: bool = False, **more) -> OutOfFold:
    return cross_validate(recipe, corpus, folds, out, ridge=ridge, cpu=True, **more)


def mean_ccc(predictions) -> float:
    return float(ccc(predictions.predicted, predictions.target).mean())


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def relabelled(corpus: Corpus, labels: np.ndarray) -> Corpus:
    rows = zip(corpus.rows, labels.tolist(), strict=True)
    return with_rows(corpus, (replace(row, target=tuple(scores)) for row, scores in rows))


# who answers whom


def test_every_clip_is_answered_once_by_a_fold_that_held_its_source_out(corpus, unbroken):
    _, result = unbroken
    assert result.msma.clips == [row.clip for row in corpus.rows]
    assert sorted(np.concatenate([held for _, held in result.folds])) == list(range(len(corpus.rows)))
    for fit, held in result.folds:
        assert not {result.msma.sources[i] for i in fit} & {result.msma.sources[i] for i in held}
    assert ((result.msma.predicted > 0) & (result.msma.predicted < 1)).all()


def test_the_answers_of_a_fold_are_at_the_places_of_its_clips(unbroken):
    out, result = unbroken
    for number, (_, held) in enumerate(result.folds):
        saved = json.loads((out / f"fold_{number:03d}.json").read_text())
        np.testing.assert_array_equal(result.msma.predicted[held], saved["predicted"])
        np.testing.assert_array_equal(result.ridge.predicted[held], saved["ridge"])


def test_the_baselines_of_a_clip_are_of_the_labels_that_its_fold_trained_on(unbroken):
    _, result = unbroken
    for fit, held in result.folds:
        expected = result.msma.target[fit].mean(axis=0)
        np.testing.assert_allclose(result.baselines.constant[held], np.tile(expected, (len(held), 1)))
    assert not result.baselines.seen.any()


def test_no_network_of_a_fold_sees_a_clip_of_a_source_that_it_answers(corpus, tmp_path, monkeypatch):
    """Neither the sources that the fold holds out, nor those that a member leaves out to be checked on."""
    plain, asked = Learner.dataset, []

    def recorded(learner, rows, linear=None, *, augmented=False):
        asked.append((augmented, {row.source for row in rows}))
        return plain(learner, rows, linear, augmented=augmented)

    monkeypatch.setattr(Learner, "dataset", recorded)
    result = run(corpus, tmp_path, changed(TINY, train={"members": 5}))
    sources = np.array(result.msma.sources)
    of_member = [asked[i : i + 3] for i in range(0, len(asked), 3)]
    assert len(of_member) == 4 * 5
    for number, (fit, held) in enumerate(result.folds):
        members = of_member[5 * number : 5 * number + 5]
        left_out_of_all: set[str] = set()
        for (training, learned), (_, answered), (_, left_out) in members:
            assert training
            assert answered == set(sources[held])
            assert not learned & (answered | left_out)
            assert learned | left_out == set(sources[fit])
            assert not left_out & left_out_of_all  # each leaves others out
            left_out_of_all |= left_out
        assert left_out_of_all == set(sources[fit])


@pytest.mark.parametrize("recipe", [changed(TINY, train={"members": 2}), TUNED], ids=["kept", "tuned"])
def test_the_labels_of_what_a_fold_holds_out_change_nothing_in_its_answers(corpus, tmp_path, recipe):
    kept = recipe.train.cache_features
    before = run(corpus, tmp_path / "before", recipe, folds=2, ridge=kept)
    (_, held), (_, other) = before.folds
    labels = targets(corpus.rows)
    labels[held] = 1 - labels[held]
    after = run(relabelled(corpus, labels), tmp_path / "after", recipe, folds=2, ridge=kept)
    for one, two in ((before.msma, after.msma), (before.ridge, after.ridge)) if kept else ((before.msma, after.msma),):
        np.testing.assert_array_equal(one.predicted[held], two.predicted[held])
        assert (one.predicted[other] != two.predicted[other]).any(axis=1).all()


def test_planted_traits_are_found_by_network_and_ridge(unbroken):
    _, result = unbroken
    assert mean_ccc(result.msma) > 0.75
    assert mean_ccc(result.ridge) > 0.75


@pytest.mark.slow
def test_shuffled_labels_are_not_found(corpus, tmp_path):
    """Over several shuffles: what leaks would show in each of them."""
    found = []
    for seed in range(4):
        labels = np.random.default_rng(seed).permutation(targets(corpus.rows))
        result = run(relabelled(corpus, labels), tmp_path / str(seed), ridge=True)
        found.append([mean_ccc(result.msma), mean_ccc(result.ridge)])
    assert np.mean(found, axis=0).max() < 0.08


def test_labels_that_only_tell_the_source_are_not_found_unless_sources_are_parted(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus", alike=True)
    count = len({row.source for row in corpus.rows})
    labels = np.random.default_rng(0).uniform(0.1, 0.9, (count, 5)).repeat(2, axis=0)
    corpus = relabelled(corpus, labels)
    apart = run(corpus, tmp_path / "apart", ridge=True)
    assert max(mean_ccc(apart.msma), mean_ccc(apart.ridge)) < 0.15
    # The same clips, where each is called a source of its own: the other clip of the source gives it away.
    parted = with_rows(corpus, (replace(row, source=row.clip) for row in corpus.rows))
    leaking = run(parted, tmp_path / "parted", folds=10, ridge=True)
    assert min(mean_ccc(leaking.msma), mean_ccc(leaking.ridge)) > mean_ccc(apart.msma) + 0.1


# broken off


def test_a_run_that_was_killed_goes_on_and_equals_an_unbroken_one(corpus, unbroken, tmp_path, monkeypatch):
    out, expected = unbroken

    def killed(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(corpus, tmp_path, ridge=True, progress=killed)
    assert sorted(contents(tmp_path)) == ["crossval.yaml", "fold_000.json", "fold_001.json"]
    plain, done = crossval.run_fold, []
    monkeypatch.setattr(crossval, "run_fold", lambda job: done.append(job) or plain(job))
    result = run(corpus, tmp_path, ridge=True)
    assert len(done) == 2
    assert contents(tmp_path) == contents(out)
    np.testing.assert_array_equal(result.msma.predicted, expected.msma.predicted)
    assert result.shrinkage == expected.shrinkage


def test_progress_is_told_fold_by_fold_and_for_the_features(corpus, tmp_path):
    told, features = [], []
    recipe = changed(TINY, clip={"mels": 21})
    run(
        corpus,
        tmp_path,
        recipe,
        progress=lambda *event: told.append(event),
        features_progress=lambda *event: features.append(event),
    )
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert features == [(done, 40) for done in range(41)]


@pytest.mark.parametrize("change", ["recipe", "labels", "clips", "folds", "baseline"])
def test_a_folder_of_another_cross_validation_is_refused_and_left_alone(corpus, unbroken, change):
    out, _ = unbroken
    before = contents(out)
    labels = targets(corpus.rows)
    labels[0, 0] = 0.123
    others = {
        "recipe": lambda: run(corpus, out, changed(TINY, train={"steps": 4}), ridge=True),
        "labels": lambda: run(relabelled(corpus, labels), out, ridge=True),
        "clips": lambda: run(with_rows(corpus, corpus.rows[:-1]), out, ridge=True),
        "folds": lambda: run(corpus, out, folds=5, ridge=True),
        "baseline": lambda: run(corpus, out),
    }
    with pytest.raises(MsmaError, match="of another recipe, corpus, weights, number of folds or baseline") as caught:
        others[change]()
    assert str(caught.value).startswith(f"{out}: ")
    assert "\n" not in str(caught.value)
    assert contents(out) == before


def test_the_number_of_loader_workers_is_no_other_recipe(corpus, unbroken):
    out, expected = unbroken
    result = run(corpus, out, changed(TINY, train={"workers": 1}), ridge=True)
    np.testing.assert_array_equal(result.msma.predicted, expected.msma.predicted)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"predicted": [[0.5]], "ridge": null, "shrinkage": null}'])
def test_a_damaged_fold_is_one_line_that_names_it(corpus, unbroken, tmp_path, content):
    out, _ = unbroken
    path = shutil.copytree(out, tmp_path / "out") / "fold_001.json"
    path.write_text(content)
    with pytest.raises(MsmaError, match="delete it, the fold will be done again") as caught:
        run(corpus, path.parent, ridge=True)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


# what can be asked for


def test_one_source_at_a_time_can_be_left_out(corpus, tmp_path):
    some = with_rows(corpus, corpus.rows[:16])
    result = run(some, tmp_path, folds=None)
    assert len(result.folds) == 8
    assert all(len({result.msma.sources[i] for i in held}) == 1 for _, held in result.folds)


@pytest.mark.parametrize("members", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_answer_is_the_mean_of_the_members_in_logits(corpus, tmp_path, monkeypatch, members):
    plain, answered = fold.predict, []

    def recorded(network, clips, config):
        predictions = plain(network, clips, config)
        answered.append((tuple(row.clip for row in clips.rows), predictions.traits))
        return predictions

    monkeypatch.setattr(fold, "predict", recorded)
    result = run(corpus, tmp_path, changed(TUNED, train={"members": members}), folds=2)
    assert result.shrinkage == [None, None]
    for _, held in result.folds:
        clips = tuple(result.msma.clips[i] for i in held)
        of_members = [traits for asked, traits in answered if asked == clips]
        assert len(of_members) == members
        assert len({traits.tobytes() for traits in of_members}) == members
        expected = np.mean([logit(traits) for traits in of_members], axis=0)
        np.testing.assert_allclose(logit(result.msma.predicted[held]), expected, atol=1e-6)


def test_a_recipe_without_kept_features_is_cross_validated(corpus, tmp_path):
    result = run(corpus, tmp_path, TUNED)
    assert result.ridge is None
    assert len({row.tobytes() for row in result.msma.predicted}) == 40
    assert result.shrinkage == [None] * 4


def test_with_a_linear_path_each_fold_says_how_it_was_shrunk(unbroken):
    _, result = unbroken
    for shrinkage in result.shrinkage:
        assert set(shrinkage) == {"step", "spread"}
        assert 0 <= shrinkage["step"] <= 1


def test_a_clip_that_could_not_be_prepared_is_left_out(corpus, tmp_path):
    lost = corpus.rows[3].clip
    some = without(corpus, lost)
    result = run(some, tmp_path)
    assert lost not in result.msma.clips
    found = cross_validation(result.msma, result, some, "tiny", TINY)
    assert (found.clips, found.coverage, found.failed) == (39, 39 / 40, {lost: "no moov atom"})


def test_traits_without_labels_are_neither_answered_nor_scored(corpus, tmp_path):
    some = only(corpus, "openness", "agreeableness")
    result = run(some, tmp_path, ridge=True)
    labelled = [trait in some.manifest.traits for trait in TRAITS]
    assert (np.isfinite(result.msma.predicted) == labelled).all()
    assert (np.isfinite(result.ridge.predicted) == labelled).all()
    assert ccc(result.msma.predicted, result.msma.target)[labelled].mean() > 0.7
    found = cross_validation(result.msma, result, some, "tiny", TINY)
    assert found.metrics["ccc"].keys() == {"openness", "agreeableness", "mean"}
    assert found.baselines["ridge"]["ccc"].keys() == {"openness", "agreeableness", "mean"}


@pytest.mark.parametrize(("clips", "folds"), [(6, 2), (6, None), (40, 21), (40, 1), (40, 0), (40, -1), (0, 2)])
def test_too_few_sources_or_a_number_of_folds_that_does_not_fit_is_one_line(corpus, tmp_path, clips, folds):
    some = with_rows(corpus, corpus.rows[:clips])
    with pytest.raises(MsmaError, match="cross-validation needs 4 at least, and no more folds than sources") as caught:
        run(some, tmp_path, folds=folds)
    assert str(caught.value).startswith(f"{tmp_path}: {clips // 2} sources")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folds", [2, 3, None])
def test_four_sources_are_enough(corpus, tmp_path, folds):
    result = run(with_rows(corpus, corpus.rows[:8]), tmp_path, folds=folds, ridge=True)
    assert np.isfinite(result.msma.predicted).all()
    assert np.isfinite(result.ridge.predicted).all()


def test_the_ridge_needs_kept_features(corpus, tmp_path):
    with pytest.raises(MsmaError, match=r"set train\.cache_features"):
        run(corpus, tmp_path, TUNED, ridge=True)


def test_the_folds_are_those_of_the_seed(corpus, tmp_path, unbroken):
    _, result = unbroken
    expected = source_folds(result.msma.sources, 4, TINY.train.seed)
    assert all(np.array_equal(one[1], other[1]) for one, other in zip(result.folds, expected, strict=True))
    other = run(corpus, tmp_path, changed(TINY, train={"seed": 3}))
    assert not all(np.array_equal(one[1], two[1]) for one, two in zip(result.folds, other.folds, strict=True))


# as JSON


def test_the_json_has_the_metrics_beside_both_baselines_the_folds_and_the_difference(corpus, unbroken):
    _, result = unbroken
    found = cross_validation(result.msma, result, corpus, "tiny", TINY)
    values = json.loads(as_json(found), parse_constant=pytest.fail)
    assert (values["clips"], values["sources"], values["split"]) == (40, 20, "4 folds by source")
    assert values["metrics"]["ccc"]["mean"] == pytest.approx(mean_ccc(result.msma))
    assert values["baselines"]["constant"]["skill"]["mean"] == 0
    assert values["baselines"]["ridge"]["ccc"]["mean"] == pytest.approx(mean_ccc(result.ridge))
    interval = values["intervals"]["ccc"]["mean"]
    assert interval["low"] < values["metrics"]["ccc"]["mean"] < interval["high"]
    assert (values["against"]["file"], values["against"]["clips"]) == ("ridge", 40)
    assert values["against"]["differences"]["ccc"]["mean"]["difference"] == pytest.approx(
        mean_ccc(result.msma) - mean_ccc(result.ridge)
    )
    assert [one["clips"] for one in values["folds"]] == [10] * 4
    for told, shrinkage, (_, held) in zip(values["folds"], result.shrinkage, result.folds, strict=True):
        assert told["shrinkage"] == shrinkage
        error = np.abs(result.msma.predicted[held] - result.msma.target[held]).mean()
        assert told["msma"]["mean_accuracy"] == pytest.approx(1 - error)
        assert told["ridge"].keys() == {"mean_accuracy", "ccc"}


def test_without_a_ridge_there_is_none_in_the_json_and_small_folds_have_no_ccc(corpus, tmp_path):
    result = run(corpus, tmp_path, folds=5)
    found = cross_validation(result.msma, result, corpus, "tiny", TINY)
    assert "ridge" not in found.baselines
    assert found.against is None
    assert [one.clips for one in found.folds] == [8] * 5
    assert all(told.msma.keys() == {"mean_accuracy"} for told in found.folds)
    assert not math.isnan(found.metrics["ccc"]["mean"])
