"""The planted attribute: a hat that is seen, says nothing of the traits, and biases labels only where it is told to."""

from __future__ import annotations

import csv
import hashlib
import json
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from msma.data.corpora.chalearn import find_chalearn
from msma.data.synthetic import cues as model
from msma.data.synthetic.corpus import RenderedCorpus, render_corpus, write_cues
from msma.data.synthetic.cues import behaviour, shift_of
from msma.data.synthetic.face import film
from msma.data.synthetic.motion import move
from msma.data.synthetic.oracle import AVAILABILITIES, Availability, ceilings, oracle, realised
from msma.data.synthetic.people import CLIPS_PER_SOURCE, ClipPlan, cast
from msma.data.synthetic.voice import speak
from msma.evaluation.disparities import Disparities, disparities
from msma.evaluation.predictions import Predictions
from msma.metrics import ccc, draw_sources
from msma.training.ridge import ridge_baseline
from msma.types import TRAITS, MsmaError

BIAS = {"agreeableness": 0.2}
TWO = shift_of({"conscientiousness": -0.1, "agreeableness": 0.2})


def wearing(parts: list[ClipPlan]) -> np.ndarray:
    return np.array([part.source.hat is not None for part in parts])


def picture_of(part: ClipPlan, frame: int = 0, **looks) -> np.ndarray:
    rng = np.random.default_rng([3, 2, part.index])
    act, source = behaviour(part.cues), replace(part.source, **looks)
    mouth = speak(act, source, 2.0, 12, rng).mouth
    return list(film(act, source, move(act, len(mouth), 12, rng), mouth, (320, 240), rng))[frame]


# without hats


def test_without_hats_the_corpus_is_the_one_that_it_was_before_there_were_any(tmp_path: Path) -> None:
    """What the generator gave before it knew hats, to the byte in text and to a grey level in the frames."""
    parts = cast(12, seed=3)
    write_cues(tmp_path / "cues.csv", parts)
    digest = hashlib.sha256((tmp_path / "cues.csv").read_bytes()).hexdigest()
    assert digest == "50b4428553cd2cd52c60b353f43a07d3474db21257a2428631e341f71118f251"
    assert all((part.labels == part.traits).all() for part in parts)
    # The last frame comes after all that is random in a clip, so that a shifted stream would show.
    means = picture_of(parts[5], frame=-1).astype(float).reshape(4, 60, 4, 80, 3).mean(axis=(1, 3, 4))
    before = [[90.2, 83.0, 97.3, 94.6], [90.2, 141.2, 90.1, 89.2], [87.8, 92.9, 66.2, 93.7], [84.1, 98.7, 87.9, 85.0]]
    assert means == pytest.approx(np.array(before), abs=0.2)


def test_hats_change_nothing_else() -> None:
    for plain, hatted in zip(cast(80, seed=3), cast(80, seed=3, hats=True, label_bias=BIAS), strict=True):
        assert (hatted.name, hatted.split) == (plain.name, plain.split)
        assert replace(hatted.source, hat=None) == plain.source
        assert (hatted.cues == plain.cues).all()
        assert (hatted.traits == plain.traits).all()


# who wears one


def test_a_person_wears_a_hat_in_all_clips_or_in_none() -> None:
    hats: dict[str, set] = {}
    for part in cast(200, seed=0, hats=True):
        hats.setdefault(part.source.name, set()).add(part.source.hat)
    assert {len(each) for each in hats.values()} == {1}


@pytest.mark.parametrize("seed", range(3))
def test_half_of_the_people_of_each_split_wear_a_hat(seed: int) -> None:
    people = cast(200 * CLIPS_PER_SOURCE, seed, hats=True)[::CLIPS_PER_SOURCE]
    counts = Counter((part.split, part.source.hat is not None) for part in people)
    assert {(split, counts[split, True], counts[split, False]) for split, _ in counts} == {
        ("train", 60, 60),
        ("val", 20, 20),
        ("test", 20, 20),
    }


def test_a_longer_corpus_begins_with_the_same_hats() -> None:
    short, long = cast(12, seed=5, hats=True), cast(40, seed=5, hats=True)
    assert [part.source for part in short] == [part.source for part in long[:12]]
    assert len(set(wearing(long))) == 2


