"""Vision and speech models of the transformers library as backbones."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from msma.config import ClipConfig, ConfigError
from msma.model.backbones.architecture import Architecture, build, hidden_states, trial
from msma.model.backbones.backbone import AudioBackbone, Maps, VisualBackbone, sample_mask
from msma.model.backbones.size import refuse_window
from msma.types import SAMPLE_RATE

MIN_STRIDE = 8
"""Of the maps of a convolutional network: finer ones are large, and say little."""
TRIED_TOKENS = 1000
"""Tokens of a trial of a speech model: so many that its largest output is not one of its weights."""


class HfVisual(VisualBackbone):
    """Hidden states as maps: those of a convolutional network, or the patch tokens of a transformer.

    Frames are brought to a whole number of patches; where a transformer learned places, they are interpolated.
    """

    network: Any
    image_mean: Tensor
    image_std: Tensor

    def __init__(self, architecture: Architecture, name: str, hidden_layers: int) -> None:
        super().__init__()
        self.network = build(architecture, name)
        interpolates = "interpolate_pos_encoding" in inspect.signature(self.network.forward).parameters
        self.options = {"interpolate_pos_encoding": True} if interpolates else {}
        self.name = name
        found, self.largest = layouts(self.network, architecture, name, self.options)
        self.layers = maps_to_read(found, hidden_layers)
        read = [found[place] for place in self.layers]
        self.channels = tuple(layout.channels for layout in read)
        self.strides = tuple(layout.stride for layout in read)
        self.other_tokens = read[-1].other_tokens
        self.stages = stages_of(self.network)
        scaling = preprocessor(architecture)
        if scaling.get("rescale_offset") or abs(scaling.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
            raise ConfigError(f"{name}: its preprocessor does not bring pixels to [0, 1]; take another model")
        scaled = scaling.get("do_normalize", True)
        self.bgr = bool(scaling.get("do_flip_channel_order", False))
        for key, default in (("image_mean", 0.0), ("image_std", 1.0)):
            values = scaling.get(key) if scaled else None
            per_channel = torch.tensor(values or [default] * 3, dtype=torch.float32, device="cpu").reshape(3, 1, 1)
            self.register_buffer(key, per_channel, persistent=False)

    def check_window(self, clip: ClipConfig) -> None:
        cells, heads = -(-clip.crop_size // self.strides[-1]), getattr(self.network.config, "num_attention_heads", 1)
        largest = math.ceil(clip.window_s * clip.fps) * (cells * self.strides[-1]) ** 2 * self.largest
        refuse_window(self.name, largest, float(cells**2), heads, "crop_size, window_s or fps")

    def forward(self, frames: Float[Tensor, "n 3 s s"]) -> Maps:
        stride = self.strides[-1]
        cells = -(-frames.shape[-1] // stride)
        if frames.shape[-1] != cells * stride:
            frames = F.interpolate(frames, size=cells * stride, mode="bilinear", align_corners=False)
        frames = frames.flip(1) if self.bgr else frames
        scaled = (frames - self.image_mean) / self.image_std
        states = hidden_states(self.network(pixel_values=scaled, output_hidden_states=True, **self.options))
        return tuple(
            states[place]
            if states[place].ndim == 4
            else rearrange(states[place][:, self.other_tokens :], "n (h w) c -> n c h w", h=cells)
            for place in self.layers
        )


class HfAudio(AudioBackbone):
    """Hidden states of a model that reads waveforms: wav2vec 2.0, HuBERT, WavLM and their kin.

    Clips of one length are read together and never padded: in some of these models (those with a group norm over time)
    padding would reach what is valid, whatever the attention mask says.
    """

    network: Any

    def __init__(self, architecture: Architecture, name: str, hidden_layers: int) -> None:
        super().__init__()
        self.network = build(architecture, name)
        config = self.network.config
        if not hasattr(config, "conv_stride") or not hasattr(config, "conv_kernel"):
            raise ConfigError(f"{name}: {config.model_type} does not read waveforms; take wav2vec 2.0, HuBERT or WavLM")
        if getattr(config, "add_adapter", False):
            raise ConfigError(f"{name}: has an adapter, which is not supported; take the model without it")
        scaling = preprocessor(architecture)
        if scaling.get("sampling_rate", SAMPLE_RATE) != SAMPLE_RATE:
            raise ConfigError(f"{name}: reads {scaling['sampling_rate']} samples a second; take one for {SAMPLE_RATE}")
        self.normalise = bool(scaling.get("do_normalize", False))
        self.reach, self.step = 1, 1
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            self.reach += (kernel - 1) * self.step
            self.step *= stride
        self.name, samples = name, self.reach + (TRIED_TOKENS - 1) * self.step
        try:
            (states,), largest = trial(self.network, architecture, name, [(1, samples)])
            self.layers = spread_layers(len(states) - 1, hidden_layers)
            self.channels = tuple(states[place][2] for place in self.layers)
        except Exception as error:
            raise ConfigError(f"{name}: gives no tokens of a waveform; take wav2vec 2.0, HuBERT or WavLM") from error
        self.bands = (1,) * len(self.channels)
        self.largest = max(largest / samples, 1.0)
        self.stages = stages_of(self.network)

    def check_window(self, clip: ClipConfig) -> None:
        samples = float(max(clip.window_s * SAMPLE_RATE, self.reach))
        heads = self.network.config.num_attention_heads
        refuse_window(self.name, samples * self.largest, samples / self.step, heads, "window_s")

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Maps, Bool[Tensor, "b l"]]:
        valid = sample_mask(mask, waveform)
        waveform = standardised(waveform, valid) if self.normalise else torch.where(valid, waveform, 0.0)
        ends = torch.where(valid, torch.arange(1, valid.shape[1] + 1, device=valid.device), 0).amax(dim=1)
        tokens = 1 + max(0, waveform.shape[1] - self.reach) // self.step
        maps = [waveform.new_zeros(len(waveform), channels, tokens) for channels in self.channels]
        for end in ends.unique().tolist():
            if not end:
                continue
            clips = ends == end
            padded = F.pad(waveform[clips, :end], (0, max(0, self.reach - end)))
            states = hidden_states(self.network(padded, output_hidden_states=True))
            for one, place in zip(maps, self.layers, strict=True):
                state = rearrange(states[place], "b l c -> b c l")
                one[clips, :, : state.shape[2]] = state.to(one.dtype)
        starts = torch.arange(tokens, device=valid.device) * self.step
        middles = (starts + self.reach // 2).clamp(max=valid.shape[1] - 1)
        whole = starts + self.reach <= ends[:, None].clamp(min=self.reach)
        windows = valid[:, middles] & whole
        return tuple((one * windows[:, None].to(one.dtype))[:, :, None] for one in maps), windows


def preprocessor(architecture: Architecture) -> dict[str, Any]:
    return (architecture or {}).get("preprocessor") or {}


def standardised(waveform: Float[Tensor, "b n"], valid: Bool[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Mean 0 and variance 1 over what is valid; the rest is 0."""
    count = valid.sum(dim=1, keepdim=True).clamp(min=1)
    centred = torch.where(valid, waveform - torch.where(valid, waveform, 0.0).sum(dim=1, keepdim=True) / count, 0.0)
    return centred / (centred.square().sum(dim=1, keepdim=True) / count + 1e-7).sqrt()


