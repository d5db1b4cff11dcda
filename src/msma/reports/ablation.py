"""The tables of an ablation study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msma.evaluation.ablation import (
    PLATEAU_CCC,
    AblationRow,
    AblationStudy,
    FromFull,
    NetworkChecks,
    QuickChecks,
    Spread,
)
from msma.metrics import Interval
from msma.reports.numbers import DASH, difference, metric_name, number, signed, span, with_interval
from msma.reports.paper import paper_blocks
from msma.reports.table import Block, Row, Table

MEASURED = ("mean_accuracy", "ccc", "skill", "retention")
COMPARED = ("mean_accuracy", "ccc", "skill", "scenarios", "retention")


def ablation_blocks(study: AblationStudy) -> Iterator[Block]:
    """Scores on clean clips and in each scenario, the differences from the recipe, and the quick checks."""
    yield scores_table(study)
    rows = [
        Row(row.name, *(number(row.statistics[name].mean) for name in study.scenarios)) for row in study.rows.values()
    ]
    title = f"skill in each scenario, noise of severity {study.severity}"
    yield Table(title, ["", *(name.replace("_", " ") for name in study.scenarios)], rows)
    yield from paper_blocks(study)
    if study.unpredicted:
        yield f"{study.unpredicted} clips are left out: some network has no prediction for them"
    others = [row for row in study.rows.values() if row.differences]
    if others:
        rows = [Row(row.name, *(difference(row.differences[name]) for name in COMPARED)) for row in others]
        yield Table("minus full [95 %, paired by seed and source]", ["", *map(metric_name, COMPARED)], rows)
        yield verdicts_table(others)
    if study.offered:
        yield offered_table(study)
    if study.checks.networks:
        yield checks_table(study.checks)


def scores_table(study: AblationStudy) -> Table:
    """Ablations down; means over seeds with their range."""
    rows = [
        Row(
            row.name,
            f"{row.parameters:,}",
            f"{row.clips_per_step}\n{row.clips_read:,}",
            *(ranged(row.statistics[name]) for name in MEASURED),
            plateau(row.last_quarter),
        )
        for row in study.rows.values()
    ]
    rows.append(Row("constant", "", "", number(study.constant_mean_accuracy), "0.000", "0.000", "", "", rule=True))
    title = f"{study.recipe} on {study.corpus}, split {study.split}"
    ranges = ", in brackets their range" if study.seeds > 1 else ""
    seeds = "1 seed" if study.seeds == 1 else f"{study.seeds} seeds"
    fewer = f" ({study.scenario_clips} in the scenarios)" if study.scenario_clips < study.clips else ""
    notes = [
        f"{seeds}, {study.clips} clips{fewer} of {study.sources} sources: means over seeds{ranges}; retention is the "
        "mean skill in the six scenarios over the clean skill",
        "clips read: by a training step, and in all; last quarter: validation CCC gained over that of the training "
        f"steps, at most {PLATEAU_CCC:g} where training has come to a plateau",
    ]
    return Table(title, ["", "parameters", "clips read", *map(metric_name, MEASURED), "last quarter"], rows, notes)


def plateau(gained: Spread) -> str:
    """A cell with what the last quarter of training gained, and whether that says that it was too short."""
    return signed(gained.mean) + ("\nstill rising" if gained.mean > PLATEAU_CCC else "")


def verdicts_table(rows: Sequence[AblationRow]) -> Table:
    """What can be said of the rows when they are looked at together."""
    found = [
        Row(
            row.name, *(f"{one.verdict or DASH}\n{together(one)}" for one in map(row.differences.__getitem__, COMPARED))
        )
        for row in rows
    ]
    note = (
        "the intervals of a column hold for all of its rows together; a row loses where its interval is below 0, gains "
        "where it is above, and is not told apart from full where it holds 0"
    )
    return Table("verdicts [simultaneous 95 %]", ["", *map(metric_name, COMPARED)], found, [note])


def offered_table(study: AblationStudy) -> Table:
    """The share of what the corpus offers to a part that is lost without it."""
    rows = [
        Row(
            *(name, one.part.replace("_", " "), "\n".join(one.traits)),
            *(number(one.ccc), with_interval(one.share, one, digits=2)),
        )
        for name, one in study.offered.items()
    ]
    note = "offered: the best possible CCC minus that without the structures that need the part, on its traits"
    columns = ["", "part", "traits", "offered", "lost"]
    return Table("share of the offered gain lost [simultaneous 95 %]", columns, rows, [note])


def together(value: FromFull) -> str:
    return span(Interval(value.all_low, value.all_high), sign=True)


def checks_table(checks: QuickChecks) -> Table:
    """The quick checks inside the networks: a row for each number, a column for each ablation."""
    columns = {name: dict(check_lines(found)) for name, found in checks.networks.items()}
    rows = [
        Row(line, *(column.get(line, "") for column in columns.values()))
        for line in dict.fromkeys(line for column in columns.values() for line in column)
    ]
    return Table("inside the networks (mean over seeds [range])", ["check", *columns], rows)


def check_lines(found: NetworkChecks) -> Iterator[tuple[str, str]]:
    """The main numbers of one ablation's networks; the JSON has all."""
    for modality, check in found.noise.items():
        for measure, graded in (("weight", check.weight), ("quality", check.quality), ("evenness", check.evenness)):
            if graded is not None:
                yield f"{measure} of {modality} with its noise: Spearman", ranged(graded.spearman)
    for corruption, check in found.severity.items():
        yield f"skill a step of {corruption} [95 %]", difference(check.slope)
    for modality, check in (found.attention_on_noise or {}).items():
        yield f"attention to the noisy half of {modality}, minus clean", ranged(check.change)
    if found.traits is not None:
        for trait, share in found.traits.audio_share.items():
            yield f"share of audio in {trait}", ranged(share)
    for group, check in found.scales.items():
        yield f"CKA between {group} scales", ranged(check.between_scales)
    if (worst := found.both_worst) is not None:
        yield "both at severity 5: skill", ranged(worst.skill)
        yield "both at severity 5: spread of the predictions to clean", ranged(worst.spread_to_clean)
        for modality, quality in worst.quality.items():
            yield f"both at severity 5: quality of {modality}", ranged(quality)


def ranged(value: Spread) -> str:
    """A cell with the mean over seeds, and their range where there are several."""
    return with_interval(value.mean, value) if len(value.by_seed) > 1 else number(value.mean)
