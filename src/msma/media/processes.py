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
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from typing import Any, TypeVar

import cv2

from msma.types import MsmaError

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run: those of a terminal reach all of its processes."""
LATER = (*ENDING, signal.SIGALRM)
"""These, and the one by which an end that was put off comes again."""

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
    """A pool for each process, so that it is plain which job a dead one was at. Processes whose work is not waited for
    to the end are killed."""
    waiting = list(reversed(jobs))
    idle: list[ProcessPoolExecutor] = []
    busy: dict[Future[ResultT], tuple[JobT, ProcessPoolExecutor]] = {}
    over = False
    try:
        for _ in range(min(workers, len(jobs))):
            idle.append(new_process(begun))
        wait_for_start(idle)
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
        over = True
    finally:
        for pool in (*idle, *(pool for _, pool in busy.values())):
            for process in () if over else list((pool._processes or {}).values()):  # kill_workers from Python 3.14 on
                process.kill()
                process.join()
            # Waited for: Python 3.11 may write to a pipe that a pool closes just then, if it ends meanwhile.
            pool.shutdown(cancel_futures=True)


def wait_for_start(pools: Sequence[ProcessPoolExecutor]) -> None:
    """MsmaError where no process can be started."""
    try:
        for alive in [pool.submit(os.getpid) for pool in pools]:
            alive.result()
    except BrokenProcessPool as error:
        remedy = "in a script, call this below `if __name__ == '__main__':`"
        raise MsmaError(f"no process can be started; {remedy}") from error


def new_process(begun: Callable[[], None]) -> ProcessPoolExecutor:
    """A pool of one process, which is started at once."""
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=begun)
    with signals_later():
        pool.submit(os.getpid)
    return pool


@contextmanager
def signals_later() -> Iterator[None]:
    """Start processes within the block: they hear no signal until they `begin`, and this one none before they are
    started, so that neither is ended half-way, with what its interpreter says to that."""
    resource_tracker.ensure_running()  # else it is started within the block, and ends it for the signals
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in LATER}
    heard = [number for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)]
    if threading.current_thread() is not threading.main_thread():
        heard = []  # only the main one hears signals
    for number in heard:
        signal.signal(number, lambda number, _: came.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, LATER)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in heard:
            signal.signal(number, handlers[number])
        for number in came:
            signal.raise_signal(number)


def leave_signals(_worker: int = 0) -> None:
    """Signals reach every process of a terminal or a job; they are for the one that waits, which ends the others when
    it is ready. Also the `worker_init_fn` of DataLoaders."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def begin() -> None:
    """First thing in a process: take one thread, and no life without the process that waits for it.

    Torch is not loaded for that: a process that decodes media never needs it.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # for torch, where the work loads it
    if "torch" in sys.modules:  # by the user's script
        sys.modules["torch"].set_num_threads(1)
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the one that waits, which ends this one when it is ready
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LATER)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=end_after, args=(parent.sentinel,), daemon=True).start()


def end_after(sentinel: int) -> None:
    """A process whose parent was killed would wait for work for ever."""
    connection.wait([sentinel])
    os._exit(1)
