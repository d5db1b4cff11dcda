"""Signals that end a run in order: after what is being written, with all that was written before."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A signal ended the run; like Ctrl-C, it is no failure that a batch goes on after."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """What shells give for a process that a signal ended."""


class Ending:
    """The first of SIGNALS, which raises Ended once; those that come while a run ends change nothing."""

    def __init__(self) -> None:
        self.came: int | None = None
        self.held_back = False

    def __call__(self, number: int, _frame: Any) -> None:
        first = self.came is None
        self.came = self.came or number
        if first and not self.held_back:
            raise Ended(number)

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


@contextmanager
def ended_in_order() -> Iterator[Ending]:
    """Let SIGNALS raise Ended within the block, but for those that are ignored, as SIGHUP under nohup."""
    ending = Ending()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in heard:
            signal.signal(number, ending)
        yield ending
    finally:
        for number in heard:
            signal.signal(number, before[number])
