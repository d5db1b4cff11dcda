"""Explain a prediction: by the network's own intermediates, and by its change without each second.

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
from msma.media.bounded import windows_of
from msma.media.isolated import MediaProcesses
from msma.model.fusion import ATTENTION_TO
from msma.model.msma_net import MsMANet
from msma.model.tensors import ModelOutput
from msma.prediction.model import Model
from msma.prediction.pooling import at_point, window_output
from msma.types import MODALITIES, SILENCE, TRAITS, Clip, InputArrays, Prediction, PreparedWindow, Window
from msma.weights.checkpoint import Weights
from msma.weights.operating_points import mapped

MAX_WINDOWS = 4
"""Windows of a long video that are explained, from its start: a minute."""
OTHER = {"audio": "visual", "visual": "audio"}


@dataclass(frozen=True)
class Scale:
    """One branch of the multi-scale enhancement."""

    modality: str
    axis: str
    """`space` or `time`."""
    size: float
    """Cells on a side of the kernel (space), or seconds from a token to what it sees on either side (time)."""
    share: float
    """Share of what all scales of its stage add, by norm; those of a stage sum to 1."""


@dataclass(frozen=True)
class ExplainedWindow:
    """The origin of the prediction for one window. Effects are differences of scores.

    Seconds count from the start of the window; what is left of a second at the end belongs to the last one. NaN: there
    is nothing to look at.
    """

    window: Window
    crops: UInt8[np.ndarray, "t 3 s s"]
    """The faces that the network was given, from the start on, until the frames end; black where `seen` is not."""
    seen: Bool[np.ndarray, " t"]
    fps: float
    """Crops per second."""
    waveform: Float32[np.ndarray, " n"]
    constant: dict[str, float]
    """The prediction from nothing at all by trait: the mean-label baseline at the model's operating point."""
    carried: dict[str, dict[str, float]]
    """The contributions by modality and trait; the constant and both contributions make the prediction.

    The Shapley value (1953) over the network's four outputs: from nothing, audio, visual, and both.
    """
    seconds: dict[str, Float[np.ndarray, "seconds k"]]
    """The prediction less the one where that second of that modality is masked."""
    attention: dict[str, Float[np.ndarray, "seconds seconds"]] | None
    """For the modality that is attended to: from each second of the other one (rows) to each of its seconds; rows sum
    to 1. None where a modality is missing or the network has no cross-attention."""
    scales: tuple[Scale, ...]

    @property
    def shares(self) -> dict[str, float] | None:
        """The share of each modality in the way from the constant, over all traits; None where there is no way."""
        sizes = {m: sum(abs(effect) for effect in self.carried[m].values()) for m in MODALITIES}
        total = sum(sizes.values())
        return {m: size / total for m, size in sizes.items()} if total > 0 else None


@dataclass(frozen=True)
class Explanation:
    """The prediction for a video, and the origin of those for its first windows."""

    prediction: Prediction
    windows: tuple[ExplainedWindow, ...]
    passes: int
    """Passes of the network, besides those of the prediction: the cost."""
    elapsed_s: float
    """All together: prediction, decoding and explanation."""


