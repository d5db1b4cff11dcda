"""A robustness suite: every cell of it on a split of a corpus, each written when it is done.

An interrupted suite resumes with the next cell. `robustness.yaml` in the folder says what all its cells are of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from msma.corruptions.scenarios import CLEAN, Cell
from msma.data.corpora.manifest import Row
from msma.data.corpus import Corpus
from msma.data.identity import corpus_identity, record_identity
from msma.evaluation.baselines import split_baselines
from msma.evaluation.coverage import coverage_of
from msma.evaluation.evaluate import predictions_of, targets_for
from msma.evaluation.result_file import read_result
from msma.evaluation.robustness.cell_result import CellResult, NotRun, SuiteResult, levelled
from msma.evaluation.robustness.cells import CellJob, run_cell
from msma.evaluation.robustness.slices import slice_suite
from msma.evaluation.robustness.summary import SuiteSummary, summarize
from msma.files.folders import locked
from msma.media.processes import each_done
from msma.prediction.model import Model
from msma.types import TRAITS, MsmaError
from msma.weights.checkpoint import calibration_sha256, weights_sha256

FORMAT = 6
"""Counts up where the same cell would give another result."""


def run_suite(
    model: Model,
    corpus: Corpus,
    split: str,
    cells: Sequence[Cell],
    out: Path,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> SuiteResult:
    """Run the cells of a suite, and always the clean one; what is in `out` already is not run again.

    Cells get files of their own in `out/cells`. With `workers`, they are run side by side in so many processes of one
    thread each; without, in this one. The results are the same to the last byte for any number of processes. MsmaError
    where `out` is of another model or corpus or has a damaged cell, no clip can be read, or no labelled trait is
    predicted.
    """
    manifest, rows, weights = corpus.manifest, corpus.split(split), model.weights
    targets_for(model, rows)  # raises at once where there are none
    sha256, own = weights_sha256(weights), {row.clip: corpus.entry(row) for row in rows}
    about = {
        "format": FORMAT,
        "model": weights.config.name,
        "model_sha256": sha256,
        "corpus": manifest.corpus,
        "split": split,
        **corpus_identity(corpus, rows),
    }
    with locked(out):
        record_identity(out / "robustness.yaml", about, "of another model, corpus or split")
        path, total = cell_path(out, CLEAN), 1 + len(cells)
        first = CellJob(
            CLEAN, rows, own, split_baselines(manifest, rows), weights.folder, sha256, model.device, path, None
        )
        clean = done_before(out, CLEAN, rows)
        if clean is None:
            progress(0, total)
            (clean,) = each_done(run_cell, [first], workers)
        if isinstance(clean, NotRun):
            raise MsmaError(clean.reason)
        rows = tuple(row for row in rows if row.clip in clean.predictions)
        later = replace(first, rows=rows, baselines=split_baselines(manifest, rows), clean=clean.predictions)
        results: dict[str, CellResult | NotRun] = {
            cell.name: before for cell in cells if (before := done_before(out, cell, rows)) is not None
        }
        jobs = [replace(later, cell=cell, path=cell_path(out, cell)) for cell in cells if cell.name not in results]
        progress(total - len(jobs), total)
        for result in each_done(run_cell, jobs, workers):
            results[result.cell.name] = result
            progress(1 + len(results), total)
    run = [result for cell in cells if isinstance(result := results[cell.name], CellResult)]
    outputs = {result.cell.name: predictions_of(model, rows, result.predictions) for result in (clean, *run)}
    constant: dict[str, float] = dict(zip(TRAITS, weights.network.head.prior.tolist(), strict=True))
    return SuiteResult(
        clean,
        run,
        [result for cell in cells if isinstance(result := results[cell.name], NotRun)],
        {trait: constant[trait] for trait in weights.config.traits},
        tuple(weights.network.reads),
        {name: coverage_of(one.bounds, one.target) for name, one in outputs.items() if one.bounds is not None},
    )


def cell_path(out: Path, cell: Cell) -> Path:
    return out / "cells" / f"{cell.name}.json"


def done_before(out: Path, cell: Cell, rows: Sequence[Row]) -> CellResult | None:
    """The very same cell, where it is there with a prediction for each clip; MsmaError where it is damaged."""
    path = cell_path(out, cell)
    if not path.exists():
        return None
    found = read_result(path, CellResult, "delete it, the cell will be run again")
    same = found.cell == levelled(cell) and set(found.predictions) == {row.clip for row in rows}
    return found if same else None


def summarize_suite(
    model: Model, corpus: Corpus, split: str, suite: str, result: SuiteResult, slices: Sequence[str] | None = None
) -> SuiteSummary:
    """The summary of a suite, its name or file, as `summary.json` holds it; `slices` as in `evaluation_of`."""
    weights, manifest = model.weights, corpus.manifest
    rows = [row for row in corpus.split(split) if row.clip in result.clean.predictions]
    return SuiteSummary(
        **dict(summarize(result)),
        model=weights.name,
        weights_sha256=weights_sha256(weights),
        calibration_sha256=calibration_sha256(weights),
        corpus=manifest.corpus,
        split=split,
        suite=suite,
        slices=slice_suite(result, rows, split_baselines(manifest, rows).constant, slices),
    )
