"""The training loop: a network, its average, and steps on Accelerate. No files.

Everything random is a function of the seed and of the step, epoch or clip, so a run that was interrupted and resumed
equals an uninterrupted one bit for bit on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from jaxtyping import Float
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from msma.config import Recipe, TrainConfig
from msma.data.dataset import Batch, ClipDataset, StepBatches, collate_items, each_batch, mixed_seed
from msma.data.features import FeatureDataset
from msma.media.processes import leave_signals
from msma.metrics import logit
from msma.model.msma_net import MsMANet
from msma.training.losses import halves, training_loss
from msma.training.memory import keep_freed_memory
from msma.types import MsmaError
from msma.weights.pretrained import load_backbone

QUALITY_RATE = 10.0
"""Learning rate of the quality heads, as a multiple of the others'."""

LabelledClips = ClipDataset | FeatureDataset


@dataclass
class State:
    """Everything that training changes."""

    accelerator: Accelerator
    network: MsMANet
    average: AveragedModel
    """Exponential moving average of the network: it is validated and saved."""
    optimizer: torch.optim.Optimizer
    step: int = 0
    best_accuracy: float = -math.inf
    losses: list[float] = field(default_factory=list)
    """Those of the steps since the last validation."""

    @property
    def averaged(self) -> MsMANet:
        return cast(MsMANet, self.average.module)

    @property
    def parts(self) -> dict[str, Any]:
        """All that has a state of its own, by name."""
        parts = {"network": self.network, "average": self.average, "optimizer": self.optimizer}
        scaler = self.accelerator.scaler
        return parts if scaler is None else parts | {"scaler": scaler}


def fresh_network(recipe: Recipe, mean: Float[np.ndarray, " 5"]) -> MsMANet:
    """A network that nothing was loaded into, the same for the same seed; `mean` is that of the training labels, its
    prediction from nothing. The caller's random state is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(recipe.train.seed)
        network = MsMANet(recipe.model, recipe.clip)
    network.head.prior.copy_(torch.from_numpy(mean))
    return network


def new_network(recipe: Recipe, mean: Float[np.ndarray, " 5"]) -> tuple[MsMANet, dict[str, dict[str, str]]]:
    """A fresh network with its pretrained backbones, and, by stream, what is to be recorded of their weights;
    MsmaError where they are not there."""
    network, records = fresh_network(recipe, mean), {}
    for stream, encoder in network.streams.items():
        backbone, name, tuned = encoder.backbone, backbone_names(recipe)[stream], recipe.train.tune_stages
        assert backbone is not None
        if record := load_backbone(backbone, name):
            records[stream] = record
        if name != "small" and tuned != "all":
            stages = list(backbone.stages)
            for stage in stages[: max(0, len(stages) - tuned)]:
                stage.requires_grad_(False)
    return network, records


def backbone_names(recipe: Recipe) -> dict[str, str]:
    """The name of each stream's backbone."""
    model = recipe.model
    named = {"audio": model.audio_backbone, "visual": model.visual_backbone, "scene": model.scene_backbone}
    return {stream: name for stream, name in named.items() if name is not None}


def new_accelerator(config: TrainConfig, cpu: bool) -> Accelerator:
    """An accelerator for these settings; on a CPU the process keeps the memory of freed tensors."""
    precision = config.mixed_precision
    if precision == "auto":
        precision = "bf16" if not cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"
    # The batch of a step is split among processes, so that a run has the same steps on one GPU and on many.
    loading = DataLoaderConfiguration(split_batches=True)
    accelerator = Accelerator(cpu=cpu, mixed_precision=precision, dataloader_config=loading)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    return accelerator


def start(network: MsMANet, recipe: Recipe, accelerator: Accelerator) -> State:
    """The state at step 0, on the device that Accelerate gives."""
    config = recipe.train
    network.to(accelerator.device)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay)).eval()
    optimizer = torch.optim.AdamW(parameter_groups(network, recipe), lr=config.learning_rate)
    return State(accelerator, network, average, optimizer)


