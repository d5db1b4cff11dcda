"""Training: a plain loop over steps on Accelerate.

Everything random is a function of the seed and of the step, epoch or clip, so a run that was broken off and resumed
equals an unbroken one bit for bit on a CPU.

A run folder holds `recipe.yaml`, `corpus.json`, `metrics.jsonl`, `state.pt` (to resume) and the best weights so far.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from msma.checkpoint import WeightsConfig, save_weights
from msma.config import Recipe, TrainConfig, first_line, load_recipe
from msma.data.dataset import Batch, ClipDataset, StepBatches, collate_items, mixed_seed
from msma.data.manifest import Manifest, targets
from msma.files import written_whole
from msma.losses import training_loss
from msma.metrics import all_metrics
from msma.model.msma_net import MsMANet
from msma.types import MsmaError

NOTICE = "Apparent personality: what observers would attribute to a person, not what the person is."


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


@dataclass
class State:
    """Everything that training changes."""

    accelerator: Accelerator
    network: MsMANet
    average: AveragedModel
    """Exponential moving average of the network: what is validated and kept."""
    optimizer: torch.optim.Optimizer
    step: int = 0
    best_ccc: float = -math.inf
    losses: list[float] = field(default_factory=list)
    """Of the steps since the last validation."""


def train(
    recipe: Recipe,
    manifest: Manifest,
    entries: dict[str, Path],
    run: Path,
    *,
    resume: bool = False,
    cpu: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train on split `train`, choose by the CCC on split `val`.

    `entries` maps clip names to cache files (`fill_cache`). `should_stop` is asked before every step; when it says yes
    the state is saved and the result is not `finished`.

    Raises:
        MsmaError: too few clips, the run folder is taken or is of another recipe or corpus, or training diverged.
    """
    config = recipe.train
    training = ClipDataset(manifest.split("train"), entries, config)
    validation = ClipDataset(manifest.split("val"), entries)
    if min(len(training), len(validation)) < 2:
        raise MsmaError(
            f"{run}: {len(training)} training and {len(validation)} validation clips; at least 2 of each are needed"
        )
    prior = targets(training.rows).mean(axis=0)
    target = targets(validation.rows)
    constant = all_metrics(np.tile(prior, (len(target), 1)), target, prior)["mean_accuracy"]["mean"]

    state = start(recipe, prior, cpu)
    if state.accelerator.is_main_process:
        claim_run(run, recipe, manifest, resume)
    state.accelerator.wait_for_everyone()
    if resume:
        restore(state, run / "state.pt")
        if state.accelerator.is_main_process:
            drop_log_after(run / "metrics.jsonl", state.step)
    batches = StepBatches(len(training), config, first_step=state.step)
    loader = DataLoader(training, batch_sampler=batches, collate_fn=collate_items, num_workers=config.workers)
    model, optimizer, loader = state.accelerator.prepare(state.network, state.optimizer, loader)

    for batch in loader:
        if anyone(state.accelerator, should_stop()):
            break
        loss = train_step(state, model, optimizer, batch, config)
        if not math.isfinite(loss) or not finite(state.network):
            raise MsmaError(f"{run}: training diverged at step {state.step}; lower train.learning_rate")
        scores = None
        if state.step % config.validate_every == 0 or state.step == config.steps:
            scores = validate(state, validation, prior, config.batch_size)
            if state.accelerator.is_main_process:
                keep(state, run, scores, constant, weights_config(run.name, recipe, manifest))
            state.best_ccc, state.losses = max(state.best_ccc, scores["ccc"]), []
            save(state, run / "state.pt")
        if state.accelerator.is_main_process:
            progress(Progress(state.step, config.steps, loss, constant, scores))
    finished = state.step >= config.steps
    if not finished:
        save(state, run / "state.pt")
    return TrainResult(run, finished, state.step, state.best_ccc)


def start(recipe: Recipe, prior: np.ndarray, cpu: bool) -> State:
    """A fresh network, the same for the same seed; the caller's random state is left alone."""
    config = recipe.train
    # The batch of a step is split among processes, so that a run has the same steps on one GPU and on many.
    loading = DataLoaderConfiguration(split_batches=True)
    accelerator = Accelerator(cpu=cpu, mixed_precision=mixed_precision(config, cpu), dataloader_config=loading)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = MsMANet(recipe.model, recipe.clip)
    network.head.prior.copy_(torch.from_numpy(prior))
    network.to(accelerator.device)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
    optimizer = torch.optim.AdamW(parameter_groups(network, config.weight_decay), lr=config.learning_rate)
    return State(accelerator, network, average, optimizer)


