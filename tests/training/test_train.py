"""Training: what resumes, what is refused, and that something is learned."""

from __future__ import annotations

import json
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import RECIPE, StopAfter, chosen, planted_corpus
from safetensors.torch import load_file

from msma.config import Recipe, load_recipe
from msma.training.loop import learning_rate, new_network
from msma.training.run import train
from msma.types import MsmaError, WriteError
from msma.weights.checkpoint import load_weights


def with_train(**changes) -> Recipe:
    return RECIPE.model_copy(update={"train": RECIPE.train.model_copy(update=changes)})


def state_of(run: Path) -> dict:
    return torch.load(run / "state.pt", weights_only=True)


def test_a_run_leaves_weights_learning_curve_and_recipe(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    result = train(RECIPE, corpus, tmp_path / "run", cpu=True)
    assert result.finished
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert {"train_loss", "ccc", "mean_accuracy", "skill", "constant_mean_accuracy"} <= set(lines[0])
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "recipe.yaml", "corpus.json", "provenance.jsonl", "metrics.jsonl",
        "state.pt", "config.json", "model.safetensors",
    }  # fmt: skip


def test_a_run_says_by_which_commands_and_versions_it_was_made(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(3))
    for _ in range(2):  # the second time there is nothing left to do
        train(RECIPE, corpus, tmp_path / "run", cpu=True, resume=True)
    first, second = [json.loads(line) for line in (tmp_path / "run" / "provenance.jsonl").read_text().splitlines()]
    assert first == second
    assert first["command"].startswith(Path(sys.argv[0]).name)
    assert (first["device"], first["versions"]["torch"]) == ("cpu", torch.__version__)


def test_a_run_whose_name_is_no_text_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["msma", "train", "\udcff"])
    run = tmp_path / "\udcff"
    train(RECIPE, planted_corpus(tmp_path / "corpus"), run, cpu=True)
    assert load_weights(run).config.name == r"\udcff"
    assert json.loads((run / "provenance.jsonl").read_text(encoding="utf-8"))["command"] == r"msma train '\udcff'"


