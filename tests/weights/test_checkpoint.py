"""Weights on disk: what is saved comes back bit for bit, and anything else is refused in one line."""

from __future__ import annotations

import json
import os
import pickle
import re
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from msma.config import ClipConfig, ModelConfig
from msma.model.msma_net import MsMANet
from msma.types import MsmaError
from msma.weights.checkpoint import load_weights, save_weights, weights_sha256
from msma.weights.config import WeightsConfig

CONFIG = WeightsConfig(
    name="tiny",
    corpus="synthetic",
    notice="for tests",
    clip=ClipConfig(crop_size=32, mels=16),
    model=ModelConfig(width=16, spatial_scales=(3,), temporal_scales_s=(0.25,)),
)
TENSOR = "head.layers.1.weight"


@pytest.fixture(scope="module")
def network() -> MsMANet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return MsMANet(CONFIG.model, CONFIG.clip)


@pytest.fixture
def folder(tmp_path: Path, network: MsMANet) -> Path:
    """A folder of good weights, to be damaged."""
    save_weights(tmp_path / "run", CONFIG, network.state_dict())
    return tmp_path / "run"


def refusal(folder: Path) -> str:
    """The one line with which the folder is refused."""
    with pytest.raises(MsmaError) as caught:
        load_weights(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_tensors(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def change_config(folder: Path, change) -> None:
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change(values)
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")


def test_every_tensor_comes_back_bit_for_bit(folder, network):
    loaded = load_weights(folder).network.state_dict()
    assert loaded.keys() == network.state_dict().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in network.state_dict().items())


def test_a_folder_whose_name_is_no_text_is_loaded(folder):
    assert load_weights(folder.rename(folder.with_name("\udcff"))).config == CONFIG


def test_the_configuration_comes_back(folder):
    assert load_weights(folder).config == CONFIG


def test_the_traits_that_are_predicted_and_the_pretrained_weights_come_back(tmp_path, network):
    pretrained = {"audio": {"name": "ge2e", "version": "1", "licence": "Apache-2.0", "sha256": "0" * 64}}
    config = CONFIG.model_copy(update={"traits": ("openness", "neuroticism"), "pretrained": pretrained})
    save_weights(tmp_path, config, network.state_dict())
    assert load_weights(tmp_path).config == config


def test_a_loaded_network_is_ready_for_inference(folder):
    assert not load_weights(folder).network.training


def test_the_digest_is_of_every_tensor_and_of_the_configuration_wherever_they_lie(folder, network, tmp_path):
    def nudge(tensors) -> None:
        tensors[TENSOR][0, 0] += 1e-6

    digest = weights_sha256(load_weights(folder))
    save_weights(tmp_path / "copy", CONFIG, network.state_dict())
    assert weights_sha256(load_weights(tmp_path / "copy")) == digest
    change_config(folder, lambda values: values["clip"].update(face_margin=2.0))
    assert weights_sha256(load_weights(folder)) != digest
    change_tensors(tmp_path / "copy", nudge)
    assert weights_sha256(load_weights(tmp_path / "copy")) != digest


def test_saving_again_replaces_the_weights_and_leaves_nothing_else(folder, network):
    save_weights(folder, CONFIG, {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()})
    assert (load_weights(folder).network.state_dict()[TENSOR] == 0).all()
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_tensors_that_are_views_can_be_saved(tmp_path, network):
    tensors = network.state_dict()
    tensors[TENSOR] = tensors[TENSOR].t().contiguous().t()
    save_weights(tmp_path, CONFIG, tensors)
    assert torch.equal(load_weights(tmp_path).network.state_dict()[TENSOR], network.state_dict()[TENSOR])


@pytest.mark.parametrize("size", [0, 5, 100, -1], ids=["empty", "in the length", "in the header", "in the last tensor"])
def test_a_truncated_file_is_refused(folder, size):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    assert f"{path}: truncated or not a safetensors file" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop(TENSOR), f"lacks tensor {TENSOR}"),
        (lambda t: t.update(extra=torch.zeros(1)), "has an unknown tensor extra"),
        (lambda t: t.update({TENSOR: t[TENSOR][:-1].clone()}), f"{TENSOR} has shape (31, 32), not (32, 32)"),
        (lambda t: t[TENSOR][3].fill_(torch.nan), f"{TENSOR} holds values that are not finite"),
        (lambda t: t[TENSOR][3].fill_(torch.inf), f"{TENSOR} holds values that are not finite"),
        (lambda t: t.update({TENSOR: t[TENSOR].half()}), f"{TENSOR} is torch.float16, not torch.float32"),
    ],
    ids=["missing", "extra", "misshaped", "NaN", "infinite", "wrong dtype"],
)
def test_a_tensor_that_does_not_fit_is_refused(folder, change, told):
    change_tensors(folder, change)
    assert f"{folder / 'model.safetensors'}: {told}" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.update(optimizer="adam"), "optimizer"),
        (lambda c: c["model"].update(layers=3), "model.layers"),
        (lambda c: c["clip"].update(fps="fast"), "clip.fps"),
        (lambda c: c["clip"].update(crop_size=10**9), "clip.crop_size"),
        (lambda c: c["model"].update(width=10**12), "model.width"),
        (lambda c: c["model"].update(spatial_scales=[3] * 10**5), "model.spatial_scales"),
        (lambda c: c["model"].update(visual_backbone="foreign"), "model.visual_backbone"),
        (lambda c: c.update(format="msma-net/999"), "format 'msma-net/999' is not"),
        (lambda c: c.pop("format"), "lacks format"),
        (lambda c: c.pop("notice"), "notice"),
        (lambda c: c["clip"].pop("mel_hop_s"), "lacks clip.mel_hop_s"),
        (lambda c: c["model"].pop("fusion"), "lacks model.fusion"),
        (lambda c: c.pop("traits"), "lacks traits"),
        (lambda c: c.update(traits=[]), "traits: name one or more of openness"),
        (lambda c: c.update(traits=["interview"]), "traits: name one or more of openness"),
        (lambda c: c.update(pretrained={"audio": "ge2e"}), "pretrained.audio"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "config",
)
def test_a_configuration_that_does_not_fit_is_refused(folder, change, told):
    change_config(folder, change)
    line = refusal(folder)
    assert f"{folder / 'config.json'}: " in line
    assert told in line


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"' + b"x" * 2_000_000 + b'"'],
    ids=["empty", "truncated", "not text", "deeply nested", "huge"],
)
def test_a_config_file_that_is_none_is_refused(folder, content):
    (folder / "config.json").write_bytes(content)
    assert refusal(folder).startswith(f"{folder / 'config.json'}: ")


