"""Export a network to ONNX, for any number of clips, frames and log-mel steps, and check it against torch."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from timeit import timeit
from typing import Any, get_type_hints

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from msma.config import ClipConfig
from msma.files.reading import first_line
from msma.files.writing import write_whole
from msma.media.audio import hop_samples, mel_steps
from msma.media.segments import segments_in
from msma.model.backbones.by_name import HF
from msma.model.tensors import Inputs
from msma.types import AUDIO_STATISTICS, SAMPLE_RATE, SILENCE, VISUAL_STATISTICS, InputArrays, MsmaError, WriteError
from msma.weights.checkpoint import Weights, weights_sha256
from msma.weights.config import save_config
from msma.weights.onnx import (
    EXPORT_FILE,
    INPUTS,
    NETWORK_FILE,
    OUTPUTS,
    Export,
    ExportedWeights,
    digest_of,
    load_exported,
)

MAX_DIFFERENCE = 1e-4
BATCHES = ((1, 1, 1), (1, 4, 63), (2, 7, 9), (3, 12, 188), (5, 9, 251))
"""Clips, frames and log-mel steps of the batches of the check, besides windows of the usual length."""
ROUNDS = 7
"""Runs of the two in turn, whose medians make the ratio."""
LENGTHS = {"t": "frames", "f": "steps", "n": "samples", "r": "segments"}
"""Names of the axes that may have any length, by shape letter."""
AXES = {name: ("clips", *map(LENGTHS.get, get_type_hints(InputArrays)[name].dim_str.split())) for name in INPUTS}
"""Names of the axes of each input; None where the length is fixed."""
Batch = dict[str, np.ndarray]
"""Arrays by the names of InputArrays, with a leading axis of clips."""


@dataclass(frozen=True)
class Exported:
    """Comparison of an export with the network that it is of."""

    largest_difference: float
    """Between any traits, qualities or weights, over `clips` random ones."""
    clips: int
    time_ratio: float
    """Time that onnxruntime takes for a window, over that of torch."""
    window_s: float
    bytes: int


class TensorNetwork(nn.Module):
    """The network with plain tensors for inputs, in the order of INPUTS, and outputs, in the order of OUTPUTS."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Float[Tensor, "b 5"], Float[Tensor, "b 2"], Float[Tensor, "b 2"]]:
        output = self.network(Inputs(**dict(zip(INPUTS, tensors, strict=True))))
        return output.traits, output.quality, output.weights


