"""Clips per second from the cache, as a ratio to those from their mp4 files in the same run; and bytes a clip.

    .venv/bin/python benchmarks/cache.py

Clips are 15 s of 720p at 30 fps, as in First Impressions V2. From the file: decode, find the face, prepare. From the
cache: read, check the digest, decode the kept pictures, prepare. Two threads for both; each side runs in a process of
its own, the two take turns, and the ratio is that of the medians. What is prepared is the same but for JPEG.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from predict_clip import FPS, HEIGHT, SECONDS, THREADS, WIDTH, make_clip

CLIPS = 3
ROUNDS = 5
PASSES = {"cache": 20, "mp4": 1}
"""About as long for both."""
SAMPLED = 2.0, 4.0
"""Pictures a second that are kept: those of the recipes for rendered clips, and the default."""


def measure(side: str, folder: Path, fps: float) -> float:
    """Clips per second; runs in a process of its own: once over all clips to warm up, then PASSES that count."""
    import torch

    from msma.config import ClipConfig, Limits
    from msma.data.cache_entry import cached_windows
    from msma.media.faces import default_detector
    from msma.media.prepare import prepare, raw_windows

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])  # also where there are more cores
    torch.set_num_threads(THREADS)
    config, limits, detector = ClipConfig(fps=fps), Limits(), default_detector()
    paths = list((folder / f"{fps:g}").glob("*.clip") if side == "cache" else folder.glob("*.mp4"))

    def read_all() -> None:
        for path in paths:
            cached = side == "cache"
            for window in cached_windows(path) if cached else raw_windows(path, config, limits, detector):
                prepare(window, config)

    read_all()
    began = time.perf_counter()
    for _ in range(PASSES[side]):
        read_all()
    return PASSES[side] * len(paths) / (time.perf_counter() - began)


def fill(folder: Path, fps: float) -> int:
    """Fill a cache with the clips in `folder`; returns bytes a clip."""
    from msma.config import ClipConfig, Limits
    from msma.data.cache import fill_cache
    from msma.data.corpora.manifest import Row

    rows = [Row(path.name, path, path.stem, "train", (0.5,) * 5) for path in sorted(folder.glob("*.mp4"))]
    return fill_cache(rows, ClipConfig(fps=fps), Limits(), folder / f"{fps:g}", workers=THREADS).total_bytes // CLIPS


def main() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive"}  # as the command line
    with tempfile.TemporaryDirectory() as folder:
        for person in range(CLIPS):
            make_clip(Path(folder) / f"{person}.mp4", person)
        mp4_kib = sum(path.stat().st_size for path in Path(folder).glob("*.mp4")) / CLIPS / 1024
        print(f"{CLIPS} clips: {SECONDS} s, {WIDTH}x{HEIGHT}, {FPS} fps, {mp4_kib:.0f} KiB; {THREADS} threads")
        for fps in SAMPLED:
            kib = fill(Path(folder), fps) / 1024
            rates: dict[str, list[float]] = {"mp4": [], "cache": []}
            for _ in range(ROUNDS):
                for side, measured in rates.items():
                    command = [sys.executable, __file__, side, folder, str(fps)]
                    ran = subprocess.run(command, env=environment, capture_output=True, check=True)
                    measured.append(json.loads(ran.stdout))
            ratios = [cache / mp4 for cache, mp4 in zip(rates["cache"], rates["mp4"], strict=True)]
            mp4, cache = (statistics.median(measured) for measured in rates.values())
            print(
                f"{fps:g} frames a second: {kib:.0f} KiB a clip; {cache:.1f} clips/s from the cache, {mp4:.2f} from "
                f"mp4; ratio {cache / mp4:.1f} ({ROUNDS} rounds: {np.min(ratios):.1f} to {np.max(ratios):.1f})"
            )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))))
    else:
        main()
