"""Evaluation: deterministic, beside its baselines, the same for any loading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import RECIPE, planted_corpus, with_rows, without

from msma.cli.show.tables import show
from msma.data.cache_entry import cached_windows
from msma.evaluation.evaluate import evaluate, predict_split
from msma.evaluation.evaluation_folder import read_evaluation, write_evaluation
from msma.media.prepare import prepare
from msma.metrics import all_metrics
from msma.prediction.model import load
from msma.reports.scores import score_blocks
from msma.training.run import train
from msma.types import MsmaError


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    corpus = planted_corpus(folder / "corpus")
    train(RECIPE, corpus, folder / "run", cpu=True)
    return load(folder / "run"), corpus


def test_the_result_is_the_same_to_the_last_bit_for_any_batch_size_and_worker_count(trained):
    model, corpus = trained
    expected = None
    for batch_size in (1, 7, 64):
        for workers in (0, 2):
            predictions = predict_split(model, corpus, "test", batch_size=batch_size, workers=workers)
            found = predictions.predicted.tobytes(), evaluate(model, corpus, "test", predictions)
            expected = expected or found
            assert found == expected


def test_the_ceiling_is_that_of_the_modalities_that_the_network_reads(trained):
    model, corpus = trained
    shares = (("audio", 0.6), ("visual", 0.7), ("both", 0.8))
    ceilings = {name: {key: {"mean": value} for key in ("ccc", "mean_accuracy")} for name, value in shares}
    corpus = replace(corpus, manifest=replace(corpus.manifest, facts={"ceiling": ceilings}))
    predictions = predict_split(model, corpus, "test")
    assert evaluate(model, corpus, "test", predictions).ceiling == ceilings["both"]


def test_a_clip_that_cannot_be_read_is_counted_and_not_scored(trained):
    model, corpus = trained
    lost, *_ = corpus.split("test")
    corpus = without(corpus, lost.clip)
    predictions = predict_split(model, corpus, "test")
    evaluation = evaluate(model, corpus, "test", predictions)
    assert (evaluation.clips, evaluation.coverage) == (7, 7 / 8)
    assert evaluation.failed == {lost.clip: "no moov atom"}


def test_a_split_of_which_nothing_can_be_read_is_an_error(trained):
    model, corpus = trained
    with pytest.raises(MsmaError, match="no clip"):
        predict_split(model, without(corpus, *corpus.cache.entries), "test")


def test_the_baselines_and_slices_stand_beside_the_scores(trained):
    model, corpus = trained
    predictions = predict_split(model, corpus, "test")
    scored = evaluate(model, corpus, "test", predictions)
    assert scored.clips == 8
    assert scored.baselines["constant"]["ccc"]["mean"] == 0
    assert scored.baselines["constant"]["skill"]["mean"] == pytest.approx(0)
    assert (scored.slices.seen_source.clips, scored.slices.unseen_source.clips) == (0, 8)  # its sources are apart
    interval = scored.intervals["ccc"]["mean"]
    assert interval.low <= scored.metrics["ccc"]["mean"] <= interval.high


def test_few_sources_are_warned_of(trained):
    model, corpus = trained
    predictions = predict_split(model, corpus, "test")
    (warning,) = evaluate(model, corpus, "test", predictions).warnings
    assert "4 sources" in warning


def test_a_column_of_the_manifest_makes_slices(trained):
    model, corpus = trained
    rows = (replace(row, columns={"side": "left" if i % 2 else "right"}) for i, row in enumerate(corpus.rows))
    predictions = predict_split(model, corpus, "test")
    evaluation = evaluate(model, with_rows(corpus, rows), "test", predictions, ["side"])
    assert {value: part.clips for value, part in evaluation.slices.columns["side"].items()} == {"left": 4, "right": 4}


# clips that the model abstains on


@pytest.fixture(scope="module")
def outputs(trained):
    """By test clip, as the model reads it."""
    model, corpus = trained
    windows = {row.clip: cached_windows(corpus.entry(row)) for row in corpus.split("test")}
    return {clip: model.read(prepare(one, model.clip) for one in of_clip) for clip, of_clip in windows.items()}


@pytest.fixture(scope="module")
def abstaining(trained, outputs):
    """A model that abstains on three of the eight clips, with its predictions and their evaluation."""
    model, corpus = trained
    best = sorted(max(output.quality.values()) for output in outputs.values())
    model = replace(model, min_quality=(best[2] + best[3]) / 2)
    predictions = predict_split(model, corpus, "test")
    return model, predictions, evaluate(model, corpus, "test", predictions)


def test_the_clips_that_the_model_abstains_on_are_counted_and_are_those_of_its_predictions(trained, abstaining):
    _, corpus = trained
    model, predictions, evaluation = abstaining
    assert (evaluation.abstention.clips, evaluation.abstention.min_quality) == (3, model.min_quality)
    for row, abstained in zip(corpus.split("test"), predictions.abstained, strict=True):
        windows = (prepare(window, model.clip) for window in cached_windows(corpus.entry(row)))
        assert (model.predict_windows(row.clip, windows).status == "abstained") == abstained


def test_the_scores_are_over_all_clips_whether_the_model_abstains_or_not(trained, abstaining):
    model, corpus = trained
    always = replace(model, min_quality=0.0)
    predictions = predict_split(always, corpus, "test")
    expected = evaluate(always, corpus, "test", predictions)
    assert (abstaining[2].clips, abstaining[2].metrics) == (8, expected.metrics)


def test_beside_them_stand_the_scores_without_the_abstained_clips(trained, abstaining):
    _, predictions, evaluation = abstaining
    kept = ~predictions.abstained
    constant = np.mean([row.target for row in trained[1].split("train")], axis=0)
    expected = all_metrics(predictions.predicted[kept], predictions.target[kept], constant)
    found = evaluation.abstention.without
    assert found.clips == 5
    for name in ("ccc", "mean_accuracy", "skill"):
        assert found.metrics[name] == pytest.approx(expected[name])
    assert found.metrics["ccc"] != evaluation.metrics["ccc"]


@pytest.mark.parametrize(("min_quality", "clips"), [(0.0, 0), (1.0, 8)])
def test_where_the_model_abstains_on_no_clip_or_on_all_there_are_no_other_scores(trained, min_quality, clips):
    model, corpus = trained
    model = replace(model, min_quality=min_quality)
    predictions = predict_split(model, corpus, "test")
    found = evaluate(model, corpus, "test", predictions).abstention
    assert (found.clips, found.without) == (clips, None)


def test_abstained_clips_are_read_back_from_the_folder(abstaining, tmp_path):
    _, predictions, evaluation = abstaining
    write_evaluation(tmp_path, evaluation, predictions)
    again, read = read_evaluation(tmp_path)
    assert again.abstention == evaluation.abstention
    assert read.abstained.tolist() == predictions.abstained.tolist()


def test_the_scores_without_the_abstained_clips_are_shown(abstaining, capsys):
    _, _, evaluation = abstaining
    show(score_blocks(evaluation))  # of the terminal and of the report
    shown = capsys.readouterr().out
    assert "without abstained" in shown
    assert "abstains on 3 of 8 clips" in shown
