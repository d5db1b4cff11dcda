"""A robustness suite: every cell of it on a split of a corpus, each written when it is done.

An interrupted suite resumes with the next cell. `robustness.yaml` in the folder says what all its cells are of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msma.corruptions.scenarios import CLEAN, Cell
from msma.data.corpora.manifest import Row
from msma.data.corpus import Corpus
from msma.data.identity import corpus_identity, record_identity
from msma.evaluation.baselines import split_baselines
from msma.evaluation.coverage import coverage_of
from msma.evaluation.evaluate import predictions_of, targets_for
from msma.evaluation.result_file import read_result
from msma.evaluation.robustness.cell_result import CellResult, NotRun, SuiteResult, levelled
from msma.evaluation.robustness.cells import CellJob, CellNetwork, run_cell
from msma.evaluation.robustness.slices import effective_interval, slice_suite
from msma.evaluation.robustness.summary import SuiteSummary, strong, summarize
from msma.files.folders import locked
from msma.media.processes import each_done
from msma.prediction.model import Model
from msma.types import TRAITS, MsmaError
from msma.weights.checkpoint import calibration_sha256, weights_sha256

FORMAT = 6
"""Counts up where the same cell would give another result."""


@dataclass(frozen=True)
class Suite:
    """A model, the folder of its cells, and what is known of them."""

    model: Model
    sha256: str
    out: Path
    results: dict[str, CellResult | NotRun] = field(default_factory=dict)
    """By name of the cell; filled as cells are done."""

    @property
    def clean(self) -> CellResult:
        """The clean cell; MsmaError where it could not be run."""
        clean = self.results[CLEAN.name]
        if isinstance(clean, NotRun):
            raise MsmaError(clean.reason)
        return clean


RowsOf = Callable[[Suite], tuple[Row, ...]]
"""The clips that the cells of a suite are of."""


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
    """Run the suite of one model: see `run_suites`."""
    (result,) = run_suites([(model, out)], corpus, split, cells, workers=workers, progress=progress)
    return result


def run_suites(
    tested: Sequence[tuple[Model, Path]],
    corpus: Corpus,
    split: str,
    cells: Sequence[Cell],
    *,
    most: int | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[SuiteResult]:
    """Run the cells of a suite, and always the clean one, for every model, each with a folder of its own; what is in
    a folder already is not run again. The models read clips in the same way (`clip` and detector): a clip is corrupted
    and prepared once for all that lack a cell. The clean cell is of all clips, the others of `most` (see `spread`).

    Cells get files of their own in `cells` of the folder. With `workers`, they are run side by side in so many
    processes of one thread each; without, in this one. The results are the same to the last byte for any number of
    processes and of models. MsmaError where a folder is of another model or corpus or has a damaged cell, no clip can
    be read, or no labelled trait is predicted.
    """
    rows = corpus.split(split)
    suites = [Suite(model, weights_sha256(model.weights), out) for model, out in tested]
    with ExitStack() as held:
        for suite in suites:
            targets_for(suite.model, rows)  # raises at once where there are none
            held.enter_context(locked(suite.out))
            about = identity(suite, corpus, split, rows)
            record_identity(suite.out / "robustness.yaml", about, "of another model, corpus or split")
        total = len(suites) * (1 + len(cells))

        def report() -> None:
            progress(sum(len(suite.results) for suite in suites), total)

        def run(some: Sequence[Cell], rows_of: RowsOf, done: Callable[[], None] = lambda: None) -> None:
            for suite in suites:
                before = ((cell.name, done_before(suite.out, cell, rows_of(suite))) for cell in some)
                suite.results.update({name: result for name, result in before if result is not None})
            report()
            of_path = {cell_path(suite.out, cell): suite for suite in suites for cell in some}
            for results in each_done(run_cell, jobs_of(suites, some, rows_of, corpus), workers):
                for path, result in results.items():
                    of_path[path].results[result.cell.name] = result
                done()

        run([CLEAN], lambda _: rows)
        some = spread(rows, most)
        run(cells, lambda suite: tuple(row for row in some if row.clip in suite.clean.predictions), report)
    return [result_of(suite, cells, rows) for suite in suites]


def spread(rows: Sequence[Row], most: int | None) -> tuple[Row, ...]:
    """So many rows at most, evenly spread over all; None: all of them."""
    count = len(rows) if most is None else min(most, len(rows))
    return tuple(rows[place * len(rows) // count] for place in range(count))


def jobs_of(suites: Sequence[Suite], cells: Sequence[Cell], rows_of: RowsOf, corpus: Corpus) -> list[CellJob]:
    """A job for each cell that is lacking, of all suites that lack it for the same clips."""
    jobs = []
    for cell in cells:
        lacking: dict[tuple[str, ...], list[Suite]] = {}
        for suite in suites:
            if cell.name not in suite.results:
                lacking.setdefault(tuple(row.clip for row in rows_of(suite)), []).append(suite)
        for some in lacking.values():
            networks = tuple(
                CellNetwork(
                    suite.model.weights.folder,
                    suite.sha256,
                    cell_path(suite.out, cell),
                    None if cell is CLEAN else suite.clean.predictions,
                )
                for suite in some
            )
            rows = rows_of(some[0])
            base = split_baselines(corpus.manifest, rows)
            jobs.append(CellJob(cell, rows, corpus.cache.entries, base, some[0].model.device, networks))
    return jobs


def identity(suite: Suite, corpus: Corpus, split: str, rows: Sequence[Row]) -> dict[str, Any]:
    """All that the cells of a suite depend on beside themselves."""
    return {
        "format": FORMAT,
        "model": suite.model.weights.config.name,
        "model_sha256": suite.sha256,
        "corpus": corpus.manifest.corpus,
        "split": split,
        **corpus_identity(corpus, rows),
    }


def result_of(suite: Suite, cells: Sequence[Cell], rows: Sequence[Row]) -> SuiteResult:
    """The cells of a suite together."""
    weights, results = suite.model.weights, [suite.results[cell.name] for cell in cells]
    run = [result for result in results if isinstance(result, CellResult)]
    outputs = {one.cell.name: predictions_of(suite.model, rows, one.predictions) for one in (suite.clean, *run)}
    constant: dict[str, float] = dict(zip(TRAITS, weights.network.head.prior.tolist(), strict=True))
    return SuiteResult(
        suite.clean,
        run,
        [result for result in results if isinstance(result, NotRun)],
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
    constant = split_baselines(manifest, rows).constant
    return SuiteSummary(
        **dict(summarize(result)),
        model=weights.name,
        weights_sha256=weights_sha256(weights),
        calibration_sha256=calibration_sha256(weights),
        corpus=manifest.corpus,
        split=split,
        suite=suite,
        effective_robustness_interval=effective_interval(replace(result, cells=strong(result)), rows, constant),
        slices=slice_suite(result, rows, constant, slices),
    )
