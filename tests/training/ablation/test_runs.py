"""A study of ablations: every network trained once, whatever broke it off, and asked for the test split alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import RECIPE, StopAfter, changed, planted_corpus, with_rows

from msma.corruptions.scenarios import SIX
from msma.data.corpus import Corpus
from msma.training.ablation.plan import Ablation
from msma.training.ablation.runs import study
from msma.training.ablation.table import CLEAN, StudiedNetwork
from msma.training.run import train
from msma.types import MsmaError
from msma.weights.checkpoint import load_weights

TINY = changed(RECIPE, clip={"face": "whole"}, train={"steps": 4, "batch_size": 4})
FULL = Ablation("full", TINY, {})
AUDIO = Ablation("audio", changed(TINY, model={"fusion": "audio"}), {"model.fusion": "audio"})
SCENARIOS = list(SIX)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return planted_corpus(tmp_path_factory.mktemp("corpus"), train=8, held_out=2)


@pytest.fixture(scope="module")
def unbroken(corpus, tmp_path_factory) -> tuple[Path, dict[str, list[StudiedNetwork]]]:
    out = tmp_path_factory.mktemp("unbroken")
    return out, run(corpus, out)


@pytest.fixture
def one_network(unbroken, tmp_path) -> Path:
    """The folder of a study of the full network with one seed, to be gone on with."""
    out, _ = unbroken
    shutil.copytree(out / "full" / "seed_0", tmp_path / "full" / "seed_0")
    return tmp_path


def run(corpus, out: Path, *ablations: Ablation, seeds: int = 2, **more) -> dict[str, list[StudiedNetwork]]:
    return study(ablations or (FULL, AUDIO), seeds, corpus, out, cpu=True, **more)


def contents(out: Path) -> dict[str, bytes]:
    """All that training and asking gave; `state.pt` is no stable bytes, and the commands are one more where resumed."""
    files = (path for path in out.rglob("*") if path.is_file() and path.name not in ("state.pt", "provenance.jsonl"))
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def test_every_ablation_has_a_run_folder_for_each_seed(unbroken):
    out, _ = unbroken
    for name, fusion in (("full", "cross_attention"), ("audio", "audio")):
        for seed in (0, 1):
            weights = load_weights(out / name / f"seed_{seed}")
            assert weights.config.model.fusion == fusion
            assert f"seed: {seed}\n" in (out / name / f"seed_{seed}" / "recipe.yaml").read_text()
    first, second = (load_weights(out / "full" / f"seed_{seed}").network.state_dict() for seed in (0, 1))
    assert any((first[name] != second[name]).any() for name in first)


def test_every_network_has_the_summary_of_its_scenarios(unbroken):
    out, _ = unbroken
    for name in ("full", "audio"):
        summary = json.loads((out / name / "seed_1" / "six" / "summary.json").read_text())
        assert (summary["model"], list(summary["scenarios"])) == (name, SCENARIOS)


def test_every_network_answers_the_test_split_clean_and_in_the_six_scenarios(corpus, unbroken):
    _, studied = unbroken
    tested = [row.clip for row in corpus.split("test")]
    for networks in studied.values():
        assert len(networks) == 2
        for answers in (network.predictions for network in networks):
            assert list(answers) == [CLEAN, *SCENARIOS]
            assert all(given.clips == tested for given in answers.values())
            assert all(np.isfinite(given.predicted).all() for given in answers.values())


def test_a_network_of_the_sound_says_the_prior_without_it_and_does_not_miss_the_picture(unbroken):
    _, studied = unbroken
    answers = studied["audio"][0].predictions
    assert np.ptp(answers["audio_missing"].predicted, axis=0).max() == 0
    np.testing.assert_array_equal(answers["visual_missing"].predicted, answers[CLEAN].predicted)


def test_the_parameters_are_counted_and_the_full_networks_looked_into(unbroken):
    _, studied = unbroken
    assert studied["full"][0].parameters > studied["audio"][0].parameters > 0
    assert [network.probed for network in studied["audio"]] == [None, None]
    assert [network.probed["rows"].tolist() for network in studied["full"]] == [[0, 1], [0, 1]]


@pytest.mark.slow
def test_a_study_that_was_killed_goes_on_and_equals_an_unbroken_one(corpus, unbroken, tmp_path):
    out, _ = unbroken

    def killed(done: int, _: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(corpus, tmp_path, progress=killed)
    # Another network was killed in the middle of its training.
    seeded = AUDIO.recipe.model_copy(update={"train": TINY.train.model_copy(update={"seed": 0})})
    train(seeded, corpus, tmp_path / "audio" / "seed_0", name="audio", cpu=True, should_stop=StopAfter(3))
    # Killed again while all are tested: the clean cells are done, and some of the others.
    with pytest.raises(KeyboardInterrupt):
        run(corpus, tmp_path, cells_progress=lambda done, _: killed(done // 8, 0))
    (tmp_path / "full" / "seed_0" / "six" / "cells" / "clean_0.json").unlink()
    run(corpus, tmp_path)
    assert contents(tmp_path) == contents(out)


def test_what_is_there_is_neither_trained_nor_asked_again(corpus, unbroken, monkeypatch):
    out, expected = unbroken
    before = contents(out)
    for work in (
        "msma.evaluation.robustness.suite.run_cell",
        "msma.training.ablation.runs.probe",
        "msma.training.loop.train_step",
    ):
        monkeypatch.setattr(work, lambda *_, work=work: pytest.fail(f"{work} again"))
    told = []
    again = run(corpus, out, progress=lambda *event: told.append(event))
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert contents(out) == before
    one, other = (studied["full"][1].predictions[CLEAN].predicted for studied in (again, expected))
    np.testing.assert_array_equal(one, other)


def test_without_probes_the_same_networks_are_tested_and_not_looked_into(corpus, unbroken, tmp_path):
    out, expected = unbroken
    studied = run(corpus, tmp_path, FULL, seeds=1, probes=False)
    assert studied["full"][0].probed is None
    of_network = {name for name in contents(out) if name.startswith("full/seed_0/")}
    assert of_network - set(contents(tmp_path)) == {"full/seed_0/six/probes.safetensors"}
    one, other = (found["full"][0].predictions[CLEAN].predicted for found in (studied, expected))
    np.testing.assert_array_equal(one, other)


def test_another_severity_asks_the_same_networks_for_the_noise_alone(corpus, unbroken, one_network):
    before = contents(one_network)
    other = run(corpus, one_network, FULL, seeds=1, severity=5)
    new = {Path(name).name for name in contents(one_network).keys() - before.keys()}
    assert new == {f"{name}_5.json" for name in SCENARIOS if "noise" in name}
    after = {name: data for name, data in contents(one_network).items() if name in before}
    assert after.pop("full/seed_0/six/summary.json") != before.pop("full/seed_0/six/summary.json")  # of the last one
    assert after == before
    noisy = other["full"][0].predictions["audio_noise"].predicted
    assert (noisy != unbroken[1]["full"][0].predictions["audio_noise"].predicted).any()


def test_the_scenarios_may_be_of_fewer_clips_and_the_clean_cell_is_of_all(corpus, unbroken, tmp_path):
    _, expected = unbroken
    found = run(corpus, tmp_path, FULL, seeds=1, scenario_clips=1)["full"][0].predictions
    assert [len(given.clips) for given in found.values()] == [2, *[1] * len(SCENARIOS)]
    for cell, given in expected["full"][0].predictions.items():
        np.testing.assert_array_equal(found[cell].predicted, given.predicted[: len(found[cell].clips)])


@pytest.mark.parametrize("change", ["recipe", "labels"])
def test_a_folder_of_another_study_is_refused_and_the_run_is_named(corpus, unbroken, change):
    out, _ = unbroken
    before = contents(out)
    ablation = FULL
    if change == "recipe":
        ablation = Ablation("full", changed(TINY, train={"learning_rate": 0.5}), {})
    else:
        first = replace(corpus.rows[0], target=(0.5,) * 5)
        corpus = with_rows(corpus, [first, *corpus.rows[1:]])
    with pytest.raises(MsmaError, match="is a run of another recipe, corpus or weights") as caught:
        run(corpus, out, ablation)
    assert str(caught.value).startswith("full, seed 0: ")
    assert "\n" not in str(caught.value)
    assert contents(out) == before


def test_a_damaged_answer_is_one_line_that_names_it(corpus, one_network):
    path = one_network / "full" / "seed_0" / "six" / "cells" / "audio_noise_3.json"
    path.write_text("{")
    with pytest.raises(MsmaError, match="delete it") as caught:
        run(corpus, one_network, FULL, seeds=1)
    assert str(path) in str(caught.value)


def test_choice_is_made_on_validation_alone(corpus, unbroken, tmp_path):
    """Other labels of the test split: the same weights and the same answers."""
    turned = tuple(
        replace(row, target=tuple(1 - score for score in row.target)) if row.split == "test" else row
        for row in corpus.rows
    )
    _, one = unbroken
    other = run(with_rows(corpus, turned), tmp_path, FULL, seeds=1, probes=False)
    for cell in (CLEAN, *SCENARIOS):
        np.testing.assert_array_equal(
            one["full"][0].predictions[cell].predicted, other["full"][0].predictions[cell].predicted
        )


@pytest.mark.slow
def test_networks_are_trained_side_by_side_with_the_same_result(corpus, unbroken, tmp_path):
    out, _ = unbroken
    run(corpus, tmp_path, workers=2)
    assert contents(tmp_path) == contents(out)


def test_ablations_behind_the_backbones_of_a_trained_network_read_the_same_maps(unbroken, tmp_path):
    out, _ = unbroken
    corpus, kept = planted_corpus(tmp_path / "corpus", train=8, held_out=2), f"small:{out / 'full' / 'seed_0'}"
    model = {"audio_backbone": kept, "visual_backbone": kept}
    frozen = changed(TINY, model=model, train={"tune_stages": 0, "cache_features": True, "feature_variants": 2})
    concat = Ablation("concat", changed(frozen, model={"fusion": "concat"}), {"model.fusion": "concat"})
    told: list[tuple[int, int]] = []
    of_full, progress = Ablation("full", frozen, {}), lambda *at: told.append(at)
    found = run(corpus, tmp_path / "out", of_full, concat, seeds=1, probes=False, features_progress=progress)
    assert {name: len(of_seeds) for name, of_seeds in found.items()} == {"full": 1, "concat": 1}
    assert len(list((tmp_path / "corpus" / "features").iterdir())) == 8 + 2  # once for both networks
    assert told[-1] == (10, 10)
