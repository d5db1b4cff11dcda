"""The whole corpus on disk: clips rendered side by side, labels as in First Impressions V2, and the ceilings."""

from __future__ import annotations

import csv
import json
import math
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from msma.data.corpora.chalearn import ANNOTATIONS, ORACLE
from msma.data.corpora.manifest import SPLITS
from msma.data.synthetic.cues import CUE_NAMES, shift_of
from msma.data.synthetic.events import MIN_SECONDS
from msma.data.synthetic.oracle import ceilings, ceilings_without, realised
from msma.data.synthetic.people import ClipPlan, cast
from msma.data.synthetic.render import Format, RenderJob, render_job
from msma.data.synthetic.structure import STRUCTURE_NAMES, STRUCTURE_SHARE, label_mix
from msma.files.folders import LOCK, locked
from msma.files.reading import read_json
from msma.files.writing import sweep, write_whole, written_whole
from msma.media.processes import each_done
from msma.types import TRAITS, MsmaError

GENERATOR_VERSION = 2
"""Raise it with every change that alters the files of a seed."""

STORED_TRAITS = ("extraversion", "neuroticism", "agreeableness", "conscientiousness", "interview", "openness")
"""Order of First Impressions V2; `interview` is there because the real files have it."""
ATTRIBUTES = "attributes.csv"
"""In the folder of the annotation, where people wear hats: one row per clip, with the column HAT."""
HAT = "hat"
MAX_BIAS = 0.5
ADDITIVE_SECONDS = 4.0
"""Length of a clip by default; MIN_SECONDS where labels hang on structure."""
MIN_FPS = 12
"""Structured clips have as many frames a second, so that events are shown and not only sampled."""


class RenderedCorpus(NamedTuple):
    """A finished corpus."""

    root: Path
    plans: list[ClipPlan]
    oracle: dict[str, Any]
    """The content of oracle.json."""


