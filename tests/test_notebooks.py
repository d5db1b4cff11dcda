"""The notebooks run from their first to their last cell, and show what they printed.

`make notebooks` calls this file to run them and store their outputs.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs, run by this very Python, whose `msma` is first on the path of its commands."""
    notebook = nbformat.read(path, as_version=4)
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=500,
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    return client.execute(env=os.environ | {"PATH": commands})


@every_notebook
@pytest.mark.slow
def test_a_notebook_runs(path):
    executed(path)


@every_notebook
def test_a_notebook_shows_its_outputs_and_no_folder_of_the_machine(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert sum(bool(cell.outputs) for cell in cells) > len(cells) / 2
    assert not [output for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert not re.findall(r"(?<![\w.])/(?:home|root|tmp|work)/", path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    for one in NOTEBOOKS:
        nbformat.write(executed(one), one)
