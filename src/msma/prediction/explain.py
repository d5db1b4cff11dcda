"""Why a model answers what it answers, from the network's own intermediates, and from what changes without a second.

What each part means, and that it is shown, is ours; the paper shows none of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor, nn

from msma.config import ClipConfig
from msma.media.prepare import prepare, raw_windows
from msma.model.fusion import ATTENTION_TO
from msma.model.msma_net import MsMANet
from msma.model.multiscale import SpatialScales, TemporalScales
from msma.model.tensors import ModelOutput
from msma.prediction.model import Model, name_of
from msma.prediction.pooling import window_output
from msma.types import MODALITIES, SILENCE, TRAITS, Clip, InputArrays, MsmaError, Prediction, PreparedWindow, Window
from msma.weights.checkpoint import Weights

MOST_WINDOWS = 4
"""Of a long video, the first so many are explained: a minute."""
OTHER = {"audio": "visual", "visual": "audio"}


@dataclass(frozen=True)
class Scale:
    """One branch of the multi-scale enhancement."""

    modality: str
    axis: str
    """`space` or `time`."""
    size: int
    """Kernel (space) or dilation in tokens (time)."""
    share: float
    """Of what all scales of its stage add, by norm; those of a stage sum to 1."""


@dataclass(frozen=True)
class ExplainedWindow:
    """Where the answer for one window comes from. Effects are differences of scores.

    Seconds count from the start of the window; what is left of a second at the end belongs to the last one. NaN: there
    is nothing to look at.
    """

    window: Window
    crops: UInt8[np.ndarray, "t 3 s s"]
    """The faces that the network saw, from the start on, until the picture ends; black where `seen` is not."""
    seen: Bool[np.ndarray, " t"]
    fps: float
    """Crops a second."""
    waveform: Float32[np.ndarray, " n"]
    prior: dict[str, float]
    """By trait, the answer to nothing at all: the mean of the training labels."""
    carried: dict[str, dict[str, float]]
    """By modality and trait, what it adds to the prior; prior and both together make the answer.

    The Shapley value (1953) over the network's four readings: of nothing, of sound, of picture, of both.
    """
    seconds: dict[str, Float[np.ndarray, "seconds k"]]
    """By modality, the answer less the answer where that second of that modality is masked."""
    attention: dict[str, Float[np.ndarray, "seconds seconds"]] | None
    """By the modality that is looked at: from each second of the other one (rows) to each of its seconds; rows sum
    to 1. None where a modality is missing or the network has no cross-attention."""
    scales: tuple[Scale, ...]

    @property
    def shares(self) -> dict[str, float] | None:
        """By modality, how much of the way from the prior it went, over all traits; None where there is no way."""
        sizes = {m: sum(abs(effect) for effect in self.carried[m].values()) for m in MODALITIES}
        total = sum(sizes.values())
        return {m: size / total for m, size in sizes.items()} if total > 0 else None


@dataclass(frozen=True)
class Explanation:
    """The answer for a video and where it comes from, window by window."""

    prediction: Prediction
    windows: tuple[ExplainedWindow, ...]
    """The first ones."""
    passes: int
    """Of the network, besides those of the answer: the cost."""
    elapsed_s: float
    """All together, answer, decoding and explanation."""


def explain(
    model: Model[Weights],
    source: str | Path | bytes | Clip,
    *,
    most_windows: int = MOST_WINDOWS,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Explanation:
    """The answer of `model`, and an explanation of its first windows.

    Each window costs a pass of the network, and one more for each second of each modality that is there.

    Args:
        progress: is told (done, total) seconds of sound and picture of the window at hand.

    Raises:
        MsmaError: the source cannot be read; one line that names the file and the remedy.
    """
    began = time.monotonic()
    first: list[tuple[Float32[np.ndarray, " n"], PreparedWindow]] = []

    def read_once() -> Iterator[PreparedWindow]:
        for raw in raw_windows(source, model.clip, model.limits, model.detector):
            window = prepare(raw, model.clip)
            if len(first) < most_windows:
                first.append((raw.clip.waveform, window))
            yield window

    prediction = model.predict_windows(name_of(source), read_once())
    windows, passes = [], 0
    for waveform, window in first:
        found, cost = explained(model, waveform, window, progress)
        windows.append(found)
        passes += cost
    return Explanation(prediction, tuple(windows), passes, time.monotonic() - began)


def explained(
    model: Model[Weights],
    waveform: Float32[np.ndarray, " n"],
    window: PreparedWindow,
    progress: Callable[[int, int], None],
) -> tuple[ExplainedWindow, int]:
    """One window, and how many passes of the network that took."""
    inputs, network = window.inputs, model.weights.network
    output = model.weights.output(inputs, return_intermediates=True)
    answer = predicted_traits(model, output.traits)
    prior = predicted_traits(model, network.head.prior[None])
    seconds = max(1, math.floor(window.end_s - window.start_s))
    effects = {m: np.full((seconds, len(answer)), math.nan) for m in MODALITIES}
    used = [m for m, there in zip(MODALITIES, inputs.present.tolist(), strict=True) if there and m in network.reads]
    steps = [(modality, second) for modality in used for second in range(seconds)]
    for done, (modality, second) in enumerate(steps, start=1):
        masked = without_second(inputs, modality, second, seconds, model.clip)
        effects[modality][second] = answer - predicted_traits(model, model.weights.output(masked).traits)
        progress(done, len(steps))
    names = model.weights.config.traits
    found = ExplainedWindow(
        window=window_output(window, output, names).window,
        crops=inputs.frames,
        seen=inputs.frame_mask,
        fps=model.clip.fps,
        waveform=waveform,
        prior=dict(zip(names, prior.tolist(), strict=True)),
        carried={
            m: dict(zip(names, effect.tolist(), strict=True)) for m, effect in carried(model, output, prior).items()
        },
        seconds=effects,
        attention=attention_by_second(network, output, seconds) if used == list(MODALITIES) else None,
        scales=tuple(scales(network, output, inputs)),
    )
    return found, 1 + len(steps)


def predicted_traits(model: Model[Weights], traits: Float[Tensor, "1 5"]) -> Float[np.ndarray, " k"]:
    """Those that the corpus of the weights labels."""
    columns = [TRAITS.index(trait) for trait in model.weights.config.traits]
    return traits[0, columns].double().cpu().numpy()


def without_second(inputs: InputArrays, modality: str, second: int, seconds: int, config: ClipConfig) -> InputArrays:
    """One window with one of its seconds of one modality masked.

    The statistics that quality is predicted from stay as they are: it is what was said and shown that is taken away.
    """
    if modality == "visual":
        masked = second_of_steps(len(inputs.frame_mask), 1 / config.fps, seconds) == second
        return replace(inputs, frame_mask=inputs.frame_mask & ~masked)
    masked = second_of_steps(len(inputs.mel_mask), config.mel_hop_s, seconds) == second
    kept = inputs.mel_mask & ~masked
    hop = len(inputs.waveform) // len(kept)
    return replace(
        inputs,
        mel_mask=kept,
        log_mel=np.where(kept, inputs.log_mel, np.float32(SILENCE)),
        waveform=inputs.waveform * np.repeat(kept, hop),
    )


def second_of_steps(count: int, step_s: float, seconds: int) -> Int[np.ndarray, " l"]:
    """Which of the seconds of a window the middle of each step is in."""
    return np.minimum(((np.arange(count) + 0.5) * step_s).astype(int), seconds - 1)


def carried(
    model: Model[Weights], output: ModelOutput, prior: Float[np.ndarray, " k"]
) -> dict[str, Float[np.ndarray, " k"]]:
    """What each modality adds to the prior, by its Shapley value over the network's readings."""
    answer = predicted_traits(model, output.traits)
    reads, named = model.weights.network.reads, intermediates(output)
    if reads != MODALITIES:
        return {m: answer - prior if m in reads else np.zeros_like(answer) for m in MODALITIES}
    alone = {m: predicted_traits(model, named[f"{m}_traits"]) for m in MODALITIES}
    return {m: ((alone[m] - prior) + (answer - alone[OTHER[m]])) / 2 for m in MODALITIES}


