"""The cost of a prediction: parameters, multiply-adds, time and memory of each stage, for variants of a network.

Times and memory do not depend on the values of weights, so variants have random ones and nothing is fetched.
Multiply-adds are those of matrix products and convolutions; transforms, norms and media are not counted.
"""

from __future__ import annotations

import copy
import multiprocessing
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from msma.config import ClipConfig, Limits, ModelConfig
from msma.data.synthetic.people import cast
from msma.data.synthetic.render import Format, render_clip
from msma.evaluation.memory import held_by
from msma.evaluation.results import Profile, StageCost
from msma.media.clip import load_windows
from msma.media.faces import Detector, default_detector, track_face
from msma.media.prepare import prepare
from msma.model.head import AVAILABLE
from msma.model.msma_net import MsMANet, features_of
from msma.model.tensors import Features, collate, inputs_of
from msma.types import MsmaError, RawWindow

VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "audio": {"fusion": "audio"},
    "visual": {"fusion": "visual"},
    "concat": {"fusion": "concat"},
    "no_spatial_scales": {"spatial_scales": ()},
    "no_temporal_scales": {"temporal_scales_s": ()},
    "pretrained_encoders": {
        "audio_backbone": "ge2e+mfcc",
        "visual_backbone": "efficientnet_lite0",
        "linear_path": True,
    },
}
"""The changes to the configuration, by name."""
MEDIA_STAGES = ("decode", "faces", "prepare")
NETWORK_STAGES = ("audio backbone", "visual backbone", "audio encoder", "visual encoder", "fusion and head")
NETWORK, WHOLE = "network", "whole"
"""All stages of the network, and all stages."""
Known = dict[str, Any]
"""All that is known of a window so far, from the Clip on."""
Stage = Callable[[list[Known]], None]
"""A step that adds to the known of all windows."""


@dataclass(frozen=True)
class ProfileJob:
    variant: str
    model: ModelConfig
    clip: ClipConfig
    media: Path
    device: str
    rounds: int


def variants_of(model: ModelConfig, only: Sequence[str] = ()) -> dict[str, ModelConfig]:
    """The configurations to compare, by name: `model` as `full`, and those of VARIANTS that differ from all before;
    MsmaError for a name of `only` that is not there."""
    found: dict[str, ModelConfig] = {}
    for name, changes in VARIANTS.items():
        variant = ModelConfig.model_validate(model.model_dump() | changes)
        if variant not in found.values():
            found[name] = variant
    for name in only:
        if name not in found:
            raise MsmaError(f"--only {name}: no such variant of this network; there are {', '.join(found)}")
    return {name: variant for name, variant in found.items() if not only or name in only}


