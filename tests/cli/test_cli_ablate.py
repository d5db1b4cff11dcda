"""`msma ablate` from a corpus of sounds to its tables and files."""

from __future__ import annotations

import csv
import json
import wave
from pathlib import Path

import numpy as np
import pytest
import yaml
from planted import RECIPE, changed
from typer.testing import CliRunner, Result

from msma.cli.commands import app
from msma.config import ConfigError
from msma.data.corpora.manifest import Row, write_manifest

SPLITS = ("train",) * 8 + ("val",) * 4 + ("test",) * 4
TINY = changed(RECIPE, model={"fusion": "audio"}, train={"steps": 2})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A folder with `manifest.csv` of 16 sounds of 8 sources, `recipe.yaml` and two ablations beside it."""
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    rows = []
    for index, split in enumerate(SPLITS):
        path, scores = folder / f"{index:02d}.wav", rng.uniform(0.1, 0.9, 5)
        seconds = np.arange(16000) / 16000
        waveform = 0.05 * 10 ** scores[0] * np.sin(2 * np.pi * (200 + 1000 * scores[1]) * seconds)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes((32767 * waveform).astype("<i2").tobytes())
        rows.append(Row(path.name, path, f"source{index // 2}", split, tuple(scores.tolist())))
    write_manifest(folder / "manifest.csv", "tones", rows, {})
    (folder / "recipe.yaml").write_text(yaml.safe_dump(TINY.model_dump(mode="json")))
    (folder / "ablations").mkdir()
    (folder / "ablations" / "no_temporal_scales.yaml").write_text("model:\n  temporal_scales_s: []\n")
    (folder / "ablations" / "audio.yaml").write_text("model:\n  fusion: audio\n")
    return folder


def ablate(corpus: Path, out: Path, *more: object) -> Result:
    options = ("--manifest", corpus / "manifest.csv", "--out", out, "--cpu", "--workers", 1, "--seeds", 2, *more)
    return CliRunner().invoke(
        app, [str(argument) for argument in ("ablate", corpus / "recipe.yaml", *options)], catch_exceptions=False
    )


@pytest.fixture(scope="module")
def study(corpus, tmp_path_factory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("study")
    return out, ablate(corpus, out)


def test_the_tables_show_every_ablation_beside_the_constant_and_its_difference(study):
    _, result = study
    assert result.exit_code == 0, result.stderr
    rows = [line.split()[0] for line in result.stdout.splitlines() if line.strip()]
    assert [row for row in rows if row in ("full", "no_temporal_scales", "constant")] == [
        "full", "no_temporal_scales", "constant",  # clean scores
        "full", "no_temporal_scales",  # in each scenario
        "no_temporal_scales",  # minus full
        "no_temporal_scales",  # its verdict
    ]  # fmt: skip
    assert "minus full [95 %, paired by seed and source]" in result.stdout
    assert "2 seeds, 4 clips of 2 sources" in result.stdout
    assert "quality of audio with its noise: Spearman" in result.stdout


def test_what_changes_nothing_is_left_out_and_reported(study):
    _, result = study
    assert "audio: left out, it changes nothing in this recipe" in result.stderr


def test_the_files_have_what_is_documented(study):
    out, _ = study
    values = json.loads((out / "ablation.json").read_text())
    assert (values["recipe"], values["corpus"], values["split"], values["severity"]) == ("recipe", "tones", "test", 3)
    assert (values["seeds"], values["clips"], values["unpredicted"], values["sources"]) == (2, 4, 0, 2)
    assert values["left_out"] == {"audio": "changes nothing in this recipe"}
    assert list(values["rows"]) == ["full", "no_temporal_scales"]
    assert values["rows"]["no_temporal_scales"]["changes"] == {"model.temporal_scales_s": []}
    assert 0 < values["constant_mean_accuracy"] < 1
    assert list(values["checks"]["networks"]) == ["full"]
    assert list(values["checks"]["scales"]) == ["no_temporal_scales"]
    lines = list(csv.DictReader((out / "ablation.csv").open()))
    assert {line["ablation"] for line in lines} == {"full", "no_temporal_scales"}


def test_called_again_it_says_the_same_without_training(corpus, study):
    out, _ = study
    before, stamps = (out / "ablation.json").read_text(), {path: path.stat().st_mtime_ns for path in out.rglob("*.pt")}
    assert ablate(corpus, out, "--format", "json").stdout == before == (out / "ablation.json").read_text()
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.pt")} == stamps


def test_each_bar_is_shown_by_itself(study):
    _, result = study
    assert [line.split()[0] for line in result.stderr.splitlines() if "ETA" in line] == [
        *("decoding", "networks", "corrupting")
    ]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--only", "concat"), "--only concat: no such ablation"),
        (("--ablations", "nowhere"), "name their folder with --ablations"),
        (("--set", "train.stepz=3"), "train.stepz"),
        (("--paper-table",), "--only base: no such ablation"),
    ],
)
def test_a_mistake_is_reported_before_any_work(corpus, tmp_path, options, problem):
    with pytest.raises(ConfigError, match=problem):
        ablate(corpus, tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()
