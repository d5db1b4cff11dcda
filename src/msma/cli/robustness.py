"""`msma robustness`: a model on corrupted clips, cell by cell, and what is left of its skill."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msma.cli.options import (
    CacheOption,
    DeviceOption,
    FormatOption,
    JobsOption,
    ManifestOption,
    ModelOption,
    SlicesOption,
    at_once,
    cached_corpus,
    check_out,
    names_in,
    severities_in,
)
from msma.cli.show.tables import tell

if TYPE_CHECKING:
    from msma.corruptions.scenarios import Cell


def robustness(
    manifest: ManifestOption,
    out: Annotated[Path, typer.Option("--out", help="A folder for the cells, summary.json and the figures.")],
    suite: Annotated[
        str, typer.Option("--suite", help="six (scenarios), full (every corruption), or a YAML file of your own.")
    ] = "six",
    model: ModelOption = None,
    split: Annotated[str, typer.Option("--split", help="train, val, test or all.")] = "test",
    severity: Annotated[
        str | None,
        typer.Option("--severity", help="3, 1-5 or 1,3,5; default: 3 for six, else 1-5."),
    ] = None,
    slices: SlicesOption = None,
    format: FormatOption = "table",
    workers: JobsOption = None,
    cache: CacheOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Measure how much skill a model keeps on corrupted clips.

    Called again, it resumes.
    """
    from msma.cli.show.progress import progress_bar
    from msma.cli.show.tables import show, show_result
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.evaluation import slice_columns, warnings_of
    from msma.evaluation.result_file import write_result
    from msma.evaluation.robustness.suite import run_suite, summarize_suite
    from msma.prediction.model import load
    from msma.reports.figures import draw_figures
    from msma.reports.robustness import group_retention_blocks, robustness_blocks
    from msma.types import MsmaError

    check_out(out, folder=True)
    cells, labels, loaded = cells_of_suite(suite, severity), read_manifest(manifest), load(model, device=device)
    slice_columns(labels.split(split), names_in(slices))  # raises at once where one is not there
    corpus = cached_corpus(labels, (split,), loaded.clip, manifest, cache, workers)
    try:
        with progress_bar("corrupting", "cells") as report:
            result = run_suite(
                loaded,
                corpus,
                split,
                cells,
                out,
                workers=at_once(device, workers),
                progress=report,
            )
    except KeyboardInterrupt:
        tell(f"stopped; the cells that are done are in {out / 'cells'}; the same command resumes")
        raise typer.Exit(130) from None
    summary = summarize_suite(loaded, corpus, split, suite, result, names_in(slices))
    write_result(out / "summary.json", summary)
    if format == "json":
        show_result(summary)
    else:
        show(robustness_blocks(summary))
        show(group_retention_blocks(summary.slices))
    for warning in warnings_of(result.clean.sources):
        tell(warning)
    if format == "json":
        for cell, reason in summary.not_run.items():
            tell(f"not run: {cell}: {reason}")
    for column, reason in summary.slices.skipped.items():
        tell(f"no slices by {column}: it {reason}")
    failed = sum(len(cell.failed) for cell in (result.clean, *result.cells))
    if failed:
        tell(f"{failed} answers failed over all cells; the files in {out / 'cells'} say why")
    tell(f"{len(cells) + 1} cells and summary.json are in {out}")
    try:
        figures = draw_figures(out, f"{summary.model} on {labels.corpus}", summary.clean.skill, summary.scenarios)
        tell("figures: " + ", ".join(str(path) for path in figures))
    except MsmaError as error:  # all else is done
        tell(str(error))
    tell(loaded.weights.config.notice)


def cells_of_suite(suite: str, severity: str | None) -> list[Cell]:
    """The cells of a suite by name or file, at the severities that are wanted or its own."""
    from msma.corruptions.corruption import SEVERITIES
    from msma.corruptions.scenarios import full, read_suite, six

    wanted = None if severity is None else severities_in(severity)
    if suite == "six":
        return six() if wanted is None else six(wanted)
    if suite == "full":
        return full(wanted or SEVERITIES)
    if not Path(suite).is_file():
        raise typer.BadParameter(f"--suite is six, full or a YAML file that is there, not {suite!r}")
    return read_suite(Path(suite), wanted or SEVERITIES)