def test_a_run_anew_forgets_the_commands_of_one_that_never_saved(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "provenance.jsonl").write_text("of another run\n")
    train(RECIPE, corpus, tmp_path / "run", cpu=True)
    assert len((tmp_path / "run" / "provenance.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("broken_after", [1, 3, 4])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path, broken_after):
    corpus = planted_corpus(tmp_path / "corpus")
    recipe = with_train(batch_size=7)  # 24 clips: epochs end inside the run
    train(recipe, corpus, tmp_path / "unbroken", cpu=True)

    first = train(recipe, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(broken_after))
    assert (first.finished, first.step) == (False, broken_after)
    assert train(recipe, corpus, tmp_path / "run", cpu=True, resume=True).finished

    for name in ("metrics.jsonl", "model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    one, other = state_of(tmp_path / "run"), state_of(tmp_path / "unbroken")
    assert all(torch.equal(one["network"][name], tensor) for name, tensor in other["network"].items())


def test_the_same_seed_gives_the_same_weights_with_any_number_of_loader_workers(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "none", cpu=True)
    train(with_train(workers=2), corpus, tmp_path / "two", cpu=True)
    one, other = load_file(tmp_path / "none/model.safetensors"), load_file(tmp_path / "two/model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_training_leaves_the_callers_random_state_of_initialisation_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    new_network(RECIPE, np.full(5, 0.5))
    assert torch.equal(torch.rand(3), expected)


def test_a_log_line_that_the_saved_state_does_not_know_is_not_written_twice(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(3))
    with (tmp_path / "run" / "metrics.jsonl").open("a") as log:  # killed between log and state
        log.write('{"step": 4}\n{"step": 6, "train_lo')
    train(RECIPE, corpus, tmp_path / "run", cpu=True, resume=True)
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6]


def test_a_taken_run_folder_is_refused(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True)
    with pytest.raises(MsmaError, match="--resume"):
        train(RECIPE, corpus, tmp_path / "run", cpu=True)


def test_resuming_with_another_recipe_is_refused(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(1))
    with pytest.raises(MsmaError, match="another recipe"):
        train(with_train(learning_rate=0.5), corpus, tmp_path / "run", cpu=True, resume=True)


def test_resuming_nothing_is_refused(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    with pytest.raises(MsmaError, match="nothing to resume"):
        train(RECIPE, corpus, tmp_path / "run", cpu=True, resume=True)


def test_the_number_of_loader_workers_is_no_other_recipe(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(1))
    assert train(with_train(workers=1), corpus, tmp_path / "run", cpu=True, resume=True).finished


def test_a_run_that_died_before_its_first_save_is_begun_anew(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(1))
    (tmp_path / "run" / "state.pt").unlink()
    assert train(with_train(learning_rate=1e-4), corpus, tmp_path / "run", cpu=True).finished


def test_the_recipe_of_a_run_is_a_recipe(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True)
    assert load_recipe(tmp_path / "run" / "recipe.yaml") == RECIPE


def test_two_trainings_into_one_folder_do_not_mix(tmp_path):
    corpus, told = planted_corpus(tmp_path / "corpus"), []

    def second(*_):
        with pytest.raises(MsmaError, match=r"run: process \d+ on .* writes into it") as refused:
            other.submit(train, with_train(seed=1), corpus, tmp_path / "run", cpu=True).result()
        told.append(str(refused.value))

    with ThreadPoolExecutor(1) as other:
        train(with_train(steps=2), corpus, tmp_path / "run", cpu=True, progress=second)
    assert len(told) == 2
    assert load_recipe(tmp_path / "run" / "recipe.yaml").train.seed == 0


def test_a_training_that_cannot_be_saved_ends_in_one_line_and_leaves_the_last_state(tmp_path, monkeypatch):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(2))
    before = (tmp_path / "run" / "state.pt").read_bytes()

    def full(saved, path):
        path.write_bytes(b"half a state")
        raise RuntimeError("unexpected pos 64 vs 0\nException raised from ...")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(WriteError, match=r"state\.pt: cannot be written \(unexpected pos 64 vs 0"):
        train(RECIPE, corpus, tmp_path / "run", cpu=True, resume=True)
    assert (tmp_path / "run" / "state.pt").read_bytes() == before
    assert list((tmp_path / "run").glob(".*")) == []


def test_a_log_with_a_damaged_line_is_refused_in_one_line(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(3))
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": "two"}\n')
    with pytest.raises(MsmaError, match=r"metrics\.jsonl .*: step: "):
        train(RECIPE, corpus, tmp_path / "run", cpu=True, resume=True)


def test_the_state_of_another_optimizer_is_refused(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(1))
    saved = state_of(tmp_path / "run")
    saved["optimizer"]["param_groups"][0]["betas"] = "none"
    torch.save(saved, tmp_path / "run" / "state.pt")
    with pytest.raises(MsmaError, match="its optimizer has other settings"):
        train(RECIPE, corpus, tmp_path / "run", cpu=True, resume=True)


def test_a_truncated_state_is_refused(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(1))
    state = tmp_path / "run" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(MsmaError, match=r"state\.pt: damaged"):
        train(RECIPE, corpus, tmp_path / "run", cpu=True, resume=True)


class Exploit:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def test_a_pickle_in_place_of_the_state_is_refused_and_not_run(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
    train(RECIPE, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(1))
    (tmp_path / "run" / "state.pt").write_bytes(pickle.dumps(Exploit(tmp_path / "executed")))
    with pytest.raises(MsmaError, match="damaged or foreign"):
        train(RECIPE, corpus, tmp_path / "run", cpu=True, resume=True)
    assert not (tmp_path / "executed").exists()


def test_a_loss_that_is_not_finite_ends_the_run_with_a_remedy(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus")
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
    recipe = with_train(steps=140, validate_every=140, batch_size=16, ema_decay=0.9, ccc_weight=0.0)
    scores = {}
    for shuffled in (False, True):
        corpus = planted_corpus(tmp_path / str(shuffled), train=160, held_out=48, shuffle_labels=shuffled)
        train(recipe, corpus, tmp_path / f"run-{shuffled}", cpu=True)
        scores[shuffled] = chosen(tmp_path / f"run-{shuffled}")["ccc"]
    assert scores[False] > 0.7
    assert abs(scores[True]) < 0.2
