"""Models of the transformers library as backbones."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from einops import rearrange
from safetensors.torch import load_file, save_file
from tiny_hf import CONVOLUTIONS, RESNET, TINY, saved
from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor

from msma.config import ClipConfig, ConfigError, ModelConfig
from msma.model.backbones.architecture import MODEL_TYPES, build
from msma.model.backbones.by_name import audio_backbone, visual_backbone
from msma.model.backbones.transformers import HfAudio, HfVisual
from msma.model.msma_net import MsMANet
from msma.types import MsmaError
from msma.weights.pretrained import architecture, load_backbone

SIDE, CLIP, HOP = 64, ClipConfig(), 256
PATCHES = TINY | {"image_size": SIDE, "patch_size": 16}
VISION: dict[str, dict[str, Any]] = {  # of each, 16 channels and a stride of 16
    "resnet": RESNET,
    "convnext": {"hidden_sizes": [8, 12, 16], "depths": [1, 1, 1], "num_stages": 3},
    "vit": PATCHES,
    "dinov2_with_registers": PATCHES,
    "clip_vision_model": PATCHES,
    "swin": {"embed_dim": 4, "depths": [1, 1, 1], "num_heads": [1, 1, 1], "window_size": 4, "image_size": SIDE},
}
CLASS_AND_REGISTER_TOKENS = {"vit": 1, "dinov2_with_registers": 5, "clip_vision_model": 1, "swin": 0}
RECEPTIVE, STRIDE = 10 + 2 * 5 + 2 * 20, 80
"""Samples that a token of CONVOLUTIONS reads, and from one to the next."""
SPEECH: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("wav2vec2", TINY | CONVOLUTIONS),
    "wav2vec2 layer norm": (
        "wav2vec2",
        TINY | CONVOLUTIONS | {"feat_extract_norm": "layer", "do_stable_layer_norm": True},
    ),
    "hubert": ("hubert", TINY | CONVOLUTIONS),
    "wavlm": ("wavlm", TINY | CONVOLUTIONS),
}
every_vision = pytest.mark.parametrize("model_type", VISION)
every_speech = pytest.mark.parametrize("kind", SPEECH)


def saved_vit(folder: Path, **values: Any) -> str:
    return saved(folder, "vit", PATCHES | values)


def visual(name: str) -> HfVisual:
    backbone = visual_backbone(name, architecture(name))
    load_backbone(backbone, name)
    return backbone.eval()


def audio(name: str) -> HfAudio:
    backbone = audio_backbone(name, architecture(name), CLIP)
    load_backbone(backbone, name)
    return backbone.eval()


def frames(side: int = SIDE) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def heard(backbone: HfAudio, waveform: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The maps of clips that are kept whole, and the mask."""
    mask = torch.ones(len(waveform), steps, dtype=torch.bool)
    with torch.inference_mode():
        return backbone(torch.zeros(len(waveform), CLIP.mels, steps), waveform, mask)


def noise(clips: int, steps: int) -> torch.Tensor:
    return 0.1 * torch.randn(clips, steps * HOP, generator=torch.Generator().manual_seed(0)) + 0.02


# the same output


