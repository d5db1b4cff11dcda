"""Models of the transformers library, built of their configuration's values alone.

An `Architecture` is what `pretrained.architecture` reads from a repository or folder and what is stored with the
weights: `config`, the model's configuration, and `preprocessor`, how it likes its input scaled. No code of a repository
is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from msma.config import ConfigError
from msma.files.reading import first_line
from msma.model.backbones.size import bounded, largest_outputs, too_large
from msma.types import MsmaError

Architecture = dict[str, Any] | None
Shape = tuple[int, ...]

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
    require_size(values, name)
    transformers = library()
    try:
        config = transformers.AutoConfig.for_model(**values)
        # Random masking and dropping of layers is not the recipe's, and does not draw from its seed.
        for key, value in (("apply_spec_augment", False), ("layerdrop", 0.0)):
            if hasattr(config, key):
                setattr(config, key, value)
        with torch.device("meta"), bounded():  # first without memory: together its values may ask for any
            transformers.AutoModel.from_config(config, trust_remote_code=False)
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


def require_size(config: dict[str, Any], name: str) -> None:
    """ConfigError for a configuration with a number beyond any model's."""
    if too_large(config):
        raise ConfigError(f"{name}: its architecture is larger than any model that this reads")


def trial(
    network: Any, architecture: Architecture, name: str, shapes: list[Shape], **options: bool
) -> tuple[list[list[Shape]], int]:
    """Shapes of all hidden states for inputs of each of `shapes`, and the numbers in the largest output of a part of
    the model for the last of them, found without memory.

    No gradient is asked of parameters of `network` that it does not depend on (mask tokens, heads): training on several
    devices would wait for it.
    """
    with torch.device("meta"), torch.inference_mode(False), torch.enable_grad():
        tried = build(architecture, name).eval()
        with largest_outputs(tried) as outputs:
            read = [tried(torch.zeros(shape), output_hidden_states=True, **options) for shape in shapes]
        parameters = {key: parameter for key, parameter in tried.named_parameters() if parameter.requires_grad}
        gradients = torch.autograd.grad(read[0].last_hidden_state.sum(), list(parameters.values()), allow_unused=True)
    for key, gradient in zip(parameters, gradients, strict=True):
        network.get_parameter(key).requires_grad_(gradient is not None)
    shapes_of = [[tuple(state.shape) for state in hidden_states(one)] for one in read]
    return shapes_of, max(outputs)


def hidden_states(output: Any) -> list[Tensor]:
    """The hidden states of a model's output, the last one as the model ends (after its last norm)."""
    return [*(output.hidden_states or ())[:-1], output.last_hidden_state]
