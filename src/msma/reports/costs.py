"""The tables of what a network costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msma.evaluation.complexity import NETWORK, WHOLE
from msma.evaluation.results import StageCost
from msma.reports.table import Row, Table

HEADS = ("device", "parameters", "MACs M", "p50 ms", "p95 ms", "share", "RTF", "peak MiB")
NOTE = (
    "M: millions; RTF: real-time factor, time over the length of the clip; MACs of matrix products and convolutions "
    "alone."
)


def costs(rows: Sequence[StageCost]) -> Iterator[Table]:
    """Every stage of the first variant on each device, then what the network and all stages of every variant take."""
    first = rows[0].variant
    stages = [Row(row.stage, *cost_cells(row)) for row in rows if row.variant == first]
    yield Table(f"{first}, stage by stage", ["stage", *HEADS], stages, [NOTE])
    variants = [Row(row.variant, row.stage, *cost_cells(row)) for row in rows if row.stage in (NETWORK, WHOLE)]
    if variants:
        yield Table("variants", ["variant", "stages", *HEADS], variants)


def cost_cells(row: StageCost) -> list[str]:
    return [
        row.device,
        f"{row.parameters:,}" if row.parameters else "",
        f"{row.macs / 1e6:.0f}" if row.macs else "",
        f"{row.p50_ms:.1f}",
        f"{row.p95_ms:.1f}",
        f"{row.share:.1%}",
        f"{row.real_time_factor:.4f}",
        "" if row.peak_mib is None else f"{row.peak_mib:.0f}",
    ]
