"""The loop: which parts of pretrained backbones are trained, how fast, and what stays as it was."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from planted import CACHED, RECIPE, changed, planted_corpus
from tiny_hf import CONVOLUTIONS, RESNET, TINY, saved

from msma.config import Recipe
from msma.data.dataset import ClipDataset
from msma.training.learner import with_architectures
from msma.training.loop import (
    QUALITY_RATE,
    State,
    frozen_parts,
    learning_rate,
    logit,
    new_accelerator,
    new_network,
    parameter_groups,
    predict,
    start,
    steps,
)

PRIOR = np.array([0.3, 0.4, 0.5, 0.6, 0.7])
STAGES = 4
"""Of the tiny models: what comes before the layers, and three layers."""


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Recipe:
    """A recipe of two tiny pretrained backbones; the visual one has batch norms, the other one dropout."""
    folder = tmp_path_factory.mktemp("models")
    speech = {**TINY, **CONVOLUTIONS, "hidden_dropout": 0.5, "attention_dropout": 0.5, "layerdrop": 0.0}
    model = {
        "visual_backbone": saved(folder / "resnet", "resnet", RESNET),
        "audio_backbone": saved(folder / "wav2vec2", "wav2vec2", speech),
        "map_channels": 16,
    }
    return with_architectures(changed(RECIPE, model=model, train={"learning_rate": 1e-2, "warmup_steps": 0}))


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> ClipDataset:
    corpus = planted_corpus(tmp_path_factory.mktemp("corpus"), train=8, held_out=0)
    return ClipDataset(corpus.rows, corpus.cache.entries, RECIPE.clip, RECIPE.train)


def encoders(network) -> tuple:
    return network.audio_encoder, network.visual_encoder


def begun(recipe: Recipe, clips: ClipDataset) -> tuple[State, Iterator[float]]:
    network, _ = new_network(recipe, PRIOR)
    state = start(network, recipe, new_accelerator(recipe.train, cpu=True))
    return state, steps(state, clips, recipe.train)


def tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def moved(before: dict[str, torch.Tensor], module: torch.nn.Module) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(before[name], tensor)}


@pytest.mark.parametrize(("tuned", "trained"), [(0, 0), (1, 1), (3, 3), (4, 4), (7, 4), (99, 4), ("all", 4)])
def test_the_last_stages_are_trained_as_many_as_are_named(pretrained, tuned, trained):
    network, _ = new_network(changed(pretrained, train={"tune_stages": tuned}), PRIOR)
    for encoder in encoders(network):
        # Some parameters of a trained stage may be of no use, and are never trained: a mask token.
        free = [any(p.requires_grad for p in stage.parameters()) for stage in encoder.backbone.stages]
        assert free == [False] * (STAGES - trained) + [True] * trained
        rest = [p for name, p in encoder.named_parameters() if not name.startswith("backbone.")]
        assert all(parameter.requires_grad for parameter in rest)


def test_small_backbones_are_always_trained():
    network, _ = new_network(changed(RECIPE, train={"tune_stages": 0}), PRIOR)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_backbone_without_parameters_has_nothing_to_freeze():
    recipe = changed(RECIPE, clip={"mels": 20}, model={"audio_backbone": "mfcc"}, train={"tune_stages": 2})
    network, records = new_network(recipe, PRIOR)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert records == {}


def test_of_joined_backbones_the_last_stages_of_each_are_trained(monkeypatch):
    monkeypatch.setattr("msma.training.loop.load_backbone", lambda *_: {})
    model = {"audio_backbone": "ge2e+mfcc", "fusion": "audio", "map_channels": 16}
    network, _ = new_network(changed(RECIPE, clip={"mels": 20}, model=model, train={"tune_stages": 1}), PRIOR)
    *frozen, last = network.audio_encoder.backbone.stages
    assert all(parameter.requires_grad for parameter in last.parameters())
    assert not any(parameter.requires_grad for stage in frozen for parameter in stage.parameters())


def test_the_weights_that_a_network_starts_from_are_recorded_by_modality(pretrained):
    _, records = new_network(pretrained, PRIOR)
    assert set(records) == {"audio", "visual"}
    assert records["visual"]["name"] == pretrained.model.visual_backbone
    assert len(records["audio"]["sha256"]) == 64
    _, records = new_network(changed(pretrained, model={"fusion": "visual"}), PRIOR)
    assert set(records) == {"visual"}


def test_pretrained_parameters_have_a_rate_of_their_own_and_frozen_ones_are_in_no_group(pretrained):
    recipe = changed(pretrained, train={"tune_stages": 1, "tune_rate": 0.25})
    network, _ = new_network(recipe, PRIOR)
    groups = parameter_groups(network, recipe)
    grouped = [parameter for group in groups for parameter in group["params"]]
    assert len({id(p) for p in grouped}) == len(grouped)
    assert {id(p) for p in grouped} == {id(p) for p in network.parameters() if p.requires_grad}
    backbones = {id(p) for encoder in encoders(network) for p in encoder.backbone.parameters()}
    for group in groups:
        assert {id(p) in backbones for p in group["params"]} == {group["rate"] == 0.25}
        assert all((p.ndim >= 2) == (group["weight_decay"] > 0) for p in group["params"])


@pytest.mark.parametrize(("tuned", "depths"), [(2, 2), ("all", None)])
def test_each_stage_below_the_top_learns_more_slowly_than_the_one_above(pretrained, tuned, depths):
    recipe = changed(pretrained, train={"tune_stages": tuned, "tune_rate": 0.25, "layer_decay": 0.5})
    network, _ = new_network(recipe, PRIOR)
    rates = {id(p): group["rate"] for group in parameter_groups(network, recipe) for p in group["params"]}
    for encoder in encoders(network):
        stages = list(reversed(list(encoder.backbone.stages)))
        found = [{rates[id(p)] for p in stage.parameters() if id(p) in rates} for stage in stages]
        parts = [any(p.requires_grad for p in stage.parameters()) for stage in stages]
        assert found == [{0.25 * 0.5**depth} if has else set() for depth, has in enumerate(parts)]
        assert depths is None or sum(map(bool, found)) <= depths


def test_in_a_step_the_rate_scales_the_learning_rate(pretrained, clips):
    recipe = changed(pretrained, train={"tune_stages": 1, "tune_rate": 0.25})
    state, going = begun(recipe, clips)
    for step in range(2):
        next(going)
        rates = {group["rate"]: group["lr"] for group in state.optimizer.param_groups}
        assert rates == {rate: rate * learning_rate(step, recipe.train) for rate in (0.25, 1.0, QUALITY_RATE)}


def test_at_a_rate_of_zero_pretrained_parameters_stay_and_the_others_learn(pretrained, clips):
    state, going = begun(changed(pretrained, train={"tune_stages": "all", "tune_rate": 0.0}), clips)
    before = tensors(state.network)
    next(going)
    names = {name for name, _ in state.network.named_parameters() if ".backbone." not in name}
    assert {name for name in moved(before, state.network) if ".backbone." in name} == set()
    assert moved(before, state.network) >= {name for name in names if "head.layers" in name}


@pytest.mark.parametrize("tuned", [0, 1, "all"])
def test_in_training_only_tuned_stages_move_and_never_the_statistics_of_norms(pretrained, clips, tuned):
    state, going = begun(changed(pretrained, train={"tune_stages": tuned, "tune_rate": 1.0}), clips)
    before, average_before = tensors(state.network), tensors(state.averaged)
    assert len(list(going)) == RECIPE.train.steps
    tuned_names = {
        name for name, parameter in state.network.named_parameters() if ".backbone." in name and parameter.requires_grad
    }
    changed_names = {name for name in moved(before, state.network) if ".backbone." in name}
    assert changed_names <= tuned_names
    assert bool(changed_names) == (tuned != 0)
    assert {name for name in moved(average_before, state.averaged) if ".backbone." in name} <= tuned_names
    assert any("running_mean" in name for name in before)


@pytest.mark.parametrize("tuned", [0, 1])
def test_in_training_what_is_frozen_is_in_evaluation_mode_and_the_rest_is_not(pretrained, clips, tuned):
    state, going = begun(changed(pretrained, train={"tune_stages": tuned}), clips)
    next(going)
    for encoder in encoders(state.network):
        assert encoder.training
        assert encoder.backbone.training == (tuned > 0)
        stages = list(encoder.backbone.stages)
        assert [stage.training for stage in stages] == [False] * (STAGES - tuned) + [True] * tuned
        for stage in stages[: STAGES - tuned]:
            assert not any(module.training for module in stage.modules())
    assert state.network.head.training


def test_frozen_parts_of_a_network_without_backbones_are_none():
    network, _ = new_network(CACHED, PRIOR)
    assert list(frozen_parts(network)) == [network.audio_encoder.backbone]
    network.take_backbones()
    assert list(frozen_parts(network)) == []


def test_predictions_tell_what_the_network_started_from_and_its_residual_in_logits(clips):
    network, _ = new_network(RECIPE, PRIOR)
    of_three = RECIPE.train.model_copy(update={"batch_size": 3})
    found = predict(network, ClipDataset(clips.rows, clips.entries, RECIPE.clip), of_three)
    np.testing.assert_allclose(found.linear, np.tile(PRIOR, (8, 1)), atol=1e-6)
    np.testing.assert_allclose(logit(found.linear) + found.residual, logit(found.traits), atol=1e-9)
    assert np.abs(found.residual).max() > 1e-3


def test_the_predictions_do_not_depend_on_how_many_are_asked_for_at_once(clips):
    network, _ = new_network(RECIPE, PRIOR)
    asked = ClipDataset(clips.rows, clips.entries, RECIPE.clip)
    sizes = (RECIPE.train.model_copy(update={"batch_size": size}) for size in (2, 5))
    one, other = (predict(network, asked, config).traits for config in sizes)
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("weights", "read"),
    [({"unimodal_weight": 0.0, "imputation_weight": 0.0}, False), ({"unimodal_weight": 0.0}, True), ({}, True)],
    ids=["neither", "imputation", "both"],
)
def test_a_step_reads_each_modality_alone_only_to_learn_from_it(clips, weights, read):
    state, going = begun(changed(RECIPE, train=weights), clips)
    outputs = []
    state.network.register_forward_hook(lambda *hooked: outputs.append(hooked[-1]))
    next(going)
    assert ["audio_traits" in output.named for output in outputs] == [read]


def test_what_the_quality_heads_learn_changes_no_other_part(clips):
    """But for cross-attention, which turns by the predicted quality and gives no gradient back."""

    def learned(weight: float) -> torch.nn.Module:
        train = {"quality_weight": weight, "clip_norm": 0.01}
        state, going = begun(changed(RECIPE, model={"fusion": "concat"}, train=train), clips)
        for _ in range(2):
            next(going)
        return state.network

    other = moved(tensors(learned(0.0)), learned(10.0))
    assert {name.split(".")[0] for name in other} == {"quality_head"}
