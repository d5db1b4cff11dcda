"""The table of ablations: what its columns are, and that its intervals know of seeds, sources and pairs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from msma.config import ModelConfig, Recipe
from msma.corruptions.scenarios import SIX
from msma.data.corpora.manifest import Row, targets
from msma.evaluation.ablation import (
    AblationStudy,
    AblationTable,
    Graded,
    NetworkChecks,
    NoiseCheck,
    Offered,
    QuickChecks,
)
from msma.evaluation.comparison import compare
from msma.evaluation.predictions import Predictions
from msma.evaluation.result_file import as_json
from msma.metrics import all_metrics, draw_sources
from msma.training.ablation.offers import offered_gains
from msma.training.ablation.plan import Ablation
from msma.training.ablation.statistics import estimate, last_quarter, over_seeds, spread
from msma.training.ablation.table import CLEAN, StudiedNetwork, ablation_table, write_csv
from msma.types import TRAITS, MsmaError

SCENARIOS = tuple(SIX)
FULL = Ablation("full", Recipe(), {})
OTHER = Ablation("concat", Recipe(model=ModelConfig(fusion="concat")), {"model.fusion": "concat"})
SCORES = np.random.default_rng(0).uniform(0.1, 0.9, (60, 5))
ROWS = [
    Row(f"{place:03d}", Path(f"{place:03d}.mp4"), f"source{place // 3}", "test", tuple(scores))
    for place, scores in enumerate(SCORES.tolist())
]
CONSTANT = np.tile(targets(ROWS).mean(axis=0), (60, 1))

TRAINED = ((0.05, 0.1), range(3)), ((0.1, 0.2), range(3, 6))
"""Clean and noisy errors of two ablations, and their seeds."""


def answered(error: float, seed: int, rows: list[Row] = ROWS) -> Predictions:
    """Answers that are off by about so much."""
    off = error * np.random.default_rng(seed).standard_normal((60, 5))
    predicted = np.clip(SCORES + off, 0, 1)[[int(row.clip) for row in rows]]
    return Predictions([row.clip for row in rows], [row.source for row in rows], predicted, targets(rows))


def run(clean: float, noisy: float, seed: int) -> dict[str, Predictions]:
    cells = {name: answered(noisy, 100 * seed + place) for place, name in enumerate(SCENARIOS, start=1)}
    return {CLEAN: answered(clean, 100 * seed), **cells}


def networks(full: list, other: list) -> dict[str, list[StudiedNetwork]]:
    return {
        name: [
            StudiedNetwork(Path(name), cells, parameters, clips_per_step=8, steps=100, last_quarter=0.01)
            for cells in of_seeds
        ]
        for name, of_seeds, parameters in (("full", full, 9), ("concat", other, 7))
    }


def table(full: list, other: list, corrupted: Sequence[Row] | None = None) -> AblationTable:
    studied = networks(full, other)
    return ablation_table([FULL, OTHER], studied, ROWS, CONSTANT, ROWS if corrupted is None else corrupted)


@pytest.fixture(scope="module")
def three_seeds() -> AblationTable:
    return table(*([run(*errors, seed) for seed in seeds] for errors, seeds in TRAINED))


# columns


def test_a_row_has_the_clean_scores_the_skill_in_each_scenario_their_mean_and_the_retention(three_seeds):
    full, other = three_seeds.rows.values()
    assert tuple(full.statistics) == ("mean_accuracy", "ccc", "skill", *SCENARIOS, "scenarios", "retention")
    runs = [run(0.05, 0.1, seed) for seed in range(3)]
    metrics = [{name: all_metrics(p.predicted, p.target, CONSTANT) for name, p in one.items()} for one in runs]
    for name in ("mean_accuracy", "ccc", "skill"):
        assert full.statistics[name].by_seed == pytest.approx([one[CLEAN][name]["mean"] for one in metrics])
    skills = np.array([[one[name]["skill"]["mean"] for name in SCENARIOS] for one in metrics])
    for place, name in enumerate(SCENARIOS):
        assert full.statistics[name].by_seed == pytest.approx(skills[:, place])
    assert full.statistics["scenarios"].by_seed == pytest.approx(skills.mean(axis=1))
    retained = [skill.mean() / one[CLEAN]["skill"]["mean"] for skill, one in zip(skills, metrics, strict=True)]
    assert full.statistics["retention"].by_seed == pytest.approx(retained)
    assert (full.parameters, other.parameters, other.changes) == (9, 7, {"model.fusion": "concat"})
    assert (full.clips_per_step, full.clips_read) == (8, 800)
    assert full.last_quarter.mean == pytest.approx(0.01)
    assert full.intervals.keys() == full.statistics.keys()
    for name, value in full.statistics.items():
        assert full.intervals[name].low < value.mean < full.intervals[name].high


def test_the_constant_stands_beside_it(three_seeds):
    expected = all_metrics(CONSTANT, targets(ROWS), CONSTANT)["mean_accuracy"]["mean"]
    assert three_seeds.constant_mean_accuracy == pytest.approx(expected)
    assert (three_seeds.clips, three_seeds.sources, three_seeds.seeds) == (60, 20, 3)


def test_the_recipe_has_no_difference_from_itself_and_the_others_have_one_in_every_column(three_seeds):
    full, other = three_seeds.rows.values()
    assert full.differences == {}
    assert other.differences.keys() == other.statistics.keys()
    for name, gap in other.differences.items():
        assert gap.difference == pytest.approx(other.statistics[name].mean - full.statistics[name].mean)
        assert gap.low < gap.difference < gap.high < 0


def test_a_network_without_clean_skill_has_no_retention():
    full = [run(0.05, 0.1, 0), run(0.05, 0.1, 1)]
    other = [run(0.05, 0.1, 2), run(0.5, 0.1, 3)]
    _, row = table(full, other).rows.values()
    assert math.isnan(row.statistics["retention"].by_seed[1])
    assert row.statistics["retention"].mean == row.statistics["retention"].by_seed[0]
    assert math.isnan(row.differences["retention"].difference)


def test_clips_that_some_network_could_not_be_asked_for_are_left_out_of_all_and_counted():
    full, other = run(0.05, 0.1, 0), run(0.1, 0.2, 1)
    partly = {**other, "audio_noise": answered(0.2, 9, ROWS[3:])}
    found = table([full], [partly])
    assert (found.clips, found.scenario_clips, found.unpredicted, found.sources) == (57, 57, 3, 19)
    expected = all_metrics(full[CLEAN].predicted[3:], targets(ROWS[3:]), CONSTANT[3:])["ccc"]["mean"]
    assert found.rows["full"].statistics["ccc"].mean == pytest.approx(expected)
    with pytest.raises(MsmaError, match="no clip has predictions of every network"):
        table([{**full, CLEAN: answered(0.1, 0, ROWS[:3])}], [partly])


def test_scenarios_may_be_of_some_clips_and_clean_scores_are_of_all():
    full, other = run(0.05, 0.1, 0), run(0.1, 0.2, 1)
    some = ROWS[::2]

    def in_part(one: dict[str, Predictions]) -> dict[str, Predictions]:
        return {cell: given if cell == CLEAN else given.at(range(0, 60, 2)) for cell, given in one.items()}

    whole, found = table([full], [other]), table([in_part(full)], [in_part(other)], some)
    assert (found.clips, found.scenario_clips, found.unpredicted) == (60, 30, 0)
    for name in ("ccc", "skill", "mean_accuracy"):
        assert found.rows["full"].statistics[name] == whole.rows["full"].statistics[name]
        assert found.rows["concat"].differences[name] == whole.rows["concat"].differences[name]
    skills = {
        cell: all_metrics(given.predicted, targets(some), CONSTANT[::2])["skill"]["mean"]
        for cell, given in ((cell, given.at(range(0, 60, 2))) for cell, given in full.items())
    }
    clean = skills.pop(CLEAN)
    statistics = found.rows["full"].statistics
    assert statistics["scenarios"].mean == pytest.approx(np.mean(list(skills.values())))
    assert statistics["retention"].mean == pytest.approx(np.mean(list(skills.values())) / clean)
    lacking = {**in_part(full), SCENARIOS[0]: in_part(full)[SCENARIOS[0]].at(range(29))}
    left = table([lacking], [in_part(other)], some)
    assert (left.clips, left.scenario_clips, left.unpredicted) == (59, 29, 1)


# intervals


def test_with_one_seed_the_interval_is_the_paired_one_over_sources():
    full, other = run(0.05, 0.1, 0), run(0.1, 0.2, 1)
    _, row = table([full], [other]).rows.values()
    expected = compare(other[CLEAN], full[CLEAN], CONSTANT).differences
    for name in ("mean_accuracy", "ccc", "skill"):
        gap, known = row.differences[name], expected[name]["mean"]
        assert (gap.difference, gap.low, gap.high) == pytest.approx((known.difference, known.low, known.high))


def test_the_same_networks_differ_by_exactly_nothing():
    runs = [run(0.05, 0.1, seed) for seed in range(3)]
    _, row = table(runs, runs).rows.values()
    assert all((gap.difference, gap.low, gap.high) == (0, 0, 0) for gap in row.differences.values())


def test_seeds_that_differ_widen_the_interval():
    full = [run(0.05, 0.1, seed) for seed in range(3)]
    alike = [run(0.1, 0.2, seed) for seed in range(3, 6)]
    apart = [run(error, 0.2, seed) for seed, error in zip(range(3, 6), (0.02, 0.1, 0.25), strict=True)]
    widths = []
    for other in (alike, apart):
        gap = table(full, other).rows["concat"].differences["skill"]
        widths.append(gap.high - gap.low)
    assert widths[1] > 3 * widths[0]


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_variance_over_seeds_is_that_of_their_mean(seeds):
    """Unbiased, however few they are: the sample variance over the number of seeds."""
    values = np.random.default_rng(seeds).standard_normal(seeds)
    drawn = over_seeds(np.tile(values[:, None], (1, 50_000)))
    assert drawn.var() == pytest.approx(values.var(ddof=1) / seeds, rel=0.05)
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.02)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Sources and seeds both random: the mean of their effects is 0, and 95 % of intervals should hold it."""
    rng, held = np.random.default_rng(0), 0
    draws = draw_sources([str(place) for place in range(40)], draws=400)
    weights = draws.counts / draws.counts.sum(axis=1, keepdims=True)
    for _ in range(300):
        values = rng.normal(0, 0.3, (6, 1)) + rng.normal(0, 1, (1, 40))
        gap = estimate(np.column_stack([values.mean(axis=1), values @ weights.T]))
        held += gap.low <= 0 <= gap.high
    assert 0.9 < held / 300 < 0.98


