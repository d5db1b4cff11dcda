"""Vision and speech models of the transformers library as backbones."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from msma.config import ClipConfig, ConfigError
from msma.model.backbones.architecture import Architecture, build, trial
from msma.model.backbones.backbone import AudioBackbone, VisualBackbone, sample_mask
from msma.model.backbones.size import refuse_window
from msma.types import SAMPLE_RATE

TRIED_TOKENS = 1000
"""Tokens of a trial of a speech model: so many that its largest output is not one of its weights."""


class HfVisual(VisualBackbone):
    """The last hidden state as a map: that of a convolutional network, or the patch tokens of a transformer.

    Frames are brought to a whole number of patches; where a transformer learned places, they are interpolated.
    """

    network: Any
    image_mean: Tensor
    image_std: Tensor

    def __init__(self, architecture: Architecture, name: str) -> None:
        super().__init__()
        self.network = build(architecture, name)
        interpolates = "interpolate_pos_encoding" in inspect.signature(self.network.forward).parameters
        self.options = {"interpolate_pos_encoding": True} if interpolates else {}
        self.name = name
        self.channels, self.stride, self.other_tokens, self.largest = layout(
            self.network, architecture, name, self.options
        )
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
        cells, heads = -(-clip.crop_size // self.stride), getattr(self.network.config, "num_attention_heads", 1)
        largest = math.ceil(clip.window_s * clip.fps) * (cells * self.stride) ** 2 * self.largest
        refuse_window(self.name, largest, float(cells**2), heads, "crop_size, window_s or fps")

    def forward(self, frames: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        cells = -(-frames.shape[-1] // self.stride)
        if frames.shape[-1] != cells * self.stride:
            frames = F.interpolate(frames, size=cells * self.stride, mode="bilinear", align_corners=False)
        frames = frames.flip(1) if self.bgr else frames
        scaled = (frames - self.image_mean) / self.image_std
        hidden = self.network(pixel_values=scaled, **self.options).last_hidden_state
        if hidden.ndim == 4:
            return hidden
        return rearrange(hidden[:, self.other_tokens :], "n (h w) c -> n c h w", h=cells)


class HfAudio(AudioBackbone):
    """The last hidden state of a model that reads waveforms: wav2vec 2.0, HuBERT, WavLM and their kin.

    Clips of one length are read together and never padded: in some of these models (those with a group norm over time)
    padding would reach what is valid, whatever the attention mask says.
    """

    bands = 1
    network: Any

    def __init__(self, architecture: Architecture, name: str) -> None:
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
        self.receptive, self.hop = 1, 1
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            self.receptive += (kernel - 1) * self.hop
            self.hop *= stride
        self.channels = config.hidden_size
        self.token_s = self.hop / SAMPLE_RATE
        self.name, samples = name, self.receptive + (TRIED_TOKENS - 1) * self.hop
        try:
            _, largest = trial(self.network, architecture, name, [(1, samples)])
        except Exception as error:
            raise ConfigError(f"{name}: gives no tokens of a waveform; take wav2vec 2.0, HuBERT or WavLM") from error
        self.largest = max(largest / samples, 1.0)
        self.stages = stages_of(self.network)

    def check_window(self, clip: ClipConfig) -> None:
        samples = float(max(clip.window_s * SAMPLE_RATE, self.receptive))
        heads = self.network.config.num_attention_heads
        refuse_window(self.name, samples * self.largest, samples / self.hop, heads, "window_s")

    def forward(
        self, log_mel: Float[Tensor, "b m f"], waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b f"]
    ) -> tuple[Float[Tensor, "b c 1 l"], Bool[Tensor, "b l"]]:
        valid = sample_mask(mask, waveform)
        waveform = standardised(waveform, valid) if self.normalise else torch.where(valid, waveform, 0.0)
        ends = torch.where(valid, torch.arange(1, valid.shape[1] + 1, device=valid.device), 0).amax(dim=1)
        tokens = 1 + max(0, waveform.shape[1] - self.receptive) // self.hop
        maps = waveform.new_zeros(len(waveform), self.channels, tokens)
        for end in ends.unique().tolist():
            if not end:
                continue
            clips = ends == end
            padded = F.pad(waveform[clips, :end], (0, max(0, self.receptive - end)))
            hidden = self.network(padded).last_hidden_state
            maps[clips, :, : hidden.shape[1]] = rearrange(hidden, "b l c -> b c l").to(maps.dtype)
        starts = torch.arange(tokens, device=valid.device) * self.hop
        middles = (starts + self.receptive // 2).clamp(max=valid.shape[1] - 1)
        whole = starts + self.receptive <= ends[:, None].clamp(min=self.receptive)
        windows = valid[:, middles] & whole
        return (maps * windows[:, None].to(maps.dtype))[:, :, None], windows


def preprocessor(architecture: Architecture) -> dict[str, Any]:
    return (architecture or {}).get("preprocessor") or {}


def standardised(waveform: Float[Tensor, "b n"], valid: Bool[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Mean 0 and variance 1 over what is valid; the rest is 0."""
    count = valid.sum(dim=1, keepdim=True).clamp(min=1)
    centred = torch.where(valid, waveform - torch.where(valid, waveform, 0.0).sum(dim=1, keepdim=True) / count, 0.0)
    return centred / (centred.square().sum(dim=1, keepdim=True) / count + 1e-7).sqrt()


def layout(
    network: Any, architecture: Architecture, name: str, options: dict[str, bool]
) -> tuple[int, int, int, float]:
    """Channels, stride, tokens that are not of patches, and numbers in the largest output for a pixel, by a trial;
    ConfigError for another kind of model."""
    patch = getattr(network.config, "patch_size", 8)
    try:
        side = 64 * (patch if isinstance(patch, int) else max(patch))
        shapes = [(1, 3, s, s) for s in (side, 2 * side)]
        (small, large), largest = trial(network, architecture, name, shapes, **options)
        largest = max(largest / (2 * side) ** 2, 3.0)  # the frames themselves have three
        if len(small) == 4:
            _, channels, cells, _ = small
            return channels, side // cells, 0, largest
        _, tokens, channels = small
        cells = round(((large[1] - tokens) / 3) ** 0.5)
        return channels, side // cells, tokens - cells * cells, largest
    except Exception as error:
        raise ConfigError(f"{name}: has no map and no token for each patch of an image; take a vision model") from error


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
