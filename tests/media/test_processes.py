"""Work in processes that may die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import GeneratorType

import pytest

from msma.media.processes import each_done, in_processes
from msma.types import MsmaError


def outcome(done) -> int | str:
    return done.result() if done.exception() is None else type(done.exception()).__name__


def square_or_die(job: int) -> int:
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if job == 5:
        raise ValueError("five")
    return job * job


def die_once(job: int, folder: Path) -> tuple[int, int]:
    """Dies at job 2, unless it did before; tells how many processes are at work."""
    if job == 2 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"{job}").touch()
    return job, os.getpid()


def test_a_job_that_kills_its_process_loses_no_other_job():
    outcomes = {job: outcome(done) for job, done in in_processes(square_or_die, range(8), workers=2)}
    assert outcomes == {0: 0, 1: 1, 2: 4, 3: "BrokenProcessPool", 4: 16, 5: "ValueError", 6: 36, 7: 49}


def test_a_job_whose_process_died_is_tried_again_when_all_others_are_done(tmp_path):
    results = [done.result() for _, done in in_processes(partial(die_once, folder=tmp_path), range(5), workers=2)]
    assert [job for job, _ in results][-1] == 2
    assert sorted(job for job, _ in results) == [0, 1, 2, 3, 4]


@dataclass(frozen=True)
class Job:
    path: Path
    number: int = 3


def named_or_die(job: Job) -> str:
    return f"{job.path} {square_or_die(job.number)}"


def threads(_job: int) -> tuple[bool, int]:
    """Whether torch was loaded before the work asked for it, and how many threads it takes."""
    loaded = "torch" in sys.modules
    import torch

    return loaded, torch.get_num_threads()


def test_a_process_loads_torch_only_for_work_that_needs_it_and_takes_one_thread(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    ((_, done),) = in_processes(threads, [0], workers=1)
    assert done.result() == (False, 1)


def test_jobs_are_done_here_or_in_processes_with_the_same_results():
    jobs = [Job(Path(f"{number}.json"), number) for number in (1, 2, 4)]
    here = list(each_done(named_or_die, jobs, 0))
    assert here == ["1.json 1", "2.json 4", "4.json 16"]
    assert sorted(each_done(named_or_die, jobs, 2)) == here


def test_a_job_that_dies_twice_is_one_line_that_names_its_file():
    with pytest.raises(
        MsmaError, match=r"^a\.json: the process died twice, crashed or out of memory; run again with --workers 1$"
    ):
        list(each_done(named_or_die, [Job(Path("a.json"))], 1))


def test_without_jobs_no_process_is_started(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: pytest.fail("a process is started"))
    assert list(in_processes(square_or_die, [], workers=2)) == []


@pytest.mark.parametrize("end", [list, GeneratorType.close])
def test_what_is_done_or_broken_off_leaves_no_thread_that_python_would_wake_when_it_ends(end):
    before = set(threading.enumerate())
    done = in_processes(square_or_die, [1, 2, 3], 2)
    next(done)
    end(done)
    assert set(threading.enumerate()) <= before


def test_processes_end_with_the_one_that_waits_for_them_even_if_it_is_killed(tmp_path):
    code = (
        "import time\n"
        "from msma.media.processes import in_processes\n"
        "if __name__ == '__main__':\n"
        "    for job, done in in_processes(time.sleep, [0, 600, 600], 2):\n"
        "        print('at work', flush=True)\n"
    )
    (tmp_path / "script.py").write_text(code)
    parent = subprocess.Popen([sys.executable, tmp_path / "script.py"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "at work\n"
    parent.kill()
    parent.communicate(timeout=60)  # ends when the last process that holds the pipe has ended


def test_a_script_that_lacks_the_main_guard_is_one_line_that_says_so(tmp_path):
    code = "from msma.media.processes import in_processes\nlist(in_processes(abs, [1], 1))\n"
    (tmp_path / "script.py").write_text(code)
    ended = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=60)
    assert "MsmaError: no process can be started; in a script" in ended.stderr
