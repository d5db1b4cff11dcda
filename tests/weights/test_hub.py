"""Weights of the Hugging Face hub: fetched, checked and put there, from and to a hub on this machine."""

from __future__ import annotations

import json
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from hub_server import TOKEN, Hub, serving
from safetensors.torch import load_file, save
from typer.testing import CliRunner

import msma
from msma.cli.commands import app
from msma.config import ClipConfig, ModelConfig
from msma.model.msma_net import MsMANet
from msma.prediction.model import Model, load
from msma.types import TRAITS, MsmaError
from msma.weights.calibration import CalibratedOn, calibration_of
from msma.weights.checkpoint import calibration_sha256, find_weights, save_weights
from msma.weights.checkpoint import weights_sha256 as sha256
from msma.weights.config import WeightsConfig, save_calibration
from msma.weights.hub import MAX_BYTES, push

NAME = "someone/msma-net"
CONFIG = WeightsConfig(
    name="tiny",
    corpus="planted",
    notice="for tests",
    clip=ClipConfig(crop_size=16, mels=16, fps=2.0),
    model=ModelConfig(width=16, heads=2, spatial_scales=(3,), temporal_scales_s=(0.25,)),
)


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Path:
    """A folder with weights and their calibration."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        save_weights(folder, CONFIG, MsMANet(CONFIG.model, CONFIG.clip).state_dict())
    rng = np.random.default_rng(0)
    about = CalibratedOn(
        weights_sha256=sha256(find_weights(folder)),
        operating_point="accuracy",
        corpus="planted",
        split="val",
        clips=60,
        sources=30,
    )
    quality = [{"audio": q, "visual": q} for q in rng.uniform(0, 1, 60).tolist()]
    sources = [str(index // 2) for index in range(60)]
    errors, labels = rng.uniform(0, 0.2, (60, 5)), rng.random((60, 5))
    save_calibration(folder, calibration_of(errors, quality, sources, list(TRAITS), about, labels))
    return folder


def at(monkeypatch, address: str) -> None:
    """As if HF_ENDPOINT had been set."""
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on this machine, an empty cache, and nobody who is logged in."""
    with serving() as running:
        at(monkeypatch, running.address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub cache"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        monkeypatch.chdir(tmp_path)
        yield running


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(name: str | Path = NAME, **options) -> str:
    """The one line with which a name is refused."""
    with pytest.raises(MsmaError) as caught:
        load(name, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same(one: Model, other: Model) -> bool:
    """Bit for bit: tensors and configuration, and the calibration."""
    return (sha256(one.weights), calibration_sha256(one.weights)) == (
        sha256(other.weights),
        calibration_sha256(other.weights),
    )


def test_what_is_saved_comes_back_to_the_bit_and_predicts_the_same(good, tmp_path, make_media):
    model = msma.Model.from_pretrained(good)
    model.save_pretrained(tmp_path / "saved")
    again = msma.Model.from_pretrained(tmp_path / "saved")
    assert same(model, again)
    assert again.weights.config == model.weights.config
    assert again.weights.calibration == model.weights.calibration
    clip = make_media()
    assert again.predict(clip) == model.predict(clip)
    assert again.predict(clip).intervals is not None


def test_the_bundled_weights_are_saved_as_they_are(tmp_path):
    model = msma.load()
    model.save_pretrained(tmp_path / "saved")
    assert same(model, msma.Model.from_pretrained(tmp_path / "saved"))
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {
        "config.json",
        "model.safetensors",
        "calibration.json",
    }


def test_weights_without_a_calibration_leave_none_of_others_behind(good, tmp_path):
    save_weights(tmp_path / "bare", CONFIG, load_file(good / "model.safetensors"))
    msma.Model.from_pretrained(good).save_pretrained(tmp_path / "saved")
    msma.Model.from_pretrained(tmp_path / "bare").save_pretrained(tmp_path / "saved")
    assert msma.Model.from_pretrained(tmp_path / "saved").weights.calibration is None


def test_a_model_of_the_hub_is_that_which_was_put_there(good, hub, make_media):
    hub.put(NAME, good)
    fetched, local = msma.Model.from_pretrained(NAME), msma.load(good)
    assert same(fetched, local)
    clip = make_media()
    assert fetched.predict(clip).traits == local.predict(clip).traits


def test_a_prediction_says_of_which_commit_the_weights_are_and_that_name_gives_them_back(good, hub, make_media):
    plain = {name: content for name, content in files_of(good).items() if name != "calibration.json"}
    repository = hub.put(NAME, plain)
    first = repository.refs["main"]
    answer = msma.load(NAME).predict(make_media())
    assert answer.model == f"{NAME}@{first}"
    repository.commit({"config.json": plain["config.json"].replace(b"tiny", b"new!")})
    assert msma.load(NAME).weights.config.name == "new!"
    assert msma.load(answer.model).weights.config.name == "tiny"


@pytest.mark.parametrize("how", [lambda tag: {"name": f"{NAME}@{tag}"}, lambda tag: {"name": NAME, "revision": tag}])
def test_a_tag_names_a_commit(good, hub, how):
    repository = hub.put(NAME, good)
    repository.refs["v1"] = repository.refs["main"]
    repository.commit({"model.safetensors": b"other"})
    assert msma.Model.from_pretrained(**how("v1")).weights.hub == f"{NAME}@{repository.refs['v1']}"


def test_only_the_files_of_a_model_are_fetched(good, hub):
    hub.put(NAME, {**files_of(good), "README.md": b"a card", "state.pt": b"a pickle", "setup.py": b"x"})
    msma.load(NAME)
    assert hub.fetched() == set(MAX_BYTES)


def test_nothing_is_fetched_twice(good, hub):
    hub.put(NAME, good)
    msma.load(NAME)
    hub.asked.clear()
    msma.load(NAME)
    assert hub.fetched() == set()


def test_without_a_connection_what_was_fetched_before_is_used(good, hub, monkeypatch):
    hub.put(NAME, good)
    before = msma.load(NAME)
    hub.out_of_order = True
    assert msma.load(NAME).weights.hub == before.weights.hub
    at(monkeypatch, unreachable())
    assert msma.load(NAME).weights.hub == before.weights.hub


def test_without_a_connection_and_without_a_copy_the_line_says_so(hub, monkeypatch):
    at(monkeypatch, unreachable())
    assert refusal().startswith(f"{NAME}: no such folder, it was not fetched before, and the hub cannot be reached")


def unreachable() -> str:
    """An address at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


def test_a_folder_of_that_name_wins_and_the_hub_is_not_asked(good, hub, tmp_path):
    hub.put(NAME, {"config.json": b"{}"})
    msma.load(good).save_pretrained(tmp_path / NAME)
    assert msma.load(NAME).weights.hub is None
    assert hub.asked == []


def test_a_name_that_is_nowhere_is_one_line_with_both_remedies(hub):
    line = refusal("runs/mine")
    assert line.startswith("runs/mine: no folder here and no model on the hub that you may see")
    assert "hf auth login" in line


def test_a_private_model_needs_its_owner(good, hub, monkeypatch):
    hub.put(NAME, good, private=True)
    assert "where it is private" in refusal()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert msma.load(NAME).weights.hub is not None


def test_a_gated_model_says_where_its_terms_are(good, hub):
    hub.put(NAME, good, gated=True)
    assert f"its owner asks that you accept terms; do so at {hub.address}/{NAME}" in refusal()


def test_a_revision_that_is_not_there_is_named(good, hub):
    hub.put(NAME, good)
    assert refusal(revision="v9") == f"{NAME}: has no revision 'v9'; leave it out for the newest"


def test_two_revisions_and_a_revision_of_a_folder_are_refused(good, hub):
    assert "names a revision already" in refusal(f"{NAME}@v1", revision="v2")
    assert "a folder has no revisions" in refusal(good, revision="v1")
    assert "a folder has no revisions" in refusal(None, revision="v1")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "model.pkl", "model.h5", "weights.safetensors"])
def test_another_format_than_safetensors_is_refused_without_being_fetched(good, hub, name):
    hub.put(NAME, {"config.json": (good / "config.json").read_bytes(), name: pickle.dumps("weights")})
    line = refusal()
    assert line.startswith(f"{NAME}: holds no model.safetensors (but {name}; weights are read from safetensors only")
    assert hub.fetched() == set()


def test_a_pickle_under_the_name_of_weights_is_refused(good, hub):
    hub.put(NAME, {**files_of(good), "model.safetensors": pickle.dumps({"head": 1})})
    line = refusal()
    assert line.startswith(f"{NAME}@")
    assert "not a safetensors file" in line


def test_a_repository_of_another_kind_is_refused(hub):
    hub.put(NAME, {"README.md": b"a data set"})
    assert refusal() == f"{NAME}: holds no config.json; name a model that `msma share` put there"


def test_a_file_that_is_too_large_is_not_fetched(good, hub):
    hub.put(NAME, {**files_of(good), "calibration.json": b" " * (1024**2 + 1)})
    assert f"{NAME}: calibration.json has 1,048,577 bytes, more than 1,048,576" in refusal()
    assert hub.fetched() == set()


def changed_tensors(good: Path, change) -> dict[str, bytes]:
    tensors = load_file(good / "model.safetensors")
    change(tensors)
    return {"model.safetensors": save(tensors)}


def changed_json(good: Path, name: str, change) -> dict[str, bytes]:
    values = json.loads((good / name).read_text(encoding="utf-8"))
    change(values)
    return {name: json.dumps(values).encode()}


FIRST = "head.layers.1.weight"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda good: changed_tensors(good, lambda t: t.pop(FIRST)), f"lacks tensor {FIRST}"),
        (lambda good: changed_tensors(good, lambda t: t.update(more=torch.ones(1))), "has an unknown tensor more"),
        (lambda good: changed_tensors(good, lambda t: t.update({FIRST: t[FIRST][1:].clone()})), f"{FIRST} has shape"),
        (lambda good: changed_tensors(good, lambda t: t[FIRST].fill_(torch.nan)), "not finite"),
        (lambda good: changed_json(good, "config.json", lambda c: c.update(auto_map={"x": "y"})), "auto_map"),
        (lambda good: changed_json(good, "config.json", lambda c: c["clip"].pop("fps")), "lacks clip.fps"),
        (
            lambda good: changed_json(good, "config.json", lambda c: c.update(format="msma-net/9")),
            "'msma-net/9' is not",
        ),
        (
            lambda good: changed_json(good, "config.json", lambda c: c["clip"].update(window_s=float("nan"))),
            "window_s",
        ),
        (lambda good: changed_json(good, "calibration.json", lambda c: c.update(more=1)), "more"),
        (lambda good: changed_json(good, "calibration.json", lambda c: c.pop("about")), "about"),
        (
            lambda good: changed_json(good, "calibration.json", lambda c: c["about"].update(weights_sha256="0")),
            "is of other weights",
        ),
    ],
    ids=[
        "tensor missing",
        "tensor extra",
        "tensor misshaped",
        "tensor NaN",
        "config key unknown",
        "config key missing",
        "config format",
        "config NaN",
        "calibration key unknown",
        "calibration key missing",
        "calibration of others",
    ],
)
def test_what_does_not_fit_is_refused_with_the_repository_and_the_commit(good, hub, damage, told):
    repository = hub.put(NAME, {**files_of(good), **damage(good)})
    line = refusal()
    assert line.startswith(f"{NAME}@{repository.refs['main']}: ")
    assert told in line


@pytest.mark.parametrize("text", ["a", "a/b/c", "/a/b", "./a/b", "../a", "a b/c", "a/b@", "", "~/a", "a\\b", "é/a"])
def test_what_can_be_no_name_of_the_hub_is_taken_for_a_path(text):
    assert msma.weights.hub.NAME.fullmatch(text) is None


def test_a_folder_is_read_without_loading_the_library(good):
    code = f"import msma, sys; msma.Model.from_pretrained({str(good)!r}); assert 'huggingface_hub' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120).returncode == 0


def test_predict_takes_a_name_of_the_hub(good, hub, make_media):
    repository = hub.put(NAME, good)
    ran = CliRunner().invoke(app, ["predict", str(make_media()), "--model", NAME, "--format", "json"])
    assert ran.exit_code == 0, ran.stderr
    assert json.loads(ran.stdout)[0]["model"] == f"{NAME}@{repository.refs['main']}"


def test_calibrate_wants_a_folder(hub, tmp_path):
    (tmp_path / "manifest.csv").write_text("clip,path,source,split,openness\na,a.mp4,a,val,0.5\n")
    ran = CliRunner().invoke(app, ["calibrate", "--model", NAME, "--manifest", str(tmp_path / "manifest.csv")])
    assert "no such folder" in str(ran.exception)
    assert hub.asked == []


@pytest.fixture
def shared(good, tmp_path) -> Path:
    """A folder with all that is shared."""
    msma.load(good).save_pretrained(tmp_path / "shared")
    (tmp_path / "shared" / "README.md").write_text("---\nlicense: apache-2.0\n---\n# card\n")
    return tmp_path / "shared"


@pytest.fixture
def owner(hub, monkeypatch) -> Hub:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


def test_what_is_pushed_is_one_commit_and_comes_back_to_the_bit(shared, owner):
    address = push(NAME, shared)
    (sha,) = owner.repositories[NAME].commits
    assert address == f"{owner.address}/{NAME}/commit/{sha}"
    assert owner.repositories[NAME].commits[sha] == files_of(shared)
    assert same(msma.load(NAME), msma.load(shared))


def test_a_repository_that_is_new_is_public_or_private_as_is_wanted(shared, owner):
    push(NAME, shared)
    push("someone/secret", shared, private=True)
    assert (owner.repositories[NAME].private, owner.repositories["someone/secret"].private) == (False, True)


def test_nothing_private_is_put_where_everybody_can_read_it(shared, owner):
    push(NAME, shared)
    with pytest.raises(MsmaError, match="is there already, and public"):
        push(NAME, shared, private=True)
    assert len(owner.repositories[NAME].commits) == 1


def test_a_push_by_nobody_says_how_to_log_in(shared, hub):
    with pytest.raises(MsmaError, match=rf"^{NAME}: the hub does not allow this; log in with `hf auth login`"):
        push(NAME, shared)
    assert hub.repositories == {}


@pytest.mark.parametrize("name", list(MAX_BYTES))
def test_weights_are_pushed_as_a_whole_or_not_at_all(shared, owner, name):
    (shared / name).unlink()
    with pytest.raises(MsmaError, match=f"lacks {name}"):
        push(NAME, shared)
    assert owner.asked == []


@pytest.mark.parametrize("name", ["msma-net", "a/b/c", f"{NAME}@main", "a b/c"])
def test_a_name_that_is_none_is_not_pushed_to(shared, owner, name):
    with pytest.raises(MsmaError, match="name a repository of the hub as owner/name"):
        push(name, shared)
    assert owner.asked == []