def anyone(accelerator: Accelerator, says_yes: bool) -> bool:
    """Does any process say yes? All must leave the loop at the same step."""
    if accelerator.num_processes == 1:
        return says_yes
    votes: Any = accelerator.gather(torch.tensor([says_yes], device=accelerator.device))
    return bool(votes.any())


def mixed_precision(config: TrainConfig, cpu: bool) -> str:
    if config.mixed_precision != "auto":
        return config.mixed_precision
    return "bf16" if not cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay is for matrices and kernels, not for norms, biases and single tokens."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warmup = min(config.warmup_steps, config.steps - 1)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(config.steps - warmup, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def train_step(state: State, model: nn.Module, optimizer: Any, batch: Batch, config: TrainConfig) -> float:
    """One update of the network and of its average; returns the loss."""
    inputs, target, quality = batch
    torch.manual_seed(mixed_seed(config.seed, state.step, state.accelerator.process_index))  # dropout
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(state.step, config)
    model.train()
    with state.accelerator.autocast():
        output = model(inputs, return_intermediates=True)
    loss = training_loss(output, inputs, target, quality, config)
    state.accelerator.backward(loss)
    state.accelerator.clip_grad_norm_(model.parameters(), config.clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    state.average.update_parameters(state.network)
    state.step += 1
    state.losses.append(float(loss.detach()))
    return state.losses[-1]


def finite(network: nn.Module) -> bool:
    return bool(torch.stack([parameter.detach().sum() for parameter in network.parameters()]).isfinite().all())


def validate(state: State, clips: ClipDataset, prior: np.ndarray, batch_size: int) -> dict[str, float]:
    """The averaged network on the first window of every clip: mean over traits of CCC, mean accuracy and skill."""
    network = state.average.module.eval()
    predicted = []
    with torch.inference_mode():
        for first in range(0, len(clips), batch_size):
            items = [clips[0, index] for index in range(first, min(first + batch_size, len(clips)))]
            inputs, _, _ = collate_items(items)
            predicted.append(network(inputs.to(state.accelerator.device)).traits.cpu().double().numpy())
    metrics = all_metrics(np.concatenate(predicted), targets(clips.rows), prior)
    return {name: metrics[name]["mean"] for name in ("ccc", "mean_accuracy", "skill")}


def keep(state: State, run: Path, scores: dict[str, float], constant: float, config: WeightsConfig) -> None:
    """Log a validation; keep the weights if they are the best so far."""
    line = {
        "step": state.step,
        "train_loss": float(np.mean(state.losses)),
        **scores,
        "constant_mean_accuracy": constant,
    }
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    if scores["ccc"] > state.best_ccc:
        save_weights(run, config, state.average.module.state_dict())


def claim_run(run: Path, recipe: Recipe, manifest: Manifest, resume: bool) -> None:
    """Write down what the run is of (`recipe.yaml`, `corpus.json`), or check that the run to be resumed is of the same.

    Raises:
        MsmaError: the folder holds a run already, or one of another recipe or corpus.
    """
    begun = (run / "state.pt").exists()
    if resume and not begun:
        raise MsmaError(f"{run}: nothing to resume; run without --resume")
    if begun and not resume:
        raise MsmaError(f"{run}: holds a run already; go on with --resume or name another --out")
    labels = hashlib.sha256(repr([(row.clip, row.split, row.target) for row in manifest.rows]).encode()).hexdigest()
    corpus = {"corpus": manifest.corpus, "labels_sha256": labels}
    if not begun:
        with written_whole(run / "recipe.yaml") as path:
            path.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        with written_whole(run / "corpus.json") as path:
            path.write_text(json.dumps(corpus, indent=2) + "\n", encoding="utf-8")
        (run / "metrics.jsonl").unlink(missing_ok=True)
        return
    # The number of loader workers changes no result.
    was = load_recipe(run / "recipe.yaml", [f"train.workers={recipe.train.workers}"])
    if was != recipe or json.loads((run / "corpus.json").read_text(encoding="utf-8")) != corpus:
        raise MsmaError(f"{run}: is a run of another recipe or corpus; name another --out")


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


def weights_config(name: str, recipe: Recipe, manifest: Manifest) -> WeightsConfig:
    notice = manifest.facts.get("notice", NOTICE)
    return WeightsConfig(name=name, corpus=manifest.corpus, notice=notice, clip=recipe.clip, model=recipe.model)
