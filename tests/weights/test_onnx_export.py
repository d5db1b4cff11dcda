"""Exporting to ONNX: the same predictions without torch, from one file, or a refusal in one line."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from exports import CLIP, SMALL, saved_weights, weighed, weights_of
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from raw import inputs_from
from tiny_hf import CONVOLUTIONS, TINY
from typer.testing import CliRunner

import msma
from msma.cli.commands import app
from msma.config import ModelConfig
from msma.media.clip import clip_from_arrays
from msma.types import Clip, MsmaError
from msma.weights import onnx_export as export_module
from msma.weights.checkpoint import Weights, load_weights
from msma.weights.onnx import MAX_BYTES, OUTPUTS, ExportedWeights, load_exported
from msma.weights.onnx_export import difference, export_onnx, random_batch, torch_outputs

RUN, EXPORT = "run", "export"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of weights and its export, made once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "exports"
    with FileLock(f"{root}.lock"):
        if not (root / EXPORT / "export.json").exists():
            export_onnx(saved_weights(root / RUN, weights_of(SMALL)), root / EXPORT)
    return root


@pytest.fixture(scope="session")
def weights(made: Path) -> Weights:
    return load_weights(made / RUN)


@pytest.fixture(scope="session")
def exported(made: Path) -> ExportedWeights:
    return load_exported(made / EXPORT)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """An export to be damaged."""
    return Path(shutil.copytree(made / EXPORT, tmp_path / EXPORT))


def refusal(folder: Path) -> str:
    """The one line with which the folder is refused."""
    with pytest.raises(MsmaError) as caught:
        load_exported(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def apart(weights: Weights, exported: ExportedWeights, batch: dict[str, np.ndarray]) -> float:
    expected = torch_outputs(weights, batch)
    found = exported.outputs(batch)
    return max(float(np.abs(getattr(found, name) - getattr(expected, name).numpy()).max()) for name in OUTPUTS)


# the same predictions


@given(st.integers(1, 4), st.integers(1, 30), st.integers(1, 300), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_for_any_clips_frames_and_steps_predictions_are_those_of_torch(weights, exported, clips, frames, steps, seed):
    assert apart(weights, exported, random_batch(CLIP, clips, frames, steps, seed)) < 1e-5


@pytest.mark.parametrize("present", [(True, True), (True, False), (False, True), (False, False)])
def test_so_are_those_where_a_modality_is_missing(weights, exported, present):
    batch = random_batch(CLIP, 3, 8, 120, seed=4)
    assert apart(weights, exported, batch | {"present": np.tile(present, (3, 1))}) < 1e-5


@pytest.mark.parametrize("mask", ["frame_mask", "mel_mask"])
def test_so_are_those_where_all_of_a_modality_is_masked(weights, exported, mask):
    batch = random_batch(CLIP, 2, 8, 120, seed=5)
    assert apart(weights, exported, batch | {mask: np.zeros_like(batch[mask])}) < 1e-5


def some_clip(seed: int) -> Clip:
    """Of any length; every third lacks its audio, every fifth its frames."""
    rng = np.random.default_rng(seed)
    seconds = float(rng.uniform(0.3, 9))
    frames = rng.integers(256, size=(math.ceil(4 * seconds), 40, 56, 3), dtype=np.uint8)
    audio = (rng.uniform(0.001, 0.2) * rng.standard_normal(round(16000 * seconds))).clip(-1, 1).astype(np.float32)
    return clip_from_arrays(frames if seed % 5 else None, audio if seed % 3 else None, fps=4.0, name=str(seed))


def assert_close(one: Any, other: Any) -> None:
    """Equal but for numbers, which may be 1e-4 apart."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_close(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_close(first, second)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-4)
    else:
        assert one == other


def but_device(predictions: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], set[str | None]]:
    """Predictions without where they were found and the fingerprint of that, and where it was."""
    without = [{key: found[key] for key in found if key not in ("device", "settings")} for found in predictions]
    return without, {found["device"] for found in predictions}


