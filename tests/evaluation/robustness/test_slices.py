"""Retention by group: what is planted shows, what is not planted does not."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from labels import labelled_corpus
from made_up import made_up, with_arrays
from pydantic import TypeAdapter

from msma.corruptions.scenarios import CLEAN, Cell, cells_of, six
from msma.data.corpora.manifest import Row, targets
from msma.evaluation.robustness.cell_result import CellResult, SuiteResult
from msma.evaluation.robustness.slices import ColumnLeft, LeftByGroup, effective_interval, slice_suite
from msma.metrics import all_metrics
from msma.types import TRAITS, MsmaError

NOISE = cells_of("white_noise", [("white_noise", None)], (1, 5))
DEAF = cells_of("no_audio", [("no_audio", None)], ())
CONSTANT = 0.5
TESTED = labelled_corpus(test=160, sources=90).split("test")


def answered(rows: Sequence[Row], cell: Cell, kept: np.ndarray | float, seed: int = 0) -> CellResult:
    """Answers that keep a share of what the labels have beyond the constant, clip by clip, with noise."""
    target = np.nan_to_num(targets(rows), nan=CONSTANT)
    noise = np.random.default_rng([seed, len(cell.name), cell.severity]).normal(0, 0.02, target.shape)
    traits = CONSTANT + np.broadcast_to(kept, len(rows))[:, None] * (target - CONSTANT) + noise
    return made_up(cell, 0.2, clips=[row.clip for row in rows], traits=traits)


def suite_on(rows: Sequence[Row], cells: dict[Cell, np.ndarray | float], clean: float = 0.8, seed: int = 0):
    prior = dict.fromkeys(TRAITS, CONSTANT)
    results = [answered(rows, cell, kept, seed) for cell, kept in cells.items()]
    return SuiteResult(answered(rows, CLEAN, clean, seed), results, [], prior, ("audio", "visual"), {})


def sliced(suite: SuiteResult, rows: Sequence[Row], *names: str) -> dict[str, ColumnLeft]:
    return slice_suite(suite, rows, np.full((len(rows), 5), CONSTANT), names or ["gender", "age_group"]).columns


def of(rows: Sequence[Row], column: str, value: str) -> np.ndarray:
    return np.array([row.columns[column] == value for row in rows])


def test_a_group_is_scored_in_every_cell_as_if_it_were_the_split():
    cells: dict[Cell, np.ndarray | float] = {NOISE[0]: 0.6, NOISE[1]: 0.3, DEAF[0]: 0.5}
    suite = suite_on(TESTED, cells)
    women = of(TESTED, "gender", "female")
    group = sliced(suite, TESTED)["gender"].groups["female"]
    assert (group.clips, group.sources) == (
        women.sum(),
        len({r.source for r in TESTED if r.columns["gender"] == "female"}),
    )
    assert list(group.cells) == ["white_noise_1", "white_noise_5", "no_audio_5"]
    for left, result in zip((*group.cells.values(), group.clean), (*suite.cells, suite.clean), strict=True):
        scores = all_metrics(result.traits_by_clip()[women], targets(TESTED)[women], np.full(5, CONSTANT))
        assert left.skill == pytest.approx(scores["skill"]["mean"])
        assert left.mean_accuracy == pytest.approx(scores["mean_accuracy"]["mean"])
        assert left.retention == pytest.approx(left.skill / group.clean.skill)


def test_mean_retention_is_over_scenarios_each_over_its_severities_without_what_leaves_nothing():
    nothing = replace(six()[0], scenario="nothing", steps=(*six()[0].steps, *six()[1].steps))
    assert nothing.removed == {"audio", "visual"}
    suite = suite_on(TESTED, {NOISE[0]: 0.6, NOISE[1]: 0.3, DEAF[0]: 0.5, nothing: 0.0})
    group = sliced(suite, TESTED)["gender"].groups["female"]
    quiet, loud, deaf = (left.retention for left in group.cells.values())
    assert group.mean_retention == pytest.approx(((quiet + loud) / 2 + deaf) / 2)


def test_the_gap_is_the_mean_retention_minus_that_of_all_others():
    age = sliced(suite_on(TESTED, {NOISE[0]: 0.6}), TESTED)["age_group"]
    others = [replace(row, columns={"age": str(row.columns["age_group"] == "old")}) for row in TESTED]
    two = sliced(suite_on(others, {NOISE[0]: 0.6}), others, "age")["age"].groups
    gap = age.groups["old"].minus_rest
    assert gap.difference == pytest.approx(two["True"].mean_retention - two["False"].mean_retention)
    assert gap.low < gap.difference < gap.high


@pytest.mark.parametrize("seed", range(5))
def test_a_group_that_keeps_less_when_clips_are_corrupted_shows(seed):
    rows = labelled_corpus(test=160, sources=90, seed=seed).split("test")
    kept = np.where(of(rows, "gender", "female"), 0.2, 0.6)
    gender = sliced(suite_on(rows, dict.fromkeys((*NOISE, *DEAF), kept), seed=seed), rows)["gender"]
    gap = gender.groups["female"].minus_rest
    assert gap.high < 0
    assert gap.low < (0.2 - 0.6) / 0.8 < gap.high
    assert gender.clear
    assert gender.largest in ("female", "male")
    assert gender.groups["male"].minus_rest.low == pytest.approx(-gap.high)


@pytest.mark.slow
def test_where_all_groups_keep_as_much_few_reports_name_a_gap():
    """Each looks at four differences; of 60 reports at most one in twenty may err, give or take chance."""

    def alarmed(seed: int) -> bool:
        rows = labelled_corpus(test=160, sources=90, seed=seed).split("test")
        kept = np.random.default_rng(seed).normal(0.4, 0.3, len(rows))  # from clip to clip, whoever it shows
        found = sliced(suite_on(rows, dict.fromkeys(NOISE, kept), seed=seed), rows)
        assert {column.comparisons for column in found.values()} == {4}
        return any(column.clear for column in found.values())

    assert sum(map(alarmed, range(60))) <= 7


def test_a_group_of_few_sources_has_scores_and_no_gap():
    few = sorted({row.source for row in TESTED})[:9]
    rows = [replace(row, columns={"kind": "rare" if row.source in few else str(i % 2)}) for i, row in enumerate(TESTED)]
    kind = sliced(suite_on(rows, {NOISE[0]: 0.6}), rows, "kind")["kind"]
    assert kind.groups["rare"].minus_rest is None
    assert kind.groups["rare"].mean_retention > 0
    assert kind.groups["0"].minus_rest is not None


def test_without_clean_skill_there_is_neither_retention_nor_an_interval():
    suite = suite_on(TESTED, {NOISE[0]: 0.6}, clean=-0.5)
    gender = sliced(suite, TESTED)["gender"]
    group = gender.groups["female"]
    assert math.isnan(group.mean_retention)
    assert math.isnan(group.cells["white_noise_1"].retention)
    assert math.isnan(group.minus_rest.low)
    assert (gender.clear, gender.largest) == (False, None)


def test_only_clips_with_an_answer_in_every_cell_count():
    suite = suite_on(TESTED, {NOISE[0]: 0.6, NOISE[1]: 0.3})
    holed = replace(suite, cells=[suite.cells[0], without_first(suite.cells[1], 5)])
    found, expected = (sliced(holed, TESTED), sliced(suite_on_subset(suite, 5), TESTED[5:]))
    assert found["gender"].groups["female"].cells == expected["gender"].groups["female"].cells
    assert sum(group.clips for group in found["gender"].groups.values()) == len(TESTED) - 5


def suite_on_subset(suite: SuiteResult, first: int) -> SuiteResult:
    clean, *cells = (without_first(result, first) for result in (suite.clean, *suite.cells))
    return replace(suite, clean=clean, cells=cells)


def without_first(result: CellResult, first: int) -> CellResult:
    return result.model_copy(update={"predictions": dict(list(result.predictions.items())[first:])})


def test_traits_without_labels_do_not_count():
    rows = labelled_corpus(test=160, sources=90, traits=("openness",)).split("test")
    suite = suite_on(rows, {NOISE[0]: 0.6})
    wild = with_arrays(suite.cells[0], traits=suite.cells[0].traits_by_clip() + np.array([0, 9, 9, 9, 9]))
    plain, other = (sliced(replace(suite, cells=[cell]), rows)["gender"] for cell in (suite.cells[0], wild))
    assert plain == other


def test_a_column_that_is_not_there_is_told():
    with pytest.raises(MsmaError, match="'hat' is no column of the manifest; it has: age_group, gender, transcript"):
        sliced(suite_on(TESTED, {NOISE[0]: 0.6}), TESTED, "hat")


def test_by_default_columns_of_few_values_are_sliced_and_the_others_are_named():
    suite = suite_on(TESTED, {NOISE[0]: 0.6})
    found = slice_suite(suite, TESTED, np.full((len(TESTED), 5), CONSTANT))
    assert sorted(found.columns) == ["age_group", "gender"]
    assert list(found.skipped) == ["transcript"]


def test_the_json_has_every_group_and_cell_and_no_nan():
    found = slice_suite(suite_on(TESTED, {NOISE[0]: 0.6}, clean=-0.5), TESTED, np.full((len(TESTED), 5), CONSTANT))
    told = json.loads(TypeAdapter(LeftByGroup).dump_json(found), parse_constant=pytest.fail)
    gender = told["columns"]["gender"]
    assert told["skipped"] == {"transcript": "has 160 values on 160 clips"}
    assert gender["clear"] is False
    assert gender["groups"]["male"]["mean_retention"] is None
    assert gender["groups"]["male"]["cells"]["white_noise_1"].keys() == {"skill", "mean_accuracy", "retention"}


# effective robustness


def with_late(result: CellResult, late: CellResult) -> CellResult:
    """The result of a network whose late fusion predicts what another one predicts."""
    predictions = {
        clip: replace(one, late_fusion=late.predictions[clip].traits) for clip, one in result.predictions.items()
    }
    return result.model_copy(update={"predictions": predictions})


def beside_late_fusion(kept: float, clean: float = 0.8, late: float = 0.3, late_clean: float = 0.6) -> SuiteResult:
    ours = suite_on(TESTED, {DEAF[0]: kept}, clean)
    theirs = suite_on(TESTED, {DEAF[0]: late}, late_clean, seed=1)
    return replace(ours, clean=with_late(ours.clean, theirs.clean), cells=[*map(with_late, ours.cells, theirs.cells)])


def effective(found: SuiteResult, rows: Sequence[Row] = TESTED):
    return effective_interval(found, rows, np.full((len(rows), 5), CONSTANT))


def test_the_interval_of_effective_robustness_is_above_0_where_more_is_kept_than_by_late_fusion():
    assert effective(beside_late_fusion(0.6)).low > 0.1
    assert effective(beside_late_fusion(0.2)).high < -0.1


def test_it_holds_0_where_as_large_a_share_is_kept():
    found = effective(beside_late_fusion(0.4))
    assert found.low < 0 < found.high
    assert found.high - found.low < 0.1


def test_it_is_not_known_for_one_modality_or_source_nor_without_cells_or_skill_of_late_fusion():
    found = beside_late_fusion(0.6)
    one = [replace(row, source="one") for row in TESTED]
    for unknown in (
        effective(replace(found, reads=("audio",))),
        effective(replace(found, cells=[])),
        effective(found, one),
        effective(beside_late_fusion(0.6, late_clean=-0.5)),
    ):
        assert math.isnan(unknown.low)
        assert math.isnan(unknown.high)
