"""The parts of a card that are numbers. Results on rendered clips are never worded as if about people."""

from __future__ import annotations

import math

from msma.evaluation.evaluation import Evaluation
from msma.evaluation.gaps import Gap
from msma.evaluation.robustness.summary import SuiteSummary, mean
from msma.metrics import Interval, Metrics
from msma.reports.card.markdown import bullets, prose, quoted, table, with_ends
from msma.reports.card.origin import RENDERED
from msma.reports.card.results import Results
from msma.reports.numbers import number

MOST_NAMES = 12


def clips_of(corpus: str) -> str:
    return "rendered clips" if corpus == RENDERED else "clips"


def splits(found: Results) -> str:
    evaluation, about = found.evaluation, found.calibration.about
    rows = [[name, f"{count.clips:,}", f"{count.sources:,}"] for name, count in evaluation.splits.items()]
    trained = found.weights.config.corpus
    lines = [f"Trained on the corpus {quoted(trained)}."]
    if evaluation.corpus != trained:
        lines.append(f"**Scored on another corpus**, {quoted(evaluation.corpus)}, whose splits these are:")
    lines.append(
        f"Intervals are calibrated on {about.clips:,} {clips_of(about.corpus)} of {about.sources:,} sources of the "
        f"split {quoted(about.split)} of {quoted(about.corpus)}."
    )
    return f"{' '.join(lines)}\n\n{table(['split', clips_of(evaluation.corpus), 'sources'], rows)}"


def answered(evaluation: Evaluation) -> list[str]:
    """The traits that were scored."""
    return [trait for trait in evaluation.metrics["ccc"] if trait != "mean"]


def scores(found: Results) -> str:
    evaluation = found.evaluation
    seen, unseen = evaluation.slices.seen_source, evaluation.slices.unseen_source
    constant, probe = evaluation.baselines["constant"], evaluation.baselines["same_source"]
    intervals = evaluation.intervals
    rows = [
        ["**these weights**", *means(evaluation.metrics, intervals)],
        ["the constant (mean of the training labels)", *means(constant)],
        ["the mean label of the same source, without any media", *means(probe)],
    ]
    if evaluation.ceiling is not None:
        best = evaluation.ceiling
        accuracy, ccc = best["mean_accuracy"]["mean"], best["ccc"]["mean"]
        rows.append(["the best that is possible", number(accuracy, 4), number(ccc), "–"])
    if seen.clips and unseen.clips:
        rows.append(
            [f"these weights, {unseen.clips:,} {clips_of(evaluation.corpus)} of unseen sources", *means(unseen.metrics)]
        )
    by_trait = [
        [
            trait,
            with_ends(evaluation.metrics["mean_accuracy"][trait], intervals["mean_accuracy"][trait], 4),
            number(constant["mean_accuracy"][trait], 4),
            with_ends(evaluation.metrics["ccc"][trait], intervals["ccc"][trait]),
            number(probe["ccc"][trait]),
            number(evaluation.metrics["bias"][trait], sign=True),
        ]
        for trait in answered(evaluation)
    ]
    shared = (
        f"{seen.clips:,} of them share their source with a training clip."
        if seen.clips
        else "No training clip is of their sources."
    )
    return "\n\n".join(
        [
            f"On the test split of {quoted(evaluation.corpus)}: {evaluation.clips:,} {clips_of(evaluation.corpus)} of "
            f"{evaluation.sources:,} sources. {shared} In brackets, intervals of 95 % by bootstrap over sources.",
            table(["", "mean accuracy (1 − MAE)", "CCC", "skill (1 − MAE / MAE of the constant)"], rows),
            table(["trait", "mean accuracy", "constant's", "CCC", "same source's CCC", "bias"], by_trait),
        ]
    )


def means(metrics: Metrics, intervals: dict[str, dict[str, Interval]] | None = None) -> list[str]:
    digits = {"mean_accuracy": 4, "ccc": 3, "skill": 3}
    if intervals is None:
        return [number(metrics[name]["mean"], places) for name, places in digits.items()]
    return [with_ends(metrics[name]["mean"], intervals[name]["mean"], places) for name, places in digits.items()]


def held_labels(found: Results) -> str:
    held = found.intervals
    rows = [
        [name, f"{one.clips:,}", number(one.coverage["mean"]), number(one.width["mean"])]
        for name, one in {"all": held.whole, **held.available}.items()
    ]
    shares = [held.whole.coverage[trait] for trait in answered(found.evaluation)]
    return (
        f"Share of the test labels in their intervals of {held.nominal:.0%}, and mean width, by what could be used of "
        f"a clip. Over traits the coverage is {number(min(shares))} to {number(max(shares))}.\n\n"
        + table(["used", clips_of(found.evaluation.corpus), "coverage", "width"], rows)
    )


def robustness(found: Results) -> str:
    return "\n\n".join(of_suite(suite) for suite in found.suites)


