"""A server of its own process, and clips for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from msma.data.synthetic.people import CLIPS_PER_SOURCE, cast
from msma.data.synthetic.render import Format, render_clip
from msma.files.folders import LOCK

MAX_BYTES = 20_000_000
WATCHED = """
import sys
log = open(sys.argv.pop(1), "a", buffering=1)
def watch(event, args):
    if event == "socket.connect":
        log.write(f"{args[1]}\\n")
    elif event == "socket.getaddrinfo":
        log.write(f"{args[:2]}\\n")
sys.addaudithook(watch)
from msma.cli import main
main()
"""
"""`msma`, noting down every address that it asks for or connects to."""


@dataclass(frozen=True)
class Served:
    address: str
    temporary: Path
    """What the server takes for the folder of temporary files."""
    connections: Path
    """A line for every address that it connected to."""

    def left(self) -> list[Path]:
        """Files that it keeps, besides the lock that it holds; folders may go while this looks."""
        files = [Path(folder, name) for folder, _, names in os.walk(self.temporary) for name in names]
        return [path for path in files if path.name != LOCK]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    temporary, connections = tmp_path_factory.mktemp("served"), tmp_path_factory.mktemp("watched") / "connections"
    command = ["serve", "--port", "0", "--waiting", "12", "--limit", f"max_bytes={MAX_BYTES}"]
    ran: Served | None = None
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(connections), *command],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    ) as process:
        assert process.stderr is not None
        output = ""
        for line in process.stderr:
            output += line
            if line.startswith("open "):
                ran = Served(line.split()[1], temporary, connections)
                yield ran
                break
        process.send_signal(signal.SIGINT)
        output += process.stderr.read()
    assert process.returncode == 0, output
    assert "Traceback" not in output, output
    assert ran is not None, output
    assert ran.left() == []


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of ten rendered people."""
    folder = tmp_path_factory.mktemp("clips")
    people = cast(10 * CLIPS_PER_SOURCE, seed=0)[::CLIPS_PER_SOURCE][:10]
    for part in people:
        render_clip(folder, part, Format(seed=0, seconds=2.5, fps=6, size=(240, 180)))
    return [folder / part.name for part in people]