@dataclass(frozen=True)
class Layout:
    """How a hidden state holds its map."""

    channels: int
    stride: int
    other_tokens: int
    """Tokens, the first ones, that are not of patches."""


def layouts(
    network: Any, architecture: Architecture, name: str, options: dict[str, bool]
) -> tuple[dict[int, Layout], float]:
    """The hidden states that hold a map, by place, and numbers in the largest output for a pixel, by a trial;
    ConfigError for another kind of model."""
    patch = getattr(network.config, "patch_size", 8)
    try:
        side = 64 * (patch if isinstance(patch, int) else max(patch))
        shapes = [(1, 3, s, s) for s in (side, 2 * side)]
        (small, large), largest = trial(network, architecture, name, shapes, **options)
        largest = max(largest / (2 * side) ** 2, 3.0)  # the frames themselves have three
        last = len(small) - 1
        found = {last: layout(small[last], large[last], side)}
        for place in range(last):
            if len(small[last]) == 4 or small[place] == small[last]:  # tokens of another number are of other patches
                found[place] = layout(small[place], large[place], side)
        return {place: found[place] for place in sorted(found)}, largest
    except Exception as error:
        raise ConfigError(f"{name}: has no map and no token for each patch of an image; take a vision model") from error


def layout(small: tuple[int, ...], large: tuple[int, ...], side: int) -> Layout:
    """The layout of a hidden state from its shapes for frames of this side and of twice as much."""
    if len(small) == 4:
        _, channels, cells, _ = small
        return Layout(channels, side // cells, 0)
    _, tokens, channels = small
    cells = round(((large[1] - tokens) / 3) ** 0.5)
    return Layout(channels, side // cells, tokens - cells * cells)


def maps_to_read(found: dict[int, Layout], count: int) -> list[int]:
    """Places of `count` of the hidden states at most: of a convolutional network the last ones of each stride."""
    of_stride = {layout.stride: place for place, layout in found.items()}
    if len(of_stride) > 1:
        return [place for stride, place in of_stride.items() if stride >= MIN_STRIDE][-count:]
    return [place for place in spread_layers(max(found), count) if place in found]


def spread_layers(last: int, count: int) -> list[int]:
    """Places of `count` hidden states from the middle to the last, evenly spread: what comes before says more of edges
    and sounds than of faces and voices."""
    return sorted({round(place) for place in np.linspace(last, last / 2, count)})


def stages_of(network: nn.Module) -> list[nn.Module]:
    """Its layers one by one; what comes before them is the first stage, what comes after belongs to the last."""
    lists = [(name, module) for name, module in network.named_modules() if type(module) is nn.ModuleList]
    if not lists:
        return [network]
    path, layers = max(lists, key=lambda named: sum(p.numel() for p in named[1].parameters()))
    before, after, node = [], [], network
    for name in path.split("."):
        names, children = zip(*node.named_children(), strict=True)
        place = names.index(name)
        before += [nn.ParameterList(node.parameters(recurse=False)), *children[:place]]
        after = [*children[place + 1 :], *after]
        node = children[place]
    *most, last = layers
    return [nn.ModuleList(before), *most, nn.ModuleList([last, *after])]
