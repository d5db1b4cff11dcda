"""The command line. Results go to stdout; progress, tables of what happened and errors go to stderr.

Heavy imports stand inside the commands, so that `msma --help` is there at once, and those of the commands inside
`run`, so that a signal is heard before anything is loaded.
"""

from __future__ import annotations

import io
import os
import signal
import sys

from msma.cli.ending import SIGNALS, Ended, Ending, ended_in_order


def main() -> None:
    """Run the `msma` command: exit code 1 and one line for a failure that the user can fix; where a signal ends it, one
    line, and 128 and the number of the signal."""
    # Threads of torch that wait must not spin: on a busy machine that makes it ten times slower. Read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # What processes that were killed leave behind is cleaned up by a tracker of Python's, which need not say so.
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    with ended_in_order() as ending:
        try:
            run(ending)
            return
        except Ended:
            pass
        except Exception:
            if ending.came is None:
                raise
            # What a signal breaks off may fail in any way: a loader's process is gone, a module half loaded.
        # Only here are the frames of the run gone, and what they held: locks, unfinished files, processes.
        for number in (*SIGNALS, signal.SIGCHLD):  # torch fails where a process of its loaders is ended
            signal.signal(number, signal.SIG_IGN if number in SIGNALS else signal.SIG_DFL)
        if "multiprocessing" in sys.modules:
            for process in sys.modules["multiprocessing"].active_children():
                process.kill()
        ended = Ended(ending.came or signal.SIGINT)
        sys.stderr.write(f"msma: ended by {ended}\n")
        sys.exit(ended.exit_code)


def run(ending: Ending) -> None:
    """Run the command that the arguments name."""
    from msma.cli.commands import app
    from msma.cli.show.tables import printable
    from msma.types import MsmaError

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
        if ending.came is not None:
            raise
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
