"""A fingerprint of all that decides what is predicted for a file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from msma.prediction.model import Model
from msma.weights.onnx import ExportedWeights

DIGITS = 16
"""Hexadecimal digits of a fingerprint."""


def fingerprint(model: Model[Any], **options: Any) -> str:
    """Equal for predictions that the same weights make in the same way; `options` are those that `model` does not
    hold, as plain values."""
    calibration = model.calibration
    decides = {
        "weights": weights_digest(model.weights),
        "name": model.weights.name,
        "calibration": None if calibration is None else calibration.model_dump_json(),
        "clip": model.clip.model_dump_json(),
        "limits": model.limits.model_dump_json(),
        "device": model.device,
        "coverage": model.coverage,
        "min_quality": model.min_quality,
        "tta": model.tta,
        "operating_point": model.operating_point,
        **options,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:DIGITS]


def weights_digest(weights: Any) -> str:
    """Digest of a network: of its tensors, or of its file where it was exported."""
    if isinstance(weights, ExportedWeights):
        return hashlib.sha256(Path(weights.path).read_bytes()).hexdigest()
    from msma.weights.checkpoint import weights_sha256

    return weights_sha256(weights)