@every_vision
def test_maps_are_the_last_hidden_state_of_the_model(model_type, tmp_path):
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    name = saved(tmp_path, model_type, VISION[model_type], {"image_mean": mean, "image_std": std})
    scaled = (frames() - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    with torch.inference_mode():
        (maps,) = visual(name)(frames())
        expected = AutoModel.from_pretrained(tmp_path).eval()(scaled).last_hidden_state
    if expected.ndim == 3:
        expected = rearrange(expected[:, CLASS_AND_REGISTER_TOKENS[model_type] :], "n (h w) c -> n c h w", h=4)
    assert maps.shape == (2, 16, 4, 4)
    torch.testing.assert_close(maps, expected, atol=1e-5, rtol=1e-5)


@every_vision
def test_any_side_is_read(model_type, tmp_path):
    backbone = visual(saved(tmp_path, model_type, VISION[model_type]))
    with torch.inference_mode():
        assert [one.shape for one in backbone(frames(90))] == [(2, 16, 6, 6)]


@every_speech
@pytest.mark.parametrize("do_normalize", [True, False])
def test_tokens_are_the_last_hidden_state_of_the_model(kind, do_normalize, tmp_path):
    extractor = Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    name = saved(tmp_path, *SPEECH[kind], json.loads(extractor.to_json_string()))
    waveform = noise(2, 30)
    scaled = extractor(list(waveform.numpy()), sampling_rate=16000, return_tensors="pt").input_values
    (maps,), mask = heard(audio(name), waveform, 30)
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(tmp_path).eval()(scaled).last_hidden_state
    assert mask.all()
    torch.testing.assert_close(rearrange(maps, "b c 1 l -> b l c"), expected, atol=1e-5, rtol=1e-5)


def test_without_a_preprocessor_nothing_is_scaled(tmp_path):
    name = saved_vit(tmp_path)
    assert architecture(name)["preprocessor"] == {}
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(tmp_path).eval()(frames()).last_hidden_state[:, 1:]
        torch.testing.assert_close(visual(name)(frames()), (rearrange(expected, "n (h w) c -> n c h w", h=4),))


def test_a_preprocessor_that_is_no_object_is_one_line(tmp_path):
    name = saved_vit(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("5")
    with pytest.raises(MsmaError, match=r"its preprocessor_config.json is no object; name another model$"):
        architecture(name)


def test_a_preprocessor_that_takes_blue_first_gets_blue_first(tmp_path):
    plain, flipped = visual(saved_vit(tmp_path / "a")), visual(saved_vit(tmp_path / "b"))
    (tmp_path / "b" / "preprocessor_config.json").write_text('{"do_flip_channel_order": true}')
    flipped = visual(f"hf:{tmp_path / 'b'}")
    with torch.inference_mode():
        torch.testing.assert_close(flipped(frames()), plain(frames().flip(1)))


def test_tokens_end_with_the_clip(tmp_path):
    """Each token has its place in time: those that would read past the end are not there."""
    backbone = audio(saved(tmp_path, *SPEECH["wav2vec2"]))
    assert (backbone.step, backbone.reach) == (STRIDE, RECEPTIVE)
    _, mask = heard(backbone, noise(1, 7), 7)
    assert mask.shape[1] == (7 * HOP - RECEPTIVE) // STRIDE + 1


def test_hidden_layers_are_those_from_the_middle_to_the_last(tmp_path):
    name = saved_vit(tmp_path, num_hidden_layers=6)
    backbone = visual_backbone(name, architecture(name), hidden_layers=3)
    load_backbone(backbone, name)
    with torch.inference_mode():
        maps = backbone.eval()(frames())
        output = AutoModel.from_pretrained(tmp_path).eval()(frames(), output_hidden_states=True)
    expected = [output.hidden_states[3], output.hidden_states[4], output.last_hidden_state]
    for one, state in zip(maps, expected, strict=True):
        torch.testing.assert_close(one, rearrange(state[:, 1:], "n (h w) c -> n c h w", h=4), atol=1e-5, rtol=1e-5)


def test_hidden_layers_of_a_convolutional_network_are_the_last_of_each_stride(tmp_path):
    values = {"embedding_size": 8, "hidden_sizes": [8, 12, 14, 16], "depths": [1, 2, 1, 1]}
    backbone = visual_backbone(name := saved(tmp_path, "resnet", values), architecture(name), hidden_layers=4)
    assert (backbone.channels, backbone.strides) == ((12, 14, 16), (8, 16, 32))


def test_hidden_layers_of_speech_share_their_tokens(tmp_path):
    name = saved(tmp_path, *SPEECH["wav2vec2"])
    backbone = audio_backbone(name, architecture(name), CLIP, hidden_layers=3)
    load_backbone(backbone, name)
    maps, mask = heard(backbone.eval(), noise(2, 30), 30)
    assert [one.shape for one in maps] == [(2, 16, 1, mask.shape[1])] * len(backbone.channels)
    assert len(maps) > 1
    with torch.inference_mode():
        last = AutoModel.from_pretrained(tmp_path).eval()(noise(2, 30)).last_hidden_state
    torch.testing.assert_close(rearrange(maps[-1], "b c 1 l -> b l c"), last, atol=1e-5, rtol=1e-5)


# built again


@pytest.mark.parametrize(
    ("model_type", "values"), [("resnet", VISION["resnet"]), ("vit", VISION["vit"])], ids=["resnet", "vit"]
)
def test_the_architecture_rebuilds_the_backbone_without_its_folder(model_type, values, tmp_path):
    name = saved(tmp_path / "model", model_type, values, {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]})
    kept, backbone = json.loads(json.dumps(architecture(name))), visual(name)
    shutil.rmtree(tmp_path / "model")
    again = visual_backbone(name, kept).eval()
    again.load_state_dict(backbone.state_dict(), strict=True)
    with torch.inference_mode():
        torch.testing.assert_close(again(frames()), backbone(frames()), atol=0, rtol=0)


def test_the_architecture_of_speech_rebuilds_it_without_its_folder(tmp_path):
    name = saved(tmp_path / "model", *SPEECH["wav2vec2"], {"do_normalize": True, "sampling_rate": 16000})
    kept, backbone = json.loads(json.dumps(architecture(name))), audio(name)
    shutil.rmtree(tmp_path / "model")
    again = audio_backbone(name, kept, CLIP).eval()
    again.load_state_dict(backbone.state_dict(), strict=True)
    torch.testing.assert_close(heard(again, noise(1, 30), 30), heard(backbone, noise(1, 30), 30), atol=0, rtol=0)


def test_the_architecture_names_no_folder_and_no_class_of_its_maker(tmp_path):
    assert str(tmp_path) not in json.dumps(architecture(saved_vit(tmp_path, num_labels=7)))
    assert "id2label" not in architecture(f"hf:{tmp_path}")["config"]


@pytest.mark.parametrize("name", ["small", "ge2e", "ge2e+mfcc", "efficientnet_lite0"])
def test_backbones_of_our_own_have_no_architecture(name):
    assert architecture(name) is None


# stages


def test_stages_are_what_comes_before_the_layers_and_each_layer(tmp_path):
    backbone = visual(saved_vit(tmp_path))
    network, (before, *layers) = backbone.network, backbone.stages
    assert set(before.parameters()) == set(network.embeddings.parameters())
    assert [set(stage.parameters()) for stage in layers[:-1]] == [set(m.parameters()) for m in network.layers[:-1]]
    assert set(layers[-1].parameters()) == {*network.layers[-1].parameters(), *network.layernorm.parameters()}


@every_vision
def test_training_reaches_the_last_stage(model_type, tmp_path):
    backbone = visual(saved(tmp_path, model_type, VISION[model_type])).train()
    (backbone(frames())[-1] ** 2).sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in backbone.stages[-1].parameters())