def attention_by_second(
    network: MsMANet, output: ModelOutput, seconds: int
) -> dict[str, Float[np.ndarray, "seconds seconds"]] | None:
    """Cross-attention, mean over heads and over the tokens that ask, summed over those that are looked at.

    A masked token, which nothing attends to, does not ask either: its answer is not read.
    """
    named, audio, visual = intermediates(output), network.audio_encoder, network.visual_encoder
    if ATTENTION_TO["audio"] not in named or audio is None or visual is None:
        return None
    token_s = {"audio": audio.token_s, "visual": 1 / visual.fps}
    maps = {m: named[name][0].mean(dim=0).double().cpu().numpy() for m, name in ATTENTION_TO.items()}
    found = {}
    for looked_at, shares in maps.items():
        asking, keys = (
            tokens_by_second(maps[m].sum(axis=0) > 0, token_s[m], seconds) for m in (OTHER[looked_at], looked_at)
        )
        asked = asking.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # a second without a token that asks
            found[looked_at] = (asking @ shares @ keys.T) / np.where(asked > 0, asked, math.nan)
    return found


def tokens_by_second(kept: Bool[np.ndarray, " l"], token_s: float, seconds: int) -> Float[np.ndarray, "seconds l"]:
    """1 where a kept token lies in a second."""
    return (kept & (np.arange(seconds)[:, None] == second_of_steps(len(kept), token_s, seconds))).astype(np.float64)