def of_suite(suite: SuiteSummary) -> str:
    about = (
        f"`msma robustness --suite {suite.suite}` on {suite.clips:,} {clips_of(suite.corpus)} of "
        f"{quoted(suite.corpus)}, whose clean skill is {number(suite.clean.skill)}. Retention: skill over clean skill."
    )
    if suite.suite == "six":
        groups = {quoted(name): group for name, group in suite.scenarios.items()}
        about += f" Mean over the six: {number(suite.six.mean_retention, 2)}."
    else:
        families = {"seen in training": suite.seen, "held out of training": suite.held_out}
        groups = {f"families {name}": group for name, group in families.items() if group is not None}
    if suite.calibration_sha256 is None:
        about += " It was run before the intervals were calibrated, so that their coverage in it is not known."
    severities = sorted({severity for group in groups.values() for severity in group.retention})
    rows = [
        [
            name,
            *(number(group.retention.get(severity), 2) for severity in severities),
            number(group.mean_retention, 2),
            number(mean(group.coverage.values()), 2),
        ]
        for name, group in groups.items()
    ]
    header = ["", *(f"severity {severity}" for severity in severities), "mean", "coverage of intervals"]
    return f"{about}\n\n{table(header, rows)}"


def groups(found: Results) -> str:
    evaluation = found.evaluation
    columns = evaluation.slices.columns
    if not columns:
        if evaluation.corpus == RENDERED:
            return "The rendered corpus was scored without groups."
        return "The corpus was scored without groups, so that nothing is known of differences between groups of people."
    return "\n\n".join(of_column(found, name) for name in columns)


def of_column(found: Results, column: str) -> str:
    evaluation = found.evaluation
    held = found.intervals.columns.get(column, {})
    rows = [
        [
            quoted(value),
            f"{scores.clips:,}",
            f"{scores.sources:,}",
            number(scores.metrics["mean_accuracy"]["mean"], 4),
            number(scores.metrics["ccc"]["mean"]),
            number(scores.metrics["bias"]["mean"], sign=True),
            number(held[value].coverage["mean"]) if value in held else "–",
        ]
        for value, scores in evaluation.slices.columns[column].items()
    ]
    header = [quoted(column), clips_of(evaluation.corpus), "sources", "mean accuracy", "CCC", "bias", "coverage"]
    gap = evaluation.gaps.get(column)
    return f"{table(header, rows)}\n\n{told_gap(gap)}"


def told_gap(gap: Gap | None) -> str:
    if gap is None or gap.largest.bias is None or gap.largest.mean_accuracy is None:
        return "Too few sources for an interval of the gaps between these groups."
    bias, accuracy = gap.largest.bias, gap.largest.mean_accuracy
    return (
        "Each group against the rest: the largest gap in bias is "
        f"{with_ends(bias.difference, bias, sign=True)} ({quoted(bias.value)}, {bias.trait}), in mean "
        f"accuracy {with_ends(accuracy.difference, accuracy, 4, sign=True)} "
        f"({quoted(accuracy.value)}). All intervals of the {gap.comparisons} comparisons hold together with 95 %; "
        f"{'at least one of them excludes 0' if gap.clear else 'none of them excludes 0'}."
    )


def failures(found: Results) -> str:
    evaluation = found.evaluation
    ccc = {trait: value for trait in answered(evaluation) if not math.isnan(value := evaluation.metrics["ccc"][trait])}
    lines = [
        f"{len(evaluation.failed):,} test clips could not be answered and are not in the scores; "
        f"{evaluation.degraded:,} were read with faults"
    ]
    if ccc:
        lowest = min(ccc, key=lambda trait: ccc[trait])
        lines.append(f"lowest trait: {lowest}, CCC {number(ccc[lowest])}")
    worst = min(
        (suite.worst for suite in found.suites if suite.worst is not None), key=lambda cell: cell.skill, default=None
    )
    if worst is not None:
        lines.append(
            f"worst of all corruptions in which something is left: {quoted(worst.cell)}, skill {number(worst.skill)}, "
            f"mean accuracy {number(worst.mean_accuracy, 4)}"
        )
    for suite in found.suites:
        lines += of_cells(suite)
    return bullets([*lines, *(prose(warning) for warning in evaluation.warnings)])


def of_cells(suite: SuiteSummary) -> list[str]:
    below = [*suite.below_constant.up_to_severity_3, *suite.below_constant.above]
    failed = sum(cell.failed for cell in suite.cells)
    where = f"in `--suite {suite.suite}`"
    lines = [f"below the constant {where}: {listed(below)}"]
    if failed:
        lines.append(f"{failed:,} answers failed {where}")
    if suite.not_run:
        lines.append(f"not run {where}: {listed(list(suite.not_run))}")
    for name, check in suite.checks.items():
        if check.verdict == "warning":
            lines.append(f"check of {quoted(name)} {where}: {prose('; '.join(check.found))}")
    return lines


def listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return (", ".join(map(quoted, names[:MOST_NAMES])) or "none") + more
