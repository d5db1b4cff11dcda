"""Media that is read in processes of their own: a file that crashes, hangs or bloats its reader costs that file alone.

Native decoders run on files that nobody vouches for. Each process reads one file at a time, under limits; where one
dies, its file fails and another process takes its place.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

from msma.config import Limits
from msma.files.reading import unexpected
from msma.media.bounded import Reading, begin_media, granted, why_failed, windows_of
from msma.media.processes import leave_signals, signals_later
from msma.types import MsmaError, PreparedWindow, RawWindow

HANG_S = 300.0
"""A process that gives nothing for this long is taken to hang."""
ONE_AT_A_TIME = threading.RLock()
"""Whoever starts a process asks after all others, and would take the exit code that another thread waits for."""
AHEAD = 2
"""Windows of a file that wait until they are asked for, and files that a process is ahead."""

Window = PreparedWindow | RawWindow
Message = Window | str | None
"""From a process: a window, the reason why there are no more, or the end."""


class MediaProcesses:
    """So many processes that read media until the block ends; they start at once and load no torch."""

    def __init__(self, count: int) -> None:
        self.idle: queue.SimpleQueue[MediaProcess] = queue.SimpleQueue()
        self.processes = [MediaProcess() for _ in range(count)]

    def __enter__(self) -> MediaProcesses:
        for process in self.processes:
            process.start()
            self.idle.put(process)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()

    def read(self, readings: Iterable[Reading]) -> Generator[Iterator[Any], None, None]:
        """For each reading, in order, what `windows_of` gives; windows that are not asked for are passed over.

        MsmaError, of the windows' iterator, also where a process died, or ran into its limits.
        """
        upcoming, count = iter(readings), len(self.processes)
        pending: deque[Received] = deque()
        wanted = True
        with ThreadPoolExecutor(count) as threads:

            def begin_some(some: Iterable[Reading]) -> None:
                for reading in some:
                    pending.append(Received())
                    threads.submit(self.relay, reading, pending[-1].messages, lambda: wanted)

            begin_some(islice(upcoming, count * AHEAD))
            try:
                while pending:
                    yield pending[0]
                    pending.popleft().pass_over()
                    begin_some(islice(upcoming, 1))
            finally:
                wanted = False
                left = [windows for windows in pending if not windows.ended]
                for process in self.processes if left else ():
                    process.interrupt()
                for windows in left:
                    windows.pass_over()
                for process in self.processes if left else ():
                    process.kill()

    def windows(self, reading: Reading) -> Iterator[Any]:
        """The same for one source."""
        with contextlib.closing(self.read([reading])) as sources:
            yield from next(sources)

    def first_raw(self, reading: Reading) -> RawWindow:
        """The first window of a source, not prepared; MsmaError where it cannot be read."""
        (window,) = self.windows(replace(reading, prepared=False, max_windows=1))
        return window

    def relay(self, reading: Reading, messages: queue.Queue[Message], wanted: Callable[[], bool]) -> None:
        """Hand on the windows that a process gives, and how it ended."""
        process, end = self.idle.get(), None
        try:
            for window in process.windows(reading) if wanted() else ():
                messages.put(window)
        except MsmaError as error:
            end = str(error)
        except Exception as error:  # noqa: BLE001  a thread has nobody to tell but the one that waits for the windows
            end = unexpected(reading.name, error)
        finally:
            self.idle.put(process)
            messages.put(end)


class MediaProcess:
    """One process, started again after it died."""

    def __init__(self) -> None:
        self.running: tuple[Any, Connection] | None = None

    def start(self) -> tuple[Any, Connection]:
        with ONE_AT_A_TIME:
            if self.running is not None and not self.running[0].is_alive():
                self.kill()
            if self.running is None:
                context = multiprocessing.get_context("spawn")
                ours, theirs = context.Pipe()
                process = context.Process(target=answer, args=(theirs,), daemon=True)
                with signals_later():
                    process.start()
                theirs.close()
                self.running = process, ours
            return self.running

    def interrupt(self) -> None:
        """Let it die; whoever waits for it finds out."""
        if self.running is not None:
            self.running[0].kill()

    def kill(self) -> None:
        with ONE_AT_A_TIME:
            if self.running is not None:
                process, connection = self.running
                process.kill()
                process.join()
                connection.close()
                self.running = None

    def windows(self, reading: Reading) -> Iterator[Window]:
        """Let the process read; MsmaError where it cannot, dies or hangs."""
        process, connection = self.start()
        try:
            connection.send(reading)
            while connection.poll(HANG_S):
                message = connection.recv()
                if message is None:
                    return
                if isinstance(message, str):
                    raise MsmaError(message)
                yield message
            problem = f"its reader gave nothing for {HANG_S:.0f} s"
        except (EOFError, ConnectionError):
            with ONE_AT_A_TIME:
                process.join()
            problem = died_of(process.exitcode, reading.limits)
        self.kill()
        raise MsmaError(f"{reading.name}: {problem}; convert it (ffmpeg -i IN OUT.mp4) or leave it out")


def died_of(code: int, limits: Limits) -> str:
    """What a process died of, by its exit code."""
    if code == -signal.SIGXCPU:
        return f"its reader took more than max_cpu_s, {limits.max_cpu_s:g} processor seconds, for a window"
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"its reader crashed or ran out of memory ({cause})"


class Received(Iterator[Any]):
    """The windows that `relay` hands on; MsmaError where a reason is at their end."""

    def __init__(self) -> None:
        self.messages: queue.Queue[Message] = queue.Queue(AHEAD)
        self.ended = False

    def __next__(self) -> Window:
        message = None if self.ended else self.messages.get()
        if not isinstance(message, str | None):
            return message
        self.ended = True
        if message is None:
            raise StopIteration
        raise MsmaError(message)

    def pass_over(self) -> None:
        """Wait for the end, so that nothing waits for a place in the queue."""
        with contextlib.suppress(MsmaError):
            for _ in self:
                pass


def answer(connection: Connection) -> None:
    """All that such a process does: read what it is asked for, until nobody is there to ask."""
    leave_signals()
    begin_media()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            reading = connection.recv()
            try:
                for window in granted(windows_of(reading), reading.limits, reading.clip):
                    connection.send(window)
                connection.send(None)
            except Exception as error:  # noqa: BLE001  a defect of ours must not lose the rest of a batch
                connection.send(why_failed(reading.name, error))
