"""A robustness suite: every cell of it on a split of a corpus, each written when it is done.

A broken-off suite goes on with the next cell. `robustness.yaml` in the folder says what all its cells are of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msma.corruptions.scenarios import CLEAN, Cell
from msma.data.corpora.manifest import Manifest, Row
from msma.data.identity import claim, corpus_identity
from msma.data.processes import each_done
from msma.evaluation.baselines import split_baselines
from msma.evaluation.evaluate import answered_targets
from msma.evaluation.robustness.cell_result import CellResult, NotRun, read_result
from msma.evaluation.robustness.cells import CellJob, cell_json, run_cell
from msma.prediction.model import Model
from msma.types import TRAITS, MsmaError
from msma.weights.checkpoint import calibration_sha256, weights_sha256

FORMAT = 3
"""Counts up where the same cell would give another result."""


@dataclass(frozen=True)
class SuiteResult:
    """The cells of a suite that were run, and those that could not be."""

    clean: CellResult
    cells: list[CellResult]
    """Without the clean one, in the order of the suite."""
    not_run: list[NotRun]
    prior: dict[str, float]
    """What the model answers where nothing is known, by trait."""
    reads: tuple[str, ...]
    """The modalities that the network looks at."""


def rows_of_split(manifest: Manifest, split: str) -> tuple[Row, ...]:
    """Rows of one split, or of `all`.

    Raises:
        MsmaError: the manifest has no such rows.
    """
    return manifest.rows if split == "all" else manifest.split(split)


def run_suite(
    model: Model,
    folder: Path | None,
    manifest: Manifest,
    split: str,
    entries: dict[str, Path],
    cells: Sequence[Cell],
    out: Path,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> SuiteResult:
    """Run the cells of a suite, and always the clean one; what is in `out` already is not run again.

    Cells get files of their own in `out/cells`. With `workers`, they are run side by side in so many processes of one
    thread each; without, in this one. The results are the same to the last byte for any number of processes.

    Args:
        model: as loaded from `folder`; None for the bundled weights.
        split: train, val, test or all.
        entries: by clip, where it is in the clip cache.

    Raises:
        MsmaError: `out` is of another model or corpus or has a damaged cell, no clip can be read, or the model answers
            none of the traits that are labelled.
    """
    rows = tuple(row for row in rows_of_split(manifest, split) if row.clip in entries)
    if not rows:
        raise MsmaError("no clip of this split can be read; see the table above")
    answered_targets(model, rows)  # says so at once where there are none
    base = split_baselines(manifest, rows)
    sha256 = weights_sha256(model.weights)
    about = {
        "format": FORMAT,
        "model": model.weights.config.name,
        "model_sha256": sha256,
        "calibration_sha256": calibration_sha256(model.weights),
        "corpus": manifest.corpus,
        "split": split,
        **corpus_identity(manifest.rows, {row.clip: entries[row.clip] for row in rows}),
    }
    claim(out / "robustness.yaml", about, "of another model, corpus or split")
    own = {row.clip: entries[row.clip] for row in rows}
    first = CellJob(CLEAN, rows, own, base, folder, sha256, model.device, cell_path(out, CLEAN), None)
    total = 1 + len(cells)
    if not is_done(out, CLEAN, rows):
        progress(0, total)
        list(each_done(run_cell, [first], workers))
    clean = read_result(first.path)
    if isinstance(clean, NotRun):
        first.path.unlink()
        raise MsmaError(clean.reason)
    answers: dict[str, dict[str, Any]] = json.loads(first.path.read_text(encoding="utf-8"))["answers"]
    rows = tuple(row for row in rows if row.clip in answers)
    later = replace(first, rows=rows, baselines=split_baselines(manifest, rows), clean=answers)
    jobs = [replace(later, cell=cell, path=cell_path(out, cell)) for cell in cells if not is_done(out, cell, rows)]
    progress(total - len(jobs), total)
    for left, _ in enumerate(each_done(run_cell, jobs, workers), start=1 - len(jobs)):
        progress(total + left, total)
    results = [read_result(cell_path(out, cell)) for cell in cells]
    prior: dict[str, float] = dict(zip(TRAITS, model.weights.network.head.prior.tolist(), strict=True))
    return SuiteResult(
        clean,
        [result for result in results if isinstance(result, CellResult)],
        [result for result in results if isinstance(result, NotRun)],
        {trait: prior[trait] for trait in model.weights.config.traits},
        tuple(model.weights.network.reads),
    )


def cell_path(out: Path, cell: Cell) -> Path:
    return out / "cells" / f"{cell.name}.json"


def is_done(out: Path, cell: Cell, rows: Sequence[Row]) -> bool:
    """Is the very same cell there, with an answer for each clip? One that failed is asked again.

    Raises:
        MsmaError: it is damaged.
    """
    path = cell_path(out, cell)
    if not path.exists():
        return False
    found = read_result(path)
    if isinstance(found, NotRun) or set(found.clips) != {row.clip for row in rows}:
        return False
    return json.loads(path.read_text(encoding="utf-8"))["cell"] == json.loads(json.dumps(cell_json(cell)))
