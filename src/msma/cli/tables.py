"""The tables of the commands: results on stdout, reports on stderr."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from msma.traits import TRAITS

if TYPE_CHECKING:
    from msma.data.cache import CacheReport
    from msma.data.chalearn import Found
    from msma.evaluate import Evaluation, Predictions

SHOWN = 20
"""Lines for each kind of problem of a corpus."""
PIPED_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


def show_found(found: Found) -> None:
    """The table of `msma prepare chalearn`, on stderr."""
    table = Table("", "clips", title=found.corpus)
    for split in ("train", "val", "test"):
        table.add_row(split, str(sum(row.split == split for row in found.rows)))
    problems = (
        ("clips without labels", found.clips_without_labels),
        ("labels without clips", found.labels_without_clips),
        ("unreadable", found.unreadable),
    )
    for name, clips in problems:
        table.add_row(name, str(len(clips)))
    console = stderr()
    console.print(table)
    for name, clips in problems:
        for clip in clips[:SHOWN]:
            console.print(f"{name}: {clip}")
        if len(clips) > SHOWN:
            console.print(f"{name}: and {len(clips) - SHOWN} more")
    for note in found.facts["notes"]:
        console.print(f"note: {note}")


def show_cache_report(report: CacheReport) -> None:
    """ok / degraded / failed, and a line for each clip that failed; on stderr, only if something is to be said."""
    if not report.failed and not report.degraded:
        return
    console = stderr()
    ok = len(report.entries) - len(report.degraded)
    console.print(f"clips: {ok} ok, {len(report.degraded)} degraded, {len(report.failed)} failed")
    for reason in report.failed.values():
        console.print(f"failed: {reason}")


def show_json(evaluation: Evaluation) -> None:
    sys.stdout.write(json.dumps(asdict(evaluation), indent=2) + "\n")


def show_evaluation(evaluation: Evaluation) -> None:
    """Traits down, metrics across; the constant baseline and the ceiling below."""
    names = list(evaluation.metrics)
    table = Table(
        "",
        *names,
        title=f"{evaluation.model} on {evaluation.corpus}, split {evaluation.split}, {evaluation.clips} clips",
    )
    for row in (*TRAITS, "mean"):
        table.add_row(
            row, *(f"{evaluation.metrics[name][row]:.4f}" for name in names), style="bold" if row == "mean" else ""
        )
    table.add_section()
    constant = evaluation.baselines["constant"]
    table.add_row("constant (mean)", *(f"{constant[name]['mean']:.4f}" for name in names))
    if evaluation.ceiling is not None:
        best = evaluation.ceiling
        table.add_row("ceiling (mean)", *(f"{best[name]['mean']:.4f}" if name in best else "" for name in names))
    console = stdout()
    console.print(table)
    for name, interval in evaluation.intervals.items():
        console.print(f"{name}: 95 % interval by source {interval.low:.4f} to {interval.high:.4f}")
    if evaluation.ceiling is not None:
        share = evaluation.metrics["ccc"]["mean"] / evaluation.ceiling["ccc"]["mean"]
        console.print(f"share of the ceiling (CCC): {share:.2f}")
    if evaluation.degraded or evaluation.failed:
        console.print(
            f"{evaluation.degraded} clips were degraded; {len(evaluation.failed)} could not be read and are not scored"
        )


def show_comparison(evaluations: dict[str, tuple[dict[str, Any], Predictions]]) -> None:
    """One row an evaluation; differences are of the first to each other one."""
    from msma.evaluate import compare_ccc

    (first_name, (_, first)), *_ = evaluations.items()
    table = Table(
        "model", "fusion", "clips", "CCC [95 %]", "ceiling", "share", "mean accuracy", "constant", "first - this (CCC)"
    )
    for name, (evaluation, predictions) in evaluations.items():
        metrics, interval = evaluation["metrics"], evaluation["intervals"]["ccc"]
        ccc, ceiling = metrics["ccc"]["mean"], (evaluation["ceiling"] or {}).get("ccc", {}).get("mean")
        difference = ""
        if name != first_name:
            paired = compare_ccc(first, predictions)
            difference = f"{paired.difference:+.3f} [{paired.interval.low:+.3f}, {paired.interval.high:+.3f}]"
        table.add_row(
            name,
            evaluation["fusion"],
            str(evaluation["clips"]),
            f"{ccc:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]",
            "" if ceiling is None else f"{ceiling:.3f}",
            "" if ceiling is None else f"{ccc / ceiling:.2f}",
            f"{metrics['mean_accuracy']['mean']:.4f}",
            f"{evaluation['baselines']['constant']['mean_accuracy']['mean']:.4f}",
            difference,
        )
    stdout().print(table)


def stdout() -> Console:
    """As wide as the terminal, or PIPED_WIDTH. File names are not markup."""
    return Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def stderr() -> Console:
    return Console(stderr=True, markup=False, highlight=False)
