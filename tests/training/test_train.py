"""Training: what resumes, what is refused, and that something is learned."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import RECIPE, StopAfter, chosen, planted_corpus
from safetensors.torch import load_file

from msma.config import Recipe, load_recipe
from msma.data.corpus import Corpus
from msma.training.loop import learning_rate, new_network
from msma.training.run import train
from msma.types import MsmaError, WriteError
from msma.weights.checkpoint import load_weights


def with_train(**changes) -> Recipe:
    return RECIPE.model_copy(update={"train": RECIPE.train.model_copy(update=changes)})


def state_of(run: Path) -> dict:
    return torch.load(run / "state.pt", weights_only=True)


ENDS_INSIDE = with_train(batch_size=7)
"""Of 24 clips: epochs end inside the run."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return planted_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory) -> Path:
    """A run of RECIPE that was not broken off."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert train(RECIPE, corpus, out, cpu=True).finished
    return out


@pytest.fixture(scope="module")
def unbroken(corpus, tmp_path_factory) -> Path:
    """Another one, of ENDS_INSIDE."""
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    train(ENDS_INSIDE, corpus, out, cpu=True)
    return out


@pytest.fixture(scope="module")
def after_one_step(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "one"
    train(RECIPE, corpus, out, cpu=True, should_stop=StopAfter(1))
    return out


@pytest.fixture(scope="module")
def after_three_steps(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "three"
    train(RECIPE, corpus, out, cpu=True, should_stop=StopAfter(3))
    return out


@pytest.fixture
def begun(after_one_step, tmp_path) -> Path:
    """A run that was broken off after a step, to be changed."""
    return shutil.copytree(after_one_step, tmp_path / "run")


@pytest.fixture
def validated(after_three_steps, tmp_path) -> Path:
    """A run that was broken off after a validation, to be changed."""
    return shutil.copytree(after_three_steps, tmp_path / "run")


def test_a_run_leaves_weights_learning_curve_and_recipe(whole):
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert {"train_loss", "ccc", "mean_accuracy", "skill", "constant_mean_accuracy"} <= set(lines[0])
    assert {path.name for path in whole.iterdir()} == {
        "recipe.yaml", "corpus.json", "provenance.jsonl", "metrics.jsonl",
        "state.pt", "config.json", "model.safetensors",
    }  # fmt: skip


def test_a_run_says_by_which_commands_and_versions_it_was_made(corpus, validated):
    for _ in range(2):  # the second time there is nothing left to do
        train(RECIPE, corpus, validated, cpu=True, resume=True)
    first, second = [json.loads(line) for line in (validated / "provenance.jsonl").read_text().splitlines()]
    assert first == second
    assert first["command"].startswith(Path(sys.argv[0]).name)
    assert (first["device"], first["versions"]["torch"]) == ("cpu", torch.__version__)


def test_a_run_whose_name_is_no_text_is_whole(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["msma", "train", "\udcff"])
    run = tmp_path / "\udcff"
    train(with_train(steps=1), corpus, run, cpu=True)
    assert load_weights(run).config.name == r"\udcff"
    assert json.loads((run / "provenance.jsonl").read_text(encoding="utf-8"))["command"] == r"msma train '\udcff'"


def test_a_run_anew_forgets_the_commands_of_one_that_never_saved(corpus, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "provenance.jsonl").write_text("of another run\n")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(1))
    assert len((tmp_path / "run" / "provenance.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("broken_after", [1, 3, 4])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(corpus, unbroken, tmp_path, broken_after):
    first = train(ENDS_INSIDE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(broken_after))
    assert (first.finished, first.step) == (False, broken_after)
    assert train(ENDS_INSIDE, corpus, tmp_path / "run", cpu=True, resume=True).finished

    for name in ("metrics.jsonl", "model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (unbroken / name).read_bytes()
    one, other = state_of(tmp_path / "run"), state_of(unbroken)
    assert all(torch.equal(one["network"][name], tensor) for name, tensor in other["network"].items())


def test_the_same_seed_gives_the_same_weights_with_any_number_of_loader_workers(corpus, whole, tmp_path):
    train(with_train(workers=2), corpus, tmp_path / "two", cpu=True)
    one, other = load_file(whole / "model.safetensors"), load_file(tmp_path / "two/model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_training_leaves_the_callers_random_state_of_initialisation_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    new_network(RECIPE, np.full(5, 0.5))
    assert torch.equal(torch.rand(3), expected)


def test_a_log_line_that_the_saved_state_does_not_know_is_not_written_twice(corpus, validated):
    with (validated / "metrics.jsonl").open("a") as log:  # killed between log and state
        log.write('{"step": 4}\n{"step": 6, "train_lo')
    train(RECIPE, corpus, validated, cpu=True, resume=True)
    steps = [json.loads(line)["step"] for line in (validated / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6]


def test_a_taken_run_folder_is_refused(corpus, whole):
    with pytest.raises(MsmaError, match="--resume"):
        train(RECIPE, corpus, whole, cpu=True)


def test_resuming_with_another_recipe_is_refused(corpus, after_one_step):
    with pytest.raises(MsmaError, match="another recipe"):
        train(with_train(learning_rate=0.5), corpus, after_one_step, cpu=True, resume=True)


def test_resuming_nothing_is_refused(corpus, tmp_path):
    with pytest.raises(MsmaError, match="nothing to resume"):
        train(RECIPE, corpus, tmp_path / "run", cpu=True, resume=True)


def test_the_number_of_loader_workers_is_no_other_recipe(corpus, begun):
    result = train(with_train(workers=1), corpus, begun, cpu=True, resume=True, should_stop=StopAfter(1))
    assert result.step == 2


def test_a_run_that_died_before_its_first_save_is_begun_anew(corpus, begun):
    (begun / "state.pt").unlink()
    assert train(with_train(learning_rate=1e-4), corpus, begun, cpu=True, should_stop=StopAfter(1)).step == 1


def test_the_recipe_of_a_run_is_a_recipe(whole):
    assert load_recipe(whole / "recipe.yaml") == RECIPE


def test_two_trainings_into_one_folder_do_not_mix(corpus, tmp_path):
    told = []

    def second(*_):
        with pytest.raises(MsmaError, match=r"run: process \d+ on .* writes into it") as refused:
            other.submit(train, with_train(seed=1), corpus, tmp_path / "run", cpu=True).result()
        told.append(str(refused.value))

    with ThreadPoolExecutor(1) as other:
        train(with_train(steps=2), corpus, tmp_path / "run", cpu=True, progress=second)
    assert len(told) == 2
    assert load_recipe(tmp_path / "run" / "recipe.yaml").train.seed == 0


def test_a_training_that_cannot_be_saved_ends_in_one_line_and_leaves_the_last_state(corpus, begun, monkeypatch):
    before = (begun / "state.pt").read_bytes()

    def full(saved, path):
        path.write_bytes(b"half a state")
        raise RuntimeError("unexpected pos 64 vs 0\nException raised from ...")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(WriteError, match=r"state\.pt: cannot be written \(unexpected pos 64 vs 0"):
        train(RECIPE, corpus, begun, cpu=True, resume=True)
    assert (begun / "state.pt").read_bytes() == before
    assert list(begun.glob(".*")) == []


def test_a_log_with_a_damaged_line_is_refused_in_one_line(corpus, validated):
    (validated / "metrics.jsonl").write_text('{"step": "two"}\n')
    with pytest.raises(MsmaError, match=r"metrics\.jsonl .*: step: "):
        train(RECIPE, corpus, validated, cpu=True, resume=True)


def test_the_state_of_another_optimizer_is_refused(corpus, begun):
    saved = state_of(begun)
    saved["optimizer"]["param_groups"][0]["betas"] = "none"
    torch.save(saved, begun / "state.pt")
    with pytest.raises(MsmaError, match="its optimizer has other settings"):
        train(RECIPE, corpus, begun, cpu=True, resume=True)


def test_a_truncated_state_is_refused(corpus, begun):
    state = begun / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(MsmaError, match=r"state\.pt: damaged"):
        train(RECIPE, corpus, begun, cpu=True, resume=True)


class Exploit:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def test_a_pickle_in_place_of_the_state_is_refused_and_not_run(corpus, begun, tmp_path):
    (begun / "state.pt").write_bytes(pickle.dumps(Exploit(tmp_path / "executed")))
    with pytest.raises(MsmaError, match="damaged or foreign"):
        train(RECIPE, corpus, begun, cpu=True, resume=True)
    assert not (tmp_path / "executed").exists()


def test_a_loss_that_is_not_finite_ends_the_run_with_a_remedy(corpus, tmp_path):
    with pytest.raises(MsmaError, match="learning_rate"):
        train(with_train(learning_rate=1e30, warmup_steps=0), corpus, tmp_path / "run", cpu=True)


def test_the_learning_rate_warms_up_and_falls_to_zero():
    config = with_train(steps=100, warmup_steps=10, learning_rate=1.0).train
    rates = [learning_rate(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)


@pytest.mark.slow
def test_true_labels_are_learned_and_shuffled_labels_are_not(tmp_path):
    # Without the CCC term, which would stretch whatever chance gives to the full spread of the labels.
    recipe = with_train(steps=240, validate_every=240, batch_size=16, ema_decay=0.9, ccc_weight=0.0)
    scores = {}
    for shuffled in (False, True):
        corpus = planted_corpus(tmp_path / str(shuffled), train=160, held_out=48, shuffle_labels=shuffled)
        train(recipe, corpus, tmp_path / f"run-{shuffled}", cpu=True)
        scores[shuffled] = chosen(tmp_path / f"run-{shuffled}")["ccc"]
    assert scores[False] > 0.7
    assert abs(scores[True]) < 0.2