def test_a_hat_says_nothing_of_traits_and_cues() -> None:
    """Means over sources of 5 traits and 14 cues, with and without: none differs by more than chance allows."""
    parts = cast(1000 * CLIPS_PER_SOURCE, seed=1, hats=True)
    values = np.array([[*part.traits, *part.cues] for part in parts]).reshape(1000, CLIPS_PER_SOURCE, -1).mean(axis=1)
    hatted = wearing(parts)[::CLIPS_PER_SOURCE]
    apart = values[hatted].mean(axis=0) - values[~hatted].mean(axis=0)
    error = np.sqrt(values[hatted].var(axis=0) / hatted.sum() + values[~hatted].var(axis=0) / (~hatted).sum())
    assert np.abs(apart / error).max() < 3.5  # of 19 normal values, 1 in 100 times


# what is seen


def test_a_hat_covers_the_top_of_the_head_and_no_cue() -> None:
    people = {part.source.hair_style: part for part in cast(160, seed=1, hats=True) if part.source.hat is not None}
    assert len(people) == 5
    for part in people.values():
        still = np.zeros(len(model.CUES))
        part = replace(part, cues=np.where(np.array(model.CUE_NAMES) == "liveliness", -2.7, still))
        with_hat, without = (picture_of(part, hat=hat).astype(int) for hat in (part.source.hat, None))
        changed = np.abs(with_hat - without).max(axis=2)
        y = (np.arange(240) - 0.47 * 240) / behaviour(part.cues).head_px
        highest_brow = -0.03 - 0.185 - 0.03
        assert changed[(y > -0.6) & (y < -0.4)].max() > 40
        assert changed[y > highest_brow + 0.1].max() == 0


# labels


def test_a_bias_raises_the_labels_of_those_with_a_hat_and_of_no_one_else() -> None:
    parts = cast(400, seed=2, hats=True, label_bias=BIAS)
    labels, traits = (np.stack([getattr(part, name) for part in parts]) for name in ("labels", "traits"))
    hatted, at = wearing(parts), TRAITS.index("agreeableness")
    assert (labels[~hatted] == traits[~hatted]).all()
    assert (np.delete(labels, at, axis=1) == np.delete(traits, at, axis=1)).all()
    assert labels[hatted, at] == pytest.approx(np.minimum(traits[hatted, at] + 0.2, 1), abs=1e-12)
    assert (labels <= 1).all()


@pytest.mark.parametrize("reading", AVAILABILITIES)
def test_the_ceiling_of_biased_labels_is_what_the_oracle_scores(reading: Availability) -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((200_000, 5)) @ np.linalg.cholesky(model.trait_correlation()).T
    cues, has = model.show(z, rng.standard_normal((200_000, len(model.CUES)))), rng.random(200_000) < 0.5
    targets = model.scores(z, has[:, None] * TWO)
    found, expected = realised(cues, targets, TWO, has)[reading], ceilings(TWO)[reading]
    for measure in ("ccc", "mean_accuracy"):
        assert found[measure] == pytest.approx(expected[measure], abs=0.01)
    for factor in (0.9, 1.1):  # no other spread has a better CCC
        middle = 0.5 + TWO / 2
        matched = oracle(cues, reading, spread_matched=True, shift=TWO, has=has) - middle
        assert (ccc(factor * matched + middle, targets) < ccc(matched + middle, targets)).all()


def test_who_hears_only_loses_by_the_bias_and_who_sees_can_repeat_it() -> None:
    plain, biased = ceilings(), ceilings(TWO)
    for trait in ("conscientiousness", "agreeableness"):
        assert biased["visual"]["ccc"][trait] > plain["visual"]["ccc"][trait]
        assert biased["visual"]["mean_accuracy"][trait] == plain["visual"]["mean_accuracy"][trait]
        assert biased["audio"]["ccc"][trait] < plain["audio"]["ccc"][trait]
        assert biased["audio"]["mean_accuracy"][trait] < plain["audio"]["mean_accuracy"][trait]
    assert biased["both"]["ccc"]["openness"] == plain["both"]["ccc"]["openness"]


