"""The state of a training on disk: `state.pt`, from which a run is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field

from msma.config import parse
from msma.files.reading import reading
from msma.files.writing import written_whole
from msma.training.loop import State

ANOTHER = "train again into another --out"
MAX_BYTES = 64 * 1024**3
CHANGES = ("lr",)
"""Settings of the optimizer that change from step to step; the recipe decides the others."""
MOMENTS = ("exp_avg", "exp_avg_sq")


class Logged(BaseModel):
    """What a resumed run must know of a line of its log."""

    step: Annotated[int, Field(ge=0)]


class Progress(Logged):
    """All of `State` that has no state of its own."""

    best_accuracy: float
    losses: list[float]


def save(state: State, path: Path) -> None:
    if state.accelerator.is_main_process:
        saved = {"step": state.step, "best_accuracy": state.best_accuracy, "losses": state.losses}
        with written_whole(path) as unfinished:
            torch.save(saved | {name: part.state_dict() for name, part in state.parts.items()}, unfinished)


def restore(state: State, path: Path) -> None:
    """Go back to a saved state; MsmaError where the file is truncated, foreign or of another network. It is read with
    `weights_only`: a foreign pickle is refused, not run."""
    with reading(path, ANOTHER, MAX_BYTES, "damaged or foreign state"):
        saved = torch.load(path, map_location=state.accelerator.device, weights_only=True)
        progress = parse(Progress, {name: saved[name] for name in Progress.model_fields}, f"{path} ({ANOTHER})")
        check_optimizer(saved["optimizer"], state.optimizer)
        for name, part in state.parts.items():
            part.load_state_dict(saved[name])
    state.step, state.best_accuracy, state.losses = progress.step, progress.best_accuracy, progress.losses


def check_optimizer(saved: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Refuse (ValueError) the state of another optimizer, which torch would take and only fail with later."""
    groups = optimizer.state_dict()["param_groups"]
    was, now = ([{**group, **dict.fromkeys(CHANGES)} for group in of] for of in (saved["param_groups"], groups))
    if was != now:
        raise ValueError("its optimizer has other settings")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for place, moments in saved["state"].items():
        shapes = {tuple(moments[name].shape) for name in MOMENTS}
        if shapes != {tuple(parameters[place].shape)} or not torch.is_tensor(moments["step"]):
            raise ValueError("its optimizer is of another network")
