"""Every kind of result file: one schema, which writers and readers share and other tools can check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from answered import evaluated, prediction, run_folder, written
from made_up import graded
from typer.testing import CliRunner

from msma.cli.commands import app
from msma.evaluation.comparison import Comparison, compare
from msma.evaluation.result_file import read_result, write_result
from msma.evaluation.results import SCHEMAS, CrossValidation, FoldScores, FoldSpread
from msma.types import MsmaError

every_kind = pytest.mark.parametrize("name", SCHEMAS)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A file of each kind, by name."""
    folder = tmp_path_factory.mktemp("results")
    run = run_folder(folder / "run")
    evaluation, predictions = evaluated()
    comparison = Comparison(**dict(compare(predictions, predictions)), file="other.csv")
    folds = [FoldScores(clips=8, shrinkage=None, msma={"mean_accuracy": 0.9}, ridge=None)]
    spread = {"msma": {"mean_accuracy": FoldSpread(0.9, 0.0, 0.9, 0.9, 1)}}
    values = {
        "comparison": comparison,
        "cross-validation": CrossValidation(
            **dict(evaluation.model_copy(update={"against": comparison})), folds=folds, spread=spread
        ),
        "cell": graded("white_noise", [0.35, 0.3, 0.2, 0.1, -0.1])[0],
    }
    for name, value in values.items():
        write_result(folder / f"{name}.json", value)
    return {
        "evaluation": run / "test" / "evaluation.json",
        "robustness": run / "full" / "summary.json",
        "ablation": run / "ablation.json",
        "profile": run / "profile.json",
        "calibration": run / "calibration.json",
        "predictions": written(
            folder / "predictions.json", prediction(), prediction("abstained"), prediction("failed")
        ),
        **{name: folder / f"{name}.json" for name in values},
    }


def values_in(path: Path) -> Any:
    """What a file holds; NaN and infinity are not JSON."""
    return json.loads(path.read_text(), parse_constant=pytest.fail)


@every_kind
def test_a_result_file_fits_its_json_schema(files, name):
    jsonschema.Draft202012Validator(SCHEMAS[name].json_schema()).validate(values_in(files[name]))


@every_kind
def test_what_is_read_is_what_was_written(files, name, tmp_path):
    found = read_result(files[name], SCHEMAS[name], "make it again")
    if name not in ("calibration", "predictions"):
        write_result(tmp_path / "again.json", found)
        assert (tmp_path / "again.json").read_text() == files[name].read_text()


def lacking(values: dict[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in list(values)[1:]}


def more(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "of_another_version": 1}


@every_kind
@pytest.mark.parametrize("change", [lacking, more])
def test_a_file_that_does_not_fit_is_refused_in_one_line_that_names_the_key(files, name, change, tmp_path):
    values, path = values_in(files[name]), tmp_path / "changed.json"
    changed = [change(values[0])] if isinstance(values, list) else change(values)
    path.write_text(json.dumps(changed))
    with pytest.raises(MsmaError) as refused:
        read_result(path, SCHEMAS[name], "make it again")
    line = str(refused.value)
    assert line.startswith(f"{path}: ")
    assert line.endswith("; make it again")
    assert "\n" not in line
    key = "of_another_version" if change is more else next(iter(values[0] if isinstance(values, list) else values))
    assert key in line
    assert not jsonschema.Draft202012Validator(SCHEMAS[name].json_schema()).is_valid(changed)


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", "null", '{"clips": NaN}', "[" * 100_000])
def test_what_is_no_result_at_all_is_one_line(tmp_path, content):
    (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(MsmaError, match="make it again") as refused:
        read_result(tmp_path / "evaluation.json", SCHEMAS["evaluation"], "make it again")
    assert "\n" not in str(refused.value)


@every_kind
def test_the_command_prints_the_schema(name):
    ran = CliRunner().invoke(app, ["schema", name])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout) == SCHEMAS[name].json_schema()


def test_the_command_knows_every_kind():
    refused, shown = (CliRunner().invoke(app, ["schema", word]) for word in ("weights", "--help"))
    assert refused.exit_code == 2
    assert all(name in refused.stderr and name in shown.stdout for name in SCHEMAS)


def test_a_study_of_more_networks_than_any_is_refused(files, tmp_path):
    study = values_in(files["ablation"])
    (tmp_path / "study.json").write_text(json.dumps(study | {"seeds": 2**40}))
    with pytest.raises(MsmaError, match=r"seeds: .*1000; make it again"):
        read_result(tmp_path / "study.json", SCHEMAS["ablation"], "make it again")
