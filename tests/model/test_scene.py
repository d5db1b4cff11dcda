"""A second visual stream of whole frames: what it reads, what it adds, and how it is frozen, cached and saved."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from exports import weights_of
from planted import CLIP, MODEL, RECIPE, STILL, changed, planted_corpus, planted_window
from tiny_hf import CONVOLUTIONS, TINY, saved

from msma.config import ModelConfig, Recipe, parse
from msma.data.augment import flip
from msma.media.frames import whole_frames
from msma.media.prepare import prepare
from msma.model.msma_net import MsMANet
from msma.model.tensors import Features, Inputs, collate, inputs_of
from msma.prediction.views import mirrored
from msma.training.learner import with_architectures
from msma.training.linear_fit import pooled_features
from msma.training.loop import frozen_parts, new_network, parameter_groups
from msma.training.run import train
from msma.types import ConfigError, FaceTrack, MsmaError, RawWindow
from msma.weights.checkpoint import load_weights
from msma.weights.onnx_export import export_onnx

SCENE = CLIP.model_copy(update={"scene_size": 32})
SIZES = {"image_size": 16, "patch_size": 8, **TINY}
VIT = {"config": {"model_type": "vit", **SIZES}}
WITH_SCENE = MODEL.model_copy(update={"scene_backbone": "hf:tiny", "scene_architecture": VIT, "dropout": 0.0})
PRIOR = np.full(5, 0.5)


def window(seed: int = 0) -> RawWindow:
    """Frames twice as wide as high, the face in their left half, missing in the second."""
    rng = np.random.default_rng(seed)
    planted = planted_window(f"{seed}.mp4", rng.uniform(0.1, 0.9, 5), rng)
    frames = np.concatenate([planted.clip.frames, rng.integers(0, 255, (4, 16, 16, 3), np.uint8)], axis=2)
    left = np.tile(np.array([0, 0, 10, 10], np.float32), (4, 1))
    face = FaceTrack(left, np.array([True, False, True, True]), "made up")
    return RawWindow(replace(planted.clip, frames=frames), face)


def network(model: ModelConfig = WITH_SCENE) -> MsMANet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MsMANet(model, SCENE).eval().requires_grad_(False)


def batch() -> Inputs:
    return collate([inputs_of(prepare(window(seed), SCENE).inputs) for seed in (0, 1)])


# what it reads


def test_whole_frames_are_made_square_and_nothing_else_changes():
    seen, plain = prepare(window(), SCENE).inputs, prepare(window(), CLIP).inputs
    assert plain.scene is None
    assert np.array_equal(seen.scene, whole_frames(window().clip.frames, 32))
    assert all(
        np.array_equal(getattr(seen, f.name), getattr(plain, f.name)) for f in fields(plain) if f.name != "scene"
    )


def test_whole_frames_are_those_of_the_corrupted_clip_and_lie_where_the_faces_do():
    clip, face = window().clip, window().face
    late = replace(clip, frames=255 - clip.frames[1:], frame_times_s=clip.frame_times_s[1:])
    seen = prepare(RawWindow(late, FaceTrack(face.boxes[1:], face.valid[1:], face.detector)), SCENE).inputs
    assert not seen.scene[0].any()
    assert np.array_equal(seen.scene[1:], whole_frames(255 - clip.frames[1:], 32))


def test_without_frames_there_is_one_of_zeros():
    clip = replace(window().clip, frames=window().clip.frames[:0], frame_times_s=np.zeros(0))
    nothing = FaceTrack(np.zeros((0, 4), np.float32), np.zeros(0, bool), "made up")
    inputs = prepare(RawWindow(clip, nothing), SCENE).inputs
    assert inputs.scene.shape == (1, 3, 32, 32)
    assert not inputs.scene.any()


def test_mirrored_they_are_mirrored_with_the_face():
    inputs = prepare(window(), SCENE).inputs
    assert np.array_equal(mirrored(inputs).scene, inputs.scene[..., ::-1])
    assert torch.equal(flip(inputs_of(inputs)).scene, inputs_of(inputs).scene.flip(-1))


# what it adds


def test_what_is_around_a_face_changes_the_prediction_in_frames_that_are_read_alone():
    net, inputs = network(), batch()
    before = net(inputs).traits
    other = inputs.scene.clone()
    other[:, 1] = 255 - other[:, 1]  # there is no face
    assert torch.equal(net(replace(inputs, scene=other)).traits, before)
    other[:, 2] = 255 - other[:, 2]
    assert not torch.allclose(net(replace(inputs, scene=other)).traits, before, atol=1e-5)


def test_traits_that_only_the_whole_frame_shows_are_learned():
    """All clips have the same face and voice, and what surrounds them says the traits."""
    net, generator = network(), torch.Generator().manual_seed(0)
    features = net.features(collate([inputs_of(prepare(window(), SCENE).inputs)] * 32))
    net.take_backbones()
    scene = torch.randn(32, 1, TINY["hidden_size"], generator=generator)
    target = torch.sigmoid(scene[:, 0, :5])
    clips = replace(features, scene=scene.expand_as(features.scene))
    optimizer = torch.optim.Adam(net.requires_grad_(True).parameters(), lr=1e-2)
    for _ in range(100):
        error = (net(clips).traits - target).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    blind = net(replace(clips, scene=features.scene)).traits
    constant = (target - target.median(dim=0).values).abs().mean()
    assert error < 0.7 * constant
    assert torch.allclose(blind, blind[:1].expand_as(blind), atol=1e-5)


def test_without_it_no_tensor_is_another():
    with_scene, plain = network().state_dict(), network(MODEL.model_copy(update={"dropout": 0.0})).state_dict()
    assert {name for name in with_scene if name not in plain} == {name for name in with_scene if ".scene." in name}
    assert not ModelConfig().model_dump().keys() & {"scene_backbone", "scene_architecture"}


def test_a_network_that_reads_audio_alone_has_none():
    net = network(WITH_SCENE.model_copy(update={"fusion": "audio"}))
    assert list(net.streams) == ["audio"]
    assert net(replace(batch(), scene=None)).traits.shape == (2, 5)


def test_inputs_without_whole_frames_are_refused_in_one_line():
    with pytest.raises(MsmaError, match="whole frames are read, and the inputs have none"):
        network()(replace(batch(), scene=None))


def test_a_backbone_without_a_size_is_refused():
    with pytest.raises(ConfigError, match=r"scene_backbone needs clip\.scene_size"):
        parse(Recipe, {"model": {"scene_backbone": "small"}}, "recipe.yaml")


def test_an_export_is_refused_in_one_line(tmp_path):
    weights = weights_of(ModelConfig(width=16, heads=2))
    about = weights.config.model_copy(update={"model": WITH_SCENE, "clip": SCENE})
    with pytest.raises(MsmaError, match="scene_backbone cannot be exported"):
        export_onnx(replace(weights, network=network(), config=about), tmp_path / "out")


# cached, frozen, saved


def test_from_features_the_prediction_is_that_from_inputs_to_the_bit():
    net, inputs = network(WITH_SCENE.model_copy(update={"linear_path": True})), batch()
    net.linear_path.fill("both", weights=torch.full_like(net.linear_path.both_weights, 0.01))
    with torch.inference_mode():
        features = net.features(inputs)
        expected = net(inputs).traits
        assert isinstance(features, Features)
        assert features.scene.shape == (2, 4, TINY["hidden_size"])
        assert net.groups[1] == (128, 4, TINY["hidden_size"])
        taken = net.take_backbones()
        assert torch.equal(net(features).traits, expected)
    assert any(name.startswith("visual_encoder.scene.backbone.") for name in taken)
    assert not any(".backbone." in name for name in net.state_dict())


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Recipe:
    """Three pretrained backbones, speech joined with prosody."""
    folder = tmp_path_factory.mktemp("models")
    speech = saved(folder / "wavlm", "wavlm", {**TINY, **CONVOLUTIONS})
    return changed(
        RECIPE,
        clip={"scene_size": 16},
        model={
            "visual_backbone": saved(folder / "face", "vit", SIZES | {"num_hidden_layers": 2}),
            "scene_backbone": saved(folder / "scene", "vit", SIZES),
            "audio_backbone": f"{speech}+prosody",
            "map_channels": 16,
        },
        train={"steps": 2, "tune_stages": 1, **STILL},
    )


def test_its_backbone_is_tuned_and_slowed_as_the_others_are(recipe):
    slowed = with_architectures(changed(recipe, train={"tune_stages": 2, "tune_rate": 0.25, "layer_decay": 0.5}))
    net, records = new_network(slowed, PRIOR)
    assert list(records) == ["audio", "visual", "scene"]
    assert records["scene"]["name"] == recipe.model.scene_backbone
    rates = {id(p): group["rate"] for group in parameter_groups(net, slowed) for p in group["params"]}
    *low, below, top = net.visual_encoder.scene.backbone.stages
    assert {rates[id(p)] for p in top.parameters() if p.requires_grad} == {0.25}
    assert {rates[id(p)] for p in below.parameters() if p.requires_grad} == {0.125}
    assert not any(p.requires_grad for stage in low for p in stage.parameters())
    assert all(stage in list(frozen_parts(net)) for stage in low)


def test_speech_models_join_others_in_any_order(recipe):
    speech, prosody = recipe.model.audio_backbone.split("+")
    turned = with_architectures(changed(recipe, model={"audio_backbone": f"{prosody}+{speech}"}))
    for each in (with_architectures(recipe), turned):
        assert sum(MsMANet(each.model, each.clip).audio_encoder.groups) == 14 + TINY["hidden_size"]
    two = changed(turned, model={"audio_backbone": f"{speech}+{speech}"})
    with pytest.raises(ConfigError, match="joins several hf: models"):
        MsMANet(two.model, two.clip)


@pytest.mark.parametrize("cached", [False, True], ids=["tuned", "cached"])
def test_a_run_learns_and_is_loaded_without_the_models_that_it_began_with(recipe, cached, tmp_path):
    if cached:
        recipe = changed(
            recipe, model={"linear_path": True}, train={"tune_stages": 0, "cache_features": True, "feature_variants": 2}
        )
    corpus = planted_corpus(tmp_path / "corpus")
    assert train(recipe, corpus, tmp_path / "run", cpu=True).finished
    weights = load_weights(tmp_path / "run")
    assert weights.config.pretrained["scene"]["name"] == recipe.model.scene_backbone
    assert weights.config.model.scene_architecture["config"]["model_type"] == "vit"
    assert weights.output(prepare(window(), weights.config.clip).inputs).traits.isfinite().all()
    if cached:
        files = {path.name: path for path in (corpus.cache.folder / "features").iterdir()}
        rows = [replace(corpus.rows[0], clip=name) for name in files]
        pooled = pooled_features(rows, files, weights.network)
        assert pooled.visual.shape[1] == 2 * sum(weights.network.groups[1])
