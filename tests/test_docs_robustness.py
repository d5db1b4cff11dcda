"""docs/robustness.md says what the code does: its tables, its suite and its example are compared or run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from msma.cli.robustness import table_of
from msma.corruptions import visual
from msma.corruptions.corruption import SEVERITIES, Corruption, corrupt, row
from msma.corruptions.scenarios import SIX, read_suite
from msma.corruptions.table import CORRUPTIONS
from msma.media.clip import clip_from_arrays
from msma.reports.markdown import as_markdown

DOC = (Path(__file__).parents[1] / "docs" / "robustness.md").read_text(encoding="utf-8")


def table_after(title: str) -> str:
    """The first table below a title."""
    found = re.search(rf"(?ms)^## {title}$.*?\n\n((?:\|[^\n]*\n)+)", DOC)
    assert found, title
    return found[1]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOC, flags=re.DOTALL)


def test_the_table_of_corruptions_is_that_of_the_code():
    assert table_after("The corruptions") == as_markdown(table_of(list(CORRUPTIONS.values()))), (
        "the table of docs/robustness.md is not that of the code; put in its place what this command writes: "
        "msma corruptions --format markdown"
    )


def test_the_six_scenarios_are_those_of_the_code():
    lines = [
        f"| `{scenario}` | {', then '.join(f'`{name}`' for name in corruptions)} |\n"
        for scenario, corruptions in SIX.items()
    ]
    assert table_after("The six scenarios") == "| scenario | corruptions |\n|---|---|\n" + "".join(lines)


def test_the_suite_that_is_shown_can_be_read(tmp_path):
    (suite,) = blocks("yaml")
    path = tmp_path / "suite.yaml"
    path.write_text(suite, encoding="utf-8")
    names = [cell.name for cell in read_suite(path)]
    assert names == ["phone_call_5", "dark_and_noisy_1", "dark_and_noisy_3", "dark_and_noisy_5"]


@pytest.fixture
def example(monkeypatch) -> Corruption:
    """The corruption that the page adds, made of its function and its row."""
    function, line = blocks("python")
    names = {"np": np, "Frames": visual.Frames}
    exec(compile(function, "docs/robustness.md", "exec"), names)  # noqa: S102
    monkeypatch.setattr(visual, "posterise", names["posterise"], raising=False)
    return eval(line, {"row": row, "posterise": visual.posterise})  # noqa: S307


def test_the_corruption_that_is_shown_works_and_rises_with_severity(example):
    frames = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), np.uint8)
    clip = clip_from_arrays(frames, None, fps=4.0)
    clip.frames.flags.writeable = False
    off = [np.abs(corrupt(clip, example, one).frames.astype(int) - frames).mean() for one in (0, *SEVERITIES)]
    assert off[0] == 0
    assert np.all(np.diff(off) > 0.5)
    assert corrupt(clip, example, 5).frames.dtype == np.uint8
