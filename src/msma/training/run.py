"""Train into a run folder: logged, validated, saved, so that it can be interrupted and resumed.

A run folder holds `recipe.yaml`, `corpus.json`, `provenance.jsonl` (the commands), `metrics.jsonl`, `state.pt` (to
resume) and the best weights so far.
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from msma.config import Recipe, TrainConfig, load_recipe, parse
from msma.data.corpora.manifest import mean_target, targets
from msma.data.corpus import Corpus
from msma.data.identity import training_identity
from msma.evaluation.result_file import MAX_BYTES, Result, json_of
from msma.files.folders import locked
from msma.files.names import shown
from msma.files.reading import read_json, read_text
from msma.files.writing import append, write_whole
from msma.metrics import Measured, all_metrics, labelled_traits
from msma.training.fit_outputs import fit_outputs
from msma.training.learner import new_learner, with_architectures
from msma.training.linear_fit import shrunk_tensors
from msma.training.loop import LabelledClips, State, new_accelerator, new_network, predict, start, steps
from msma.training.ridge import choose_shrinkage, shrunk
from msma.training.saved_state import ANOTHER, Logged, restore, save
from msma.types import MsmaError
from msma.weights.checkpoint import save_weights
from msma.weights.config import WeightsConfig

NOTICE = "Apparent personality: what observers would attribute to a person, not what the person is."

LOG, PROVENANCE = "metrics.jsonl", "provenance.jsonl"
LIBRARIES = ("msma", "torch", "numpy", "accelerate", "av", "opencv-python-headless")


class Session(Result):
    """One line of `provenance.jsonl`: a time that a run was begun or resumed. No result depends on it."""

    command: str
    device: str
    platform: str
    versions: dict[str, str]


class Validation(Result):
    """One line of `metrics.jsonl`: means over traits on the validation split."""

    step: int
    train_loss: Measured
    """Mean since the validation before."""
    ccc: Measured
    mean_accuracy: Measured
    skill: Measured
    constant_mean_accuracy: Measured
    """That of always predicting the training mean; its CCC is 0."""


@dataclass(frozen=True)
class TrainResult:
    finished: bool
    step: int
    best_accuracy: float
    """Mean accuracy on validation clips of the weights that were chosen."""


def train(
    recipe: Recipe,
    corpus: Corpus,
    run: Path,
    *,
    name: str | None = None,
    resume: bool = False,
    cpu: bool = False,
    progress: Callable[[int, float, Validation | None], None] = lambda *_: None,
    features_progress: Callable[[int, int], None] = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train on split `train`, choose by the mean accuracy on split `val`, and fit the operating points there.

    Args:
        name: of the weights; by default that of the folder.
        progress: gets every step, its loss, and the validation where there is one.
        should_stop: is asked before every step; once it says yes, the state is saved, and the result not `finished`.

    MsmaError where there are too few clips, the run folder is taken or is of another recipe or corpus, training
    diverged, or pretrained weights are not there.
    """
    config, recipe = recipe.train, with_architectures(recipe)
    manifest, rows, held_out = corpus.manifest, corpus.split("train"), corpus.split("val")
    if min(len(rows), len(held_out)) < 2:
        raise MsmaError(
            f"{run}: {len(rows)} training and {len(held_out)} validation clips; at least 2 of each are needed"
        )
    mean = mean_target(rows)
    accelerator = new_accelerator(config, cpu)
    network, pretrained = new_network(recipe, mean)
    network.to(accelerator.device)
    with locked(run) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            begin(run, recipe, {"corpus": manifest.corpus, **training_identity(corpus, pretrained)}, resume)
        accelerator.wait_for_everyone()
        learner = new_learner(
            recipe,
            network,
            pretrained,
            corpus,
            rows,
            held_out,
            accelerator=accelerator,
            modalities=network.reads,
            progress=features_progress,
        )
        taken = network.take_backbones() if config.cache_features else {}
        path, linear = learner.linear_path(np.arange(len(rows)), mean)
        if network.linear_path is not None and path is not None:
            network.linear_path.load_state_dict(path.state_dict())
        training, validation = learner.dataset(rows, linear, augmented=True), learner.dataset(held_out)

        state = start(network, recipe, accelerator)
        if resume:
            restore(state, run / "state.pt")
            if accelerator.is_main_process:
                drop_log_after(run / LOG, state.step)
        if accelerator.is_main_process and state.step < config.steps:
            note_session(run, str(accelerator.device))
        about = WeightsConfig(
            name=name or shown(run.name),
            corpus=manifest.corpus,
            notice=manifest.facts.get("notice", NOTICE),
            traits=manifest.traits,
            pretrained=pretrained,
            clip=recipe.clip,
            model=recipe.model,
        )
        for loss in steps(state, training, config, should_stop):
            found = None
            if state.step % config.validate_every == 0 or state.step == config.steps:
                found, tensors = validate(state, validation, config)
                if accelerator.is_main_process:
                    append(run / LOG, found.model_dump_json())
                    if found.mean_accuracy > state.best_accuracy:
                        save_weights(run, about, tensors | taken)
                state.best_accuracy, state.losses = max(state.best_accuracy, found.mean_accuracy), []
                save(state, run / "state.pt")
            if accelerator.is_main_process:
                progress(state.step, loss, found)
        finished = state.step >= config.steps
        if not finished:
            save(state, run / "state.pt")
        elif accelerator.is_main_process:
            fit_outputs(run, corpus, validation, config, accelerator.device)
        return TrainResult(finished, state.step, state.best_accuracy)


