"""What a server kept of clips is gone at its end, or at the start of the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from msma.serve.server import own_folder

KEEPS = """
import time
from pathlib import Path
from msma.serve.server import own_folder
with own_folder() as folder:
    Path(folder, "clip.mp4").touch()
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def other(temporary):
    """Another server, and its folder."""
    with subprocess.Popen(
        [sys.executable, "-c", KEEPS], stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(temporary)}
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_clips_of_a_server_that_was_killed_are_deleted(other, temporary):
    process, folder = other
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "clip.mp4").exists()
    with own_folder() as own:
        assert list(temporary.iterdir()) == [Path(own)]


def test_clips_of_a_server_that_runs_stay(other):
    _, folder = other
    with own_folder():
        assert (folder / "clip.mp4").exists()


def test_folders_of_others_stay(temporary):
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / "mine").touch()
    (temporary / "msma-serve-link").symlink_to(temporary / "elsewhere")
    (temporary / "msma-else").mkdir()
    with own_folder():
        assert (temporary / "elsewhere" / "mine").exists()
        assert (temporary / "msma-else").exists()


def test_nothing_is_left_of_a_server_that_ended(temporary):
    with own_folder() as own:
        Path(own, "clip.mp4").touch()
    assert list(temporary.iterdir()) == []
