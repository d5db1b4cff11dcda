"""The command line. Results go to stdout; progress, tables of what happened and errors go to stderr.

Heavy imports stand inside the commands, so that `msma --help` is there at once.
"""

from __future__ import annotations

import io
import os
import sys

from msma.cli.app import app
from msma.cli.show.tables import printable
from msma.types import MsmaError


def main() -> None:
    """Run the `msma` command: exit code 1 and one line for a failure that the user can fix."""
    # Threads of torch that wait must not spin: on a busy machine that makes it ten times slower. Read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may be no valid text
    try:
        try:
            app(prog_name="msma")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # a full disk shows here at the latest
    except (MsmaError, OSError) as error:
        if not isinstance(error, BrokenPipeError):  # whoever read has seen enough
            sys.stderr.write(f"msma: {printable(str(error))}\n")
        take_no_more()
        sys.exit(1)


def take_no_more() -> None:
    """Drop what stdout did not take: Python would try again when it ends, and fail in several lines."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