def test_training_masks_nothing_at_random(tmp_path):
    values = TINY | CONVOLUTIONS | {"mask_time_prob": 0.9, "mask_time_length": 2, "layerdrop": 0.9}
    without = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0)
    backbone = audio(saved(tmp_path, "wav2vec2", values | without))
    torch.testing.assert_close(heard(backbone.train(), noise(1, 30), 30), heard(backbone.eval(), noise(1, 30), 30))


def kinds() -> list:
    return [
        *(pytest.param(visual, kind, values, id=kind) for kind, values in VISION.items()),
        *(pytest.param(audio, *described, id=kind) for kind, described in SPEECH.items()),
    ]


@pytest.mark.parametrize(("build", "model_type", "values"), kinds())
def test_what_asks_for_a_gradient_gets_one(build, model_type, values, tmp_path):
    """Training on several devices waits for each of them."""
    backbone = build(saved(tmp_path, model_type, values)).train()
    if build is visual:
        maps = backbone(frames())
    else:
        maps, _ = backbone(torch.zeros(1, CLIP.mels, 30), noise(1, 30), torch.ones(1, 30, dtype=torch.bool))
    maps[-1].square().sum().backward()
    asked = {key for key, parameter in backbone.named_parameters() if parameter.requires_grad}
    got = {key for key, parameter in backbone.named_parameters() if parameter.grad is not None}
    assert asked == got
    assert len(asked) > 5


def test_gradients_are_asked_for_in_the_same_places_where_none_are_kept(tmp_path):
    name = saved(tmp_path, "dinov2", PATCHES)
    with torch.inference_mode():
        frozen = [key for key, p in visual_backbone(name, architecture(name)).named_parameters() if not p.requires_grad]
    assert frozen == ["network.embeddings.mask_token"]


# weights


