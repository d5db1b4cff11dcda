"""The report of an ablation study: one page of its corpus, its learning curves and its networks in the scenarios."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from msma.config import ClipConfig, Limits
from msma.data.corpora.manifest import SPLITS, Manifest, targets
from msma.evaluation.ablation import AblationStudy
from msma.evaluation.result_file import read_lines, read_result
from msma.media.bounded import Reading
from msma.media.isolated import MediaProcesses
from msma.prediction.explain import Explanation
from msma.reports.ablation import ablation_blocks
from msma.reports.explanation import explained
from msma.reports.figures import Band, band_chart, can_draw, image, plots, scenario_chart, to_the_end
from msma.reports.media import still
from msma.reports.numbers import number
from msma.reports.page import render, text
from msma.reports.paper import paper_figure
from msma.reports.predictions import APPARENT
from msma.reports.table import Block, Facts, Row, Table, or_missing
from msma.training.ablation.plan import FULL
from msma.training.run import Validation
from msma.types import TRAITS
from msma.weights.calibration import Calibration

FILE = "ablation.json"
ABLATE = "msma ablate RECIPE --manifest CSV --out STUDY"
MAX_STILLS = 8
GROUPS = {
    "multi-scale enhancement": ("model.spatial_scales", "model.temporal_scales_s", "model.channel_attention"),
    "fusion": ("model.fusion", "model.adaptive_weighting"),
    "modal enhancement": (
        *("model.missing_token", "model.imputation"),
        *("train.modality_dropout", "train.frame_dropout", "train.corruption", "train.room_noise", "train.steps"),
        *("train.unimodal_weight", "train.distillation_weight", "train.imputation_weight", "train.two_readings"),
    ),
}
"""Beginnings of the keys of the ablations whose learning curves are drawn together."""


@dataclass(frozen=True)
class StudyFiles:
    folder: Path
    study: AblationStudy
    logs: dict[str, list[list[Validation]]]
    """The validations of each network: by ablation, seed by seed."""


def read_study(folder: Path) -> StudyFiles:
    """The files that `msma ablate` wrote into a folder; MsmaError for one that is damaged or foreign."""
    study = read_result(folder / FILE, AblationStudy, "make it with `msma ablate`")
    logs = {
        name: [
            read_lines(folder / name / f"seed_{seed}" / "metrics.jsonl", Validation, "train again into another --out")
            for seed in range(study.seeds)
        ]
        for name in study.rows
    }
    return StudyFiles(folder, study, logs)


def study_report(
    files: StudyFiles,
    manifest: Manifest | None = None,
    explanation: tuple[Explanation, Calibration | None] | None = None,
) -> str:
    """The page; the same files give the same bytes. It describes the corpus of a manifest, for which some clips are
    decoded, and an explained prediction beside the calibration of its network."""
    ask, shown = f"msma report {files.folder}", [] if explanation is None else [explained(*explanation, level=3)]
    return render(
        "study.html.j2",
        title=f"{files.study.recipe} on {files.study.corpus}",
        folder=str(files.folder),
        notices=[APPARENT, *([manifest.facts["notice"]] if manifest and "notice" in manifest.facts else [])],
        sections={
            "Corpus": or_missing(corpus(manifest), "The corpus is not described:", f"{ask} --manifest CSV"),
            "Learning curves": or_missing(learning(files), "No learning curves:", ABLATE),
            "Six scenarios": scenarios(files.study),
            "A prediction explained": or_missing(shown, "No prediction is explained:", f"{ask} --explain CLIP"),
            "Networks": networks(files),
        },
        can_draw=can_draw(),
    )


def corpus(manifest: Manifest | None) -> Iterator[Block]:
    if manifest is None:
        return
    rows = []
    for split in SPLITS:
        some = [row for row in manifest.rows if row.split == split]
        if some:
            labels = targets(some)
            spread = [
                f"{number(mean, 2)}\n± {number(std, 2)}"
                for mean, std in zip(labels.mean(axis=0), labels.std(axis=0), strict=True)
            ]
            rows.append(Row(split, str(len(some)), str(len({row.source for row in some})), *spread))
    note = "Clips of one source are of one person. Labels: mean ± standard deviation over clips, in [0, 1]."
    yield Table(f"{manifest.corpus}: clips and labels by split", ["", "clips", "sources", *TRAITS], rows, [note])
    for available, best in manifest.facts.get("ceiling", {}).items():
        yield f"the best CCC that is possible from {available}: {number(best['ccc']['mean'], 2)}"
    by_source = {row.source: row for row in reversed(manifest.rows)}
    yield gallery([row.path for row in list(by_source.values())[::-1][:MAX_STILLS]])


def gallery(paths: Sequence[Path]) -> Markup:
    """A frame of each clip."""
    figures, config = "", ClipConfig(window_s=1.0, face="whole")
    with MediaProcesses(1) as media:
        for path in paths:
            frames = media.first_raw(Reading(path, config, Limits())).clip.frames
            if len(frames):
                shown = still(frames[len(frames) // 2], f"a frame of {path.name}")
                figures += f"<figure>\n{shown}<figcaption>{text(path.name)}</figcaption>\n</figure>\n"
    return Markup(f'<div class="gallery">\n{figures}</div>\n')


def learning(files: StudyFiles) -> Iterator[Block]:
    """Validation CCC and training loss of the recipe and of each group of ablations beside it: means over seeds and
    their range."""
    logs = {name: of_seeds for name, of_seeds in files.logs.items() if all(of_seeds)}
    if FULL not in logs:
        return
    groups: dict[str, list[str]] = {}
    for name, row in files.study.rows.items():
        if name in logs and name != FULL:
            groups.setdefault(group_of(row.changes), []).append(name)
    images = []
    for group, names in (groups or {"the recipe": []}).items():
        for measure, about in (("ccc", "validation CCC (a constant has 0)"), ("train_loss", "training loss")):
            bands = {name: band(logs[name], measure) for name in (FULL, *names)}
            title = f"{group}: {about}"
            images.append(image(f"{title}, {to_the_end(bands)}", band_chart, bands, title, "step"))
    yield plots(images)


def group_of(changes: Mapping[str, Any]) -> str:
    """The part of the network or of its training that an ablation changes."""
    for group, keys in GROUPS.items():
        if changes and all(key.startswith(keys) for key in changes):
            return group
    return "several parts"


def band(logs: Sequence[Sequence[Validation]], measure: str) -> Band:
    """Steps of the validations that all seeds have; mean, lowest and highest of a measure over seeds."""
    together = list(zip(*logs, strict=False))
    values = np.array([[getattr(one, measure) for one in of_seeds] for of_seeds in together])
    return Band(
        [of_seeds[0].step for of_seeds in together], values.mean(axis=1), values.min(axis=1), values.max(axis=1)
    )


def scenarios(study: AblationStudy) -> Iterator[Block]:
    about = "Skill on clean clips and in each scenario; the numbers are in the tables"
    yield image(about, scenario_chart, study, large=True)
    yield paper_figure(study)
    yield from ablation_blocks(study)


def networks(files: StudyFiles) -> Iterator[Block]:
    for name, row in files.study.rows.items():
        if row.changes:
            yield f"{name} changes " + ", ".join(f"{key}: {json.dumps(value)}" for key, value in row.changes.items())
    yield from (f"{name} is left out: it {why}" for name, why in files.study.left_out.items())
    yield "Each network has its own report, with its scores, its training and how it was made:"
    yield Facts(
        {
            f"{name}, seed {seed}": f"msma report {files.folder / name / f'seed_{seed}'}"
            for name in files.study.rows
            for seed in range(files.study.seeds)
        }
    )