def export_onnx(weights: Weights, folder: Path, *, progress: Callable[[str], None] = lambda _: None) -> Exported:
    """Write the network of `weights`, which is on the CPU, into `folder`; files of an earlier export are replaced.

    MsmaError, and nothing is written, where the folder is that of a run, a backbone cannot be exported, a library is
    missing, or the outputs differ from those of torch by more than MAX_DIFFERENCE.
    """
    if (folder / "model.safetensors").exists():
        raise MsmaError(f"{folder}: holds weights of its own; name another folder with --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
        trial = Path(name)
        progress("exporting")
        network = onnx_bytes(weights)
        try:
            write_export(trial, weights, network, 0.0)
        except WriteError as error:  # names a folder that nobody knows
            raise WriteError(*(text.replace(name, str(folder)) for text in error.args)) from error
        progress("comparing with torch")
        exported = load_exported(trial)
        largest, clips = difference(weights, exported)
        if not largest <= MAX_DIFFERENCE:
            problem = f"differs from torch by {largest:.1g}, more than {MAX_DIFFERENCE:g}"
            raise MsmaError(f"{weights.config.name}: the exported network {problem}; nothing is written")
        ratio = time_ratio(weights, exported)
    write_export(folder, weights, network, largest)
    return Exported(largest, clips, ratio, weights.config.clip.window_s, len(network))


def write_export(folder: Path, weights: Weights, network: bytes, largest_difference: float) -> None:
    """Write the files of an export; `export.json` comes last: until then the folder is refused."""
    about = Export(
        format="msma-onnx/2",
        weights_sha256=weights_sha256(weights),
        config_sha256=digest_of(weights.config),
        onnx_sha256=hashlib.sha256(network).hexdigest(),
        largest_difference=largest_difference,
    )
    write_whole(folder / NETWORK_FILE, network)
    save_config(folder, weights.config, weights.calibration)
    write_whole(folder / EXPORT_FILE, about.model_dump_json(indent=2) + "\n")


def onnx_bytes(weights: Weights) -> bytes:
    """The network as an ONNX file; MsmaError where it cannot be exported, or a library is missing."""
    model, reads = weights.config.model, weights.network.reads
    if "audio" in reads and "prosody" in model.audio_backbone.split("+"):
        raise MsmaError(f"{weights.config.name}: prosody cannot be exported; use the network with torch")
    if "audio" in reads and any(part.startswith(HF) for part in model.audio_backbone.split("+")):
        raise MsmaError(
            f"{model.audio_backbone}: speech models of the transformers library cannot be exported: they read clips of "
            "different lengths one after the other"
        )
    if "scene" in weights.network.streams:
        raise MsmaError(f"{weights.config.name}: a network with a scene_backbone cannot be exported; use it with torch")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MsmaError(f"{error.name} is not installed: pip install 'msma[onnx]'") from error
    clip = weights.config.clip
    example = tuple(torch.from_numpy(array) for array in random_batch(clip, 2, 5, 203, seed=0).values())
    any_length = tuple(
        {axis: torch.export.Dim.AUTO for axis, length in enumerate(AXES[name]) if length} for name in INPUTS
    )
    network = TensorNetwork(weights.network).eval()
    try:
        with quietly(), torch.no_grad():
            found = torch.export.export(network, example, dynamic_shapes={"tensors": any_length}, strict=False)
            program: Any = torch.onnx.export(
                found, dynamo=True, verbose=False, input_names=list(INPUTS), output_names=list(OUTPUTS)
            )
            return plain(program).SerializeToString()
    except Exception as error:
        backbones = " and ".join(getattr(model, f"{modality}_backbone") for modality in reads)
        raise MsmaError(f"{weights.config.name}: {backbones} cannot be exported ({first_line(error)})") from error


def plain(program: Any) -> Any:
    """The exported model without traces of the machine that it was made on (paths of source files), its axes named."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    ClearMetadataAndDocStringPass()(program.model)
    proto = program.model_proto
    del proto.metadata_props[:], proto.graph.value_info[:]
    for value in [*proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        del value.metadata_props[:]
    for value in [*proto.graph.input, *proto.graph.output]:
        for length, called in zip(value.type.tensor_type.shape.dim, AXES.get(value.name, ("clips",)), strict=False):
            if called:
                length.dim_param = called
    return proto


@contextmanager
def quietly() -> Iterator[None]:
    """A block without the exporter's messages, which are for its developers and of operators that are not ours."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def random_batch(clip: ClipConfig, clips: int, frames: int, steps: int, seed: int) -> Batch:
    """Random clips, of which some lack audio, visual or both, and all have gaps; in the order of INPUTS."""
    rng = np.random.default_rng(seed)
    present = rng.random((clips, 2)) < 0.7
    mel_mask = (rng.random((clips, steps)) < 0.9) & present[:, :1]
    hop = hop_samples(clip)
    waveform = (0.1 * rng.standard_normal((clips, steps * hop))).astype(np.float32)
    segments = segments_in(max(frames / clip.fps, steps * clip.mel_hop_s))
    return {
        "frames": rng.integers(256, size=(clips, frames, 3, clip.crop_size, clip.crop_size), dtype=np.uint8),
        "boxes": rng.random((clips, frames, 4), np.float32),
        "frame_mask": (rng.random((clips, frames)) < 0.8) & present[:, 1:],
        "log_mel": np.where(mel_mask[:, None], 2 * rng.random((clips, clip.mels, steps), np.float32) - 1, SILENCE),
        "mel_mask": mel_mask,
        "waveform": waveform * np.repeat(mel_mask, hop, axis=1),
        "present": present,
        "audio_statistics": rng.standard_normal((clips, segments, AUDIO_STATISTICS)).astype(np.float32),
        "visual_statistics": rng.standard_normal((clips, segments, VISUAL_STATISTICS)).astype(np.float32),
        "segment_mask": (rng.random((clips, segments, 2)) < 0.9) & present[:, None],
    }


def difference(weights: Weights, exported: ExportedWeights) -> tuple[float, int]:
    """The largest difference of any output, over how many random clips."""
    clip = weights.config.clip
    largest, clips = 0.0, 0
    for seed, size in enumerate((*BATCHES, (2, *window_size(clip)))):
        batch = random_batch(clip, *size, seed=seed)
        expected, found = torch_outputs(weights, batch), exported.outputs(batch)
        for name in OUTPUTS:
            apart = np.abs(getattr(found, name) - getattr(expected, name).numpy())
            largest = max(largest, float(apart.max()))
        clips += size[0]
    return largest, clips


def time_ratio(weights: Weights, exported: ExportedWeights) -> float:
    """Time that onnxruntime takes for one window of the usual length, over that of torch; medians of ROUNDS in turn."""
    batch = random_batch(weights.config.clip, 1, *window_size(weights.config.clip), seed=0)
    batch = batch | {"present": np.ones_like(batch["present"])}
    runs = (lambda: torch_outputs(weights, batch)), (lambda: exported.outputs(batch))
    seconds = [[timeit(run, number=1) for run in runs] for _ in range(ROUNDS + 1)]
    torch_s, onnx_s = np.median(seconds[1:], axis=0)  # the first ones warm up
    return float(onnx_s / torch_s)


def torch_outputs(weights: Weights, batch: Batch) -> Any:
    with torch.inference_mode():
        return weights.network(Inputs(**{name: torch.from_numpy(array) for name, array in batch.items()}))


def window_size(clip: ClipConfig) -> tuple[int, int]:
    """Frames and log-mel steps of a whole window."""
    return max(1, round(clip.window_s * clip.fps)), mel_steps(round(clip.window_s * SAMPLE_RATE), clip)
