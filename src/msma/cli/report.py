"""`msma report`: one page of answers, or of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msma.cli.options import refuse_input
from msma.cli.show.tables import tell


def report(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|PREDICTIONS.json", help="A run folder, or what `msma predict --format json` or jsonl wrote."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The page: one file of HTML that opens offline.")] = Path(
        "report.html"
    ),
) -> None:
    """Write a page of answers, or of a run. Reads result files only: no media, no weights."""
    from msma.files import written_whole

    refuse_input(out, source)
    if source.is_dir():
        from msma.reports.run.files import read_run
        from msma.reports.run.report import run_report

        page = run_report(read_run(source))
    else:
        from msma.prediction.predictions_json import read_answers
        from msma.reports.predictions import predictions_report

        page = predictions_report(read_answers(source), source.name)
    with written_whole(out) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    tell(f"{out} is written ({out.stat().st_size / 1024:.0f} KiB)")
