"""An ablation study on disk: `ablation.json` (docs/ablations.md has the schema) and `ablation.csv`."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from msma.evaluation.result_file import without_nan
from msma.files import write_json, written_whole
from msma.training.ablation.table import AblationTable


def study_json(about: dict[str, Any], table: AblationTable, checks: dict[str, Any]) -> dict[str, Any]:
    """The study as plain JSON values, NaN as None: `about`, the table by ablation, and the quick checks."""
    values = plain(table)
    return without_nan(
        {**about, **values, "rows": {row["name"]: row for row in values["rows"]}, "checks": plain(checks)}
    )


def plain(value: Any) -> Any:
    """Dataclasses, wherever they are, as dictionaries."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return value


def write_study(folder: Path, values: dict[str, Any], table: AblationTable) -> None:
    write_json(folder / "ablation.json", values)
    with written_whole(folder / "ablation.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        write_csv(file, table)


def write_csv(file: Any, table: AblationTable) -> None:
    """A line an ablation and statistic; what is not defined is empty."""
    writer = csv.writer(file)
    writer.writerow(["ablation", "parameters", "statistic", "mean", "min", "max", "difference", "low", "high"])
    for row in table.rows:
        for name, value in row.statistics.items():
            numbers = [value.mean, value.low, value.high]
            if name in row.differences:
                gap = row.differences[name]
                numbers += [gap.difference, gap.low, gap.high]
            cells = ["" if math.isnan(number) else f"{number:.6f}" for number in numbers]
            writer.writerow([row.name, row.parameters, name, *cells, *[""] * (6 - len(cells))])
