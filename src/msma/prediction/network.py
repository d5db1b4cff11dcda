"""A network as predictions need it: an interface of what torch and what ONNX run, and how either is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from msma.types import InputArrays, MsmaError
from msma.weights.calibration import Calibration
from msma.weights.config import WeightsConfig
from msma.weights.onnx import load_exported

if TYPE_CHECKING:
    from msma.weights.checkpoint import Weights


@runtime_checkable
class Network(Protocol):
    """A network with its weights: `msma.weights.checkpoint.Weights`, or `msma.weights.onnx.ExportedWeights`."""

    @property
    def name(self) -> str: ...

    @property
    def config(self) -> WeightsConfig: ...

    @property
    def calibration(self) -> Calibration | None: ...

    def output(self, window: InputArrays, *, return_intermediates: bool = False) -> Any:
        """For a batch of this window alone: `traits` (1, 5), `quality` and `weights` (1, 2), `intermediates`."""


NetworkT = TypeVar("NetworkT", bound=Network)


def network_of_torch(name: str | Path | None, revision: str | None, device: str, calibrated: bool = True) -> Weights:
    from msma.weights.checkpoint import find_weights

    try:
        return find_weights(name, revision, device, calibrated)
    except (RuntimeError, AssertionError) as error:  # torch says so when a device is unknown or not built in
        raise MsmaError(f"device {device!r} cannot be used here; try --device cpu") from error


def network_of_onnx(folder: str | Path | None, revision: str | None, device: str) -> Network:
    if device != "cpu":
        raise MsmaError(f"device {device!r}: an exported network runs on the CPU; leave --device out")
    if folder is None:
        raise MsmaError("name the folder of an exported network with --model; `msma export onnx --out FOLDER` makes it")
    if revision is not None:
        raise MsmaError(f"{folder}: a folder has no revisions; leave out {revision!r}")
    return load_exported(Path(folder))
