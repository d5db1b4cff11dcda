"""`msma doctor`: what this machine has and lacks, for which command, and the remedy."""

from __future__ import annotations

import typer

from msma.cli import options
from msma.cli.show.tables import show_json, show_table, tell
from msma.reports.table import Row, Table


def doctor(format: options.Format = "table") -> None:
    """Check what this machine has, and what is missing.

    The exit code is 1 only where nothing would work.
    """
    from dataclasses import asdict

    from msma.cli.machine import examine

    findings = list(examine())
    if format == "json":
        show_json({"findings": [asdict(finding) for finding in findings]})
    else:
        rows = [Row(one.about, one.state, one.found, one.remedy) for one in findings]
        show_table(Table("", ["", "state", "found", "remedy"], rows, prose=[1, 2, 3]))
    counts = {state: sum(finding.state == state for finding in findings) for state in ("ok", "missing", "broken")}
    tell(", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts["broken"]:
        raise typer.Exit(1)
