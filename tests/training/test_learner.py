"""What a recipe learns from: clips or features, and the linear path of those that it may see."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import CACHED, RECIPE, changed, planted_corpus

from msma.config import Recipe
from msma.data.corpora.manifest import mean_target
from msma.data.corpus import Corpus
from msma.data.dataset import ClipDataset
from msma.data.features import FeatureDataset
from msma.training.learner import Learner, new_learner
from msma.training.loop import new_accelerator, new_network


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return planted_corpus(tmp_path_factory.mktemp("corpus"), train=24, held_out=4)


def learner_of(corpus: Corpus, recipe: Recipe, **options) -> Learner:
    rows, held_out = corpus.split("train"), corpus.split("val")
    network, pretrained = new_network(recipe, mean_target(rows))
    accelerator = new_accelerator(recipe.train, cpu=True)
    return new_learner(recipe, network, pretrained, corpus, rows, held_out, accelerator=accelerator, **options)


def test_clips_are_learned_from_where_features_are_not_cached(corpus):
    learner = learner_of(corpus, RECIPE)
    assert isinstance(learner.dataset(learner.rows), ClipDataset)
    assert learner.files == corpus.cache.entries
    assert learner.linear_path(np.arange(24), np.full(5, 0.5)) == (None, None)


def test_features_lie_in_the_cache_of_the_corpus(corpus):
    learner = learner_of(corpus, CACHED)
    assert isinstance(learner.dataset(learner.rows), FeatureDataset)
    assert {path.parent for path in learner.files.values()} == {corpus.cache.folder / "features"}
    assert learner.files.keys() == {row.clip for row in (*corpus.split("train"), *corpus.split("val"))}


def test_nothing_is_pooled_that_nothing_linear_is_fitted_to(corpus):
    recipe = changed(CACHED, model={"linear_path": False})
    assert learner_of(corpus, recipe).pooled is None
    assert learner_of(corpus, recipe, ridge=True).pooled is not None


def test_a_linear_path_is_fitted_to_the_clips_that_it_may_see(corpus):
    learner = learner_of(corpus, CACHED)
    prior = mean_target(learner.rows)
    path, held_out = learner.linear_path(np.arange(16), prior)
    assert held_out.keys() == {row.clip for row in learner.rows[:16]}
    other, _ = learner.linear_path(np.arange(24), prior)
    assert not torch.equal(path.audio_weights, other.audio_weights)


def test_augmented_clips_are_drawn_from_the_variants_and_others_are_not(corpus):
    learner = learner_of(corpus, changed(CACHED, train={"feature_variants": 2, "corruption": 1.0}))
    assert learner.dataset(learner.rows, augmented=True).augmentation == learner.recipe.train
    assert learner.dataset(learner.rows).augmentation is None


def test_a_learner_can_be_sent_to_another_process(corpus, tmp_path: Path):
    learner = learner_of(corpus, CACHED)
    again = pickle.loads(pickle.dumps(learner))  # noqa: S301  (our own)
    assert again.files == learner.files
    np.testing.assert_array_equal(again.pooled.audio, learner.pooled.audio)