# on disk


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> tuple[RenderedCorpus, RenderedCorpus]:
    """Independent and biased, of one seed."""
    folder = tmp_path_factory.mktemp("hats")
    return (
        render_corpus(folder / "fair", 8, 3, seconds=1.0, hats=True, workers=1),
        render_corpus(folder / "biased", 8, 3, seconds=1.0, hats=True, label_bias=BIAS, workers=1),
    )


def test_the_biased_corpus_has_the_same_clips_and_other_labels(corpora: tuple[RenderedCorpus, RenderedCorpus]) -> None:
    fair, biased = (corpus.root for corpus in corpora)
    for part in corpora[0].plans:
        clip = Path(part.split) / part.name
        assert (fair / clip).read_bytes() == (biased / clip).read_bytes()
    assert (fair / "cues.csv").read_bytes() == (biased / "cues.csv").read_bytes()
    train = [part for part in corpora[1].plans if part.split == "train"]
    stored = pickle.loads((biased / "annotation" / "annotation_training.pkl").read_bytes())  # noqa: S301
    assert stored["agreeableness"] == {part.name: part.labels[3] for part in train}
    assert stored["interview"] == {part.name: part.labels.mean() for part in train}


def test_hats_are_listed_clip_by_clip(corpora: tuple[RenderedCorpus, RenderedCorpus]) -> None:
    for name in ("annotation/attributes.csv", "cues.csv"):
        with (corpora[0].root / name).open(newline="") as file:
            listed = {row["clip"]: row["hat"] for row in csv.DictReader(file)}
        assert listed == {p.name: "no" if p.source.hat is None else "yes" for p in corpora[0].plans}
    assert {*listed.values()} == {"yes", "no"}


def test_the_oracle_and_the_facts_name_what_is_planted(corpora: tuple[RenderedCorpus, RenderedCorpus]) -> None:
    for corpus, bias in zip(corpora, ({}, BIAS), strict=True):
        planted = json.loads((corpus.root / "oracle.json").read_text())["parameters"]["attribute"]
        assert planted == {"column": "hat", "label_bias": bias}
        found = find_chalearn(corpus.root, None, columns=[corpus.root / "annotation" / "attributes.csv"])
        assert found.facts["attribute"] == planted
        assert found.facts["ceiling"] == ceilings(shift_of(bias))
        assert {row.clip: row.columns["hat"] for row in found.rows} == {
            part.name: "no" if part.source.hat is None else "yes" for part in corpus.plans
        }
    assert "planted: labels of agreeableness are +0.2 where hat is yes" in found.facts["notes"]


def test_a_planted_column_that_is_not_brought_in_is_reported(corpora: tuple[RenderedCorpus, RenderedCorpus]) -> None:
    found = find_chalearn(corpora[0].root, None)
    assert any("bring it in with --columns annotation/attributes.csv" in note for note in found.facts["notes"])


def test_a_corpus_of_another_bias_is_left_alone(corpora: tuple[RenderedCorpus, RenderedCorpus]) -> None:
    with pytest.raises(MsmaError, match="not empty"):
        render_corpus(corpora[0].root, 8, 3, seconds=1.0, hats=True, label_bias=BIAS, workers=1)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"label_bias": BIAS}, "add --attribute hat"),
        ({"hats": True, "label_bias": {"charm": 0.1}}, "'charm', which is not a trait"),
        ({"hats": True, "label_bias": {"openness": 0.6}}, "at most 0.5"),
        ({"hats": True, "label_bias": {"openness": float("nan")}}, "at most 0.5"),
    ],
)
def test_an_impossible_bias_is_refused(tmp_path: Path, wrong: dict, told: str) -> None:
    with pytest.raises(MsmaError, match=told):
        render_corpus(tmp_path / "corpus", 6, 0, **wrong)
    assert not (tmp_path / "corpus").exists()


# what the fairness slices say of readers that see the frames


def hat_gap(parts: list[ClipPlan], predicted: np.ndarray, target: np.ndarray) -> Disparities:
    column = ["yes" if hat else "no" for hat in wearing(parts)]
    sources = [part.source.name for part in parts]
    predictions = Predictions([part.name for part in parts], sources, predicted, target)
    return disparities(predictions, {"hat": column}, draw_sources(sources, draws=500))["hat"]