def render_corpus(
    out: Path,
    clips: int,
    seed: int,
    *,
    seconds: float | None = None,
    fps: int = 12,
    size: tuple[int, int] = (320, 240),
    hats: bool = False,
    label_bias: Mapping[str, float] | None = None,
    structured: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> RenderedCorpus:
    """Render `clips` talking heads into `out`/{train,val,test}, with `annotation/`, `cues.csv` and `oracle.json`.

    With `hats` half of the people wear one, whatever their traits are; `label_bias` then says by trait how much higher
    the labels of those are, though they behave as the others. In a `structured` corpus labels hang on structure in time
    and space, too. Clips last `seconds`, by default 4, and 8 with structure.

    The same seed gives the same bytes, whatever the number of `workers` (default: one per core; 1 renders in this
    process). A call that was interrupted resumes. Worker processes are spawned, so a script that calls this needs the
    usual `if __name__ == "__main__"`. MsmaError for impossible parameters, or where `out` holds something else than a
    corpus of the same parameters.
    """
    if seconds is None:
        seconds = MIN_SECONDS if structured else ADDITIVE_SECONDS
    check_format(clips, form := Format(seed, float(seconds), fps, size), structured)
    bias = checked_bias(hats, label_bias or {})
    plans = cast(clips, seed, hats=hats, label_bias=bias, structured=structured)
    oracle = describe(plans, form, hats, bias)
    if out.exists() and not out.is_dir():
        raise MsmaError(f"{out}: is a file; name a folder to render into")
    with locked(out):
        open_corpus(out, oracle)
        jobs = [RenderJob(out / plan.split / plan.name, plan, form) for plan in plans]
        wanted = [job for job in jobs if not job.path.exists()]
        progress(clips - len(wanted), clips)
        workers = min(workers or os.cpu_count() or 1, len(wanted))
        rendered = each_done(render_job, wanted, 0 if workers == 1 else workers)
        for done, _ in enumerate(rendered, start=clips - len(wanted) + 1):
            progress(done, clips)
        write_labels(out / "annotation", plans)
        write_cues(out / "cues.csv", plans, hats)
        if hats:
            write_rows(out / "annotation" / ATTRIBUTES, [["clip", HAT], *([plan.name, worn(plan)] for plan in plans)])
    return RenderedCorpus(out, plans, oracle)


def check_format(clips: int, form: Format, structured: bool = False) -> None:
    width, height = form.size
    if clips < 1 or form.seed < 0 or not 1 <= form.seconds <= 600 or not 4 <= form.fps <= 60:
        raise MsmaError("a corpus needs 1 or more clips, a seed of 0 or more, 1 to 600 seconds and 4 to 60 fps")
    if width % 2 or height % 2 or min(width, height) < 64 or max(width, height) > 4096:
        raise MsmaError(f"size {width}x{height}: width and height must be even, from 64 to 4096 pixels")
    if structured and (form.seconds < MIN_SECONDS or form.fps < MIN_FPS):
        raise MsmaError(f"a structured corpus needs {MIN_SECONDS:g} seconds or more at {MIN_FPS} fps or more")


def checked_bias(hats: bool, label_bias: Mapping[str, float]) -> dict[str, float]:
    """The bias by trait, in OCEAN order, without zeros."""
    if unknown := sorted(label_bias.keys() - set(TRAITS)):
        raise MsmaError(f"a label bias of {unknown[0]!r}, which is not a trait; use {', '.join(TRAITS)}")
    if not all(math.isfinite(shift) and abs(shift) <= MAX_BIAS for shift in label_bias.values()):
        raise MsmaError(f"a label bias is at most {MAX_BIAS:g}, upwards or downwards; scores are in [0, 1]")
    if label_bias and not hats:
        raise MsmaError("labels can only be biased by a hat: add --attribute hat to --label-bias")
    return {trait: float(label_bias[trait]) for trait in TRAITS if label_bias.get(trait)}


def describe(plans: list[ClipPlan], form: Format, hats: bool, bias: dict[str, float]) -> dict[str, Any]:
    """Content of oracle.json: parameters, cues, the ceilings, and the best predictor's scores on the test split."""
    shift = shift_of(bias)
    attribute = {"attribute": {"column": HAT, "label_bias": bias}} if hats else {}
    structured = plans[0].structure is not None
    mode = {"structure": True} if structured else {}
    oracle: dict[str, Any] = {
        "generator_version": GENERATOR_VERSION,
        "parameters": {"clips": len(plans), **asdict(form), "size": list(form.size), **attribute, **mode},
        "cues": list(CUE_NAMES),
        "ceilings": ceilings(shift, structured=structured),
    }
    if structured:
        weights = (dict(zip(STRUCTURE_NAMES, map(float, row), strict=True)) for row in label_mix()[1])
        oracle["structure"] = {"share": STRUCTURE_SHARE, "weights": dict(zip(TRAITS, weights, strict=True))}
        oracle["ceilings_without"] = ceilings_without(shift)
    test = [plan for plan in plans if plan.split == "test"]
    if len(test) > 1:
        cues, labels = np.stack([p.cues for p in test]), np.stack([p.labels for p in test])
        has = np.array([p.source.hat is not None for p in test])
        values = np.array([p.structure for p in test]) if structured else None
        oracle["oracle_on_test"] = realised(cues, labels, shift, has, values)
    return oracle


def open_corpus(out: Path, oracle: dict[str, Any]) -> None:
    """Begin a corpus in an empty folder, or resume the same one; MsmaError where the folder holds something else."""
    if any(path.name != LOCK for path in out.iterdir()) and not same_corpus(out / ORACLE, oracle):
        raise MsmaError(f"{out}: not empty and not a corpus of these parameters; name a new folder or remove it")
    for split in SPLITS:
        (out / split).mkdir(parents=True, exist_ok=True)
        sweep(out / split)
    if not (out / ORACLE).exists():
        write_whole(out / ORACLE, json.dumps(oracle, indent=2) + "\n")


def same_corpus(path: Path, oracle: dict[str, Any]) -> bool:
    try:
        found = read_json(path, "")
    except MsmaError:
        return False
    keys = ("generator_version", "parameters")
    return isinstance(found, dict) and all(found.get(key) == oracle[key] for key in keys)


def write_labels(folder: Path, plans: list[ClipPlan]) -> None:
    """One pickle per split: `dict[trait][clip name] -> score in [0, 1]`."""
    for split, name in ANNOTATIONS.items():
        # The original training file holds numpy scalars, the other two plain floats: whoever reads ours can read it.
        stored = np.float64 if split == "train" else float
        values = {
            plan.name: dict(zip((*TRAITS, "interview"), (*plan.labels, plan.labels.mean()), strict=True))
            for plan in plans
            if plan.split == split
        }
        labels = {trait: {clip: stored(of[trait]) for clip, of in values.items()} for trait in STORED_TRAITS}
        write_whole(folder / name, pickle.dumps(labels, protocol=2))


def write_cues(path: Path, plans: list[ClipPlan], hats: bool = False) -> None:
    """One row per clip: name, split, source, the traits (unbiased scores), the cues (standard deviations), where there
    are any the values of the structures, and the hat."""
    rows = [
        [
            "clip",
            "split",
            "source",
            *TRAITS,
            *CUE_NAMES,
            *(STRUCTURE_NAMES if plans[0].structure is not None else ()),
            HAT,
        ]
    ]
    for plan in plans:
        structure = () if plan.structure is None else plan.structure
        values = [f"{value:.6f}" for value in (*plan.traits, *plan.cues, *structure)]
        rows.append([plan.name, plan.split, plan.source.name, *values, worn(plan)])
    write_rows(path, rows if hats else [row[:-1] for row in rows])


def write_rows(path: Path, rows: list[list[str]]) -> None:
    with written_whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def worn(plan: ClipPlan) -> str:
    return "no" if plan.source.hat is None else "yes"
