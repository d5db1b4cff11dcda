"""Apparent personality recognition from audiovisual clips that are not perfect.

import msma

model = msma.load()
prediction = model.predict("clip.mp4")
print(prediction.status, prediction.traits)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msma.prediction.model import Model
    from msma.types import MODALITIES, TRAITS, Clip, MsmaError, Prediction

__all__ = ["MODALITIES", "TRAITS", "Clip", "Model", "MsmaError", "Prediction", "load"]
__version__: str


def load(folder: Any = None, **options: Any) -> Model:
    """Load weights for prediction; the options are those of `msma.prediction.model.load`. Imports torch when called."""
    from msma.prediction.model import load as load_model

    return load_model(folder, **options)


def __getattr__(name: str) -> Any:
    """Import what is asked for: `msma.Model` loads torch, and a command must hear Ctrl-C before anything is loaded."""
    if name == "__version__":
        from importlib.metadata import version

        return version("msma")
    if name == "Model":
        from msma.prediction.model import Model

        return Model
    if name in __all__:
        from msma import types

        return getattr(types, name)
    raise AttributeError(f"module 'msma' has no attribute {name!r}")