def scales(network: MsMANet, output: ModelOutput, inputs: InputArrays) -> Iterator[Scale]:
    """How much each scale adds, where a window has the modality: the mean norm of what the mixing takes from it."""
    named = intermediates(output)
    encoders = {"audio": network.audio_encoder, "visual": network.visual_encoder}
    for modality, present in zip(MODALITIES, inputs.present.tolist(), strict=True):
        encoder = encoders[modality]
        if encoder is None or not present:
            continue
        for axis, stage in (("space", encoder.spatial), ("time", encoder.temporal)):
            if stage is None:
                continue
            norms = mixed_norms(stage, named, f"{modality}_{'spatial' if axis == 'space' else 'temporal'}")
            for size, norm in zip(sizes(stage), norms, strict=True):
                yield Scale(modality, axis, size, norm / max(sum(norms), 1e-12))


def sizes(stage: SpatialScales | TemporalScales) -> list[int]:
    return [
        branch.kernel_size[0] if isinstance(branch, nn.Conv2d) else branch.dilation[0]
        for branch in stage.branches
        if isinstance(branch, nn.Conv1d | nn.Conv2d)
    ]


def mixed_norms(stage: SpatialScales | TemporalScales, named: dict[str, Tensor], prefix: str) -> list[float]:
    """Mean over places of the norm of what `mix` and the channel attention make of each scale alone."""
    weights = stage.mix.weight.detach().flatten(1).chunk(len(stage.branches), dim=1)
    gate = named.get(f"{prefix}_channel_attention")
    norms = []
    for place, weight in enumerate(weights):
        scale = named[f"{prefix}_scale_{place}"]
        channels_last = rearrange(scale, "n c h w -> n (h w) c") if scale.ndim == 4 else scale
        mixed = channels_last @ weight.T
        if gate is not None:
            mixed = mixed * gate[:, None]
        norms.append(float(mixed.norm(dim=-1).mean()))
    return norms


def intermediates(output: ModelOutput) -> dict[str, Tensor]:
    if output.intermediates is None:
        raise MsmaError("the network was not asked for its intermediates")
    return output.intermediates