def test_the_record_tells_name_and_sha256(tmp_path):
    name = saved_vit(tmp_path)
    backbone = visual_backbone(name, architecture(name))
    record = load_backbone(backbone, name)
    assert record["name"] == name
    assert len(record["sha256"]) == 64
    assert load_backbone(backbone, name) == record


def test_weights_kept_in_half_precision_are_read_into_full(tmp_path):
    name = saved_vit(tmp_path)
    AutoModel.from_pretrained(tmp_path).half().save_pretrained(tmp_path)
    assert {p.dtype for p in visual(name).parameters()} == {torch.float32}


def test_a_pickle_is_never_read(tmp_path):
    name = saved_vit(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(MsmaError, match=r"its weights cannot be loaded .*that has model.safetensors"):
        visual(name)


def test_code_of_a_repository_is_never_run(tmp_path):
    name, witness = saved_vit(tmp_path / "model"), tmp_path / "ran"
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    path.write_text(json.dumps(config))
    (tmp_path / "model" / "evil.py").write_text(f"import pathlib; pathlib.Path({str(witness)!r}).touch()")
    visual(name)
    path.write_text(json.dumps(config | {"model_type": "evil"}))
    with pytest.raises(MsmaError, match="'evil' are not read"):
        visual(name)
    assert not witness.exists()


def test_lacking_tensors_are_named(tmp_path):
    name = saved_vit(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["layernorm.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MsmaError, match=r"its weights lack layernorm.weight \(1 in all\)"):
        visual(name)


def test_a_summary_that_is_not_used_need_not_be_there(tmp_path):
    name = saved_vit(tmp_path)
    tensors = {k: v for k, v in load_file(tmp_path / "model.safetensors").items() if not k.startswith("pooler")}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert not [key for key, _ in visual(name).named_parameters() if "pooler" in key]


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(MsmaError, match=r"nothing: cannot be read .*; name a repository or a folder") as caught:
        architecture(f"hf:{tmp_path}/nothing")
    assert "\n" not in str(caught.value)


# models of images and text

TEXT = TINY | {"vocab_size": 20, "max_position_embeddings": 8}
WITH_TEXT = {"clip": 1, "siglip": 0}
"""How many tokens of each are not of patches."""


@pytest.mark.parametrize("model_type", WITH_TEXT)
def test_of_a_model_of_images_and_text_the_part_that_sees_is_taken(model_type, tmp_path):
    name = saved(tmp_path, model_type, {"vision_config": PATCHES, "text_config": TEXT})
    assert architecture(name)["config"]["model_type"] == f"{model_type}_vision_model"
    with torch.inference_mode():
        whole = AutoModel.from_pretrained(tmp_path).eval().vision_model
        expected = whole(frames()).last_hidden_state[:, WITH_TEXT[model_type] :]
        (maps,) = visual(name)(frames())
    torch.testing.assert_close(maps, rearrange(expected, "n (h w) c -> n c h w", h=4), atol=1e-5, rtol=1e-5)


# nothing is fetched that a configuration names


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """Every host that is looked up from now on; none is found."""
    hosts: list[str] = []

    def refuse(host, *_, **__):
        hosts.append(host)
        raise socket.gaierror("not in a test")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return hosts


FETCHING = {
    "detr": {"backbone": "evil/repo", "use_timm_backbone": False},
    "detr within": {"backbone_config": {"model_type": "detr", "backbone": "evil/repo", "use_timm_backbone": False}},
    "dpt": {"is_hybrid": False, "backbone": "evil/repo"},
    "timm_wrapper": {"architecture": "evil/repo"},
    "timm_backbone": {"backbone": "hf-hub:evil/repo", "use_pretrained_backbone": True},
}


def test_the_library_itself_would_fetch_what_a_configuration_names(asked):
    with pytest.raises(Exception, match="not in a test"):
        AutoConfig.for_model("detr", **FETCHING["detr"])
    assert asked


@pytest.mark.parametrize("kind", FETCHING)
def test_weights_from_elsewhere_do_not_make_the_library_fetch_anything(kind, asked):
    kept = {"config": {"model_type": kind.split()[0]} | FETCHING[kind]}
    with pytest.raises(ConfigError, match="are not read"):
        visual_backbone("hf:a/b", kept)
    with pytest.raises(ConfigError, match="are not read"):
        audio_backbone("hf:a/b", kept, CLIP)
    assert asked == []


@pytest.mark.parametrize("kind", FETCHING)
def test_the_configuration_in_a_folder_does_not_make_the_library_fetch_anything(kind, asked, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind.split()[0]} | FETCHING[kind]))
    with pytest.raises(ConfigError, match="are not read"):
        architecture(f"hf:{tmp_path}")
    assert asked == []


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_no_type_that_is_read_fetches_what_its_configuration_names(model_type, asked):
    hostile = {key: value for values in FETCHING.values() for key, value in values.items()}
    with torch.device("meta"):
        network = build({"config": {"model_type": model_type} | hostile}, "hf:a/b")
    assert network.config.model_type == model_type
    assert asked == []


# what is refused


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MsmaError, match=r'pip install "msma\[hf\]"'):
        visual_backbone("hf:a/b", {"config": {"model_type": "vit"} | PATCHES})
    with pytest.raises(MsmaError, match=r'pip install "msma\[hf\]"'):
        architecture("hf:a/b")


