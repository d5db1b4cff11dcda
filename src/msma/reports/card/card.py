"""The text of a model card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from markupsafe import Markup

from msma.evaluation.robustness.summary import Group, SuiteSummary
from msma.reports.card.origin import FIRST_IMPRESSIONS, RENDERED, Origin, origin_of
from msma.reports.card.results import Results, read_results
from msma.reports.costs import costs
from msma.reports.markdown import clean, environment, quoted
from msma.weights.checkpoint import Weights

HERE = "path/to/this/folder"
"""Shown as the name of a model that is not shared."""


def model_card(
    weights: Weights,
    run: Path,
    repository: str | None = None,
    *,
    licence: str | None = None,
    origin: str | None = None,
) -> str:
    """A card in the Markdown of the Hugging Face hub, with its YAML on top.

    Args:
        run: where the results of these weights are: `test/evaluation.json`, `six/summary.json`, and, where they are
            there, `full/summary.json`, `profile.json` and `recipe.yaml`.
        repository: `owner/name`, where it is known.
        licence: by its name on the hub; known for the synthetic corpus and First Impressions V2.
        origin: where clips and labels are from; known for the same.

    Raises:
        MsmaError: a result is missing or of other weights, or licence or origin are not known.
    """
    about, found = origin_of(weights.config, licence, origin), read_results(weights, run)
    name, evaluation = repository or clean(weights.config.name), found.evaluation
    ccc = {trait: value for trait, value in evaluation.metrics["ccc"].items() if trait != "mean"}
    worst = [suite.worst for suite in found.suites if suite.worst is not None]
    tensors = weights.network.state_dict().values()
    pretrained = weights.config.pretrained.values()
    return (
        environment()
        .get_template("card.md.j2")
        .render(
            RENDERED=RENDERED,
            FIRST_IMPRESSIONS=FIRST_IMPRESSIONS,
            name=name,
            address=Markup(clean(repository or HERE)),
            front_matter=Markup(front_matter(name, about, found)),
            about=about,
            config=weights.config,
            found=found,
            evaluation=evaluation,
            traits=list(ccc),
            shares=[found.intervals.whole.coverage[trait] for trait in ccc],
            lowest=min(
                (trait for trait in ccc if not math.isnan(ccc[trait])), key=lambda trait: ccc[trait], default=None
            ),
            worst=min(worst, key=lambda cell: cell.skill, default=None),
            groups_of=groups_of,
            numbers=sum(tensor.numel() for tensor in tensors),
            bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
            costs=list(costs(found.profile)) if found.profile else [],
            encoders=sorted({record["licence"] for record in pretrained if "licence" in record}),
            version=version("msma"),
        )
    )


def groups_of(suite: SuiteSummary) -> Mapping[str, Group]:
    """What the table of a suite shows: the six scenarios, or families seen in training and held out of it."""
    if suite.suite == "six":
        return {Markup(quoted(name)): group for name, group in suite.scenarios.items()}
    families = {"families seen in training": suite.seen, "families held out of training": suite.held_out}
    return {name: group for name, group in families.items() if group is not None}


def front_matter(name: str, about: Origin, found: Results) -> str:
    """The YAML that the hub reads."""
    corpus, metrics, held = clean(found.evaluation.corpus), found.evaluation.metrics, found.intervals
    measured = (
        ("mean_accuracy", "mean accuracy (1 - MAE)", metrics["mean_accuracy"]["mean"]),
        ("ccc", "CCC, mean of the traits", metrics["ccc"]["mean"]),
        ("interval_coverage", f"coverage of {held.nominal:.0%} intervals", held.whole.coverage["mean"]),
    )
    results = [
        EvalResult(
            task_type="other",
            task_name="apparent personality recognition",
            dataset_type=corpus,
            dataset_name=corpus,
            dataset_split=found.evaluation.split,
            metric_type=kind,
            metric_name=shown,
            metric_value=round(value, 4),
        )
        for kind, shown, value in measured
        if not math.isnan(value)
    ]
    tags = ["apparent-personality", "big-five", "audiovisual", "msma-net"]
    data = ModelCardData(
        model_name=name,
        license=about.licence,
        library_name="msma",
        tags=tags + (["synthetic-data", "demonstration"] if about.rendered else []),
        eval_results=results,
    )
    return data.to_yaml()
