"""Calibrated models: what is measured, what an answer says then, and what is refused."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import RECIPE, changed, planted_corpus, with_entries, with_rows
from typer.testing import CliRunner

from msma.cli.commands import app
from msma.data import cache
from msma.data.augment import SEEN
from msma.data.cache_entry import cached_windows
from msma.data.corpora.manifest import write_manifest
from msma.evaluation.calibrate import CORRUPTED, MIN_SOURCES, calibrate, conditions, drawn
from msma.evaluation.evaluate import evaluate, predict_split
from msma.prediction.model import Model, load
from msma.training.run import train
from msma.types import TRAITS, Clip, MsmaError
from msma.weights.checkpoint import calibration_sha256, load_weights
from msma.weights.config import save_calibration

HELD_OUT = 24
"""Clips of validation, two a source."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return planted_corpus(tmp_path_factory.mktemp("corpus"), train=24, held_out=HELD_OUT)


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory) -> Path:
    """A trained network with its calibration."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(RECIPE, corpus, folder, cpu=True)
    save_calibration(folder, calibrate(load(folder), corpus, "val"))
    return folder


def first_clip(corpus, split: str = "test") -> Clip:
    (window,) = cached_windows(corpus.entry(corpus.split(split)[0]), [0])
    return window.clip


def without(clip: Clip, *modalities: str) -> Clip:
    if "audio" in modalities:
        clip = replace(clip, waveform=clip.waveform[:0])
    if "visual" in modalities:
        clip = replace(clip, frames=clip.frames[:0], frame_times_s=clip.frame_times_s[:0])
    return clip


def test_each_clip_is_asked_for_whole_and_by_each_modality_clean_and_corrupted():
    cells = list(conditions(("audio", "visual"), seed=0))
    assert len(cells) == 3 * (1 + CORRUPTED)
    assert [cell.removed for cell in cells] == [
        removed for removed in (set(), {"audio"}, {"visual"}) for _ in range(1 + CORRUPTED)
    ]
    assert {len(cell.steps) for cell in cells} == {0, 1, 2}


def test_a_network_of_one_modality_is_asked_for_it_alone():
    cells = list(conditions(("audio",), seed=0))
    assert len(cells) == 1 + CORRUPTED
    assert not any(cell.removed for cell in cells)


def test_only_families_that_are_seen_in_training_are_used():
    seen = {row.name for row in SEEN} | {"no_audio", "no_visual"}
    used = {
        step.corruption for seed in range(200) for cell in conditions(("audio", "visual"), seed) for step in cell.steps
    }
    assert used == seen


def test_whole_sources_are_drawn_up_to_the_most(corpus):
    rows = list(corpus.split("val"))
    some = drawn(rows, 7, seed=0)
    assert len(some) == 6
    assert {row.clip for row in some} == {row.clip for row in rows if row.source in {row.source for row in some}}
    assert drawn(rows, 1000, seed=0) == sorted(drawn(rows, 1000, seed=1), key=drawn(rows, 1000, seed=0).index)
    assert drawn(rows, 7, seed=0) == some


def test_the_calibration_says_what_it_is_of(run, corpus):
    about = load_weights(run).calibration.about
    assert (about.corpus, about.split, about.clips, about.sources) == ("planted", "val", HELD_OUT, HELD_OUT // 2)


def test_the_calibration_holds_how_the_labels_of_the_clips_are_spread(run, corpus):
    calibration = load_weights(run).calibration
    labels = np.array([row.target for row in corpus.split("val")])
    medians = {trait: pytest.approx(value, abs=1e-4) for trait, value in zip(TRAITS, np.median(labels, 0), strict=True)}
    assert {trait: values[10] for trait, values in calibration.labels.items()} == medians


def test_what_intervals_are_does_not_depend_on_the_labels_that_are_told(run):
    weights = load_weights(run)
    without = replace(weights, calibration=weights.calibration.model_copy(update={"labels": {}}))
    assert calibration_sha256(without) == calibration_sha256(weights)


def test_a_calibrated_answer_has_an_interval_around_each_trait(run, corpus):
    answer = load(run).predict(first_clip(corpus))
    assert answer.coverage == 0.9
    for trait, score in answer.traits.items():
        low, high = answer.intervals[trait]
        assert 0 <= low <= score <= high <= 1


def test_a_smaller_alpha_is_wider(run, corpus):
    clip = first_clip(corpus)
    narrow, wide = (load(run, alpha=alpha).predict(clip).intervals for alpha in (0.5, 0.1))
    assert all(wide[t][0] <= narrow[t][0] and narrow[t][1] <= wide[t][1] for t in wide)
    assert any(wide[t] != narrow[t] for t in wide)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 0.123, 1.0])
def test_an_alpha_that_is_not_known_is_refused(run, alpha):
    with pytest.raises(MsmaError, match="hundredths"):
        load(run, alpha=alpha)


def test_an_answer_without_calibration_has_no_intervals(run, corpus, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    answer = load(tmp_path).predict(first_clip(corpus))
    assert (answer.intervals, answer.coverage) == (None, None)


def test_a_calibration_of_other_weights_is_refused(run, corpus, tmp_path):
    train(changed(RECIPE, train={"seed": 1}), corpus, tmp_path / "other", cpu=True)
    (tmp_path / "other" / "calibration.json").write_bytes((run / "calibration.json").read_bytes())
    with pytest.raises(MsmaError, match=r"is of other weights; delete it, and make a new one with `msma calibrate`"):
        load_weights(tmp_path / "other")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"about": {}, "bins": {"both": []}}', "[" * 100_000])
def test_a_damaged_calibration_is_refused(run, tmp_path, content):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(MsmaError, match=r"calibration\.json.*msma calibrate"):
        load_weights(tmp_path)


def test_too_few_sources_are_told(run, corpus):
    few = with_entries(corpus, {row.clip: corpus.entry(row) for row in corpus.split("val")[:6]})
    with pytest.raises(MsmaError, match=f"3 sources in split 'val'; intervals need {MIN_SOURCES} at least"):
        calibrate(load(run), few, "val")


def test_where_neither_sound_nor_picture_is_there_the_model_abstains(run, corpus):
    answer = load(run).predict(without(first_clip(corpus), "audio", "visual"))
    assert answer.status == "abstained"
    assert (answer.traits, answer.intervals, answer.coverage) == (None, None, None)
    assert answer.reasons[0] == "no prediction: too little usable signal in audio and visual"
    assert len(answer.windows) == 1


def test_it_abstains_below_the_min_quality_and_answers_at_it(run, corpus):
    clip = first_clip(corpus)
    best = max(load(run).predict(clip).quality.values())
    assert load(run, min_quality=best).predict(clip).status != "abstained"
    assert load(run, min_quality=best + 1e-6).predict(clip).status == "abstained"
    assert load(run, min_quality=0.0).predict(without(clip, "audio", "visual")).traits is not None


def test_an_evaluation_says_how_well_intervals_hold(run, corpus):
    model = load(run)
    predictions = predict_split(model, corpus, "test")
    held = evaluate(model, corpus, "test", predictions).prediction_intervals
    inside = (predictions.bounds.low <= predictions.target) & (predictions.target <= predictions.bounds.high)
    assert held.nominal == 0.9
    assert held.whole.coverage["mean"] == pytest.approx(inside.mean())
    assert held.whole.width["mean"] == pytest.approx((predictions.bounds.high - predictions.bounds.low).mean())
    assert list(held.available) == ["both"]


def test_the_intervals_of_an_evaluation_are_those_of_a_prediction(run, corpus):
    model: Model = load(run)
    row, *_ = corpus.split("test")
    bounds = predict_split(model, with_rows(corpus, [row]), "test").bounds
    expected = model.predict(first_clip(corpus)).intervals
    found = dict(zip(expected, np.stack([bounds.low[0], bounds.high[0]], axis=1).tolist(), strict=True))
    assert {t: pytest.approx(ends) for t, ends in expected.items()} == found


def test_the_command_writes_the_calibration_that_answers_then_have(run, corpus, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "calibration.json").write_text("of other weights")
    write_manifest(tmp_path / "manifest.csv", "planted", corpus.rows, {})
    monkeypatch.setattr(cache, "fill_cache", lambda *_, **__: corpus.cache)
    arguments = ["calibrate", "--model", tmp_path / "run", "--manifest", tmp_path / "manifest.csv"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    assert f"{HELD_OUT} clips of {HELD_OUT // 2} sources" in result.stderr
    assert load_weights(tmp_path / "run").calibration == load_weights(run).calibration


def test_a_calibration_that_fails_leaves_the_one_that_is_there(run, corpus, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    write_manifest(tmp_path / "manifest.csv", "planted", corpus.rows, {})
    arguments = ["--model", str(tmp_path / "run"), "--manifest", str(tmp_path / "manifest.csv"), "--split", "vla"]
    assert CliRunner().invoke(app, ["calibrate", *arguments]).exit_code == 1
    assert load_weights(tmp_path / "run").calibration == load_weights(run).calibration


def test_planted_intervals_hold_the_labels(run, corpus):
    """Few clips: a loose band; the exact one is that of the synthetic corpus (benchmarks/intervals.py)."""
    predictions = predict_split(load(run), corpus, "test")
    inside = (predictions.bounds.low <= predictions.target) & (predictions.target <= predictions.bounds.high)
    assert math.isfinite(predictions.bounds.low.sum())
    assert inside.mean() > 0.7