def test_the_whole_prediction_for_twenty_clips_is_that_of_torch(made):
    """With its status, reasons, intervals, qualities and windows."""
    models = [
        msma.load(made / folder, runtime=runtime, face="whole", min_quality=0.5)
        for folder, runtime in ((RUN, "torch"), (EXPORT, "onnx"))
    ]
    clips = [some_clip(seed) for seed in range(1, 15)] + [some_clip(seed) for seed in (18, 20, 21, 24, 25, 27)]
    predictions = [[model.predict(clip) for clip in clips] for model in models]
    (reported, devices), (other, other_devices) = (
        but_device([asdict(prediction) for prediction in those]) for those in predictions
    )
    assert_close(reported, other)
    assert (devices, other_devices) == ({"cpu"}, {"cpu, onnxruntime"})
    statuses = {prediction.status for prediction in predictions[0]}
    assert statuses == {"degraded", "abstained"}
    assert all(prediction.intervals is not None for prediction in predictions[0] if prediction.traits is not None)
    assert any(len(prediction.windows) > 1 for prediction in predictions[0])


def test_the_command_line_predicts_with_it_and_never_loads_torch(made, make_media, tmp_path):
    make_media("talks.mp4", seconds=5.0)
    make_media("mute.mp4", rate=None)
    make_media("sound.m4a", fps=None)
    (tmp_path / "fake.mp4").write_text("no video")
    tell = "import atexit, sys; atexit.register(lambda: sys.stderr.write(f'torch: {\"torch\" in sys.modules}'))"
    arguments = ["predict", str(tmp_path), "--format", "json", "--alpha", "0.2", "--model"]
    predictions = []
    for runtime, place in (("onnx", EXPORT), ("torch", RUN)):
        command = ["msma", *arguments, str(made / place), "--runtime", runtime]
        ran = subprocess.run(
            [sys.executable, "-c", f"{tell}; sys.argv = {command!r}; from msma.cli import main; main()"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0
        assert ran.stderr.endswith(f"torch: {runtime == 'torch'}")
        predictions.append(json.loads(ran.stdout))
    (reported, devices), (other, other_devices) = (but_device(those) for those in predictions)
    assert_close(reported, other)
    assert (devices, other_devices) == ({"cpu, onnxruntime", None}, {"cpu", None})
    assert [prediction["status"] for prediction in predictions[0]].count("failed") == 1
    assert {prediction["coverage"] for prediction in predictions[0] if prediction["traits"]} == {0.8}


def test_an_exported_network_gives_no_intermediates(exported):
    with pytest.raises(MsmaError, match="name the run that it was made of"):
        exported.output(inputs_from(some_clip(1), CLIP), return_intermediates=True)


# exporting


def test_the_command_tells_how_far_it_is_from_torch_and_how_fast(made, tmp_path, monkeypatch):
    network = (made / EXPORT / "model.onnx").read_bytes()
    monkeypatch.setattr(export_module, "onnx_bytes", lambda _: network)
    ran = CliRunner().invoke(app, ["export", "onnx", "--model", str(made / RUN), "--out", str(tmp_path / "out")])
    assert ran.exit_code == 0
    assert "largest difference from torch: " in ran.stderr
    assert "of torch's" in ran.stderr
    assert load_exported(tmp_path / "out").config == load_weights(made / RUN).config
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["model.onnx", "config.json", "calibration.json", "export.json"]
    )


def test_an_export_whose_predictions_differ_is_not_kept(made, tmp_path, monkeypatch):
    network = (made / EXPORT / "model.onnx").read_bytes()
    monkeypatch.setattr(export_module, "onnx_bytes", lambda _: network)
    with pytest.raises(MsmaError, match="differs from torch by 0"):
        export_onnx(weights_of(SMALL, seed=1), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_export_of_weights_without_intervals_takes_away_those_of_an_earlier_one(made, folder, monkeypatch):
    network = (folder / "model.onnx").read_bytes()
    monkeypatch.setattr(export_module, "onnx_bytes", lambda _: network)
    export_onnx(Weights(load_weights(made / RUN).network, load_weights(made / RUN).config), folder)
    assert load_exported(folder).calibration is None


def test_a_folder_with_weights_of_its_own_is_not_written_to(weights, made):
    with pytest.raises(MsmaError, match="holds weights of its own; name another folder with --out"):
        export_onnx(weights, made / RUN)


def test_a_speech_model_of_the_transformers_library_is_refused_in_one_line(tmp_path):
    architecture = {"config": {"model_type": "wav2vec2", **TINY, **CONVOLUTIONS}}
    model = ModelConfig(width=16, heads=2, fusion="audio", audio_backbone="hf:speech", audio_architecture=architecture)
    with pytest.raises(MsmaError, match=r"^hf:speech: speech models of the transformers library cannot be exported"):
        export_onnx(weights_of(model), tmp_path / "out")


def test_what_the_exporter_cannot_do_is_one_line_that_names_the_backbones(weights, tmp_path, monkeypatch):
    def refused(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such operator\nwith many lines of advice")

    monkeypatch.setattr(torch.export, "export", refused)
    with pytest.raises(MsmaError, match=r"^tiny: small and small cannot be exported \(no such operator\)$"):
        export_onnx(weights, tmp_path / "out")


def test_the_file_tells_nothing_of_the_machine_that_it_was_made_on(made):
    network = (made / EXPORT / "model.onnx").read_bytes()
    assert b"site-packages" not in network
    assert b".py" not in network
    assert str(Path.home()).encode() not in network


def test_its_lengths_are_open_and_have_names(made):
    graph = onnx.load(made / EXPORT / "model.onnx").graph
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in [*graph.input, *graph.output]
    }
    assert shapes["frames"] == ["clips", "frames", 3, 16, 16]
    assert shapes["log_mel"] == ["clips", 20, "steps"]
    assert shapes["waveform"] == ["clips", "samples"]
    assert shapes["traits"] == ["clips", 5]


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(width=16, heads=2, fusion="audio", audio_backbone="ge2e+mfcc", linear_path=True),
        ModelConfig(width=16, heads=2, fusion="visual", visual_backbone="efficientnet_lite0"),
        ModelConfig(
            width=16,
            heads=2,
            fusion="concat",
            spatial_scales=(),
            temporal_scales_s=(),
            visual_backbone="hf:pictures",
            visual_architecture={"config": {"model_type": "vit", "image_size": 16, "patch_size": 8, **TINY}},
        ),
    ],
    ids=["ge2e and mfcc with the linear path", "efficientnet", "vit by concatenation"],
)
def test_networks_with_other_backbones_are_exported_as_well(model, tmp_path):
    weights = weights_of(model)
    if model.fusion == "concat":
        weights = weighed(weights)
    found = export_onnx(weights, tmp_path / "out")
    assert found.largest_difference < 1e-4
    exported = load_exported(tmp_path / "out")
    for size in ((1, 1, 99), (3, 17, 420)):
        assert apart(weights, exported, random_batch(CLIP, *size, seed=9)) < 1e-4


