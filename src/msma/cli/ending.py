"""Signals that end a run in order: after what is being written, with all that was written before."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.01
"""Time after which an Ended that could not be raised, or that Python dropped, is raised again."""


class Ended(BaseException):
    """A signal ended the run; like Ctrl-C, it is no failure that a batch goes on after."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.exit_code = 128 + number
        """What shells give for a process that a signal ended."""


class Ending:
    """The first of SIGNALS, which raises Ended once; those that come while a run ends change nothing.

    Not while a module is imported, but after that: native code that is loaded by half may not survive it, and some
    libraries drop every exception of what they import.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self.came: int | None = None
        self.held_back = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:  # forked from it: Ctrl-C is for the one that waits
            if number != signal.SIGINT:
                os._exit(128 + number)
            return
        first = self.came is None
        self.came = self.came or number
        if first:
            self.again(number, frame)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Do not end within the block, but after it; also where a library swallowed the exception before."""
        self.held_back = True
        yield
        self.held_back = False
        if self.came is not None:
            raise Ended(self.came)

    def over(self) -> None:
        """From here on, all is done but the last steps, which no signal breaks off."""
        self.held_back = True

    def dropped(self, unraisable: Any) -> None:
        """The `sys.unraisablehook`: finalizers and callbacks cannot raise, so that Ended comes again after them."""
        if isinstance(unraisable.exc_value, Ended):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            sys.__unraisablehook__(unraisable)

    def again(self, _number: int, frame: FrameType | None) -> None:
        if self.came is None or self.held_back:
            return
        if imports(frame):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            raise Ended(self.came)


def imports(frame: FrameType | None) -> bool:
    """Is a module being imported there?"""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def ended_in_order() -> Iterator[Ending]:
    """Let SIGNALS raise Ended within the block, but for those that are ignored, as SIGHUP under nohup.

    A block within another one has the same Ending.
    """
    outer = signal.getsignal(signal.SIGTERM)
    if isinstance(outer, Ending):
        yield outer
        return
    ending = Ending()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    hook, alarm = sys.unraisablehook, signal.getsignal(signal.SIGALRM)
    try:
        for number in heard:
            signal.signal(number, ending)
        signal.signal(signal.SIGALRM, ending.again)
        sys.unraisablehook = ending.dropped
        yield ending
    finally:
        for number in heard:
            signal.signal(number, before[number])
        signal.signal(signal.SIGALRM, alarm)
        sys.unraisablehook = hook
