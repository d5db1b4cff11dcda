"""CPU time of a training step that keeps freed memory, as a ratio to one with the defaults of the C library.

    .venv/bin/python benchmarks/training_memory.py [RECIPE]

Each side is a process of its own, on one thread, with random Features of what the frozen backbones of the recipe would
give for a batch of 8-second clips; the two take turns.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS, STEPS = 3, 3
SECONDS = 8.0


def cpu_seconds(recipe_file: Path, kept: bool) -> float:
    """Of STEPS steps after a first one."""
    import numpy as np
    import torch

    from msma.config import load_recipe
    from msma.media.clip import clip_from_arrays
    from msma.media.phases import held_window
    from msma.media.prepare import prepare
    from msma.model.tensors import collate, inputs_of
    from msma.training.loop import fresh_network
    from msma.training.losses import halves, training_loss
    from msma.training.memory import keep_freed_memory
    from msma.types import SAMPLE_RATE

    torch.set_num_threads(1)
    if kept:
        keep_freed_memory()
    recipe, rng = load_recipe(recipe_file), np.random.default_rng(0)
    frames = rng.integers(0, 256, (round(SECONDS * recipe.clip.fps), 96, 96, 3), dtype=np.uint8)
    waveform = rng.normal(0, 0.1, round(SECONDS * SAMPLE_RATE)).astype(np.float32)
    clip = clip_from_arrays(frames, waveform, times_s=(np.arange(len(frames)) + 0.5) / recipe.clip.fps)
    window = inputs_of(prepare(held_window(clip, recipe.clip, None), recipe.clip).inputs)
    clips = recipe.train.batch_size
    network = fresh_network(recipe, np.full(5, 0.5)).train()
    with torch.no_grad():
        features = network.features(collate([window] * clips * recipe.train.readings))
    target, quality = torch.rand(clips, 5), torch.rand(clips, window.segment_mask.shape[0], 2)
    for step in range(STEPS + 1):
        if step == 1:
            began = time.process_time()
        outputs = halves(network(features, return_intermediates=True), clips)
        training_loss(outputs[0], features.present[:clips], target, quality, recipe.train, outputs[1], 1.0).backward()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=Path, nargs="?", default=Path("recipes/synthetic.yaml"))
    parser.add_argument("--side", choices=("default", "kept"), help="measure this side alone")
    asked = parser.parse_args()
    if asked.side:
        print(cpu_seconds(asked.recipe, asked.side == "kept"))
        return
    found: dict[str, list[float]] = {"default": [], "kept": []}
    for _ in range(ROUNDS):
        for side, seconds in found.items():
            command = [sys.executable, __file__, str(asked.recipe), "--side", side]
            seconds.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    ratio = statistics.median(found["kept"]) / statistics.median(found["default"])
    print(f"CPU time of a training step: kept {ratio:.2f} of default")


if __name__ == "__main__":
    main()
