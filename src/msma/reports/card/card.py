"""The text of a model card."""

from __future__ import annotations

import math
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from msma.evaluation.results import StageCost
from msma.reports.card.markdown import bullets, clean, prose, quoted, table
from msma.reports.card.origin import NOT_FOR, RENDERED_USE, USE, Origin, origin_of
from msma.reports.card.results import Results, read_results
from msma.reports.card.sections import failures, groups, held_labels, robustness, scores, splits
from msma.reports.numbers import number
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
    """A card in the markdown of the Hugging Face hub, with its YAML on top.

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
    name = repository or clean(weights.config.name)
    parts = {
        f"# {quoted(name)}": introduction(weights, about),
        "## Load it": loading(repository or HERE),
        "## What it is for": bullets(RENDERED_USE if about.rendered else USE),
        "## What it is not for": bullets(NOT_FOR),
        "## Clips and labels": f"{about.labels}\n\n{splits(found)}",
        "## Scores": scores(found),
        "## Intervals": held_labels(found),
        "## Without or with poor picture and sound": robustness(found),
        "## Groups": groups(found),
        "## Known failures": failures(found),
        "## Size and cost": complexity(found),
        "## How it was made": making(found),
        "## Licence": licensing(weights, about),
    }
    body = "\n\n".join(f"{title}\n\n{text}" for title, text in parts.items())
    return f"---\n{front_matter(name, about, found)}---\n\n{body}\n"


def introduction(weights: Weights, about: Origin) -> str:
    made = "an MsMA-Net ([arXiv 2503.06108](https://arxiv.org/abs/2503.06108)) of the toolkit `msma`"
    traits = ", ".join(weights.config.traits)
    if about.rendered:
        what = (
            f"Weights of {made} that learned from **rendered** heads and voices. They answer {traits}, five numbers "
            "of a renderer. **They have no validity for real people**, and must not be used for any decision about "
            "anyone."
        )
    else:
        what = (
            f"Weights of {made} for **apparent** personality: for a video of a person talking, which traits an "
            f"observer would attribute to that person ({traits}, each in [0, 1] with an interval). That is not what "
            "the person is."
        )
    return f"{what}\n\n> {prose(weights.config.notice)}"


def loading(repository: str) -> str:
    code = f"""\
import msma

model = msma.Model.from_pretrained("{repository}")
answer = model.predict("your_video.mp4")
print(answer.status, answer.reasons)
print(answer.traits, answer.intervals)"""
    return f"```sh\nmsma predict your_video.mp4 --model {repository}\n```\n\n```python\n{code}\n```"


def complexity(found: Results) -> str:
    tensors = found.weights.network.state_dict().values()
    count, size = sum(t.numel() for t in tensors), sum(t.numel() * t.element_size() for t in tensors)
    clip = found.weights.config.clip
    said = (
        f"{count:,} numbers, {size / 1e6:.1f} MB. Videos are read in windows of {clip.window_s:g} s, with {clip.fps:g} "
        f"frames a second, faces of {clip.crop_size} pixels and {clip.mels} mel bands."
    )
    if not found.profile:
        return f"{said} Time and memory were not measured (`msma profile` does it)."
    columns = [quoted(field.name) for field in fields(StageCost)]
    rows = [list(map(cell, vars(row).values())) for row in found.profile]
    return f"{said} Measured by `msma profile`:\n\n{table(columns, rows)}"


def cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else quoted(value) if isinstance(value, str) else str(value)


def making(found: Results) -> str:
    config, lines = found.weights.config, []
    if found.recipe is not None:
        train = found.recipe.train
        lines.append(
            f"trained for {train.steps:,} steps of {train.batch_size} clips, seed {train.seed}; the weights with the "
            "best validation CCC were kept, and the test split was used for no choice"
        )
    for modality, record in sorted(config.pretrained.items()):
        told = (f"{key} {quoted(record[key])}" for key in ("version", "licence") if key in record)
        lines.append(f"{modality} encoder from {quoted(record.get('name', ''))}: {', '.join(told)}")
    lines.append(f"architecture in `config.json`; fusion {quoted(config.model.fusion)}")
    lines.append(f"sha256 of weights and configuration: {quoted(found.sha256)}")
    lines.append(
        f"this card was made by `msma card` of msma {version('msma')} from the result files of these very weights"
    )
    return bullets(lines)


def licensing(weights: Weights, about: Origin) -> str:
    encoders = sorted({record["licence"] for record in weights.config.pretrained.values() if "licence" in record})
    more = f" The pretrained encoders in them: {', '.join(map(quoted, encoders))}." if encoders else ""
    return f"{about.bound}{more} The toolkit `msma` is under Apache-2.0."


def front_matter(name: str, about: Origin, found: Results) -> str:
    """The YAML that the hub reads."""
    evaluation = found.evaluation
    corpus = clean(evaluation.corpus)
    measured = {
        ("mean_accuracy", "mean accuracy (1 - MAE)"): evaluation.metrics["mean_accuracy"]["mean"],
        ("ccc", "CCC, mean of the traits"): evaluation.metrics["ccc"]["mean"],
        ("interval_coverage", f"coverage of {found.intervals.nominal:.0%} intervals"): (
            found.intervals.whole.coverage["mean"]
        ),
    }
    result = {
        "task": {"type": "other", "name": "apparent personality recognition"},
        "dataset": {"type": corpus, "name": corpus, "split": evaluation.split},
        "metrics": [
            {"type": kind, "name": shown, "value": float(number(value, 4))}
            for (kind, shown), value in measured.items()
            if not math.isnan(value)
        ],
    }
    values = {
        "license": about.licence,
        "library_name": "msma",
        "tags": [
            *("apparent-personality", "big-five", "audiovisual", "msma-net"),
            *(("synthetic-data", "demonstration") if about.rendered else ()),
        ],
        "model-index": [{"name": name, "results": [result]}],
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=10_000)
