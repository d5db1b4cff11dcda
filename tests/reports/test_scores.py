"""The tables of an evaluation: what is scored apart has its own row, and what is not there has none."""

from __future__ import annotations

from answered import evaluated

from msma.evaluation.evaluation import Abstention, Evaluation
from msma.reports.scores import score_blocks, scores_table


def abstaining(clips: int, *, scored_apart: bool) -> Evaluation:
    evaluation, _ = evaluated()
    without = evaluation.slices.unseen_source if scored_apart else None
    return evaluation.model_copy(update={"abstention": Abstention(min_quality=0.25, clips=clips, without=without)})


def names(evaluation: Evaluation) -> list[str]:
    return [row.cells[0] for row in scores_table(evaluation).rows]


def lines(evaluation: Evaluation) -> str:
    return " ".join(block for block in score_blocks(evaluation) if isinstance(block, str))


def test_the_scores_without_abstained_clips_have_a_row_with_their_number_of_clips():
    evaluation = abstaining(7, scored_apart=True)
    (row,) = (row for row in scores_table(evaluation).rows if row.cells[0] == "without abstained")
    assert row.cells[1] == str(evaluation.slices.unseen_source.clips)
    assert f"abstains on 7 of {evaluation.clips} clips" in lines(evaluation)
    assert "quality of 0.25" in lines(evaluation)


def test_where_nothing_is_scored_apart_the_abstained_clips_are_still_counted():
    evaluation = abstaining(0, scored_apart=False)
    assert "without abstained" not in names(evaluation)
    assert "abstains on 0 of" in lines(evaluation)


def test_the_predictions_of_another_tool_do_not_abstain():
    evaluation, _ = evaluated()
    assert "without abstained" not in names(evaluation)
    assert "abstains" not in lines(evaluation)


def test_the_metrics_with_intervals_come_first():
    evaluation, _ = evaluated()
    assert list(scores_table(evaluation).heads)[:5] == ["", "clips", "CCC", "mean accuracy", "skill"]
