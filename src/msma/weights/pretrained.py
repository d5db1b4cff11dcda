"""Weights of pretrained backbones, from wheels or as models of the transformers library, put into a network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from msma.config import ConfigError
from msma.files.reading import first_line, read_json
from msma.model.backbones.architecture import MODEL_TYPES, UNWANTED, library, require_known, require_size
from msma.model.backbones.by_name import HF, SMALL, Stacked
from msma.model.backbones.small import SmallAudioBackbone, SmallVisualBackbone
from msma.model.backbones.transformers import HfAudio, HfVisual
from msma.types import MsmaError
from msma.weights.checkpoint import find_weights
from msma.weights.wheels import PACKAGED, read_weights, tensors_sha256

UNUSED = (*UNWANTED, "architectures", "id2label", "label2id", "transformers_version")
"""Keys of a configuration that say nothing about the backbone."""
SCALING = ("do_normalize", "image_mean", "image_std", "do_flip_channel_order", "rescale_factor", "rescale_offset")
WITH_VISION_PART = ("chinese_clip", "clip", "siglip")
"""Types of models of images and text, of which the vision part is taken."""
PREPROCESSOR = (*SCALING, "sampling_rate")
"""Keys of a preprocessor that are stored; the side of an image is `clip.crop_size`."""


def load_backbone(backbone: nn.Module, name: str) -> dict[str, str]:
    """Put the pretrained weights of `name` into the backbone that was built by that name.

    Returns a record of them: name, version, licence and sha256 of the tensors, joined by + where several parts of a
    stack have some; nothing for a backbone that has none (`small`, `mfcc`). MsmaError where they are missing or wrong.
    """
    if name.startswith(f"{SMALL}:"):
        return load_trained(backbone, name)
    if isinstance(backbone, HfVisual | HfAudio):
        return load_model(backbone, name)
    if isinstance(backbone, Stacked):
        records = [load_backbone(part, own) for part, own in zip(backbone.parts, name.split("+"), strict=True)]
        return joined([record for record in records if record])
    if name not in PACKAGED:
        return {}
    weights = PACKAGED[name]
    backbone.load_state_dict(read_weights(weights), strict=True)
    return {"name": name, "version": weights.version, "licence": weights.licence, "sha256": weights.sha256}


def load_trained(backbone: nn.Module, name: str) -> dict[str, str]:
    """Put the small backbone of a network trained before, a folder of weights or a model of the hub, into `backbone`.

    MsmaError where that network cannot be loaded, or has another backbone or none for this modality.
    """
    trained = find_weights(name.removeprefix(f"{SMALL}:"), calibrated=False)
    modality = "visual" if isinstance(backbone, SmallVisualBackbone) else "audio"
    encoder = trained.network.encoders.get(modality)
    if encoder is None or not isinstance(encoder.backbone, SmallVisualBackbone | SmallAudioBackbone):
        raise MsmaError(
            f"{name}: has no small {modality} backbone; name weights trained with {modality}_backbone: small"
        )
    tensors = encoder.backbone.state_dict()
    backbone.load_state_dict(tensors, strict=True)
    licence = "see the card of its weights"
    return {"name": name, "version": trained.name, "licence": licence, "sha256": tensors_sha256(tensors)}


def joined(records: list[dict[str, str]]) -> dict[str, str]:
    """One record of several: it differs where any of them does."""
    if len(records) < 2:
        return records[0] if records else {}
    together = {key: "+".join(record[key] for record in records) for key in ("name", "version", "licence", "sha256")}
    return together | {"sha256": hashlib.sha256(together["sha256"].encode()).hexdigest()}


def architecture(name: str) -> dict[str, Any] | None:
    """The architecture of a backbone named `hf:...`, or joined with one by +, to be stored with the weights; None for
    all others.

    It is the configuration of the model, with every default written out, and how it likes its input scaled. ConfigError
    for a type of model that is not read; MsmaError for a repository or folder that cannot be read.
    """
    name = next((part for part in name.split("+") if part.startswith(HF)), "")
    if not name:
        return None
    transformers, where = library(), name.removeprefix(HF)
    for file in ("config.json", "preprocessor_config.json"):
        if Path(where, file).exists():
            read_json(Path(where, file), "name another model")  # the library reads whatever is there, without an end
    try:
        written, _ = transformers.PreTrainedConfig.get_config_dict(where)
        # Before anything is made of it: a configuration of another type may name repositories to be fetched.
        require_known(written.get("model_type"), (*MODEL_TYPES, *WITH_VISION_PART), name)
        require_size({key: value for key, value in written.items() if key not in UNUSED}, name)
        config = transformers.AutoConfig.from_pretrained(where, trust_remote_code=False)
        values = getattr(config, "vision_config", config).to_dict()
    except ConfigError:
        raise
    except Exception as error:
        raise MsmaError(f"{name}: cannot be read ({first_line(error)}); name a repository or a folder") from error
    try:
        scaling, _ = transformers.FeatureExtractionMixin.get_feature_extractor_dict(where)
    except OSError:  # it has none
        scaling = {}
    if not isinstance(scaling, dict):
        raise MsmaError(f"{name}: its preprocessor_config.json is no object; name another model")
    return {
        "config": {key: value for key, value in values.items() if key not in UNUSED and key[:1] != "_"},
        "preprocessor": {key: scaling[key] for key in PREPROCESSOR if key in scaling},
    }


def load_model(backbone: HfVisual | HfAudio, name: str) -> dict[str, str]:
    """Put weights of a repository or folder, safetensors only, into the backbone; MsmaError where they do not fit."""
    transformers, where = library(), name.removeprefix(HF)
    try:
        loaded, found = transformers.AutoModel.from_pretrained(
            where,
            config=backbone.network.config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:
        remedy = "name a repository or a folder that has model.safetensors"
        raise MsmaError(f"{name}: its weights cannot be loaded ({first_line(error)}); {remedy}") from error
    tensors = loaded.state_dict()
    wanted = set(backbone.network.state_dict())
    if lacking := sorted(wanted & set(found["missing_keys"]) | wanted - set(tensors)):
        raise MsmaError(f"{name}: its weights lack {lacking[0]} ({len(lacking)} in all); take another model")
    used = {key: tensors[key] for key in wanted}
    backbone.network.load_state_dict(used, strict=True)
    version = getattr(loaded.config, "_commit_hash", None) or "as found"
    licence = "see the model's page" if not Path(where).is_dir() else "see its folder"
    return {"name": name, "version": version, "licence": licence, "sha256": tensors_sha256(used)}