def test_prosody_is_refused(tmp_path):
    with pytest.raises(MsmaError, match=r"prosody cannot be exported; use the network with torch$"):
        export_onnx(
            weights_of(ModelConfig(width=16, heads=2, fusion="audio", audio_backbone="prosody")), tmp_path / "out"
        )


# loading


def test_a_folder_without_an_export_is_an_error_that_says_how_to_make_one(made):
    assert "holds no model.onnx; make it with `msma export onnx --model RUN --out" in refusal(made / RUN)


def test_the_bundled_weights_are_not_exported():
    with pytest.raises(MsmaError, match="msma export onnx --out FOLDER"):
        msma.load(runtime="onnx")


def test_another_device_is_refused(made):
    with pytest.raises(MsmaError, match="runs on the CPU"):
        msma.load(made / EXPORT, runtime="onnx", device="cuda")


def test_without_onnxruntime_the_extra_is_named(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refusal(made / EXPORT) == "onnxruntime is not installed: pip install 'msma[onnx]'"


def test_without_the_exporter_the_extra_is_named(weights, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MsmaError, match=r"pip install 'msma\[onnx\]'"):
        export_onnx(weights, tmp_path / "out")


def vouched_for(folder: Path, network: bytes) -> None:
    """Put another network in, as one would who can write export.json too."""
    (folder / "model.onnx").write_bytes(network)
    about = json.loads((folder / "export.json").read_text())
    about["onnx_sha256"] = hashlib.sha256(network).hexdigest()
    (folder / "export.json").write_text(json.dumps(about))


def edited(folder: Path, change: Callable[[onnx.ModelProto], Any]) -> bytes:
    model = onnx.load(folder / "model.onnx")
    change(model)
    return model.SerializeToString()


def test_a_network_of_other_weights_is_refused(folder):
    def other(model: onnx.ModelProto) -> None:
        largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        largest.raw_data = bytes(len(largest.raw_data))

    (folder / "model.onnx").write_bytes(edited(folder, other))
    assert "is not the network that export.json is of" in refusal(folder)


def test_a_calibration_of_other_weights_is_refused(folder):
    text = (folder / "calibration.json").read_text()
    values = json.loads(text)
    values["about"]["weights_sha256"] = "0" * 64
    (folder / "calibration.json").write_text(json.dumps(values))
    assert "is of other weights" in refusal(folder)


def test_a_configuration_that_was_changed_is_refused(folder):
    values = json.loads((folder / "config.json").read_text())
    values["clip"]["fps"] = 2.0
    (folder / "config.json").write_text(json.dumps(values))
    assert "is not what the network was exported with" in refusal(folder)


@pytest.mark.parametrize("place", ["/etc/hostname", "../secret", "*/_ORT_MEM_ADDR_/*"])
def test_tensors_outside_of_the_file_are_refused(folder, place):
    def outside(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)

    vouched_for(folder, edited(folder, outside))
    assert "keeps tensors outside of the file" in refusal(folder)


@pytest.mark.parametrize("network", [b"", b"no network", b"\x80\x04\x95" + b"0" * 99], ids=["empty", "text", "pickle"])
def test_what_is_no_network_is_refused(folder, network):
    vouched_for(folder, network)
    assert "model.onnx: " in refusal(folder)


def test_another_kind_of_network_is_refused(folder):
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [value("x", onnx.TensorProto.FLOAT, [1])],
        [value("y", onnx.TensorProto.FLOAT, [1])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    vouched_for(folder, model.SerializeToString())
    assert "is another kind of network" in refusal(folder)


def test_predictions_that_are_none_are_refused(folder):
    def without_range(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            if "traits" in node.output:
                node.op_type = "Neg"

    vouched_for(folder, edited(folder, without_range))
    with pytest.raises(MsmaError, match="its traits are not a prediction; export it again"):
        load_exported(folder).outputs(random_batch(CLIP, 1, 2, 30, seed=0))


def test_a_file_that_is_too_large_is_not_read(folder):
    os.truncate(folder / "model.onnx", MAX_BYTES + 1)
    assert "larger than 1024 MiB" in refusal(folder)


@pytest.mark.parametrize(("key", "value"), [("format", "msma-onnx/1"), ("weights_sha256", "abc"), ("surprise", 1)])
def test_an_unknown_export_file_is_refused(folder, key, value):
    about = json.loads((folder / "export.json").read_text())
    (folder / "export.json").write_text(json.dumps(about | {key: value}))
    assert f"export.json (make it with `msma export onnx --model RUN --out {folder}`): {key}" in refusal(folder)


def test_the_check_finds_a_difference_wherever_it_is(weights, exported, monkeypatch):
    plain = type(exported).outputs
    for name in OUTPUTS:

        def changed(self: ExportedWeights, batch: dict[str, np.ndarray], name: str = name) -> Any:
            found = plain(self, batch)
            getattr(found, name)[-1, -1] += 0.25
            return found

        monkeypatch.setattr(ExportedWeights, "outputs", changed)
        assert difference(weights, exported)[0] == pytest.approx(0.25, abs=1e-4)
