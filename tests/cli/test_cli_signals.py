"""Commands that a signal ends while they and their processes start: one line, the right exit code, nothing left."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # real processes, each of which loads what a command does

RUN = "from msma.cli import main; main()"
RECIPE = "clip: {crop_size: 32}\nmodel: {width: 16, heads: 2}\ntrain: {steps: 400, batch_size: 4, workers: 2}\n"
MOMENTS_S = (0.1, 0.5, 1.2, 2.2, 4.0)
"""From before anything is loaded to when the work has begun."""
PROGRESS = re.compile(
    r"(predicting|decoding|unpacking|training|corrupting|folds|networks|rendering|explaining) |step \d+/"
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A folder with a rendered corpus, its manifest and a recipe."""
    folder = tmp_path_factory.mktemp("signals")
    for arguments in (
        ["synth", "c", "--clips", "24", "--seconds", "1"],
        ["prepare", "chalearn", "c", "--out", "m.csv"],
    ):
        subprocess.run([sys.executable, "-c", RUN, *arguments], cwd=folder, check=True, capture_output=True)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def in_session(session: int) -> list[int]:
    """The processes of a session."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(place.name))
    return found


def ended(command: list[str], folder: Path, number: int, after_s: float, everyone: bool) -> tuple[int, list[str]]:
    """Exit code and lines of a command that gets a signal, it alone or all processes of its terminal."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *command],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(after_s)
    with contextlib.suppress(ProcessLookupError):  # it is over
        (os.killpg if everyone else os.kill)(process.pid, number)
    errors = process.communicate(timeout=60)[1]
    deadline = time.monotonic() + 5
    while in_session(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert in_session(process.pid) == []
    return process.returncode, [line for line in errors.splitlines() if line.strip() and not PROGRESS.match(line)]


COMMANDS = {
    "predict": ["predict", "c/test", "c/train", "--format", "json", "--out", "{out}"],
    "prepare": ["prepare", "chalearn", "c", "--out", "{out}.csv"],
    "cache": ["evaluate", "--manifest", "m.csv", "--cache", "{out}", "--out", "{out}.scores"],
    "train": ["train", "recipe.yaml", "--manifest", "m.csv", "--out", "{out}", "--cpu"],
    "crossval": ["crossval", "recipe.yaml", "--manifest", "m.csv", "--out", "{out}", "--cpu", "--workers", "2"],
    "robustness": ["robustness", "--manifest", "m.csv", "--out", "{out}", "--workers", "2"],
    "explain": ["explain", "{clip}", "--out", "{out}"],
    "synth": ["synth", "{out}", "--clips", "48", "--seconds", "4"],
    "serve": ["serve", "--port", "0"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_at_any_moment_of_the_start_is_one_line(corpus, name):
    broken_off = 0
    for place, after_s in enumerate(MOMENTS_S):
        number, everyone = [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGTERM, True)][place % 3]
        clip = str(next((corpus / "c" / "test").glob("*.mp4")))
        command = [part.format(out=f"{name}_{place}", clip=clip) for part in COMMANDS[name]]
        code, lines = ended(command, corpus, number, after_s, everyone)
        if code in (0, -number):  # it was over before, or had nothing left to do but to go
            break
        assert code == 128 + number, (after_s, lines)
        stopped = [line for line in lines if line.startswith(("stopping after this step", "stopped at step"))]
        said = [line for line in lines if f"ended by {number.name}" in line]
        assert len(stopped) == 2 or len(said) == 1, (after_s, lines)
        assert not [line for line in lines if re.search("Traceback|Error|Exception|Warning|leaked", line)], lines
        broken_off += 1
    assert broken_off > 2
