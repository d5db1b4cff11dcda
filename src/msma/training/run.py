"""Training into a run folder: it is logged, kept, and can be broken off and resumed.

A run folder holds `recipe.yaml`, `corpus.json`, `provenance.jsonl` (the commands), `metrics.jsonl`, `state.pt` (to
resume) and the best weights so far.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from msma.config import Recipe, TrainConfig, first_line, load_recipe
from msma.data.corpora.manifest import Manifest, mean_target, targets
from msma.data.corpus import Corpus
from msma.data.identity import training_identity
from msma.evaluation.result_file import Result
from msma.files import written_whole
from msma.metrics import Measured, all_metrics, labelled_traits
from msma.training import provenance
from msma.training.learner import new_learner, with_architectures
from msma.training.linear_fit import shrunk_tensors
from msma.training.loop import LabelledClips, State, new_accelerator, new_network, predict, start, steps
from msma.training.ridge import choose_shrinkage, shrunk
from msma.types import MsmaError
from msma.weights.checkpoint import save_weights
from msma.weights.config import WeightsConfig, read_json

NOTICE = "Apparent personality: what observers would attribute to a person, not what the person is."


class Validation(Result):
    """One line of `metrics.jsonl`: means over traits on the validation split."""

    step: int
    train_loss: Measured
    """Mean since the validation before."""
    ccc: Measured
    mean_accuracy: Measured
    skill: Measured
    constant_mean_accuracy: Measured
    """Of always predicting the training mean; its CCC is 0."""


@dataclass(frozen=True)
class Progress:
    """What a caller is told: after every step, and with `validation` after every validation."""

    step: int
    steps: int
    train_loss: float
    constant_mean_accuracy: float
    """On validation, of always answering the training mean; its CCC is 0."""
    validation: dict[str, float] | None = None
    """`ccc`, `mean_accuracy` and `skill`, each the mean over traits."""


@dataclass(frozen=True)
class TrainResult:
    run: Path
    finished: bool
    step: int
    best_ccc: float


def train(
    recipe: Recipe,
    corpus: Corpus,
    run: Path,
    *,
    name: str | None = None,
    resume: bool = False,
    cpu: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
    features_progress: Callable[[int, int], None] = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train on split `train`, choose by the CCC on split `val`.

    `name` is that of the weights, by default that of the folder. `should_stop` is asked before every step; when it
    says yes the state is saved and the result is not `finished`.

    Raises:
        MsmaError: too few clips, the run folder is taken or is of another recipe or corpus, training diverged, or
            pretrained weights are not there.
    """
    config, recipe = recipe.train, with_architectures(recipe)
    manifest, rows, held_out = corpus.manifest, corpus.split("train"), corpus.split("val")
    if min(len(rows), len(held_out)) < 2:
        raise MsmaError(
            f"{run}: {len(rows)} training and {len(held_out)} validation clips; at least 2 of each are needed"
        )
    prior, target = mean_target(rows), targets(held_out)
    constant = all_metrics(np.tile(prior, (len(target), 1)), target, prior)["mean_accuracy"]["mean"]

    accelerator = new_accelerator(config, cpu)
    network, pretrained = new_network(recipe, prior)
    network.to(accelerator.device)
    if accelerator.is_main_process:
        claim_run(run, recipe, {"corpus": manifest.corpus, **training_identity(corpus, pretrained)}, resume)
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
    path, linear = learner.linear_path(np.arange(len(rows)), prior)
    if network.linear_path is not None and path is not None:
        network.linear_path.load_state_dict(path.state_dict())
    training, validation = learner.dataset(rows, linear, augmented=True), learner.dataset(held_out)

    state = start(network, recipe, accelerator)
    if resume:
        restore(state, run / "state.pt")
        if state.accelerator.is_main_process:
            drop_log_after(run / "metrics.jsonl", state.step)
    if accelerator.is_main_process and state.step < config.steps:
        provenance.note(run, str(accelerator.device))
    about = weights_config(name or run.name, recipe, manifest, pretrained)
    for loss in steps(state, training, config, should_stop):
        scores = None
        if state.step % config.validate_every == 0 or state.step == config.steps:
            scores, tensors = validate(state, validation, config)
            if state.accelerator.is_main_process:
                keep(state, run, scores, constant, about, tensors | taken)
            state.best_ccc, state.losses = max(state.best_ccc, scores["ccc"]), []
            save(state, run / "state.pt")
        if state.accelerator.is_main_process:
            progress(Progress(state.step, config.steps, loss, constant, scores))
    finished = state.step >= config.steps
    if not finished:
        save(state, run / "state.pt")
    return TrainResult(run, finished, state.step, state.best_ccc)