def parameter_groups(network: MsMANet, recipe: Recipe) -> list[dict[str, Any]]:
    """Weight decay is for matrices and kernels, not for norms, biases and tokens. `rate` multiplies the learning rate:
    it slows pretrained parts, the more the farther below the top, and lets the quality heads, which nothing else
    depends on, learn within few steps."""
    config = recipe.train
    rates = {id(parameter): QUALITY_RATE for parameter in network.quality_head.parameters()}
    for stream, encoder in network.streams.items():
        if encoder.backbone is not None and backbone_names(recipe)[stream] != "small":
            rates |= {id(parameter): config.tune_rate for parameter in encoder.backbone.parameters()}
            for depth, stage in enumerate(reversed(list(encoder.backbone.stages))):
                rates |= {id(p): config.tune_rate * config.layer_decay**depth for p in stage.parameters()}
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [p for p in parameters if rates.get(id(p), 1.0) == rate and (p.ndim >= 2) == matrix],
            "weight_decay": config.weight_decay if matrix else 0.0,
            "rate": rate,
        }
        for rate in sorted({1.0, *rates.values()})
        for matrix in (True, False)
    ]
    return [group for group in groups if group["params"]]


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warmup = min(config.warmup_steps, config.steps - 1)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(config.steps - warmup, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def steps(
    state: State, training: LabelledClips, config: TrainConfig, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[float]:
    """Train to the last step, yielding each loss, or until `should_stop`, asked before each step, says yes; MsmaError
    where training diverged."""
    batches = StepBatches(len(training), config, first_step=state.step)
    loader = loader_of(training, batches, config.workers)
    model, optimizer, loader = state.accelerator.prepare(state.network, state.optimizer, loader)
    model.train()
    for part in frozen_parts(state.network):
        part.eval()  # its dropout, too, is not wanted
    for batch in each_batch(loader):
        if anyone(state.accelerator, should_stop()):
            return
        loss = train_step(state, model, optimizer, batch, config)
        if not math.isfinite(loss) or not finite(state.network):
            raise MsmaError(f"training diverged at step {state.step}; lower train.learning_rate")
        yield loss


def loader_of(clips: LabelledClips, batches: Any, workers: int) -> DataLoader:
    return DataLoader(
        clips, batch_sampler=batches, collate_fn=collate_items, num_workers=workers, worker_init_fn=leave_signals
    )


def frozen_parts(network: MsMANet) -> Iterator[nn.Module]:
    """Backbones of which nothing is trained, and the stages of others of which nothing is."""
    for backbone in (stream.backbone for stream in network.streams.values()):
        for part in () if backbone is None else (backbone, *backbone.stages):
            if not any(parameter.requires_grad for parameter in part.parameters()):
                yield part


def anyone(accelerator: Accelerator, says_yes: bool) -> bool:
    """Does any process say yes? All must leave the loop at the same step."""
    if accelerator.num_processes == 1:
        return says_yes
    votes: Any = accelerator.gather(torch.tensor([says_yes], device=accelerator.device))
    return bool(votes.any())


def train_step(state: State, model: nn.Module, optimizer: Any, batch: Batch, config: TrainConfig) -> float:
    """One update of the network and of its average; returns the loss."""
    inputs, target, quality = batch
    clips = len(target)
    torch.manual_seed(mixed_seed(config.seed, state.step, state.accelerator.process_index))  # dropout
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * learning_rate(state.step, config)
    with state.accelerator.autocast():
        output = model(inputs, return_intermediates=True, unimodal=config.needs_unimodal)
        degraded, clean = halves(output, clips)
    strength = config.strength(state.step / config.steps)
    loss = training_loss(degraded, inputs.present[:clips], target, quality, config, clean, strength)
    state.accelerator.backward(loss)
    # Quality heads share nothing with the rest: neither should scale the steps of the other.
    rest = [p for name, p in state.network.named_parameters() if not name.startswith("quality_head.")]
    state.accelerator.clip_grad_norm_(rest, config.clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    state.average.update_parameters(state.network)
    state.step += 1
    state.losses.append(float(loss.detach()))
    return state.losses[-1]


def finite(network: nn.Module) -> bool:
    trained = [parameter.detach().sum() for parameter in network.parameters() if parameter.requires_grad]
    return bool(torch.stack(trained).isfinite().all())


@dataclass(frozen=True)
class NetworkPredictions:
    """Predictions of a network for the first window of each clip."""

    traits: Float[np.ndarray, "clips 5"]
    linear: Float[np.ndarray, "clips 5"]
    """The prediction of its linear path, or the mean-label baseline, to which the network adds a residual."""

    @property
    def residual(self) -> Float[np.ndarray, "clips 5"]:
        """From `linear` to `traits`, in logits."""
        return logit(self.traits) - logit(self.linear)


def predict(network: MsMANet, clips: LabelledClips, config: TrainConfig) -> NetworkPredictions:
    """Predict every clip of a dataset, as it is."""
    network.eval()
    device = next(network.parameters()).device
    items = [(0, index) for index in range(len(clips))]
    batches = [items[first : first + config.batch_size] for first in range(0, len(items), config.batch_size)]
    workers = 0 if isinstance(clips, FeatureDataset) else config.workers  # features are in memory by and by
    loader = loader_of(clips, batches, workers)
    traits, linear = [], []
    with torch.inference_mode():
        for inputs, *_ in each_batch(loader):
            output = network(inputs.to(device), return_intermediates=True, unimodal=False)
            traits.append(output.traits.cpu().double().numpy())
            linear.append(output.named["linear_prediction"].cpu().double().numpy())
    return NetworkPredictions(np.concatenate(traits), np.concatenate(linear))
