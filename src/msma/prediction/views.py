"""Test-time augmentation: the mean of a window's predictions on several sampling grids, and of the mirrored ones.

The mean is taken in logits, where the network adds up its evidence and where unimodal outputs are averaged too, so that
it stays in (0, 1) and treats both ends of the scale alike. Predicted quality and weights are averaged as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit, logit

from msma.prediction.pooling import HIGHEST, LOWEST, WindowOutput, pooled, window_output
from msma.types import InputArrays, PreparedWindow


def output_of(weights: Any, window: PreparedWindow, *, tta: bool, return_intermediates: bool = False) -> WindowOutput:
    """The output of a network with its weights for one window, with `tta` the mean over its views."""
    outputs = (weights.output(view, return_intermediates=return_intermediates) for view in views_of(window, tta=tta))
    return averaged([window_output(window, output, weights.config.traits) for output in outputs])


def views_of(window: PreparedWindow, *, tta: bool) -> Iterator[InputArrays]:
    """What the network is given of a window; with `tta`, on each of its grids, and mirrored where it has frames."""
    yield window.inputs
    if tta:
        yield from window.views
        yield from (mirrored(one) for one in (window.inputs, *window.views) if one.present[1])


def mirrored(inputs: InputArrays) -> InputArrays:
    """The same left to right."""
    boxes = inputs.boxes.copy()
    boxes[:, 0] = 1 - boxes[:, 0]
    scene = None if inputs.scene is None else np.ascontiguousarray(inputs.scene[..., ::-1])
    return replace(inputs, frames=np.ascontiguousarray(inputs.frames[..., ::-1]), boxes=boxes, scene=scene)


def averaged(outputs: Sequence[WindowOutput]) -> WindowOutput:
    """The mean of the outputs for one window."""
    first, even = outputs[0], np.ones(len(outputs))
    if len(outputs) == 1:
        return first
    late = [one.late_fusion for one in outputs if one.late_fusion is not None]
    return replace(
        first,
        window=replace(
            first.window,
            traits=mean_in_logits([one.window.traits for one in outputs]),
            quality=pooled([one.window.quality for one in outputs], even),
        ),
        weights=pooled([one.weights for one in outputs], even),
        late_fusion=mean_in_logits(late) if late else None,
    )


def mean_in_logits(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each name."""
    return {
        name: float(expit(np.mean([logit(np.clip(one[name], LOWEST, HIGHEST)) for one in scores])))
        for name in scores[0]
    }