BERT = {"model_type": "bert", "vocab_size": 20} | TINY
VIT = {"model_type": "vit"} | PATCHES
SPOKEN = {"model_type": "wav2vec2"} | TINY | CONVOLUTIONS


@pytest.mark.parametrize(
    ("kept", "problem"),
    [
        (None, "its architecture is unknown"),
        ({}, "its architecture is unknown"),
        ({"config": "vit"}, "its architecture is unknown"),
        ({"config": {}}, "models of type 'None' are not read; take a vision model such as"),
        ({"config": {"model_type": "evil"}}, "models of type 'evil' are not read"),
        ({"config": {"model_type": ["vit"]}}, "are not read"),
        ({"config": VIT | {"hidden_size": "many"}}, "its architecture cannot be built"),
        ({"config": VIT | {"num_hidden_layers": 10**6}}, "larger than any model"),
        ({"config": VIT | {"intermediate_size": 10**9}}, "larger than any model"),
        *(({"config": VIT | {key: 513}}, "larger than any model") for key in ("n_layer", "num_blocks", "N_LAYERS")),
        *(({"config": VIT | {key: [1, 513]}}, "larger than any model") for key in ("depths", "focal_levels")),
        ({"config": VIT | {"model_type": "vit_mae"}}, "'vit_mae' are not read"),  # hides part of its input at random
        ({"config": VIT | {"model_type": "yolos"}}, "'yolos' are not read"),  # has other tokens at the end
        ({"config": BERT}, "'bert' are not read"),
        ({"config": SPOKEN}, "has no map and no token for each patch"),
        ({"config": VIT, "preprocessor": {"rescale_factor": 1.0}}, "does not bring pixels to"),
    ],
)
def test_an_architecture_that_is_no_vision_model_is_refused(kept, problem):
    with pytest.raises(ConfigError, match=problem):
        visual_backbone("hf:a/b", kept)


@pytest.mark.parametrize(
    ("kept", "problem"),
    [
        ({"config": VIT}, "vit does not read waveforms"),
        ({"config": SPOKEN | {"conv_stride": [2**20] * 3}}, "gives no tokens of a waveform"),
        ({"config": SPOKEN | {"add_adapter": True}}, "has an adapter"),
        ({"config": SPOKEN, "preprocessor": {"sampling_rate": 8000}}, "reads 8000 samples a second"),
    ],
)
def test_an_architecture_that_is_no_speech_model_is_refused(kept, problem):
    with pytest.raises(ConfigError, match=problem):
        audio_backbone("hf:a/b", kept, CLIP)


# sizes: each number is one that some model has, and together they would take tera- or petabytes

VISION_GIANTS = {
    "wide": VIT | {"hidden_size": 2**20, "intermediate_size": 2**20},
    "deep": VIT | {"hidden_size": 4096, "intermediate_size": 16384, "num_hidden_layers": 512},
    "many places": VIT | {"image_size": 2**19, "patch_size": 1},
    "many layers in stages": {"model_type": "swin", "embed_dim": 4, "depths": [512] * 4, "num_heads": [1] * 4},
    "a large window": {"model_type": "swin", "embed_dim": 4, "depths": [1], "num_heads": [1], "window_size": 2**10},
}
SPEECH_GIANTS = {
    "wide convolutions": SPOKEN | {"conv_dim": [2**20] * 3},
    "long positions": SPOKEN | {"hidden_size": 2**14, "num_conv_pos_embeddings": 2**20},
    "wide": SPOKEN | {"hidden_size": 2**18, "num_attention_heads": 2**4},
}


