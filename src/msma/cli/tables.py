"""What the commands print: answers on stdout, reports on stderr."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from msma.traits import MODALITIES, TRAITS

if TYPE_CHECKING:
    from msma.data.cache import CacheReport
    from msma.data.chalearn import Found
    from msma.evaluate import Evaluation, Predictions
    from msma.types import Prediction

LEGEND = f"{', '.join(TRAITS)} in [0, 1]; a/v: audio and visual"
PIPED_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


def show_found(found: Found) -> None:
    """The table of `msma prepare chalearn`, on stderr."""
    table = Table("", "clips", title=found.corpus)
    for split in ("train", "val", "test"):
        table.add_row(split, str(sum(row.split == split for row in found.rows)))
    for name, clips in (
        ("clips without labels", found.clips_without_labels),
        ("labels without clips", found.labels_without_clips),
        ("unreadable", found.unreadable),
    ):
        table.add_row(name, str(len(clips)) + (f", the first: {clips[0]}" if clips else ""))
    console = Console(stderr=True)
    console.print(table)
    for note in found.facts["notes"]:
        console.print(f"note: {note}")


def show_cache_report(report: CacheReport) -> None:
    """ok / degraded / failed, and a line for each clip that failed; on stderr, only if something is to be said."""
    if not report.failed and not report.degraded:
        return
    console = Console(stderr=True)
    ok = len(report.entries) - len(report.degraded)
    console.print(f"clips: {ok} ok, {len(report.degraded)} degraded, {len(report.failed)} failed")
    for reason in report.failed.values():
        console.print(f"failed: {reason}", markup=False, highlight=False)


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
    console = _stdout()
    console.print(table)
    for name, interval in evaluation.intervals.items():
        console.print(f"{name}: 95 % interval by source {interval.low:.4f} to {interval.high:.4f}", highlight=False)
    if evaluation.ceiling is not None:
        share = evaluation.metrics["ccc"]["mean"] / evaluation.ceiling["ccc"]["mean"]
        console.print(f"share of the ceiling (CCC): {share:.2f}", highlight=False)
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
    _stdout().print(table)


def write_predictions(answers: Sequence[Prediction], format: str, out: Path | None) -> None:
    """Write answers as `table`, `json`, `jsonl` or `csv` to a file or stdout."""
    text = {"table": _as_table, "json": _as_json, "jsonl": _as_jsonl, "csv": _as_csv}[format](answers, out is None)
    if out is None:
        sys.stdout.write(text)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")


def _as_json(answers: Sequence[Prediction], _: bool) -> str:
    return json.dumps([asdict(answer) for answer in answers], indent=2, ensure_ascii=False) + "\n"


def _as_jsonl(answers: Sequence[Prediction], _: bool) -> str:
    return "".join(json.dumps(asdict(answer), ensure_ascii=False) + "\n" for answer in answers)


def _as_csv(answers: Sequence[Prediction], _: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "path",
            "status",
            "reasons",
            *TRAITS,
            *(f"quality_{m}" for m in MODALITIES),
            *(f"used_{m}" for m in MODALITIES),
            "model",
        ]
    )
    for answer in answers:
        traits = [answer.traits[trait] if answer.traits else "" for trait in TRAITS]
        shares = [*(answer.quality[m] for m in MODALITIES), *(answer.used[m] for m in MODALITIES)]
        writer.writerow([answer.path, answer.status, "; ".join(answer.reasons), *traits, *shares, answer.model])
    return text.getvalue()


def _as_table(answers: Sequence[Prediction], to_stdout: bool) -> str:
    initials = (trait[0].upper() for trait in TRAITS)
    table = Table("file", "status", *initials, "quality a/v", "used a/v", "why", caption=LEGEND)
    for answer in answers:
        table.add_row(
            Path(answer.path).name,
            answer.status,
            *(f"{answer.traits[trait]:.2f}" if answer.traits else "-" for trait in TRAITS),
            "/".join(f"{answer.quality[m]:.2f}" for m in MODALITIES),
            "/".join(f"{answer.used[m]:.2f}" for m in MODALITIES),
            "; ".join(answer.reasons),
        )
    console = _stdout() if to_stdout else Console(width=PIPED_WIDTH)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _stdout() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH)
