"""Files: how they are read, written, held and called."""

from __future__ import annotations

import errno
import json
import os
import pickle
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from msma.files.folders import LOCK, locked
from msma.files.names import distinct_names
from msma.files.reading import read_file, read_yaml
from msma.files.writing import sweep, write_whole, written_whole
from msma.types import ConfigError, MsmaError, WriteError


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/clip.mp4", "b/other.mp4"], ["clip.mp4", "other.mp4"]),
        (["x/a/clip.mp4", "x/b/clip.mp4", "x/b/other.mp4"], ["a/clip.mp4", "b/clip.mp4", "other.mp4"]),
        (["run/1/clip.mp4", "run/2/1/clip.mp4"], ["run/1/clip.mp4", "2/1/clip.mp4"]),
        (["clip.mp4", "a/clip.mp4"], ["clip.mp4", "a/clip.mp4"]),
        (["a/clip.mp4", "a/clip.mp4"], ["clip.mp4", "clip.mp4"]),
        (["/clip.mp4", "", "bytes"], ["clip.mp4", ".", "bytes"]),
    ],
)
def test_a_path_is_called_by_the_shortest_end_that_no_other_has(paths, names):
    assert distinct_names(paths) == names


# one run, one folder


def hold_for_a_moment(folder: Path) -> None:
    with locked(folder):
        pass


def test_a_folder_is_held_by_one_run_and_the_second_is_told_by_which(tmp_path):
    with locked(tmp_path / "run"), ThreadPoolExecutor(1) as another:
        said = str(another.submit(hold_for_a_moment, tmp_path / "run").exception())
    assert f"run: process {os.getpid()} on {socket.gethostname()} (" in said
    assert ", since 20" in said


def test_whoever_holds_a_folder_tells_no_key(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/bin/msma", "prepare", "--key", "secret", "--key=secret", "--out", "m.csv"])
    with locked(tmp_path):
        about = json.loads((tmp_path / LOCK).read_text())
    assert about["command"] == "msma prepare --key ... --key=... --out m.csv"


def test_a_run_may_hold_its_folder_again_and_then_still_holds_it(tmp_path):
    with locked(tmp_path / "run"), ThreadPoolExecutor(1) as another:
        hold_for_a_moment(tmp_path / "run")
        with pytest.raises(MsmaError, match="writes into it"):
            another.submit(hold_for_a_moment, tmp_path / "run").result()
    hold_for_a_moment(tmp_path / "run")


def test_a_run_that_fails_leaves_no_unfinished_file_or_lock_of_processes_that_it_killed(tmp_path):
    (tmp_path / "cells").mkdir()

    def fails() -> None:
        with locked(tmp_path):
            (tmp_path / "cells" / ".clean.json.0.part").touch()
            (tmp_path / "cells" / LOCK).touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [path.name for path in tmp_path.rglob("*")] == ["cells"]


def test_a_folder_that_was_held_is_free_again_and_keeps_no_trace(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "run"):
            (tmp_path / "run" / "result").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["result"]


def test_a_folder_that_nothing_was_written_into_is_not_left(tmp_path):
    with locked(tmp_path / "new" / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


HOLDER = """
import sys, time
from pathlib import Path
from msma.files.folders import locked
from msma.files.writing import written_whole
with locked(Path(sys.argv[1])), written_whole(Path(sys.argv[1]) / "state") as part:
    part.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def killed_run(tmp_path):
    """A folder, and the process that holds it and writes `state` into it; killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield tmp_path, process
    process.kill()
    process.wait()


def test_a_living_holder_in_another_process_is_named_and_a_killed_one_holds_nothing(killed_run):
    folder, process = killed_run
    with pytest.raises(MsmaError, match=f"process {process.pid} on .*-c.*; wait until it has ended"), locked(folder):
        pass
    process.kill()
    process.wait()
    with locked(folder):
        assert json.loads((folder / LOCK).read_text())["pid"] == os.getpid()


def test_an_unfinished_file_of_a_killed_run_is_swept_and_that_of_a_living_one_is_not(killed_run):
    folder, process = killed_run
    sweep(folder)
    assert [path.read_text() for path in folder.glob(".*.part")] == ["half"]
    process.kill()
    process.wait()
    sweep(folder)
    assert list(folder.glob(".*.part")) == []


def test_an_unfinished_file_of_a_killed_run_is_reused(killed_run):
    folder, process = killed_run
    process.kill()
    process.wait()
    write_whole(folder / "state", "whole")
    assert (folder / "state").read_text() == "whole"
    assert list(folder.glob(".*.part")) == []


def test_two_that_write_the_same_file_do_not_mix(tmp_path):
    with written_whole(tmp_path / "state") as first, written_whole(tmp_path / "state") as second:
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "state").read_text() == "first"
    assert len(list(tmp_path.iterdir())) == 1


# what cannot be written


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("no space\nleft")])
def test_a_failure_to_write_is_one_line_with_the_path_and_the_old_file_is_whole(tmp_path, error):
    path = tmp_path / "state.pt"
    path.write_text("old")
    with pytest.raises(WriteError, match=r"state\.pt: cannot be written \(no space") as raised, written_whole(path):
        raise error
    assert len(str(raised.value).splitlines()) == 1
    assert [(at.name, at.read_text()) for at in tmp_path.iterdir()] == [("state.pt", "old")]


def test_a_folder_that_is_a_file_cannot_be_written_into(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(WriteError, match="taken/state: cannot be written"):
        write_whole(tmp_path / "taken" / "state", "")


def test_what_goes_wrong_otherwise_is_not_a_failure_to_write(tmp_path):
    with pytest.raises(ZeroDivisionError), written_whole(tmp_path / "state"):
        raise ZeroDivisionError


# what cannot be read


def whole_number(content: bytes) -> int:
    return int(content)


def test_whatever_a_parser_raises_is_one_line_with_the_path_and_the_remedy(tmp_path):
    (tmp_path / "number").write_text("1" * 9 + "\n\nx")
    with pytest.raises(MsmaError, match=r"number: cannot be read \(invalid literal.*\); count again$"):
        read_file(tmp_path / "number", whole_number, "count again", 100)


def test_a_larger_file_is_not_read(tmp_path):
    (tmp_path / "number").write_text("1" * 101)
    with pytest.raises(MsmaError, match="larger than"):
        read_file(tmp_path / "number", whole_number, "count again", 100)


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(MsmaError, match="not a regular file"):
            read_file(tmp_path / name, whole_number, "count again", 100)


@pytest.mark.parametrize(
    "scalar", ["2026-13-45", "0x_", "!!bool q", "!!timestamp x", "!!binary é", "[" * 2000, "&a [*a"]
)
def test_a_scalar_that_is_none_is_one_line(tmp_path, scalar):
    (tmp_path / "recipe.yaml").write_text(f"train: {scalar}\n")
    with pytest.raises(ConfigError, match=r"recipe\.yaml: cannot be read as YAML"):
        read_yaml(tmp_path / "recipe.yaml")


# messages


def test_an_error_is_one_line_of_at_most_300_characters_with_its_beginning_and_end():
    line = str(MsmaError("clip.mp4: broken\n\n" + "very " * 1000 + "broken; convert it"))
    assert len(line) == 300
    assert "\n" not in line
    assert line.startswith("clip.mp4: broken very")
    assert line.endswith("broken; convert it")


def test_an_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(WriteError("a\nb" * 200)))  # noqa: S301
    assert (type(error), error.args) == (WriteError, ("a\nb" * 200,))
