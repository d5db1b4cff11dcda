"""The latent model of the synthetic corpus: its closed form, its people and its splits."""

from dataclasses import asdict, fields

import numpy as np
import pytest

from msma.data.synthetic import cues as model
from msma.data.synthetic import oracle as best_of
from msma.data.synthetic.people import cast
from msma.metrics import ccc
from msma.types import TRAITS


def population(people: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((people, 5)) @ np.linalg.cholesky(model.trait_correlation()).T
    return z, model.show(z, rng.standard_normal((people, len(model.CUES))))


@pytest.mark.parametrize("reading", best_of.AVAILABILITIES)
def test_the_closed_form_is_what_the_oracle_scores(reading: best_of.Availability) -> None:
    z, cues = population(200_000)
    found = best_of.realised(cues, model.scores(z))[reading]
    expected = best_of.ceilings()[reading]
    for measure in ("ccc", "mean_accuracy"):
        assert found[measure] == pytest.approx(expected[measure], abs=0.01)


def test_no_other_spread_has_a_better_ccc() -> None:
    z, cues = population(50_000)
    matched = best_of.oracle(cues, "both", spread_matched=True) - 0.5
    targets = model.scores(z)
    best = ccc(matched + 0.5, targets)
    for factor in (0.8, 0.9, 1.1, 1.25):
        assert (ccc(factor * matched + 0.5, targets) < best).all()


@pytest.mark.parametrize("measure", ["ccc", "mean_accuracy"])
def test_two_modalities_know_more_of_every_trait_than_one(measure: str) -> None:
    best = best_of.ceilings()
    for trait in TRAITS:
        assert best["both"][measure][trait] > max(best["audio"][measure][trait], best["visual"][measure][trait]) + 0.002


def test_ceilings_leave_room_for_each_modality() -> None:
    best = {reading: values["ccc"] for reading, values in best_of.ceilings().items()}
    assert 0.65 < best["audio"]["mean"] < 0.72
    assert 0.65 < best["visual"]["mean"] < 0.72
    assert 0.82 < best["both"]["mean"] < 0.88
    assert min(min(values.values()) for values in best.values()) > 0.45


def test_cues_have_unit_variance_and_their_validity() -> None:
    z, cues = population(200_000)
    assert cues.std(axis=0) == pytest.approx(np.ones(len(model.CUES)), abs=0.01)
    for index, cue in enumerate(model.CUES):
        assert np.corrcoef(cues[:, index], z @ np.array(cue.weights))[0, 1] == pytest.approx(cue.validity, abs=0.01)


def test_every_rendering_parameter_follows_its_cue_alone() -> None:
    for parameter, cue in [(each.name, each.metadata["cue"]) for each in fields(model.Behaviour)]:
        steps = []
        for value in np.linspace(-2.7, 2.7, 9):
            steps.append(asdict(model.behaviour(np.where(np.array(model.CUE_NAMES) == cue, value, 0.0)))[parameter])
        changes = np.diff(steps)
        assert (changes > 0).all() or (changes < 0).all(), parameter
        others = model.behaviour(np.where(np.array(model.CUE_NAMES) == cue, 0.0, 2.0))
        assert asdict(others)[parameter] == pytest.approx(asdict(model.behaviour(np.zeros(14)))[parameter])


def test_scores_are_spread_as_in_first_impressions() -> None:
    traits = np.stack([part.traits for part in cast(2000, seed=1)])
    assert traits.std(axis=0) == pytest.approx(np.full(5, 0.15), abs=0.01)
    assert np.corrcoef(traits.T)[np.triu_indices(5, 1)] == pytest.approx(np.full(10, 0.35), abs=0.1)


def test_clips_of_a_source_share_half_of_the_variance() -> None:
    traits = np.stack([part.traits for part in cast(2000, seed=2)]).reshape(-1, 4, 5)
    between = np.mean((traits[:, 0] - 0.5) * (traits[:, 1] - 0.5), axis=0)
    assert between / 0.15**2 == pytest.approx(np.full(5, 0.5), abs=0.15)


def test_splits_share_no_source() -> None:
    parts = cast(100, seed=0)
    sources = {split: {p.source.name for p in parts if p.split == split} for split in ("train", "val", "test")}
    assert [len(sources[split]) for split in ("train", "val", "test")] == [15, 5, 5]
    assert len(set.union(*sources.values())) == 25


@pytest.mark.parametrize("clips", [3, 6, 10, 12, 13])
def test_a_small_corpus_fills_every_split(clips: int) -> None:
    assert {part.split for part in cast(clips, seed=0)} == {"train", "val", "test"}


def test_a_longer_corpus_begins_with_the_shorter_one() -> None:
    short, long = cast(12, seed=5), cast(40, seed=5)
    for one, other in zip(short, long[:12], strict=True):
        assert (one.name, one.split, one.source) == (other.name, other.split, other.source)
        assert (one.cues == other.cues).all()
        assert (one.traits == other.traits).all()
