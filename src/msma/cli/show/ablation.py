"""The tables of `msma ablate` on stdout."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table

from msma.cli.show.scores import difference, number
from msma.cli.show.tables import printable, stdout

if TYPE_CHECKING:
    from msma.evaluation.results import AblationStudy, NetworkChecks, QuickChecks, Spread

COMPARED = ("mean_accuracy", "ccc", "skill", "scenarios", "retention")


def show_table(table: AblationStudy) -> None:
    """Ablations down: clean scores, skill in each scenario, retention. Means over seeds; ranges of the main ones."""
    signs = {"visual_missing": "V-", "audio_missing": "A-", "visual_noise": "V~", "audio_noise": "A~", "_": " "}
    narrow = table.scenarios
    for long, sign in signs.items():
        narrow = [name.replace(long, sign) for name in narrow]
    title = printable(f"{table.recipe} on {table.corpus}, split {table.split}, severity {table.severity}")
    shown = Table("", "size", "accuracy", "CCC", "skill [seeds]", *narrow, "retention [seeds]", title=title)
    for row in table.rows.values():
        found = row.statistics
        shown.add_row(
            row.name,
            f"{row.parameters / 1000:,.0f}k",
            number(found["mean_accuracy"].mean),
            short(found["ccc"].mean),
            ranged(found["skill"]),
            *(short(found[name].mean) for name in table.scenarios),
            ranged(found["retention"]),
        )
    shown.add_section()
    nothing = ["0.000"] * (2 + len(table.scenarios))
    shown.add_row("constant", "", number(table.constant_mean_accuracy), *nothing, "")
    console = stdout()
    console.print(shown)
    console.print(
        f"{table.seeds} seeds, {table.clips} clips of {table.sources} sources; skill in the six scenarios: picture (V) "
        "or sound (A) is missing (-) or noisy (~); retention is their mean over the clean skill",
        soft_wrap=True,
    )
    if table.unanswered:
        console.print(f"{table.unanswered} clips are left out: some network could not be asked for them")


def show_differences(table: AblationStudy) -> None:
    """How far each ablation is from the recipe."""
    if len(table.rows) < 2:
        return
    shown = Table("", *COMPARED, title="minus full [95 %, paired by seed and source]")
    for row in table.rows.values():
        if row.differences:
            shown.add_row(row.name, *(difference(row.differences[name]) for name in COMPARED))
    stdout().print(shown)


def show_checks(checks: QuickChecks) -> None:
    """The quick checks: one line a number, one column an ablation."""
    if not checks.networks:
        return
    columns = {name: dict(check_lines(found)) for name, found in checks.networks.items()}
    shown = Table("check", *columns, title="inside the networks (mean over seeds [range])")
    for line in dict.fromkeys(line for column in columns.values() for line in column):
        shown.add_row(line, *(column.get(line, "") for column in columns.values()))
    stdout().print(shown)


def check_lines(found: NetworkChecks) -> list[tuple[str, str]]:
    """What is shown of one ablation's networks; the JSON has all."""
    lines = [
        (f"{measure} of {modality} with its noise: Spearman", ranged(graded.spearman))
        for modality, check in found.noise.items()
        for measure, graded in (("weight", check.weight), ("quality", check.quality), ("evenness", check.evenness))
        if graded is not None
    ]
    lines += [
        (f"skill a step of {corruption} [95 %]", difference(check.slope))
        for corruption, check in found.severity.items()
    ]
    lines += [
        (f"attention to the noisy half of {modality}, minus clean", ranged(check.change))
        for modality, check in (found.attention_on_noise or {}).items()
    ]
    if found.traits is not None:
        lines += [(f"share of audio in {trait}", ranged(share)) for trait, share in found.traits.audio_share.items()]
    lines += [(f"CKA between {group} scales", ranged(check.between_scales)) for group, check in found.scales.items()]
    worst = found.both_worst
    if worst is not None:
        lines += [
            ("both at severity 5: skill", ranged(worst.skill)),
            ("both at severity 5: spread of the predictions to clean", ranged(worst.spread_to_clean)),
            *((f"both at severity 5: quality of {m}", ranged(values)) for m, values in worst.quality.items()),
        ]
    return lines


def short(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 3) + 0.0:.3f}"


def ranged(value: Spread) -> str:
    return f"{short(value.mean)} [{short(value.low)}, {short(value.high)}]"
