"""How a run was made: the command, and what it ran on. Nothing of a result depends on it."""

from __future__ import annotations

import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from msma.evaluation.result_file import Result

FILE = "provenance.jsonl"
LIBRARIES = ("msma", "torch", "numpy", "accelerate", "av", "opencv-python-headless")


class Session(Result):
    """One line of `provenance.jsonl`: a time that a run was begun or resumed."""

    command: str
    device: str
    platform: str
    versions: dict[str, str]


def note(run: Path, device: str) -> None:
    """Add a line to the run folder: a resumed run has one for each time that it was resumed."""
    program, *arguments = sys.argv or [""]  # an embedded Python has none
    session = Session(
        command=shlex.join([Path(program).name, *arguments]),
        device=torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        platform=platform.platform(),
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    )
    with (run / FILE).open("a", encoding="utf-8") as file:
        file.write(session.model_dump_json() + "\n")