def profile(
    model: ModelConfig,
    clip: ClipConfig,
    media: Path,
    devices: Sequence[str],
    *,
    only: Sequence[str] = (),
    rounds: int = 20,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Profile:
    """Measure every variant on every device, each in a process of its own; `media` is the clip to predict. MsmaError
    where it cannot be read, or a variant is not known."""
    jobs = [
        ProfileJob(name, variant, clip, media, device, rounds)
        for device in devices
        for name, variant in variants_of(model, only).items()
    ]
    rows: list[StageCost] = []
    progress(0, len(jobs))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for done, found in enumerate(pool.map(measured, jobs), start=1):
            rows += found
            progress(done, len(jobs))
    return Profile(model=model, clip=clip, rows=rows)


def measured(job: ProfileJob) -> list[StageCost]:
    """One row for each stage, then NETWORK and WHOLE; the first round warms up and measures memory."""
    torch.manual_seed(0)
    known: list[Known] = []
    media = media_stages(job, default_detector())
    built, network = held_by(lambda: MsMANet(job.model, job.clip).to(job.device).eval(), job.device)
    work = media | network_stages(network, job.device)
    device_of = {stage: "cpu" if stage in media else job.device for stage in (*work, NETWORK, WHOLE)}
    held = {stage: held_by(partial(run, known), device_of[stage])[0] for stage, run in work.items()}
    peaks = {stage: one.peak - one.before for stage, one in held.items() if one is not None}
    if built is not None:
        peaks[NETWORK] = built.peak - built.before + max(peaks[stage] for stage in NETWORK_STAGES if stage in peaks)
        if job.device == "cpu":
            peaks[WHOLE] = max(one.peak for one in held.values() if one is not None) - built.before
    rounds = np.array([[seconds_of(run, known, job.device) for run in work.values()] for _ in range(job.rounds)])
    times = dict(zip(work, rounds.T, strict=True))
    times |= {NETWORK: rounds[:, len(media) :].sum(axis=1), WHOLE: rounds.sum(axis=1)}
    on_cpu = network_stages(copy.deepcopy(network).cpu(), "cpu")  # the count is the same on any device
    macs = {stage: macs_in(partial(run, known)) for stage, run in on_cpu.items()}
    macs |= dict.fromkeys((NETWORK, WHOLE), sum(macs.values()))
    parameters = parameters_of(network)
    length_s, whole_s = sum(one["clip"].duration_s for one in known), float(np.median(times[WHOLE]))
    return [
        StageCost(
            variant=job.variant,
            device=device_of[stage],
            stage=stage,
            parameters=parameters.get(stage, 0),
            macs=macs.get(stage, 0),
            p50_ms=1000 * (median_s := float(np.median(seconds))),
            p95_ms=1000 * float(np.percentile(seconds, 95)),
            share=median_s / whole_s,
            real_time_factor=median_s / length_s,
            peak_mib=peaks[stage] / 1024**2 if stage in peaks else None,
        )
        for stage, seconds in times.items()
    ]


def media_stages(job: ProfileJob, detector: Detector | None) -> dict[str, Stage]:
    """The way from the file to the inputs of the network, by MEDIA_STAGES."""

    def decode(known: list[Known]) -> None:
        known[:] = [{"clip": clip} for clip in load_windows(job.media, job.clip, Limits())]

    faces = partial(add, "face", lambda one: track_face(one["clip"], job.clip, detector))
    inputs = partial(
        add, "inputs", lambda one: collate([inputs_of(prepare(RawWindow(one["clip"], one["face"]), job.clip).inputs)])
    )
    return dict(zip(MEDIA_STAGES, (decode, faces, inputs), strict=True))


def network_stages(network: MsMANet, device: str) -> dict[str, Stage]:
    """The parts of `MsMANet.forward` in their order, by NETWORK_STAGES."""

    def features(one: Known) -> Features:
        there = one["there"]
        return features_of(there, one["maps"], network.visual_maps(there), network.pooled_scene(there))

    def audio_maps(one: Known) -> Any:
        one["there"] = one["inputs"].to(device)
        return network.audio_maps(one["there"])

    stages = (
        partial(add, "maps", audio_maps),
        partial(add, "features", features),
        partial(add, "audio", lambda one: network.encode("audio", one["features"])[0]),
        partial(add, "visual", lambda one: network.encode("visual", one["features"])[0]),
        partial(
            add, "output", lambda one: network.read(one["audio"], one["visual"], network.linear(one["features"]))[0]
        ),
    )
    return dict(zip(NETWORK_STAGES, stages, strict=True))


@torch.inference_mode()
def add(key: str, compute: Callable[[Known], Any], known: list[Known]) -> None:
    for one in known:
        one[key] = compute(one)


def seconds_of(run: Stage, known: list[Known], device: str) -> float:
    wait = partial(torch.cuda.synchronize, device) if device.startswith("cuda") else lambda: None
    wait()
    began = time.perf_counter()
    run(known)
    wait()
    return time.perf_counter() - began


def parameters_of(network: MsMANet) -> dict[str, int]:
    """The parameters of each stage and of all; the linear path was solved, not learned, and counts too."""
    found: dict[str, int] = dict.fromkeys(NETWORK_STAGES, 0)
    for modality, encoder in network.encoders.items():
        scene = getattr(encoder, "scene", None)  # of the visual encoder alone, if there is one
        found[f"{modality} backbone"] = of_backbones = count(encoder.backbone) + count(scene and scene.backbone)
        found[f"{modality} encoder"] = count(encoder) - of_backbones + count(network.quality_head[modality])
    everything = count(network)
    if network.linear_path is not None:
        solved = dict(network.linear_path.named_buffers())
        everything += sum(solved[f"{name}_{part}"].numel() for name in AVAILABLE for part in ("weights", "bias"))
    found["fusion and head"] = everything - sum(found.values())
    return found | {NETWORK: everything, WHOLE: everything}


def count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(parameter.numel() for parameter in module.parameters())


def macs_in(run: Callable[[], object]) -> int:
    """Half of the floating-point operations of matrix products and convolutions in a call on the CPU."""
    with warnings.catch_warnings(), FlopCounterMode(display=False) as counter:
        warnings.simplefilter("ignore")  # on the way, torch asks for an Intel GPU
        with torch.backends.mkldnn.flags(enabled=False):  # oneDNN hides recurrent layers
            run()
    return counter.get_total_flops() // 2


def render_talking_head(folder: Path) -> Path:
    """A talking head of the synthetic corpus, 15 s long, in 720p."""
    part = cast(6, seed=5)[0]
    render_clip(folder, part, Format(5, 15.0, 30, (1280, 720)))
    return folder / part.name
