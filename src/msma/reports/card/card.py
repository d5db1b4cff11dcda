"""The card of a model, and the model on the Hugging Face hub: weights, configuration, calibration and card."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from markupsafe import Markup

from msma.evaluation.robustness.summary import Group, SuiteSummary
from msma.files.writing import write_whole
from msma.reports.card.results import Results, read_results
from msma.reports.costs import costs
from msma.reports.markdown import clean, environment, quoted
from msma.types import MsmaError
from msma.weights.checkpoint import Weights, calibration_sha256, load_weights, save_pretrained, weights_sha256
from msma.weights.config import WeightsConfig
from msma.weights.hub import push

HERE = "path/to/this/folder"
"""Shown as the name of a model that is not shared."""
RENDERED = "synthetic"
"""The corpus of `msma synth`."""
FIRST_IMPRESSIONS = "first-impressions-v2"
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")


def model_card(
    weights: Weights, run: Path, repository: str | None = None, *, licence: str | None = None, origin: str | None = None
) -> str:
    """A card in the Markdown of the Hugging Face hub, with its YAML on top; MsmaError where a result is missing or of
    other weights, or licence or origin are not known.

    Args:
        run: where the results of these weights are: `test/evaluation.json`, `six/summary.json`, and, where they are
            there, `full/summary.json`, `joint/summary.json`, `profile.json` and `recipe.yaml`.
        repository: `owner/name`, where it is known.
        licence: by its name on the hub; known for the synthetic corpus and First Impressions V2.
        origin: where clips and labels are from; known for the same.
    """
    licence, found = licence_of(weights.config, licence, origin), read_results(weights, run)
    name, evaluation = repository or clean(weights.config.name), found.evaluation
    ccc = {trait: value for trait, value in evaluation.metrics["ccc"].items() if trait != "mean"}
    worst = [suite.worst for suite in found.suites if suite.worst is not None]
    tensors = weights.network.state_dict().values()
    pretrained = weights.config.pretrained.values()
    template = environment().get_template("card.md.j2")
    return template.render(
        RENDERED=RENDERED,
        FIRST_IMPRESSIONS=FIRST_IMPRESSIONS,
        name=name,
        address=Markup(clean(repository or HERE)),
        front_matter=Markup(front_matter(name, licence, weights.config, found)),
        licence=licence,
        origin=origin,
        config=weights.config,
        found=found,
        evaluation=evaluation,
        traits=list(ccc),
        shares=[found.intervals.whole.coverage[trait] for trait in ccc],
        lowest=min((trait for trait in ccc if not math.isnan(ccc[trait])), key=ccc.__getitem__, default=None),
        worst=min(worst, key=lambda cell: cell.skill, default=None),
        groups_of=groups_of,
        numbers=sum(tensor.numel() for tensor in tensors),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        costs=list(costs(found.profile)) if found.profile else [],
        encoders=sorted({record["licence"] for record in pretrained if "licence" in record}),
        version=version("msma"),
    )


def licence_of(config: WeightsConfig, licence: str | None, origin: str | None) -> str:
    """The licence of the weights, by its name on the hub; MsmaError where the corpus is unknown and the author says
    nothing of it, or the licence is not the name of one."""
    known = {RENDERED: "apache-2.0", FIRST_IMPRESSIONS: "other"}
    given = {"--origin": origin or config.corpus in known, "--licence": licence or config.corpus in known}
    if lacking := [option for option, there in given.items() if not there]:
        raise MsmaError(
            f"nothing is known of the corpus {config.corpus!r}: say where its clips and labels are from, and under "
            f"which licence the weights may be used, with {' and '.join(lacking)}"
        )
    chosen = licence or known.get(config.corpus, "")
    if LICENCE.fullmatch(chosen) is None:
        raise MsmaError(f"--licence {chosen!r}: name one as the hub does, such as apache-2.0, cc-by-nc-4.0 or other")
    return chosen


def groups_of(suite: SuiteSummary) -> Mapping[str, Group]:
    """The rows of a suite's table: six scenarios or joint causes, or families seen in training and held out of it."""
    if suite.suite in ("six", "joint"):
        return {Markup(quoted(name)): group for name, group in suite.scenarios.items()}
    families = {"families seen in training": suite.seen, "families held out of training": suite.held_out}
    return {name: group for name, group in families.items() if group is not None}


def front_matter(name: str, licence: str, config: WeightsConfig, found: Results) -> str:
    """The YAML that the hub reads."""
    corpus, metrics, held = clean(found.evaluation.corpus), found.evaluation.metrics, found.intervals
    measured = (
        ("mean_accuracy", "mean accuracy (1 - MAE)", metrics["mean_accuracy"]["mean"]),
        ("ccc", "CCC, mean of the traits", metrics["ccc"]["mean"]),
        ("interval_coverage", f"coverage of {held.nominal:.0%} intervals", held.whole.coverage["mean"]),
    )
    task: dict[str, Any] = {"task_type": "other", "task_name": "apparent personality recognition"}
    dataset: dict[str, Any] = {"dataset_type": corpus, "dataset_name": corpus, "dataset_split": found.evaluation.split}
    results = [
        EvalResult(metric_type=kind, metric_name=shown, metric_value=round(value, 4), **task, **dataset)
        for kind, shown, value in measured
        if not math.isnan(value)
    ]
    tags = ["apparent-personality", "big-five", "audiovisual", "msma-net"]
    tags += ["synthetic-data", "demonstration"] if config.corpus == RENDERED else []
    data = ModelCardData(model_name=name, license=licence, library_name="msma", tags=tags, eval_results=results)
    return data.to_yaml()


def share(
    weights: Weights,
    repository: str,
    run: Path | None,
    *,
    private: bool = False,
    licence: str | None = None,
    origin: str | None = None,
) -> str:
    """Share a model on the hub, with the errors of `written_folder` and `push`; returns the address of the commit."""
    with TemporaryDirectory() as folder:
        written_folder(Path(folder), weights, run, repository, licence=licence, origin=origin)
        return push(repository, Path(folder), private=private)


def written_folder(
    folder: Path,
    weights: Weights,
    run: Path | None,
    repository: str | None = None,
    *,
    licence: str | None = None,
    origin: str | None = None,
) -> None:
    """Write all that is shared of a model, and read it back to see that it is the same; otherwise as `model_card`.

    The results are in `run`, by default where the weights were loaded from.
    """
    home = run or weights.folder
    if home is None:
        raise MsmaError(f"{weights.name}: name the run that its results are in")
    card = model_card(weights, home, repository, licence=licence, origin=origin)
    save_pretrained(folder, weights)
    write_whole(folder / "README.md", card)
    again = load_weights(folder)
    if (weights_sha256(again), calibration_sha256(again)) != (weights_sha256(weights), calibration_sha256(weights)):
        raise MsmaError(f"{folder}: what was written is not what is shared; is something else writing there?")
