"""The card of a model says what the result files of these very weights say, and is not made without them."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import yaml
from hub_server import TOKEN, serving
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from planted import CACHED, RECIPE, changed, planted_corpus
from typer.testing import CliRunner, Result

import msma
from msma.cli.commands import app
from msma.config import ClipConfig, ModelConfig
from msma.corruptions.scenarios import six
from msma.data import cache
from msma.data.corpora.chalearn import SYNTHETIC_NOTICE
from msma.data.corpora.manifest import Manifest, write_manifest
from msma.evaluation.calibrate import calibrate
from msma.evaluation.evaluate import evaluate, predict_split
from msma.evaluation.evaluation_folder import write_evaluation
from msma.evaluation.result_file import write_result
from msma.evaluation.results import Profile, StageCost
from msma.evaluation.robustness.suite import run_suite, summarize_suite
from msma.prediction.model import load
from msma.reports.card.card import model_card
from msma.reports.markdown import MAX_NAME, prose, quoted
from msma.reports.numbers import number
from msma.training.ablation.plan import Ablation
from msma.training.ablation.runs import study
from msma.training.run import train
from msma.types import TRAITS, MsmaError
from msma.weights.checkpoint import calibration_sha256, load_weights, weights_sha256
from msma.weights.config import save_calibration
from msma.weights.hub import MAX_BYTES

NAME = "someone/msma-net"
CEILING = {"ccc": dict.fromkeys([*TRAITS, "mean"], 0.9), "mean_accuracy": dict.fromkeys([*TRAITS, "mean"], 0.95)}
PEOPLE = re.compile(r"\b(people|person|persons|speakers?|participants?|subjects?|humans?)\b", flags=re.IGNORECASE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run on a rendered corpus, with all its results, made by the commands."""
    folder = tmp_path_factory.mktemp("finished")
    planted = planted_corpus(folder / "clips", train=8, held_out=20)
    lights = ("dim", "bright")
    rows = [
        replace(row, columns={"light|`": lights[i // 2 % 2]})
        for i, row in enumerate(planted.rows)
        if row.split == "train" or i % 2  # one clip a source: it takes half the time
    ]
    facts = {"notice": SYNTHETIC_NOTICE, "ceiling": {"both": CEILING}}
    corpus = replace(planted, manifest=Manifest("synthetic", tuple(rows), facts))
    run = folder / "run"
    train(changed(RECIPE, train={"steps": 4, "batch_size": 4}), corpus, run, cpu=True)
    save_calibration(run, calibrate(load(run), corpus, "val"))
    write_manifest(folder / "manifest.csv", "synthetic", rows, facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("msma.cli.robustness.at_once", lambda *_: 0)
        patch.setattr(cache, "fill_cache", lambda *_, **__: corpus.cache)
        asked = ["--model", str(run), "--manifest", str(folder / "manifest.csv")]
        for words in (["evaluate", *asked, "--workers", "0"], ["robustness", *asked, "--out", str(run / "six")]):
            ran = CliRunner().invoke(app, words)
            assert ran.exit_code == 0, ran.output
    return run


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy, to be changed."""
    shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("cells", "*.svg", "state.pt"))
    return tmp_path / "run"


@pytest.fixture(scope="module")
def card(finished) -> str:
    return model_card(load_weights(finished), finished, NAME)


def section(card: str, title: str) -> str:
    found = re.search(rf"(?ms)^## {re.escape(title)}$(.*?)(?=^## |\Z)", card)
    assert found, title
    return found[1]


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def rewrite(path: Path, **changes) -> None:
    path.write_text(json.dumps(read(path) | changes), encoding="utf-8")


def of_corpus(run: Path, corpus: str) -> Path:
    """As if the run and all its results were of a corpus of this name."""
    calibration = load_weights(run).calibration
    assert calibration is not None
    (run / "calibration.json").unlink()
    rewrite(run / "config.json", corpus=corpus)
    digest = weights_sha256(load_weights(run))
    about = calibration.about.model_copy(update={"weights_sha256": digest, "corpus": corpus})
    save_calibration(run, calibration.model_copy(update={"about": about}))
    same = {"weights_sha256": digest, "calibration_sha256": calibration_sha256(load_weights(run)), "corpus": corpus}
    rewrite(run / "test" / "evaluation.json", **same, ceiling=None)
    rewrite(run / "six" / "summary.json", **same)
    return run


def refusal(run: Path, **options) -> str:
    with pytest.raises(MsmaError) as caught:
        model_card(load_weights(run), run, NAME, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_scores_stand_beside_the_constant_the_probe_and_the_ceiling(card, finished):
    evaluation, lines = read(finished / "test" / "evaluation.json"), section(card, "Scores").splitlines()
    metrics, interval = evaluation["metrics"], evaluation["intervals"]["mean_accuracy"]["mean"]
    (own,) = [line for line in lines if "**these weights**" in line]
    assert f"{metrics['mean_accuracy']['mean']:.4f} [{interval['low']:.4f}, {interval['high']:.4f}]" in own
    (constant,) = [line for line in lines if line.startswith("| the constant")]
    assert f"{evaluation['baselines']['constant']['mean_accuracy']['mean']:.4f} | 0.000" in constant
    (probe,) = [line for line in lines if "same source, without any media" in line]
    assert f"{evaluation['baselines']['same_source']['mean_accuracy']['mean']:.4f}" in probe
    assert "| the best that is possible | 0.9500 | 0.900 | – |" in lines
    for trait in TRAITS:
        (line,) = [line for line in lines if line.startswith(f"| {trait} ")]
        assert number(metrics["ccc"][trait]) in line
        assert number(metrics["bias"][trait], sign=True) in line


def test_splits_stand_with_their_counts_and_what_calibrated_the_intervals(card):
    text = section(card, "Clips and labels")
    assert "| split | rendered clips | sources |" in text
    for line in ("| train | 8 | 4 |", "| val | 10 | 10 |", "| test | 10 | 10 |"):
        assert line in text
    assert "calibrated on 10 rendered clips of 10 sources of the split `val` of `synthetic`" in text
    assert "No training clip is of their sources." in section(card, "Scores")


def test_intervals_stand_with_what_they_hold_by_availability(card, finished):
    held = read(finished / "test" / "evaluation.json")["prediction_intervals"]
    text = section(card, "Intervals")
    for name, one in {"all": held["whole"], **held["available"]}.items():
        assert (
            f"| {name} | {one['clips']} | {number(one['coverage']['mean'])} | {number(one['width']['mean'])} |" in text
        )


def test_the_six_scenarios_and_the_worst_cell_are_reported(card, finished):
    summary = read(finished / "six" / "summary.json")
    text = section(card, "Without or with poor audio and visual")
    for name, group in summary["scenarios"].items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` ")]
        assert number(group["mean_retention"], 2) in line
    worst = summary["worst"]
    failures = section(card, "Known failures")
    assert f"`{worst['cell']}`, skill {number(worst['skill'])}" in failures
    assert "0 test clips could not be predicted" in failures
    assert "lowest trait: " in failures


def test_what_a_check_of_the_suite_found_is_a_known_failure(run):
    checks = {"nothing": {"verdict": "warning", "found": ["openness is off the prior by 0.2"]}}
    rewrite(run / "six" / "summary.json", checks=checks)
    assert "openness is off the prior by 0.2" in section(model_card(load_weights(run), run), "Known failures")


def test_groups_stand_with_counts_and_disparities(card, finished):
    evaluation = read(finished / "test" / "evaluation.json")
    (column,) = evaluation["slices"]["columns"]
    text = section(card, "Groups")
    for value, scores in evaluation["slices"]["columns"][column].items():
        accuracy = number(scores["metrics"]["mean_accuracy"]["mean"], 4)
        assert f"| `{value}` | {scores['clips']} | {scores['sources']} | {accuracy} |" in text
    assert "Too few sources for an interval of the disparities" in text


def test_disparities_are_shown_with_their_intervals(run):
    evaluation = read(run / "test" / "evaluation.json")
    (column,) = evaluation["disparities"]
    ends = {"difference": -0.02, "low": -0.03, "high": -0.01, "value": "dim"}
    largest = {"bias": {**ends, "trait": "openness"}, "mean_accuracy": ends}
    gap = {"clear": True, "largest": largest, "groups": {}, "comparisons": 6}
    rewrite(run / "test" / "evaluation.json", disparities={column: gap})
    text = " ".join(section(model_card(load_weights(run), run), "Groups").split())
    assert "largest disparity in bias is -0.020 [-0.030, -0.010] (`dim`, openness)" in text
    assert "simultaneous 95 % confidence intervals of 6 comparisons, at least one of them excludes 0" in text


def test_it_says_what_it_is_for_and_not_for(card):
    against = section(card, "What it is not for")
    for word in ("hiring", "admission", "policing", "diagnosis", "courts"):
        assert word in against
    assert "They have no validity for real people" in card
    assert SYNTHETIC_NOTICE in card


def test_results_on_rendered_clips_are_never_worded_as_if_about_people(card):
    for title in ("Scores", "Intervals", "Without or with poor audio and visual", "Groups", "Known failures"):
        assert PEOPLE.findall(section(card, title)) == []
        assert title == "Known failures" or "rendered clips" in section(card, title)
    assert "trying `msma`" in section(card, "What it is for")


def test_how_to_load_it_is_one_command_and_six_lines_of_python_that_parse(card):
    assert f"msma predict your_video.mp4 --model {NAME}" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    compile(code, "card", "exec")
    assert len(code.splitlines()) == 6
    assert f'msma.Model.from_pretrained("{NAME}")' in code


def test_the_hub_can_read_its_top(card, finished):
    data = ModelCard(card).data
    assert (data.license, data.library_name, data.model_name) == ("apache-2.0", "msma", NAME)
    assert {"apparent-personality", "synthetic-data"} <= set(data.tags or ())
    metrics = read(finished / "test" / "evaluation.json")["metrics"]
    found = {result.metric_type: result.metric_value for result in data.eval_results or ()}
    assert found["ccc"] == pytest.approx(metrics["ccc"]["mean"], abs=1e-4)
    assert found["mean_accuracy"] == pytest.approx(metrics["mean_accuracy"]["mean"], abs=1e-4)
    assert {result.dataset_split for result in data.eval_results or ()} == {"test"}


def test_size_and_making_are_reported(card, finished):
    weights = load_weights(finished)
    count = sum(tensor.numel() for tensor in weights.network.state_dict().values())
    assert f"{count:,} numbers" in section(card, "Size and cost")
    assert "Time and memory were not measured" in section(card, "Size and cost")
    assert "trained for 4 steps of 4 clips, seed 0" in section(card, "How it was made")
    assert weights_sha256(weights) in section(card, "How it was made")


def test_a_profile_is_shown_row_by_row(run):
    write_profile(
        run, [StageCost("full", "cpu", stage, 0, 0, 12.345678, 3.0, 0.5, 0.25, None) for stage in ("a", "b|")]
    )
    text = section(model_card(load_weights(run), run), "Size and cost")
    assert "| stage | device | parameters | MACs M | p50 ms | p95 ms | share | RTF | peak MiB |" in text
    for stage in ("`a`", "`b¦`"):
        assert f"| {stage} | cpu |  |  | 12.3 | 3.0 | 50.0% | 0.2500 |  |" in text


@pytest.mark.parametrize("other", [{"model": ModelConfig()}, {"clip": ClipConfig()}], ids=["model", "clip"])
def test_a_profile_of_another_network_is_refused(run, other):
    write_profile(run, [], **other)
    assert refusal(run).startswith(f"{run / 'profile.json'}: is of another network; make it again with `msma profile")


@pytest.mark.parametrize("content", ["{}", "[", '{"rows": []}', '{"model": {}, "clip": {}, "rows": [{"a": NaN}]}'])
def test_a_profile_that_is_none_is_refused(run, content):
    (run / "profile.json").write_text(content, encoding="utf-8")
    assert refusal(run).startswith(str(run / "profile.json"))


def write_profile(run: Path, rows: list[StageCost], **other) -> None:
    config = load_weights(run).config
    write_result(run / "profile.json", Profile(**{"model": config.model, "clip": config.clip, "rows": rows} | other))


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("test/evaluation.json", "msma evaluate --model RUN --manifest CSV"),
        ("calibration.json", "msma calibrate --model RUN --manifest CSV"),
        ("six/summary.json", "msma robustness --model RUN --manifest CSV --suite six --out RUN/six"),
    ],
)
def test_without_a_result_there_is_no_card_and_the_line_says_how_it_is_made(run, name, command):
    (run / name).unlink()
    assert f"{name} ({command})" in refusal(run)


def test_all_that_is_missing_is_named_in_one_line(run):
    for name in ("test/evaluation.json", "calibration.json", "six/summary.json"):
        (run / name).unlink()
    line = refusal(run)
    assert all(name in line for name in ("test/evaluation.json", "calibration.json", "six/summary.json"))


@pytest.mark.parametrize("name", ["test/evaluation.json", "six/summary.json"])
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weights_sha256": "0" * 64}, "is of other weights"),
        ({"weights_sha256": None}, "does not say of which weights it is"),
        ({"calibration_sha256": "0" * 64}, "is of another calibration"),
        ({"split": "val"}, "is of split 'val', not of test"),
        ({"clips": "many"}, "clips: "),
    ],
    ids=["other weights", "no digest", "other calibration", "other split", "damaged"],
)
def test_a_result_of_something_else_is_refused(run, name, changes, problem):
    rewrite(run / name, **changes)
    line = refusal(run)
    assert line.startswith(f"{run / name}")
    assert problem in line
    assert "make it again: msma " in line


@pytest.mark.parametrize("content", ["", "[]", "null", '{"weights_sha256": NaN}'])
def test_a_result_that_is_none_is_refused(run, content):
    (run / "test" / "evaluation.json").write_text(content, encoding="utf-8")
    assert refusal(run).startswith(f"{run / 'test' / 'evaluation.json'}: ")


def test_results_of_the_weights_before_they_were_trained_on_are_refused(run):
    weights = load_weights(run)
    for tensor in weights.network.state_dict().values():
        tensor.zero_()
    with pytest.raises(MsmaError, match="is of other weights"):
        model_card(weights, run)


def test_the_recipe_of_another_run_is_refused(run):
    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    recipe["model"]["width"] = 32
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    assert "is not the recipe of these weights" in refusal(run)


def test_clips_of_people_are_worded_as_such_and_their_terms_are_reported(run):
    card = model_card(load_weights(of_corpus(run, "first-impressions-v2")), run, NAME)
    assert "rendered" not in section(card, "Scores") + section(card, "Groups") + section(card, "Clips and labels")
    assert "crowd workers" in section(card, "Clips and labels")
    assert "which traits an observer would attribute" in " ".join(card.split())
    assert ModelCard(card).data.license == "other"
    assert "under its own terms" in section(card, "Licence")
    assert "synthetic-data" not in (ModelCard(card).data.tags or ())


def test_of_an_unknown_corpus_the_author_says_origin_and_licence(run):
    of_corpus(run, "ratings")
    assert "with --origin and --licence" in refusal(run)
    assert "with --licence" in refusal(run, origin="Filmed by us.")
    card = model_card(load_weights(run), run, licence="cc-by-nc-4.0", origin="Filmed by us, *rated* by <b>them</b>.")
    assert ModelCard(card).data.license == "cc-by-nc-4.0"
    assert "Filmed by us, &#42;rated&#42; by &#60;b&#62;them" in section(card, "Clips and labels")


@pytest.mark.parametrize("licence", ["", "Apache 2.0", "x\ny", "a: b"])
def test_a_licence_that_is_none_is_refused(run, licence):
    of_corpus(run, "ratings")
    assert "--licence" in refusal(run, origin="Filmed by us.", licence=licence)


def test_a_score_on_another_corpus_is_reported_as_such(run):
    rewrite(run / "test" / "evaluation.json", corpus="ratings", ceiling=None)
    card = model_card(load_weights(run), run)
    assert "**Scored on another corpus**, `ratings`" in card
    assert "the best that is possible" not in card


EVIL = "a`|[x](https://evil.example)<img src=x>\n# title\n@all ![i](j) www.evil.example"


def test_every_row_of_a_table_has_the_cells_of_its_header(run):
    write_profile(run, [StageCost("full", "cpu", "decode", 0, 0, 12.3, 3.0, 0.5, 0.25, None)])
    tables = re.findall(r"(?m)(?:^\|.*\|$\n)+", model_card(load_weights(run), run))
    assert len(tables) == 7  # splits, scores, traits, intervals, suite, groups, profile
    for table in tables:
        header, rule, *rows = table.splitlines()
        assert re.fullmatch(r"\|( --- \|)+", rule)
        assert rows
        assert {row.count("|") for row in rows} == {header.count("|")} == {rule.count("|")}


def test_names_that_are_markdown_stay_names(run):
    evaluation = read(run / "test" / "evaluation.json")
    (column,) = evaluation["slices"]["columns"]
    columns = {EVIL: {EVIL: evaluation["slices"]["columns"][column]["dim"]}}
    evaluation["slices"]["columns"] = columns
    rewrite(run / "test" / "evaluation.json", slices=evaluation["slices"], disparities={}, warnings=[EVIL])
    card = model_card(load_weights(run), run)
    outside = re.sub(r"`[^`\n]*`", "", card.replace("```", ""))
    assert not re.search(r"://evil|<img|^# title|@all|www\.evil", outside, flags=re.MULTILINE)
    (line,) = [
        line for line in section(card, "Groups").splitlines() if line.startswith("| `a'¦[x]") and "clips" in line
    ]
    assert line.count("|") == 8


@given(st.text(max_size=400))
def test_a_quoted_name_is_one_code_span_of_one_line(name):
    found = quoted(name)
    assert found == "(none)" or re.fullmatch(r"`[^`|\n]{1,300}`", found)
    assert len(found) <= MAX_NAME + 2


@given(st.text(max_size=400))
def test_prose_has_nothing_that_is_markdown(text):
    found = prose(text)
    assert not set(re.sub(r"&#\d+;", "", found)) & set("&<>[]\\`*_|~@$!\n")
    assert "://" not in found


def test_names_of_failed_clips_and_folders_stay_at_home(run):
    rewrite(run / "test" / "evaluation.json", failed={"jane-doe.mp4": "/home/me/jane-doe.mp4: no moov atom"})
    card = model_card(load_weights(run), run)
    assert "1 test clips could not be predicted" in card
    assert "jane-doe" not in card
    assert str(run) not in card


@pytest.mark.slow
def test_an_ablation_that_was_calibrated_and_evaluated_has_a_card(tmp_path):
    """Its suite was run before it was calibrated, so that intervals are reported when it is summarized again."""
    planted = planted_corpus(tmp_path / "clips", train=8, held_out=40)
    corpus = replace(planted, manifest=replace(planted.manifest, corpus="synthetic"))
    recipe = changed(CACHED, train={"steps": 4, "batch_size": 4})
    study((Ablation("full", recipe, {}),), 1, corpus, tmp_path, cpu=True)
    run = tmp_path / "full" / "seed_0"
    save_calibration(run, calibrate(load(run), corpus, "val"))
    model = load(run)
    predictions = predict_split(model, corpus, "test")
    write_evaluation(run / "test", evaluate(model, corpus, "test", predictions), predictions)
    text = section(model_card(load_weights(run), run), "Without or with poor audio and visual")
    assert "run before the intervals were calibrated" in text
    assert set(coverages(text)) == {"–"}
    before = contents(run / "six" / "cells")
    suite = run_suite(model, corpus, "test", six(), run / "six")
    write_result(run / "six" / "summary.json", summarize_suite(model, corpus, "test", "six", suite))
    text = section(model_card(load_weights(run), run), "Without or with poor audio and visual")
    assert "calibrated" not in text
    assert "–" not in coverages(text)
    assert contents(run / "six" / "cells") == before


def coverages(text: str) -> list[str]:
    """The last column of the table of scenarios."""
    return [line.split("|")[-2].strip() for line in text.splitlines() if line.startswith("| `")]


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def invoke(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_writes_the_card_beside_the_weights(run, tmp_path):
    assert invoke("card", run, "--to", NAME).exit_code == 0
    assert (run / "README.md").read_text(encoding="utf-8") == model_card(load_weights(run), run, NAME)
    assert invoke("card", run, "--out", tmp_path / "card.md").exit_code == 0
    assert 'from_pretrained("path/to/this/folder")' in (tmp_path / "card.md").read_text(encoding="utf-8")


def test_the_command_writes_nothing_where_a_result_is_missing(run):
    (run / "six" / "summary.json").unlink()
    ran = invoke("card", run)
    assert ran.exit_code == 1
    assert "six/summary.json" in str(ran.exception)
    assert not (run / "README.md").exists()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on this machine, whose owner is logged in."""
    with serving() as running:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", running.address)
        template = running.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.chdir(tmp_path)
        yield running


def test_a_dry_run_writes_the_folder_and_sends_nothing(run, hub):
    ran = invoke("share", run, "--to", NAME, "--dry-run")
    assert ran.exit_code == 0, ran.output
    assert {path.name for path in (run / "share").iterdir()} == set(MAX_BYTES)
    assert hub.asked == []
    assert weights_sha256(load_weights(run / "share")) == weights_sha256(load_weights(run))


def test_what_is_shared_is_found_by_its_name(run, hub):
    ran = invoke("share", run, "--to", NAME, "--private")
    assert ran.exit_code == 0, ran.output
    assert hub.repositories[NAME].private
    assert f"shared: {hub.address}/{NAME}/commit/" in ran.stderr
    (files,) = hub.repositories[NAME].commits.values()
    assert set(files) == set(MAX_BYTES)
    again = msma.Model.from_pretrained(NAME).weights
    assert weights_sha256(again) == weights_sha256(load_weights(run))
    assert calibration_sha256(again) == calibration_sha256(load_weights(run))


def test_a_model_is_pushed_from_python_with_its_card(run, hub):
    address = msma.load(run).push_to_hub(NAME)
    assert address.startswith(f"{hub.address}/{NAME}/commit/")
    (files,) = hub.repositories[NAME].commits.values()
    assert files["README.md"].decode() == model_card(load_weights(run), run, NAME)


def test_nothing_is_shared_without_results(run, hub):
    shutil.rmtree(run / "six")
    assert "six/summary.json" in str(invoke("share", run, "--to", NAME).exception)
    with pytest.raises(MsmaError, match=r"six/summary\.json"):
        msma.load(run).push_to_hub(NAME)
    with pytest.raises(MsmaError, match="name the run that its results are in"):
        msma.load().push_to_hub(NAME)
    assert hub.asked == []
    assert not (run / "share").exists()


def test_a_name_that_is_none_is_refused_before_anything_is_written(run):
    assert "name a repository of the hub as owner/name" in str(invoke("share", run, "--to", "msma-net").exception)
    assert not (run / "share").exists()