def validate(state: State, clips: LabelledClips, config: TrainConfig) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The averaged network on the first window of every clip: mean over traits of CCC, mean accuracy and skill.

    Also gives the tensors to keep. Those of a network with a linear path are shrunk as does these clips best.
    """
    network = state.averaged
    found = predict(network, clips, config)
    traits, tensors, target = found.traits, network.state_dict(), targets(clips.rows)
    prior = network.head.prior.cpu().double().numpy()
    if network.linear_path is not None:
        labelled = labelled_traits(target)
        linear, residual = found.linear[:, labelled], found.residual[:, labelled]
        by = choose_shrinkage(linear, residual, target[:, labelled], prior[labelled])
        traits, tensors = shrunk(found.linear, found.residual, prior, by), shrunk_tensors(network, by)
    metrics = all_metrics(traits, target, prior)
    return {name: metrics[name]["mean"] for name in ("ccc", "mean_accuracy", "skill")}, tensors


def keep(
    state: State,
    run: Path,
    scores: dict[str, float],
    constant: float,
    config: WeightsConfig,
    tensors: dict[str, Tensor],
) -> None:
    """Log a validation; keep the weights if they are the best so far."""
    loss = float(np.mean(state.losses))
    line = Validation(step=state.step, train_loss=loss, **scores, constant_mean_accuracy=constant)
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as log:
        log.write(line.model_dump_json() + "\n")
    if scores["ccc"] > state.best_ccc:
        save_weights(run, config, tensors)


def check_begun(run: Path, resume: bool) -> bool:
    """Is there a run in the folder, to be resumed?

    Raises:
        MsmaError: it holds a run that is not to be resumed, or none where one is.
    """
    begun = (run / "state.pt").exists()
    if resume and not begun:
        raise MsmaError(f"{run}: nothing to resume; run without --resume")
    if begun and not resume:
        raise MsmaError(f"{run}: holds a run already; resume it with --resume or name another --out")
    return begun


def claim_run(run: Path, recipe: Recipe, corpus: dict[str, Any], resume: bool) -> None:
    """Write down what the run is of (`recipe.yaml`, `corpus.json`), or check that the run to be resumed is of the same.

    Raises:
        MsmaError: as `check_begun`, or the run is of another recipe, corpus or weights.
    """
    if not check_begun(run, resume):
        with written_whole(run / "recipe.yaml") as path:
            path.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        with written_whole(run / "corpus.json") as path:
            path.write_text(json.dumps(corpus, indent=2) + "\n", encoding="utf-8")
        for name in ("metrics.jsonl", provenance.FILE):
            (run / name).unlink(missing_ok=True)
        return
    # The number of loader workers changes no result.
    was = load_recipe(run / "recipe.yaml", [f"train.workers={recipe.train.workers}"])
    if was != recipe or read_json(run / "corpus.json", "train anew into another --out") != corpus:
        raise MsmaError(f"{run}: is a run of another recipe, corpus or weights; name another --out")


def save(state: State, path: Path) -> None:
    if not state.accelerator.is_main_process:
        return
    scaler = state.accelerator.scaler
    saved = {
        "step": state.step,
        "best_ccc": state.best_ccc,
        "losses": state.losses,
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
    }
    with written_whole(path) as unfinished:
        torch.save(saved, unfinished)


def restore(state: State, path: Path) -> None:
    """Go back to a saved state. Read with `weights_only`: a foreign pickle is refused, not run.

    Raises:
        MsmaError: the file is truncated, foreign or of another network.
    """
    try:
        saved = torch.load(path, map_location=state.accelerator.device, weights_only=True)
        state.network.load_state_dict(saved["network"])
        state.average.load_state_dict(saved["average"])
        state.optimizer.load_state_dict(saved["optimizer"])
        if state.accelerator.scaler is not None:
            state.accelerator.scaler.load_state_dict(saved["scaler"])
        state.step, state.best_ccc, state.losses = saved["step"], saved["best_ccc"], saved["losses"]
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError, EOFError) as error:
        raise MsmaError(
            f"{path}: damaged or foreign state ({first_line(error)}); train anew into another --out"
        ) from error


def drop_log_after(path: Path, step: int) -> None:
    """A run that was killed may have logged steps that its saved state does not know, the last one perhaps in part."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        with written_whole(path) as unfinished:
            unfinished.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def weights_config(
    name: str, recipe: Recipe, manifest: Manifest, pretrained: dict[str, dict[str, str]]
) -> WeightsConfig:
    return WeightsConfig(
        name=name,
        corpus=manifest.corpus,
        notice=manifest.facts.get("notice", NOTICE),
        traits=manifest.traits,
        pretrained=pretrained,
        clip=recipe.clip,
        model=recipe.model,
    )