def test_a_spread_is_mean_and_range_of_what_is_known():
    assert spread([0.1, 0.3, math.nan]).mean == pytest.approx(0.2)
    assert (spread([0.1, 0.3]).low, spread([0.1, 0.3]).high) == (0.1, 0.3)
    assert math.isnan(spread([math.nan]).mean)


# what a corpus offers


BEST, POOREST = dict.fromkeys(TRAITS, 0.9), {**dict.fromkeys(TRAITS, 0.88), "openness": 0.5, "neuroticism": 0.6}
FACTS = {"ceiling": {"both": {"ccc": BEST}}, "ceiling_without": {"cross_attention": {"ccc": POOREST}}}


def gains(full: list, other: list, facts: dict) -> dict[str, Offered]:
    return offered_gains(networks(full, other), ROWS, CONSTANT, ROWS, facts)


def test_the_share_of_what_a_corpus_offers_is_that_of_the_loss_with_the_interval_of_all_rows(three_seeds):
    facts = {**FACTS, "ceiling_without": {"cross_attention": {"ccc": dict.fromkeys(TRAITS, 0.7)}}}
    full, other = ([run(*errors, seed) for seed in seeds] for errors, seeds in TRAINED)
    found, lost = gains(full, other, facts), three_seeds.rows["concat"].differences["ccc"]
    assert found.keys() == {"concat"}
    assert found["concat"].ccc == pytest.approx(0.2)
    ends = (found["concat"].share, found["concat"].low, found["concat"].high)
    assert ends == pytest.approx((-lost.difference / 0.2, -lost.all_high / 0.2, -lost.all_low / 0.2))