def explain(
    model: Model[Weights],
    source: str | Path | bytes | Clip,
    *,
    media: MediaProcesses | None = None,
    max_windows: int = MAX_WINDOWS,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Explanation:
    """Predict a source, and explain its first windows; MsmaError where it cannot be read.

    It is read by `media`, or in this process. Each window costs a pass of the network and one for each second of each
    modality, of which `progress` gets (done, total).
    """
    began = time.monotonic()
    first: list[PreparedWindow] = []
    reading = model.reading(source)

    def read_once() -> Iterator[PreparedWindow]:
        for window in windows_of(reading) if media is None else media.windows(reading):
            if len(first) < max_windows:
                first.append(window)
            yield window

    prediction = model.predict_windows(reading.name, read_once())
    found = [explained(model, window, progress) for window in first]
    passes = sum(cost for _, cost in found)
    return Explanation(prediction, tuple(window for window, _ in found), passes, time.monotonic() - began)


def explained(
    model: Model[Weights],
    window: PreparedWindow,
    progress: Callable[[int, int], None],
) -> tuple[ExplainedWindow, int]:
    """One window, and how many passes of the network that took."""
    inputs, network, names = window.inputs, model.weights.network, model.weights.config.traits
    maps = model.maps()

    def scores(traits: Float[Tensor, "1 5"]) -> Float[np.ndarray, " k"]:
        scored: dict[str, float] = dict(zip(TRAITS, traits[0].tolist(), strict=True))
        return np.array(list(mapped({trait: scored[trait] for trait in names}, maps).values()))

    output = model.weights.output(inputs, return_intermediates=True)
    predicted, constant = scores(output.traits), scores(network.head.prior[None])
    if network.reads == MODALITIES:
        alone = {m: scores(output.named[f"from_{m}"]) for m in MODALITIES}
        carried = {m: ((alone[m] - constant) + (predicted - alone[OTHER[m]])) / 2 for m in MODALITIES}
    else:
        carried = {m: (predicted - constant) * (m in network.reads) for m in MODALITIES}
    seconds = max(1, math.floor(window.end_s - window.start_s))
    effects = {m: np.full((seconds, len(names)), math.nan) for m in MODALITIES}
    used = [m for m, there in zip(MODALITIES, inputs.present.tolist(), strict=True) if there and m in network.reads]
    steps = [(modality, second) for modality in used for second in range(seconds)]
    for done, (modality, second) in enumerate(steps, start=1):
        masked = without_second(inputs, modality, second, seconds, model.clip)
        effects[modality][second] = predicted - scores(model.weights.output(masked).traits)
        progress(done, len(steps))
    found = ExplainedWindow(
        window=at_point(window_output(window, output, names).window, maps),
        crops=inputs.frames,
        seen=inputs.frame_mask,
        fps=model.clip.fps,
        waveform=inputs.waveform if inputs.present[0] else np.zeros(0, np.float32),
        constant=dict(zip(names, constant.tolist(), strict=True)),
        carried={m: dict(zip(names, effect.tolist(), strict=True)) for m, effect in carried.items()},
        seconds=effects,
        attention=attention_by_second(network, output, seconds) if used == list(MODALITIES) else None,
        scales=tuple(scales(network, output, inputs)),
    )
    return found, 1 + len(steps)


def without_second(inputs: InputArrays, modality: str, second: int, seconds: int, config: ClipConfig) -> InputArrays:
    """One window with one of its seconds of one modality masked, but not the statistics that quality is predicted from:
    the content alone is taken away."""
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


def attention_by_second(
    network: MsMANet, output: ModelOutput, seconds: int
) -> dict[str, Float[np.ndarray, "seconds seconds"]] | None:
    """Cross-attention, mean over heads and query tokens, summed over key tokens. A masked token, which nothing attends
    to, is no query either: its output is not used."""
    named, audio, visual = output.named, network.audio_encoder, network.visual_encoder
    if ATTENTION_TO["audio"] not in named or audio is None or visual is None:
        return None
    token_s = {"audio": audio.token_s, "visual": visual.token_s}
    maps = {m: named[name][0].mean(dim=0).double().cpu().numpy() for m, name in ATTENTION_TO.items()}
    found = {}
    for modality, shares in maps.items():
        queries, keys = (
            tokens_by_second(maps[m].sum(axis=0) > 0, token_s[m], seconds) for m in (OTHER[modality], modality)
        )
        count = queries.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # a second without a query
            found[modality] = (queries @ shares @ keys.T) / np.where(count > 0, count, math.nan)
    return found


def tokens_by_second(kept: Bool[np.ndarray, " l"], token_s: float, seconds: int) -> Float[np.ndarray, "seconds l"]:
    """1 where a kept token lies in a second."""
    return (kept & (np.arange(seconds)[:, None] == second_of_steps(len(kept), token_s, seconds))).astype(np.float64)


def scales(network: MsMANet, output: ModelOutput, inputs: InputArrays) -> Iterator[Scale]:
    """The share of each scale, where a window has the modality: by the mean over places of the norm of what `mix` and
    the channel attention make of the scale alone."""
    for modality, present in zip(MODALITIES, inputs.present.tolist(), strict=True):
        encoder = network.audio_encoder if modality == "audio" else network.visual_encoder
        if encoder is None or not present:
            continue
        for axis, name, stage in (("space", "spatial", encoder.spatial), ("time", "temporal", encoder.temporal)):
            if stage is None:
                continue
            gate = output.named.get(f"{modality}_{name}_channel_attention")
            sizes, norms = [], []
            mixing = stage.mix.weight.detach().flatten(1).chunk(len(stage.branches), dim=1)
            for place, (branch, weight) in enumerate(zip(stage.branches, mixing, strict=True)):
                assert isinstance(branch, nn.Conv1d | nn.Conv2d)
                sizes.append(float(branch.kernel_size[0]) if axis == "space" else branch.dilation[0] * encoder.token_s)
                scale = output.named[f"{modality}_{name}_scale_{place}"]
                mixed = (rearrange(scale, "n c h w -> n (h w) c") if scale.ndim == 4 else scale) @ weight.T
                norms.append(float((mixed if gate is None else mixed * gate[:, None]).norm(dim=-1).mean()))
            for size, norm in zip(sizes, norms, strict=True):
                yield Scale(modality, axis, size, norm / max(sum(norms), 1e-12))
