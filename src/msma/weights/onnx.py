"""A network that was exported to ONNX, in a folder of its own, run with onnxruntime. No torch here.

The folder holds `model.onnx`, `config.json`, `export.json` (what it was made of) and, where the weights are calibrated,
`calibration.json`. It may come from elsewhere: all of the network must be in that one file, which must be the one that
`export.json` and the calibration are of.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import Field

from msma.config import Frozen, parse
from msma.files.reading import first_line, read_file, read_json
from msma.types import InputArrays, MsmaError
from msma.weights.calibration import Calibration
from msma.weights.config import WeightsConfig, read_calibration, read_config

NETWORK_FILE, EXPORT_FILE = "model.onnx", "export.json"
INPUTS = tuple(field.name for field in fields(InputArrays) if field.name != "scene")
"""A network that reads whole frames is not exported."""
OUTPUTS = {"traits": 5, "quality": 2, "weights": 2}
"""Numbers per clip of each output."""
MAX_BYTES = 1024**3
EXTERNAL = b"location"
"""The key without which no tensor can be kept in another file (or, in onnxruntime, anywhere in memory)."""
MAX_THREADS = 4
"""With more, so small a network does not get faster."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Export(Frozen):
    """The content of `export.json`."""

    format: Literal["msma-onnx/2"]
    weights_sha256: Digest
    """Digest of the weights that were exported: `msma.weights.checkpoint.weights_sha256`."""
    config_sha256: Digest
    """Digest of the content of `config.json`: `digest_of`."""
    onnx_sha256: Digest
    """Digest of the file `model.onnx`."""
    largest_difference: Annotated[float, Field(ge=0)]
    """From the outputs of torch, when it was made."""


@dataclass(frozen=True)
class OutputArrays:
    """The predictions of an exported network for a batch, as `msma.model.tensors.ModelOutput` holds them."""

    traits: Float32[np.ndarray, "b 5"]
    quality: Float32[np.ndarray, "b 2"]
    weights: Float32[np.ndarray, "b 2"]
    intermediates: None = None


@dataclass(frozen=True)
class ExportedWeights:
    """An exported network, ready for inference on the CPU, and what it was built with."""

    session: Any
    """An onnxruntime.InferenceSession."""
    path: Path
    """The file `model.onnx`."""
    config: WeightsConfig
    calibration: Calibration | None = None

    @property
    def name(self) -> str:
        return self.config.name

    def output(self, window: InputArrays, *, return_intermediates: bool = False) -> OutputArrays:
        """The output for a batch of this window alone; MsmaError as `outputs`, and for intermediates: it has none."""
        if return_intermediates:
            raise MsmaError(f"{self.path}: an exported network has no intermediates; name the run that it was made of")
        return self.outputs({name: getattr(window, name)[None] for name in INPUTS})

    def outputs(self, batch: dict[str, np.ndarray]) -> OutputArrays:
        """The output for arrays by the names of InputArrays, with a leading axis of clips; MsmaError where it fails."""
        read = {node.name for node in self.session.get_inputs()}
        try:
            given = self.session.run(list(OUTPUTS), {name: batch[name] for name in INPUTS if name in read})
        except Exception as error:  # onnxruntime's own, of no common type
            raise MsmaError(f"{self.path}: cannot run ({first_line(error)}); export it again") from error
        clips = len(batch["present"])
        for (name, width), values in zip(OUTPUTS.items(), given, strict=True):
            shares = values.dtype == np.float32 and ((values >= 0) & (values <= 1)).all()
            if values.shape != (clips, width) or not shares:
                raise MsmaError(f"{self.path}: its {name} are not a prediction; export it again")
        return OutputArrays(*given)


def load_exported(folder: Path) -> ExportedWeights:
    """Load a folder written by `msma export onnx`; MsmaError where a file is missing, damaged, foreign or too large."""
    path = folder / NETWORK_FILE
    remedy = f"make it with `msma export onnx --model RUN --out {folder}`"
    if not path.is_file():
        raise MsmaError(f"{folder}: holds no {NETWORK_FILE}; {remedy}")
    export = parse(Export, read_json(folder / EXPORT_FILE, remedy), f"{folder / EXPORT_FILE} ({remedy})")
    config = read_config(folder / "config.json")
    if digest_of(config) != export.config_sha256:
        raise MsmaError(f"{folder / 'config.json'}: is not what the network was exported with; {remedy}")
    network = read_file(path, bytes, remedy, MAX_BYTES)
    if hashlib.sha256(network).hexdigest() != export.onnx_sha256:
        raise MsmaError(f"{path}: is not the network that {EXPORT_FILE} is of; {remedy}")
    if EXTERNAL in network:
        raise MsmaError(f"{path}: keeps tensors outside of the file; {remedy}")
    session = open_session(network, path, remedy)
    calibration = read_calibration(folder / "calibration.json", export.weights_sha256)
    return ExportedWeights(session, path, config, calibration)


def digest_of(config: WeightsConfig) -> str:
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def open_session(network: bytes, path: Path, remedy: str) -> Any:
    """An onnxruntime.InferenceSession on the CPU; MsmaError without the library, or for another kind of network."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MsmaError("onnxruntime is not installed: pip install 'msma[onnx]'") from error
    options = onnxruntime.SessionOptions()
    wanted = os.environ.get("OMP_NUM_THREADS", "")  # as for torch
    threads = int(wanted) if wanted.isdecimal() and int(wanted) else min(MAX_THREADS, os.cpu_count() or 1)
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors; a warning is not for the user
    options.add_session_config_entry("session.load_model_format", "ONNX")  # and not what looks like another one
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # on a busy machine it costs the others
    try:
        session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, of no common type
        raise MsmaError(f"{path}: onnxruntime cannot read it ({first_line(error)}); {remedy}") from error
    read, given = ({node.name for node in nodes} for nodes in (session.get_inputs(), session.get_outputs()))
    if not read <= set(INPUTS) or given != set(OUTPUTS):
        raise MsmaError(f"{path}: is another kind of network; {remedy}")
    return session
