"""Explanations: what is planted in a second of a modality is found there, and the parts add up to the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import CLIP, RECIPE, changed
from raw import inputs_from

from msma.config import Limits, Recipe
from msma.media.clip import clip_from_arrays
from msma.model.tensors import collate, inputs_of
from msma.prediction.explain import ExplainedWindow, Explanation, attention_by_second, explain
from msma.prediction.model import Model
from msma.training.loop import fresh_network
from msma.types import MODALITIES, SAMPLE_RATE, TRAITS, Clip
from msma.weights.checkpoint import Weights
from msma.weights.config import WeightsConfig

SECONDS = 4
HIGH, LOW = 0.8, 0.2
WHOLE = changed(RECIPE, clip={"face": "whole"}, model={"dropout": 0.0})


def clip_with(rng: np.random.Generator, *, bright: int | None, loud: int | None) -> Clip:
    """Dim noise and faint hiss; one second may be bright, one may be loud."""
    frames = rng.normal(60, 20, (SECONDS * 2, 16, 16, 3))
    sound = rng.normal(0, 0.01, SECONDS * SAMPLE_RATE)
    if bright is not None:
        frames[2 * bright : 2 * bright + 2] += 120
    if loud is not None:
        during = slice(loud * SAMPLE_RATE, (loud + 1) * SAMPLE_RATE)
        sound[during] *= 10
    return clip_from_arrays(frames.clip(0, 255).astype(np.uint8), sound.clip(-1, 1).astype(np.float32), fps=CLIP.fps)


def model_of(recipe: Recipe, network: torch.nn.Module | None = None) -> Model:
    network = network or fresh_network(recipe, np.full(5, 0.5))
    config = WeightsConfig(name="fresh", corpus="planted", notice="", clip=recipe.clip, model=recipe.model)
    return Model(Weights(network.eval(), config), recipe.clip, Limits(), None, "cpu")


@pytest.fixture(scope="module")
def trained() -> Model:
    """A network that has learned that a bright second makes openness high, and a loud one conscientiousness."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    inputs, labels = [], []
    for index in range(32):
        bright, loud = (int(rng.integers(SECONDS)) if index & bit else None for bit in (1, 2))
        inputs.append(inputs_of(inputs_from(clip_with(rng, bright=bright, loud=loud), WHOLE.clip)))
        labels.append([LOW if bright is None else HIGH, LOW if loud is None else HIGH, 0.5, 0.5, 0.5])
    target = torch.tensor(labels)
    network = fresh_network(WHOLE, np.full(5, 0.5)).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(150):
        some = rng.permutation(32)[:8]
        answer = network(collate([inputs[place] for place in some])).traits
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy(answer, target[some]).backward()
        optimizer.step()
    return model_of(WHOLE, network)


def only_window(explanation: Explanation) -> ExplainedWindow:
    (window,) = explanation.windows
    return window


@pytest.mark.parametrize(("bright", "loud"), [(3, 1), (0, 2)])
def test_the_second_of_a_planted_cue_is_found_in_its_modality(trained, bright, loud):
    found = only_window(explain(trained, clip_with(np.random.default_rng(7), bright=bright, loud=loud)))
    openness, conscientiousness = (np.array([found.seconds[m][:, trait] for m in MODALITIES]) for trait in (0, 1))
    assert np.unravel_index(openness.argmax(), openness.shape) == (MODALITIES.index("visual"), bright)
    assert np.unravel_index(conscientiousness.argmax(), conscientiousness.shape) == (MODALITIES.index("audio"), loud)
    for effects in (openness, conscientiousness):
        largest, second = np.sort(np.abs(effects).ravel())[[-1, -2]]
        assert largest > 0.3
        assert second < 0.1 * largest


def test_the_modality_that_holds_the_cue_carries_the_answer(trained):
    found = only_window(explain(trained, clip_with(np.random.default_rng(8), bright=2, loud=1)))
    assert found.carried["visual"]["openness"] > 3 * abs(found.carried["audio"]["openness"])
    assert found.carried["audio"]["conscientiousness"] > 3 * abs(found.carried["visual"]["conscientiousness"])


def test_an_explanation_changes_no_answer(trained):
    clip = clip_with(np.random.default_rng(9), bright=1, loud=None)
    assert explain(trained, clip).prediction == trained.predict(clip)


@pytest.mark.parametrize("fusion", ["cross_attention", "concat", "audio", "visual"])
def test_the_constant_and_both_modalities_make_the_answer(fusion):
    model = model_of(changed(WHOLE, model={"fusion": fusion}))
    found = only_window(explain(model, clip_with(np.random.default_rng(1), bright=None, loud=None)))
    for trait in TRAITS:
        parts = found.constant[trait] + sum(found.carried[modality][trait] for modality in MODALITIES)
        assert parts == pytest.approx(found.window.traits[trait], abs=1e-6)
    assert found.shares is not None
    assert sum(found.shares.values()) == pytest.approx(1)