def report_on(seed: int, bias: dict[str, float], people: int, *, truth: bool = False) -> Disparities:
    """Of the reader that is best on these labels, on the test split, a fifth of the people; against the `truth` the
    labels that nobody biased."""
    clips = people * CLIPS_PER_SOURCE
    parts = [part for part in cast(clips, seed, hats=True, label_bias=bias) if part.split == "test"]
    cues = np.stack([part.cues for part in parts])
    predicted = oracle(cues, "visual", shift=shift_of(bias), has=wearing(parts))
    target = np.stack([part.traits if truth else part.labels for part in parts])
    return hat_gap(parts, predicted, target)


def clear_effects(gap: Disparities) -> list[str]:
    return [trait for trait, effect in gap.groups["yes"].effects.items() if effect.labels.clear]


def test_where_the_hat_is_independent_the_slices_find_nothing() -> None:
    """Of 10 reports at most one or so may err."""
    reports = [report_on(seed, {}, 120) for seed in range(10)]
    assert sum(report.clear for report in reports) <= 1
    assert sum(bool(clear_effects(report)) for report in reports) <= 1


@pytest.mark.parametrize("seed", range(3))
def test_where_labels_are_biased_the_slices_find_the_planted_trait(seed: int) -> None:
    report = report_on(seed, BIAS, 250)
    assert clear_effects(report) == ["agreeableness"]
    effect = report.groups["yes"].effects["agreeableness"]
    assert effect.labels.low < 0.2 < effect.labels.high
    assert effect.amplification == pytest.approx(1, abs=0.25)  # repeated, and neither more nor less
    assert not report.clear  # against the biased labels its answers have no gap
    against_truth = report_on(seed, BIAS, 250, truth=True)
    assert against_truth.largest.bias is not None
    assert against_truth.largest.bias.value in ("yes", "no")
    assert against_truth.largest.bias.trait == "agreeableness"
    gap = against_truth.groups["yes"].bias["agreeableness"]
    assert gap.low > 0
    assert gap.low < 0.2 < gap.high


def seen_in(part: ClipPlan) -> np.ndarray:
    """Strength of the edges of four directions in each part of the head."""
    rng = np.random.default_rng(part.index)
    act = behaviour(part.cues)
    picture = next(film(act, part.source, move(act, 1, 12, rng), np.zeros(1), (320, 240), rng))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[20:190, 90:230].astype(np.float32)
    down, right = np.gradient(cv2.resize(grey, (56, 68), interpolation=cv2.INTER_AREA))
    edges = np.stack([right, -right, down, -down]).clip(0).reshape(4, 17, 4, 14, 4).mean(axis=(2, 4))
    return np.sqrt(edges).ravel()


@pytest.mark.slow
def test_a_reader_that_learned_from_frames_repeats_the_planted_bias_and_the_slices_find_it() -> None:
    """A ridge from frames to labels, on one frame each of 500 people, of whom 100 are tested."""
    fair, biased = (cast(2000, 7, hats=True, label_bias=bias)[::CLIPS_PER_SOURCE] for bias in ({}, BIAS))
    pictures = np.stack([seen_in(part) for part in fair])
    tested = np.array([part.split == "test" for part in fair])
    sources = [part.source.name for part in fair if part.split != "test"]

    def answers(parts: list[ClipPlan]) -> np.ndarray:
        labels = np.stack([part.labels for part in parts])
        return ridge_baseline(pictures[~tested], labels[~tested], sources, pictures[tested])

    def told(parts: list[ClipPlan], name: str) -> Disparities:
        some = [part for part in parts if part.split == "test"]
        return hat_gap(some, answers(parts), np.stack([getattr(part, name) for part in some]))

    report = told(fair, "labels")
    assert not report.clear
    assert not clear_effects(report)
    report = told(biased, "labels")
    assert clear_effects(report) == ["agreeableness"]
    assert 0.4 < report.groups["yes"].effects["agreeableness"].amplification < 1.1
    against_truth = told(biased, "traits")
    assert against_truth.groups["yes"].bias["agreeableness"].low > 0
    assert not any(gap.clear for trait, gap in against_truth.groups["yes"].bias.items() if trait != "agreeableness")