def validate(state: State, clips: LabelledClips, config: TrainConfig) -> tuple[Validation, dict[str, Tensor]]:
    """Score the averaged network on the first window of every clip, and give the tensors to save: those of a network
    with a linear path are shrunk as is best for these clips."""
    network = state.averaged
    found = predict(network, clips, config)
    traits, tensors, target = found.traits, network.state_dict(), targets(clips.rows)
    mean = network.head.prior.cpu().double().numpy()
    if network.linear_path is not None:
        labelled = labelled_traits(target)
        linear, residual = found.linear[:, labelled], found.residual[:, labelled]
        by = choose_shrinkage(linear, residual, target[:, labelled], mean[labelled])
        traits, tensors = shrunk(found.linear, found.residual, mean, by), shrunk_tensors(network, by)
    metrics = all_metrics(traits, target, mean)
    validation = Validation(
        step=state.step,
        train_loss=float(np.mean(state.losses)),
        **{name: metrics[name]["mean"] for name in ("ccc", "mean_accuracy", "skill")},
        constant_mean_accuracy=all_metrics(np.tile(mean, (len(target), 1)), target, mean)["mean_accuracy"]["mean"],
    )
    return validation, tensors


def check_begun(run: Path, resume: bool) -> bool:
    """Is there a run in the folder, to be resumed? MsmaError where one is not to be, or none is there to be."""
    begun = (run / "state.pt").exists()
    if resume and not begun:
        raise MsmaError(f"{run}: nothing to resume; run without --resume")
    if begun and not resume:
        raise MsmaError(f"{run}: holds a run already; resume it with --resume or name another --out")
    return begun


def begin(run: Path, recipe: Recipe, corpus: dict[str, Any], resume: bool) -> None:
    """Write `recipe.yaml` and `corpus.json`, or check that the run to be resumed is of the same; MsmaError where it is
    not, or as `check_begun`."""
    if not check_begun(run, resume):
        write_whole(run / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
        write_whole(run / "corpus.json", json.dumps(corpus, indent=2) + "\n")
        for name in (LOG, PROVENANCE):
            (run / name).unlink(missing_ok=True)
        return
    # The number of loader workers changes no result.
    was = load_recipe(run / "recipe.yaml", [f"train.workers={recipe.train.workers}"])
    if was != recipe or read_json(run / "corpus.json", ANOTHER) != corpus:
        raise MsmaError(f"{run}: is a run of another recipe, corpus or weights; name another --out")


def note_session(run: Path, device: str) -> None:
    program, *arguments = sys.argv or [""]  # an embedded Python has none
    session = Session(
        command=shown(shlex.join([Path(program).name, *arguments])),
        device=torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        platform=platform.platform(),
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    )
    append(run / PROVENANCE, session.model_dump_json())


def drop_log_after(path: Path, step: int) -> None:
    """Drop the validations that a saved state does not know, of a run that was killed before it was saved again, the
    last one perhaps in part; MsmaError where a line is damaged."""
    if path.exists():
        lines = read_text(path, ANOTHER, MAX_BYTES).split("\n")[:-1]  # what follows the last end was cut off
        steps_of = [parse(Logged, json_of(line, str(path), ANOTHER), f"{path} ({ANOTHER})").step for line in lines]
        write_whole(path, "".join(f"{line}\n" for line, at in zip(lines, steps_of, strict=True) if at <= step))
