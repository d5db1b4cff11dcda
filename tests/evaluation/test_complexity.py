"""What an answer costs: counts that can be checked by hand, and stages that are those of the real thing."""

from __future__ import annotations

import json
import math
from functools import partial

import pytest
import torch
from exports import CLIP, SMALL
from torch import nn
from typer.testing import CliRunner

from msma.cli.commands import app
from msma.config import ClipConfig, ModelConfig
from msma.evaluation.complexity import (
    MEDIA_STAGES,
    NETWORK,
    NETWORK_STAGES,
    WHOLE,
    ProfileJob,
    macs_in,
    measured,
    media_stages,
    network_stages,
    parameters_of,
    variants_of,
)
from msma.model.msma_net import MsMANet
from msma.types import MsmaError
from msma.weights.checkpoint import load_weights


def network_of(**changes: object) -> MsMANet:
    return MsMANet(ModelConfig.model_validate(SMALL.model_dump() | changes), CLIP).eval()


@pytest.fixture
def known(make_media) -> list[dict]:
    """All that is known of the windows of a clip before the network sees them."""
    job = ProfileJob("full", SMALL, CLIP, make_media(seconds=6.0), "cpu", 1)
    windows: list[dict] = []
    for run in media_stages(job, None).values():
        run(windows)
    return windows


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Linear(7, 5), (3, 7), 3 * 7 * 5),
        (nn.Conv2d(4, 6, 3, padding=1), (2, 4, 10, 12), 2 * 10 * 12 * 6 * 4 * 9),
        (nn.Conv2d(8, 8, 5, padding=2, groups=8), (1, 8, 9, 9), 9 * 9 * 8 * 25),
        (nn.LSTM(4, 6, batch_first=True), (2, 11, 4), 2 * 11 * 4 * 6 * (4 + 6)),
    ],
    ids=["linear", "convolution", "depthwise convolution", "recurrent"],
)
def test_multiply_adds_are_those_counted_by_hand(layer, shape, macs):
    with torch.inference_mode():
        assert macs_in(partial(layer, torch.zeros(shape))) == macs


@pytest.mark.parametrize("changes", [{}, {"fusion": "audio"}, {"fusion": "concat", "linear_path": True}], ids=str)
def test_the_stages_one_after_the_other_are_the_network(known, changes):
    network = network_of(**changes)
    for run in network_stages(network, "cpu").values():
        run(known)
    assert len(known) == 2
    for window in known:
        with torch.inference_mode():
            expected = network(window["inputs"])
        assert torch.equal(window["output"].traits, expected.traits)
        assert torch.equal(window["output"].quality, expected.quality)


@pytest.mark.parametrize("changes", [{}, {"fusion": "visual"}, {"imputation": False}], ids=str)
def test_every_parameter_belongs_to_one_stage(changes):
    network = network_of(**changes)
    found = parameters_of(network)
    assert sum(found[stage] for stage in NETWORK_STAGES) == found[NETWORK] == found[WHOLE]
    assert found[WHOLE] == sum(parameter.numel() for parameter in network.parameters())


def test_what_a_network_of_one_modality_does_not_read_costs_nothing(make_media):
    model = ModelConfig.model_validate(SMALL.model_dump() | {"fusion": "visual"})
    rows = {row.stage: row for row in measured(ProfileJob("visual", model, CLIP, make_media(), "cpu", 2))}
    assert rows["audio backbone"].macs == rows["audio encoder"].macs == 0
    assert rows["audio backbone"].parameters == rows["audio encoder"].parameters == 0
    assert rows["visual backbone"].macs > 0


def test_each_stage_has_a_row_and_the_sums_come_last(make_media):
    rows = measured(ProfileJob("full", SMALL, CLIP, make_media(), "cpu", 3))
    assert [row.stage for row in rows] == [*MEDIA_STAGES, *NETWORK_STAGES, NETWORK, WHOLE]
    by_stage = {row.stage: row for row in rows}
    assert by_stage[WHOLE].share == 1
    assert by_stage[WHOLE].macs == sum(by_stage[stage].macs for stage in NETWORK_STAGES)
    for row in rows:
        assert 0 < row.p50_ms <= row.p95_ms <= by_stage[WHOLE].p95_ms
        assert row.real_time_factor == pytest.approx(row.p50_ms / 2000, rel=0.05)  # the sound is a little longer
        assert row.peak_mib is None or row.peak_mib >= 0


def test_a_variant_that_is_what_is_measured_already_is_left_out():
    everything = variants_of(SMALL)
    assert list(everything) == [
        *("full", "audio", "visual", "concat", "no_spatial_scales", "no_temporal_scales", "pretrained_encoders")
    ]
    assert "audio" not in variants_of(everything["audio"])
    assert list(variants_of(SMALL, ["audio"])) == ["audio"]


def test_a_variant_that_is_not_there_is_told():
    with pytest.raises(MsmaError, match="--only small: no such variant of this network; there are full, audio"):
        variants_of(SMALL, ["small"])


def test_the_command_shows_two_tables_and_writes_rows_of_plain_values(make_media, tmp_path):
    out = tmp_path / "profile.json"
    arguments = ["profile", "--clip", str(make_media()), "--only", "audio", "--rounds", "2", "--device", "cpu"]
    ran = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "audio, stage by stage" in ran.stdout
    assert "variants" in ran.stdout
    written = json.loads(out.read_text())
    bundled, rows = load_weights(None).config, written["rows"]
    assert (ModelConfig(**written["model"]), ClipConfig(**written["clip"])) == (bundled.model, bundled.clip)
    assert [row["stage"] for row in rows] == [*MEDIA_STAGES, *NETWORK_STAGES, NETWORK, WHOLE]
    assert {row["variant"] for row in rows} == {"audio"}
    assert all(
        value is None or isinstance(value, str) or math.isfinite(value) for row in rows for value in row.values()
    )
