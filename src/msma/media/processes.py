"""Work in parallel processes, of which any may die without taking the others' work with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, TypeVar

import cv2

from msma.types import MsmaError

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


def each_done(work: Callable[[Any], ResultT], jobs: Sequence[Any], workers: int) -> Iterator[ResultT]:
    """Do every job, in so many processes, or in this one where `workers` is 0; gives the results as they come;
    MsmaError, which names the `path` of a job, where its process died twice; and whatever the work raises.
    """
    if not workers:
        yield from map(work, jobs)
    for job, done in in_processes(work, jobs, workers) if workers else ():
        if isinstance(done.exception(), BrokenProcessPool):
            raise MsmaError(f"{job.path}: the process died twice, crashed or out of memory; run again with --workers 1")
        yield done.result()


def in_processes(
    work: Callable[[JobT], ResultT], jobs: Sequence[JobT], workers: int, begun: Callable[[], None] | None = None
) -> Iterator[tuple[JobT, Future[ResultT]]]:
    """Do `work` on every job in `workers` processes; gives each job with its result or exception, as they come.

    `begun` is the first thing in each process, by default `begin`.

    A job whose process dies (a crash, no memory) is tried once more at the end, alone. If it dies again, its exception
    is BrokenProcessPool. MsmaError where no process can be started.
    """
    died: list[JobT] = []
    for job, done in spread(work, jobs, workers, begun or begin):
        if isinstance(done.exception(), BrokenProcessPool):
            died.append(job)
        else:
            yield job, done
    yield from spread(work, died, 1, begun or begin)


def spread(
    work: Callable[[JobT], ResultT], jobs: Sequence[JobT], workers: int, begun: Callable[[], None]
) -> Iterator[tuple[JobT, Future[ResultT]]]:
    """A pool for each process, so that it is plain which job a dead one was at."""
    waiting = list(reversed(jobs))
    idle = [new_process(begun) for _ in range(min(workers, len(jobs)))]
    busy: dict[Future[ResultT], tuple[JobT, ProcessPoolExecutor]] = {}
    try:
        for alive in [process.submit(os.getpid) for process in idle]:
            alive.result()
    except BrokenProcessPool as error:
        remedy = "in a script, call this below `if __name__ == '__main__':`"
        raise MsmaError(f"no process can be started; {remedy}") from error
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                process = idle.pop() if idle else new_process(begun)
                try:
                    task = process.submit(work, waiting[-1])
                except BrokenProcessPool:  # it died, at its last job or since: another one is begun
                    continue
                busy[task] = waiting.pop(), process
            for done in wait(busy, return_when=FIRST_COMPLETED).done:
                job, process = busy.pop(done)
                idle.append(process)
                yield job, done
    finally:
        for process in (*idle, *(process for _, process in busy.values())):
            process.shutdown(wait=False, cancel_futures=True)


def new_process(begun: Callable[[], None]) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=begun)


def leave_interrupts(_worker: int = 0) -> None:
    """Ctrl-C reaches every process of a terminal; it is for the one that waits, which ends the others when it is ready.

    Also the `worker_init_fn` of DataLoaders.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def begin() -> None:
    """First thing in a process: take one thread, and no life without the process that waits for it.

    Torch is not loaded for that: a process that decodes media never needs it.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # for torch, where the work loads it
    if "torch" in sys.modules:  # by the user's script
        sys.modules["torch"].set_num_threads(1)
    cv2.setNumThreads(1)
    leave_interrupts()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=end_after, args=(parent.sentinel,), daemon=True).start()


def end_after(sentinel: int) -> None:
    """A process whose parent was killed would wait for work for ever."""
    connection.wait([sentinel])
    os._exit(1)
