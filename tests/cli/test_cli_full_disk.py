"""Commands whose files become larger than the disk lets them: one line with the path, what was there, nothing else."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # real processes, each of which loads what a command does

RUN = "from msma.cli import main; main()"
RECIPE = "clip: {crop_size: 32}\nmodel: {width: 16, heads: 2}\ntrain: {steps: 4, batch_size: 4, validate_every: 2}\n"
COMMANDS = {
    "synth": ["synth", "{out}", "--clips", "6", "--seconds", "1", "--workers", "2"],
    "prepare": ["prepare", "chalearn", "c", "--out", "{out}/m.csv", "--no-media-check"],
    "cache": ["evaluate", "--manifest", "m.csv", "--cache", "{out}"],
    "evaluate": ["evaluate", "--manifest", "m.csv", "--cache", "cache", "--out", "{out}"],
    "train": ["train", "recipe.yaml", "--manifest", "m.csv", "--cache", "{out}/cache", "--out", "{out}", "--cpu"],
    "explain": ["explain", "{clip}", "--out", "{out}/page.html"],
    "corruptions": [
        "corruptions",
        "--only",
        "gain",
        "--clip",
        "{clip}",
        "--clip",
        "{clip}",
        "--preview",
        "{out}/page.html",
    ],
}
"""Each writes into {out} alone."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A folder with a rendered corpus, its manifest, its cache and a recipe."""
    folder = tmp_path_factory.mktemp("full")
    for arguments in (
        ["synth", "c", "--clips", "12", "--seconds", "1"],
        ["prepare", "chalearn", "c", "--out", "m.csv"],
        *(
            ["evaluate", "--manifest", "m.csv", "--cache", "cache", "--split", split]
            for split in ("train", "val", "test")
        ),
    ):
        subprocess.run([sys.executable, "-c", RUN, *arguments], cwd=folder, check=True, capture_output=True)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


@pytest.mark.parametrize("most_bytes", [100, 900])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_with_the_path_and_leaves_nothing(corpus, name, most_bytes):
    clip, out = next((corpus / "c" / "test").glob("*.mp4")), f"{name}_{most_bytes}"
    ran = subprocess.run(
        [sys.executable, "-c", RUN, *(part.format(clip=clip, out=out) for part in COMMANDS[name])],
        cwd=corpus,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
        timeout=100,
    )
    said = [line for line in ran.stderr.splitlines() if "msma" in line or "Error" in line]
    assert ran.returncode == 1, ran.stderr
    assert len(said) == 1, ran.stderr
    assert said[0].startswith(f"msma: {out}/")
    assert ": cannot be written (" in said[0]
    assert [path.name for path in (corpus / out).rglob("*") if path.suffix == ".part"] == []
    assert not (corpus / out / ".lock").exists()
