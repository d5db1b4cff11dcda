"""What is known without media: the constant, and the mean training label of the same source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from labels import labelled_corpus

from msma.data.corpora.manifest import Manifest, Row, targets
from msma.evaluation.baselines import baselines, split_baselines
from msma.types import MsmaError


def row(clip: str, source: str, score: float) -> Row:
    return Row(clip, Path(clip), source, "train", (score,) * 5)


def naive(training: list[Row], rows: list[Row]) -> np.ndarray:
    """The probe as it is described: one clip after the other."""
    answers = []
    for each in rows:
        same = [other.target for other in training if other.source == each.source and other.clip != each.clip]
        answers.append(np.mean(same if same else [other.target for other in training], axis=0))
    return np.array(answers)


@pytest.mark.parametrize("split", ["test", "train"])
def test_the_probe_equals_a_naive_loop(split):
    manifest = labelled_corpus(train=60, sources=40)
    training, rows = list(manifest.split("train")), list(manifest.split(split))
    found = split_baselines(manifest, rows)
    np.testing.assert_allclose(found.same_source, naive(training, rows), atol=1e-12)
    assert 0 < found.seen.sum() < len(rows)


def test_the_constant_is_the_mean_of_the_training_labels():
    manifest = labelled_corpus()
    found = split_baselines(manifest, manifest.split("test"))
    expected = targets(manifest.split("train")).mean(axis=0)
    assert (found.constant == expected).all()


def test_a_clip_whose_source_is_not_in_training_gets_the_constant():
    training = [row("a.mp4", "a", 0.2), row("b.mp4", "b", 0.6)]
    found = baselines(training, [row("new.mp4", "new", 0.9)])
    assert not found.seen[0]
    np.testing.assert_allclose(found.same_source, 0.4)


def test_a_training_clip_does_not_know_its_own_label():
    training = [row("a1.mp4", "a", 0.2), row("a2.mp4", "a", 0.6), row("lonely.mp4", "b", 0.7)]
    found = baselines(training, training)
    np.testing.assert_allclose(found.same_source[:, 0], [0.6, 0.2, 0.5])
    assert found.seen.tolist() == [True, True, False]


def test_the_labels_of_other_splits_are_not_looked_at():
    manifest = labelled_corpus()
    changed = tuple(replace(r, target=(0.99,) * 5) if r.split == "test" else r for r in manifest.rows)
    expected, found = (split_baselines(m, m.split("test")) for m in (manifest, Manifest("changed", changed, {})))
    assert np.array_equal(found.same_source, expected.same_source)


def test_traits_without_labels_stay_without():
    manifest = labelled_corpus(traits=("openness", "neuroticism"))
    found = split_baselines(manifest, manifest.split("test"))
    assert np.isnan(found.same_source).any(axis=0).tolist() == [False, True, True, True, False]


def test_a_manifest_without_training_clips_is_an_error():
    manifest = labelled_corpus()
    with pytest.raises(MsmaError, match="no training clips"):
        split_baselines(Manifest("held out", manifest.split("test"), {}), manifest.split("test"))