def test_the_share_of_what_a_corpus_offers_is_that_of_the_loss_on_the_traits_that_hang_on_the_part():
    full, other = ([run(error, 0.2, seed) for seed in seeds] for error, seeds in ((0.05, range(3)), (0.2, range(3, 6))))
    found = gains(full, other, FACTS)["concat"]
    assert (found.part, found.traits) == ("cross_attention", ("openness", "neuroticism"))
    assert found.ccc == pytest.approx(0.35)
    of_hanging = [
        np.mean([[all_metrics(p.predicted, p.target, CONSTANT)["ccc"][trait] for trait in found.traits] for p in clean])
        for clean in ([one[CLEAN] for one in full], [one[CLEAN] for one in other])
    ]
    assert found.share == pytest.approx((of_hanging[0] - of_hanging[1]) / 0.35)
    assert found.low < found.share < found.high


def test_what_is_lost_of_other_traits_counts_for_no_part():
    full, other = ([run(0.1, 0.2, seed) for seed in seeds] for seeds in (range(3), range(3, 6)))
    before = gains(full, other, FACTS)
    for one in other:
        one[CLEAN].predicted[:, 1:4] = 0.5
    assert gains(full, other, FACTS) == before


def test_a_corpus_without_known_structures_offers_nothing():
    full, other = ([run(0.1, 0.2, seed) for seed in seeds] for seeds in (range(2), range(2, 4)))
    assert gains(full, other, {"ceiling": FACTS["ceiling"]}) == {}