@pytest.mark.parametrize("content", [b"[]", b"null", b"5"])
def test_json_that_is_no_configuration_is_refused(folder, content):
    (folder / "config.json").write_bytes(content)
    assert refusal(folder).startswith(f"{folder / 'config.json'}: ")


def test_a_claimed_size_is_checked_before_memory_is_taken_for_it(folder):
    change_config(folder, lambda c: c["model"].update(width=4096))  # some 3 GB of weights
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "has shape" in refusal(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 200 * 1024


class Payload:
    """What runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def pickle_save(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("save", [pickle_save, torch.save])
def test_a_pickle_under_the_name_of_weights_is_refused_and_not_run(folder, tmp_path, save):
    marker = tmp_path / "ran"
    save(Payload(marker), folder / "model.safetensors")
    assert "not a safetensors file" in refusal(folder)
    assert not marker.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    assert refusal(tmp_path / "nowhere").startswith(f"{tmp_path / 'nowhere'}: holds no config.json")


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    assert refusal(folder).startswith(f"{folder / 'model.safetensors'}: not there")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_in_the_place_of_a_file_is_refused(folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()
    assert refusal(folder).startswith(f"{folder / name}: ")


def test_a_file_in_the_place_of_the_folder_is_refused(folder):
    assert str(folder / "config.json") in refusal(folder / "config.json")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "calibration.json"])
def test_a_file_of_weights_that_never_ends_is_refused_at_once(folder, name):
    for endless in (lambda path: path.symlink_to("/dev/zero"), os.mkfifo):
        (folder / name).unlink(missing_ok=True)
        endless(folder / name)
        assert f"{folder / name}: " in refusal(folder)
        assert "(not a regular file)" in refusal(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"window_s": 600, "fps": 60, "crop_size": 500},
        {"window_s": 600, "mel_hop_s": 0.002, "mel_window_s": 1.0},
        {"window_s": 600, "fps": 60, "frame_side": 4096},
    ],
)
def test_settings_that_only_together_take_too_much_memory_are_refused(folder, settings):
    change_config(folder, lambda values: values["clip"].update(settings))
    assert re.search(r"a window takes \d+\.\d gib, more than 4; lower window_s", refusal(folder))
    for name, value in settings.items():
        assert ClipConfig.model_validate({"phases": 1, name: value})


def test_heads_that_take_too_much_memory_with_a_long_window_are_refused(folder):
    change_config(folder, lambda values: values["clip"].update(window_s=300, mel_hop_s=0.004))
    change_config(folder, lambda values: values["model"].update(width=64, heads=64))
    assert "lower heads, window_s or fps" in refusal(folder)


def test_a_name_with_half_a_character_is_refused(folder):
    change_config(folder, lambda values: values.update(name="\ud800"))
    assert refusal(folder).startswith(f"{folder / 'config.json'}: ")
