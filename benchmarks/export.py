"""An exported network in onnxruntime as a ratio to torch in the same run: the network alone, and file to scores.

    .venv/bin/python benchmarks/export.py [--model RUN]

Two threads for everything. The two take turns, and a ratio is that of the medians; below 1 is faster than torch. What
`msma predict` takes until it has answered for one clip, its start and imports included, is measured in processes of
their own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from predict_clip import SECONDS, THREADS, make_clip

ROUNDS = 15


def in_turn(sides: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each side; the first time of each does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, run in sides.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def told(what: str, seconds: dict[str, float]) -> None:
    print(f"{what}: onnx {seconds['onnx'] / seconds['torch']:.2f} of torch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    run = parser.parse_args().model
    os.environ |= {"OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive"}  # as `msma` sets it
    import torch

    import msma
    from msma.config import Limits
    from msma.media.prepare import prepare, raw_windows
    from msma.weights.checkpoint import load_weights
    from msma.weights.onnx_export import export_onnx

    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as name:
        folder, clip = Path(name) / "onnx", Path(name) / "clip.mp4"
        make_clip(clip)
        found = export_onnx(load_weights(run), folder)
        print(f"largest difference: {found.largest_difference:.1g}, over {found.clips} random clips")
        models = {"torch": msma.load(run), "onnx": msma.load(folder, runtime="onnx")}
        first = models["torch"]
        (raw,) = raw_windows(clip, first.clip, Limits(), first.detector)
        window = prepare(raw, first.clip)
        read = {name: partial(model.read, [window]) for name, model in models.items()}
        told(f"network, one window of {SECONDS} s", in_turn(read))
        told("file to scores", in_turn({name: partial(model.predict, clip) for name, model in models.items()}))
        command = [sys.executable, "-c", "from msma.cli import main; main()", "predict", str(clip), "--runtime"]
        place = {"torch": [] if run is None else ["--model", str(run)], "onnx": ["--model", str(folder)]}
        whole = {
            name: partial(subprocess.run, [*command, name, *place[name]], capture_output=True, check=True)
            for name in models
        }
        told("msma predict, from its start", in_turn(whole, rounds=5))


if __name__ == "__main__":
    main()