@pytest.mark.parametrize(
    ("curve", "gained"),
    [([(25, 0.1), (50, 0.3), (75, 0.4), (100, 0.45)], 0.05), ([(140, 0.2), (280, 0.5)], 0.3), ([(9, 0.4)], math.nan)],
)
def test_the_last_quarter_of_training_is_counted_from_the_validation_at_or_before_it(curve, gained):
    assert last_quarter(curve) == pytest.approx(gained, nan_ok=True)


# on disk


def test_the_csv_has_a_line_for_each_ablation_and_statistic(three_seeds):
    file = io.StringIO()
    write_csv(file, three_seeds)
    lines = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(lines) == 2 * len(three_seeds.rows["full"].statistics)
    (line,) = (one for one in lines if (one["ablation"], one["statistic"]) == ("concat", "skill"))
    row = three_seeds.rows["concat"]
    assert float(line["mean"]) == pytest.approx(row.statistics["skill"].mean, abs=1e-6)
    assert float(line["low"]) == pytest.approx(row.differences["skill"].low, abs=1e-6)
    assert [one["difference"] for one in lines if one["ablation"] == "full"] == [""] * len(row.statistics)


def test_the_json_has_the_rows_by_name_and_null_for_what_is_not_defined(three_seeds):
    graded = Graded(by_severity=[math.nan] * 6, spearman=spread([math.nan]))
    noise = {"audio": NoiseCheck(corruption="white_noise", weight=graded)}
    network = NetworkChecks(clips=60, noise=noise, severity={}, scales={})
    checks = QuickChecks(networks={"full": network}, scales={})
    about = {"recipe": "made up", "corpus": "planted", "split": "test", "severity": 3, "offered": {}, "left_out": {}}
    study = AblationStudy(**dict(three_seeds), **about, checks=checks)
    values = json.loads(as_json(study), parse_constant=pytest.fail)
    assert list(values["rows"]) == ["full", "concat"]
    compared = values["rows"]["concat"]["differences"]["ccc"]
    assert compared.keys() == {"difference", "low", "high", "all_low", "all_high", "verdict"}
    assert compared["verdict"] == "loses"
    assert values["rows"]["full"]["statistics"]["ccc"].keys() == {"mean", "low", "high", "by_seed"}
    assert values["checks"]["networks"]["full"]["noise"]["audio"]["weight"]["spearman"]["mean"] is None
    assert (values["corpus"], values["seeds"], values["clips"]) == ("planted", 3, 60)
