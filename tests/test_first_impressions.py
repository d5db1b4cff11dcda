"""From the downloads of First Impressions V2, however they are packed, by the README's own three commands."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from packed import Files, aes_zipped, locked_zipped, zipped
from typer.testing import CliRunner

from msma.cli.commands import app
from msma.data.corpora.manifest import read_manifest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
KEY = "a key of the owner"
QUICK = {
    "clip.crop_size": 64,
    "train.steps": 2,
    "train.validate_every": 2,
    "train.batch_size": 4,
    "train.feature_variants": 1,
}


def readme_commands() -> list[list[str]]:
    (block,) = re.findall(
        r"## Train\n\nOn First Impressions V2.*?```sh\n(.*?)```",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    return [shlex.split(line)[1:] for line in block.splitlines()]


def msma(*arguments: str):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "corpus"
    msma("synth", str(folder), "--clips", "24", "--seed", "2", "--seconds", "1")
    return folder


def by_split(corpus: Path) -> dict[str, Files]:
    """What the archives of each split hold; the oracle goes with the first."""
    parts: dict[str, Files] = {}
    for split, name in (("train", "training"), ("val", "validation"), ("test", "test")):
        parts[split] = {path.name: path.read_bytes() for path in (corpus / split).glob("*.mp4")}
        (labels,) = corpus.rglob(f"annotation_{name}.pkl")
        parts[split][labels.name] = labels.read_bytes()
    parts["train"]["oracle.json"] = (corpus / "oracle.json").read_bytes()
    return parts


LAYOUTS = {
    "zips": lambda _, files: zipped(files),
    "zips in zips": lambda split, files: zipped({f"{split}80_01.zip": zipped(files)}),
    "encrypted zips": lambda split, files: zipped(files) if split == "train" else locked_zipped(files, KEY),
    "encrypted zips in encrypted zips": lambda split, files: locked_zipped(
        {f"{split}80_01.zip": aes_zipped(files, KEY)}, KEY
    ),
}


@pytest.mark.parametrize("layout", ["folders", *LAYOUTS, "folders and an encrypted zip"])
def test_three_commands_lead_to_an_evaluated_model(
    layout, corpus, tmp_path, tmp_path_factory, monkeypatch, real_weights
):
    monkeypatch.chdir(tmp_path)
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for split, files in by_split(corpus).items():
        if layout == "folders" or (layout == "folders and an encrypted zip" and split != "test"):
            (downloads / split).mkdir()
            for name, content in files.items():
                (downloads / split / name).write_bytes(content)
        else:
            pack = LAYOUTS.get(layout, LAYOUTS["encrypted zips"])
            (downloads / f"{split}-1.zip").write_bytes(pack(split, files))
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    prepare, train, evaluate = readme_commands()
    shared = ["--cache", str(tmp_path_factory.getbasetemp() / "cache of all layouts")]
    msma(*prepare, "--key", KEY)
    msma(*train, *shared, "--cpu", *(word for key, value in QUICK.items() for word in ("--set", f"{key}={value}")))
    result = json.loads(msma(*evaluate, *shared, "--format", "json").stdout)
    rows = read_manifest(tmp_path / "fi" / "manifest.csv").rows
    assert len(rows) == 24
    assert result["clips"] == sum(row.split == "test" for row in rows)
    assert 0 < result["metrics"]["mean_accuracy"]["mean"] < 1
    assert set(result["baselines"]) == {"constant", "same_source"}
