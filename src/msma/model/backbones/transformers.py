"""Vision and speech models of the transformers library as backbones, built from their configurations alone.

`architecture` is what `pretrained.architecture` reads from a repository or folder and what is stored with the weights:
`config`, the model's configuration, and `preprocessor`, how it likes its input scaled. No code of a repository is run.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from msma.config import ConfigError
from msma.files.reading import first_line
from msma.model.backbones.backbone import AudioBackbone, VisualBackbone, sample_mask
from msma.types import SAMPLE_RATE, MsmaError

Architecture = dict[str, Any] | None
Shape = tuple[int, ...]

# An architecture may come with weights from elsewhere: what decides sizes has a ceiling.
MAX_SIZE, MAX_LAYERS = 2**20, 512
LAYER_WORDS = ("layer", "block", "depth", "level")
"""Words in the keys that count layers."""
MODEL_TYPES = (
    *("beit", "bit", "chinese_clip_vision_model", "clip_vision_model", "convnext", "convnextv2", "cvt"),
    *("data2vec-vision", "deit", "dinov2", "dinov2_with_registers", "dinov3_convnext", "dinov3_vit", "donut-swin"),
    *("efficientnet", "focalnet", "glpn", "hiera", "ijepa", "mobilenet_v1", "mobilenet_v2", "mobilevit"),
    *("mobilevitv2", "poolformer", "pvt_v2", "regnet", "resnet", "segformer", "siglip_vision_model", "swiftformer"),
    *("swin", "swinv2", "vit", "vit_msn", "vitdet"),
    *("data2vec-audio", "hubert", "unispeech", "unispeech-sat", "wav2vec2", "wavlm"),
)
"""Types of models that are built of their configuration's values alone and whose last hidden state is what we take it
for. Others may fetch a part that the configuration names (detr and its kin), mask at random, or have fewer tokens or
another order of them."""
UNWANTED = ("auto_map", "quantization_config", "use_pretrained_backbone", "attn_implementation", "dtype", "torch_dtype")
"""Keys of a configuration that could make the library fetch or run something, or change the precision."""


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
        self.channels, self.stride, self.other_tokens = layout(self.network, architecture, name, self.options)
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
        try:
            trial(self.network, architecture, name, [(1, self.receptive + 9 * self.hop)])
        except Exception as error:
            raise ConfigError(f"{name}: gives no tokens of a waveform; take wav2vec 2.0, HuBERT or WavLM") from error
        self.stages = stages_of(self.network)

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


def library() -> ModuleType:
    """The transformers library; MsmaError where it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise MsmaError('backbones named hf:... need the transformers library: pip install "msma[hf]"') from error
    return transformers


def build(architecture: Architecture, name: str) -> Any:
    """The transformers.PreTrainedModel with random weights; ConfigError where none can be built of the architecture."""
    if not isinstance(architecture, dict) or not isinstance(architecture.get("config"), dict):
        raise ConfigError(f"{name}: its architecture is unknown; it is read from the repository or folder in training")
    values = {key: value for key, value in architecture["config"].items() if key not in UNWANTED and key[:1] != "_"}
    require_known(values.get("model_type"), MODEL_TYPES, name)
    if too_large(values):
        raise ConfigError(f"{name}: its architecture is larger than any model that this reads")
    transformers = library()
    try:
        config = transformers.AutoConfig.for_model(**values)
        # Random masking and dropping of layers is not the recipe's, and does not draw from its seed.
        for key, value in (("apply_spec_augment", False), ("layerdrop", 0.0)):
            if hasattr(config, key):
                setattr(config, key, value)
        network = transformers.AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise ConfigError(f"{name}: its architecture cannot be built ({first_line(error)})") from error
    if any(True for _ in (getattr(network, "pooler", None) or nn.Identity()).parameters()):
        network.pooler = None  # makes a summary that is not used; some checkpoints lack it
    return network


def require_known(model_type: Any, known: Sequence[str], name: str) -> None:
    """ConfigError for a type that is not among those known."""
    if model_type not in known:
        remedy = "take a vision model such as vit, dinov2 or convnext, or a speech model such as wav2vec2 or wavlm"
        raise ConfigError(f"{name}: models of type {str(model_type)[:40]!r} are not read; {remedy}")


def too_large(value: Any, key: str = "") -> bool:
    """Is any number of a configuration beyond its ceiling, which is low for lists and keys that count layers?"""
    if isinstance(value, dict):
        return any(too_large(inner, str(name)) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return len(value) > MAX_LAYERS or any(too_large(inner, key) for inner in value)
    counts_layers = any(word in key.lower() for word in LAYER_WORDS)
    return isinstance(value, int | float) and abs(value) > (MAX_LAYERS if counts_layers else MAX_SIZE)


def layout(network: Any, architecture: Architecture, name: str, options: dict[str, bool]) -> tuple[int, int, int]:
    """Channels, stride and tokens that are not of patches, by a trial; ConfigError for another kind of model."""
    patch = getattr(network.config, "patch_size", 8)
    try:
        side = 64 * (patch if isinstance(patch, int) else max(patch))
        small, large = trial(network, architecture, name, [(1, 3, s, s) for s in (side, 2 * side)], **options)
        if len(small) == 4:
            _, channels, cells, _ = small
            return channels, side // cells, 0
        _, tokens, channels = small
        cells = round(((large[1] - tokens) / 3) ** 0.5)
        return channels, side // cells, tokens - cells * cells
    except Exception as error:
        raise ConfigError(f"{name}: has no map and no token for each patch of an image; take a vision model") from error


def trial(network: Any, architecture: Architecture, name: str, shapes: list[Shape], **options: bool) -> list[Shape]:
    """Shapes of the last hidden state for inputs of `shapes`, found without memory.

    No gradient is asked of parameters of `network` that it does not depend on (mask tokens, heads): training on several
    devices would wait for it.
    """
    with torch.device("meta"), torch.inference_mode(False), torch.enable_grad():
        tried = build(architecture, name).eval()
        hidden = [tried(torch.zeros(shape), **options).last_hidden_state for shape in shapes]
        parameters = {key: parameter for key, parameter in tried.named_parameters() if parameter.requires_grad}
        gradients = torch.autograd.grad(hidden[0].sum(), list(parameters.values()), allow_unused=True)
    for key, gradient in zip(parameters, gradients, strict=True):
        network.get_parameter(key).requires_grad_(gradient is not None)
    return [tuple(state.shape) for state in hidden]


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