@pytest.mark.parametrize("config", VISION_GIANTS.values(), ids=VISION_GIANTS)
def test_a_vision_model_that_is_too_large_is_refused_before_memory_is_taken(config):
    with pytest.raises(ConfigError, match=r"^hf:a/b: its architecture cannot be built \(more than .* (parameters|mod)"):
        visual_backbone("hf:a/b", {"config": config})


@pytest.mark.parametrize("config", SPEECH_GIANTS.values(), ids=SPEECH_GIANTS)
def test_a_speech_model_that_is_too_large_is_refused_before_memory_is_taken(config):
    with pytest.raises(ConfigError, match=r"^hf:a/b: its architecture cannot be built \(more than .* parameters"):
        audio_backbone("hf:a/b", {"config": config}, CLIP)


def network_of(modality: str, config: dict[str, Any], clip: ClipConfig) -> MsMANet:
    """A network that reads one modality, without memory."""
    values = {"fusion": modality, f"{modality}_backbone": "hf:a/b", f"{modality}_architecture": {"config": config}}
    with torch.device("meta"):
        return MsMANet(ModelConfig(**values), clip)


@pytest.mark.parametrize(
    ("modality", "config", "clip"),
    [
        ("visual", VIT | {"patch_size": 2**12, "image_size": 2**12}, ClipConfig(crop_size=32)),  # frames are enlarged
        ("visual", VIT | {"patch_size": 1}, ClipConfig(crop_size=1024, window_s=1)),  # attention of a million tokens
        ("visual", VIT | {"intermediate_size": 2**19}, ClipConfig(crop_size=512)),
        ("audio", SPOKEN | {"conv_stride": [1, 1, 1]}, ClipConfig()),
        ("audio", SPOKEN | {"conv_kernel": [10, 3, 2**19]}, ClipConfig()),
        ("audio", SPOKEN | {"conv_dim": [2**14, 8, 8]}, ClipConfig(window_s=60)),
    ],
)
def test_a_model_that_makes_too_much_of_a_window_is_refused(modality, config, clip):
    with pytest.raises(ConfigError, match=r"^hf:a/b: makes .* GiB, more than 4, of a window; lower "):
        network_of(modality, config, clip)


BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "config", "clip"),
    [
        ("visual", {"model_type": "clip_vision_model"} | BASE | {"patch_size": 32}, ClipConfig(crop_size=224)),
        ("visual", {"model_type": "clip_vision_model"} | LARGE | {"patch_size": 14}, ClipConfig(crop_size=336)),
        ("visual", {"model_type": "dinov2", "patch_size": 14, "image_size": 518} | BASE, ClipConfig(crop_size=224)),
        ("visual", {"model_type": "dinov2", "patch_size": 14, "image_size": 518} | LARGE, ClipConfig(crop_size=518)),
        ("audio", {"model_type": "wav2vec2"} | BASE, ClipConfig(window_s=60)),
        ("audio", {"model_type": "wav2vec2"} | LARGE | LAYER_NORM, ClipConfig()),
        ("audio", {"model_type": "wavlm"} | BASE, ClipConfig()),
        ("audio", {"model_type": "wavlm"} | LARGE | LAYER_NORM, ClipConfig(window_s=60)),
    ],
)
def test_models_that_people_use_are_read(modality, config, clip):
    assert network_of(modality, config, clip).reads == (modality,)


def test_the_configuration_in_a_folder_is_bounded_before_the_library_makes_anything_of_it(tmp_path):
    values = {"model_type": "vit", "num_labels": 10**9}  # a name would be made for each
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="larger than any model"):
        architecture(f"hf:{tmp_path}")


def test_a_configuration_in_a_folder_that_never_ends_is_not_read(tmp_path):
    (tmp_path / "config.json").symlink_to("/dev/zero")
    with pytest.raises(MsmaError, match=r"config\.json: .* \(not a regular file\)"):
        architecture(f"hf:{tmp_path}")
