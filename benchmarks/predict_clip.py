"""File to scores on a 15 s 720p clip, as a ratio to decoding the same file with PyAV alone in the same run; and with
test-time augmentation (`--tta`), as a ratio to without.

    .venv/bin/python benchmarks/predict_clip.py

Two threads for everything. Each side runs in a process of its own, so that peak memory is its own; they take turns,
and the ratio is that of the medians. Loading the weights and importing are counted in neither side.
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

THREADS = 2
ROUNDS = 5
SECONDS, FPS, WIDTH, HEIGHT = 15, 30, 1280, 720


def make_clip(path: Path, person: int = 0) -> None:
    """A talking head of the synthetic corpus in 720p, H.264 + AAC."""
    from msma.data.synthetic.people import cast
    from msma.data.synthetic.render import Format, render_clip

    part = cast(6, seed=5)[person]
    render_clip(path.parent, part, Format(5, float(SECONDS), FPS, (WIDTH, HEIGHT)))
    (path.parent / part.name).replace(path)


def decode(path: Path) -> None:
    """Every picture and every sound of the file, and nothing else."""
    import av

    with av.open(str(path)) as container:
        for stream in container.streams:
            stream.thread_type, stream.thread_count = "AUTO", THREADS
        for _ in container.decode():
            pass


def measure(side: str, path: Path) -> dict[str, float]:
    """Runs in a process of its own: one run to warm up, then one that counts."""
    import resource

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])  # also where there are more cores
    if side in ("predict", "tta"):
        import torch

        import msma

        torch.set_num_threads(THREADS)
        model = msma.load(tta=side == "tta")
        work = model.predict
    else:
        work = decode
    work(path)
    began = time.perf_counter()
    work(path)
    return {
        "seconds": time.perf_counter() - began,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        make_clip(path)
        results: dict[str, list[dict[str, float]]] = {"decode": [], "predict": [], "tta": []}
        for _ in range(ROUNDS):
            for side, runs in results.items():
                command = [sys.executable, __file__, side, str(path)]
                runs.append(
                    json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
                )
        size_kib = path.stat().st_size / 1024
    seconds = {side: statistics.median(run["seconds"] for run in runs) for side, runs in results.items()}
    memory = {side: max(run["peak_mib"] for run in runs) for side, runs in results.items()}

    def ratio(side: str, to: str) -> str:
        rounds = [a["seconds"] / b["seconds"] for a, b in zip(results[side], results[to], strict=True)]
        return f"{seconds[side] / seconds[to]:.2f} (rounds: {np.min(rounds):.2f} to {np.max(rounds):.2f})"

    print(f"clip: {SECONDS} s, {WIDTH}x{HEIGHT}, {FPS} fps, {size_kib:.0f} KiB; {THREADS} threads; {ROUNDS} rounds")
    print(f"decode alone: {seconds['decode']:.2f} s, peak {memory['decode']:.0f} MiB")
    print(f"file to scores: {seconds['predict']:.2f} s, peak {memory['predict']:.0f} MiB")
    print(f"ratio: {ratio('predict', 'decode')}")
    print(
        f"with --tta: {seconds['tta']:.2f} s, peak {memory['tta']:.0f} MiB; ratio to without: {ratio('tta', 'predict')}"
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
    else:
        main()
