"""Apparent personality recognition from audiovisual clips that are not perfect.

import msma

model = msma.load()
prediction = model.predict("clip.mp4")
print(prediction.status, prediction.traits)
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from msma.types import MODALITIES, TRAITS, Clip, MsmaError, Prediction

if TYPE_CHECKING:
    from msma.prediction.model import Model

__all__ = ["MODALITIES", "TRAITS", "Clip", "Model", "MsmaError", "Prediction", "load"]
__version__ = version("msma")


def load(folder: Any = None, **options: Any) -> Model:
    """Load weights for prediction; the options are those of `msma.prediction.model.load`. Imports torch when called."""
    from msma.prediction.model import load as load_model

    return load_model(folder, **options)


def __getattr__(name: str) -> Any:
    """`msma.Model`; imports torch when it is first asked for."""
    if name != "Model":
        raise AttributeError(f"module 'msma' has no attribute {name!r}")
    from msma.prediction.model import Model

    return Model