def test_a_modality_that_is_missing_carries_nothing_and_has_no_seconds():
    clip = clip_with(np.random.default_rng(2), bright=None, loud=None)
    model = model_of(WHOLE)
    found = only_window(explain(model, replace(clip, waveform=clip.waveform[:0])))
    assert set(found.carried["audio"].values()) == {0.0}
    assert np.isnan(found.seconds["audio"]).all()
    assert np.isfinite(found.seconds["visual"]).all()
    assert found.attention is None
    assert {scale.modality for scale in found.scales} == {"visual"}


def test_attention_of_each_second_is_all_that_the_null_key_leaves():
    found = only_window(explain(model_of(WHOLE), clip_with(np.random.default_rng(3), bright=None, loud=None)))
    assert found.attention is not None
    for modality in MODALITIES:
        assert found.attention[modality].shape == (SECONDS, SECONDS)
        total = found.attention[modality].sum(axis=1)
        assert ((total > 0) & (total <= 1 + 1e-5)).all()


def test_a_second_without_a_face_asks_for_nothing():
    model = model_of(WHOLE)
    clip = clip_with(np.random.default_rng(5), bright=None, loud=None)
    inputs = inputs_from(clip, WHOLE.clip)
    seen = inputs.frame_mask & (np.arange(SECONDS * 2) // 2 != 1)
    output = model.weights.output(replace(inputs, frame_mask=seen), return_intermediates=True)
    found = attention_by_second(model.weights.network, output, SECONDS)
    assert found is not None
    assert np.isnan(found["audio"]).all(axis=1).tolist() == [False, True, False, False]
    assert found["visual"][:, 1].tolist() == [0.0] * SECONDS


def test_attention_goes_where_a_network_was_made_to_look():
    """Queries of ones and keys that are the brightness: sound looks at the bright second."""
    model = model_of(WHOLE)
    fusion, encoder = model.weights.network.fusion, model.weights.network.visual_encoder
    assert fusion is not None
    assert encoder is not None
    clip = clip_with(np.random.default_rng(4), bright=2, loud=None)
    inputs = collate([inputs_of(inputs_from(clip, WHOLE.clip))])
    attention = fusion.audio_from_visual
    with torch.inference_mode():
        tokens = model.weights.network.encode("visual", model.weights.network.features(inputs))[0].tokens
        context = attention.norm_context(tokens)[0]
    direction = context[4:6].mean(dim=0) - context[[0, 1, 2, 3, 6, 7]].mean(dim=0)
    with torch.no_grad():
        width = WHOLE.model.width
        attention.query.weight.zero_()
        attention.query.bias.fill_(1.0)
        attention.key_value.weight[:width] = 100 * direction.clone().expand(width, width)
    found = only_window(explain(model, clip))
    assert found.attention is not None
    assert (found.attention["visual"].argmax(axis=1) == 2).all()


def test_shares_of_the_scales_of_a_stage_sum_to_one_and_a_scale_that_is_not_mixed_in_has_none():
    model = model_of(changed(WHOLE, model={"spatial_scales": (1, 3), "temporal_scales_s": (0.25, 0.5, 1.0)}))
    encoder = model.weights.network.audio_encoder
    assert encoder is not None
    assert encoder.temporal is not None
    with torch.no_grad():
        encoder.temporal.mix.weight[:, WHOLE.model.width : 2 * WHOLE.model.width] = 0.0
    found = only_window(explain(model, clip_with(np.random.default_rng(5), bright=None, loud=None)))
    by_stage: dict[tuple[str, str], dict[int, float]] = {}
    for scale in found.scales:
        by_stage.setdefault((scale.modality, scale.axis), {})[scale.size] = scale.share
    assert {stage: tuple(shares) for stage, shares in by_stage.items()} == {
        ("audio", "space"): (1, 3),
        ("audio", "time"): (0.25, 0.5, 1.0),
        ("visual", "space"): (1, 3),
        ("visual", "time"): (0.5, 1.0),
    }
    for shares in by_stage.values():
        assert sum(shares.values()) == pytest.approx(1)
    assert by_stage["audio", "time"][0.5] == 0


def test_a_pass_is_counted_for_each_second_of_each_modality_and_told_of():
    told: list[tuple[int, int]] = []
    clip = clip_with(np.random.default_rng(6), bright=None, loud=None)
    found = explain(model_of(WHOLE), clip, progress=lambda done, total: told.append((done, total)))
    assert found.passes == 1 + 2 * SECONDS
    assert told == [(done, 2 * SECONDS) for done in range(1, 2 * SECONDS + 1)]


def test_only_the_first_windows_of_a_long_clip_are_explained_and_each_counts_its_own_seconds():
    recipe: Recipe = changed(WHOLE, clip={"window_s": 2.0, "min_window_s": 1.0})
    found = explain(model_of(recipe), clip_with(np.random.default_rng(6), bright=None, loud=None), max_windows=1)
    assert len(found.prediction.windows) == 2
    assert only_window(found).seconds["audio"].shape == (2, 5)


def test_only_the_traits_that_the_corpus_labels_are_explained():
    model = model_of(WHOLE)
    config = model.weights.config.model_copy(update={"traits": ("extraversion",)})
    some = replace(model, weights=replace(model.weights, config=config))
    found = only_window(explain(some, clip_with(np.random.default_rng(6), bright=None, loud=None)))
    assert list(found.constant) == ["extraversion"]
    assert found.seconds["visual"].shape == (SECONDS, 1)
