"""A corpus without media: Inputs in which the traits are planted where a network must find them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from msma.config import ClipConfig, ModelConfig, Recipe, TrainConfig
from msma.data.cache import write_entry
from msma.data.manifest import Manifest, Row
from msma.types import Inputs, MediaInfo, Prepared

CLIP = ClipConfig(crop_size=16, mels=16, fps=2.0)
MODEL = ModelConfig(width=16, heads=2, dropout=0.1)
TRAIN = TrainConfig(steps=6, batch_size=8, validate_every=2, warmup_steps=2)
RECIPE = Recipe(clip=CLIP, model=MODEL, train=TRAIN)


def planted_inputs(scores: np.ndarray, rng: np.random.Generator) -> Inputs:
    """Five bands of the picture are as bright, and five groups of mel bands as loud, as the five scores."""
    rows = np.repeat(scores, [3, 3, 3, 3, 4])
    picture = 255 * rows[:, None] * np.ones(16) + rng.normal(0, 8, (4, 3, 16, 16))
    sound = (2 * rows - 1)[:, None] + rng.normal(0, 0.1, (16, 40))
    return Inputs(
        frames=torch.from_numpy(picture.clip(0, 255).astype(np.uint8)),
        boxes=torch.full((4, 4), 0.5),
        frame_mask=torch.ones(4, dtype=torch.bool),
        log_mel=torch.from_numpy(sound.astype(np.float32)).clamp(-1, 1),
        mel_mask=torch.ones(40, dtype=torch.bool),
        present=torch.ones(2, dtype=torch.bool),
    )


def planted_corpus(
    folder: Path, train: int = 24, held_out: int = 8, shuffle_labels: bool = False
) -> tuple[Manifest, dict[str, Path]]:
    """Manifest and cache entries; with `shuffle_labels` the training labels belong to other clips."""
    rng = np.random.default_rng(0)
    splits = ["train"] * train + ["val"] * held_out + ["test"] * held_out
    scores = rng.uniform(0.1, 0.9, (len(splits), 5))
    labels = scores.copy()
    if shuffle_labels:
        labels[:train] = labels[rng.permutation(train)]
    rows, entries = [], {}
    folder.mkdir(parents=True, exist_ok=True)
    for index, split in enumerate(splits):
        clip = f"source{index // 2:06d}.{index % 2:03d}.mp4"
        entries[clip] = folder / f"{clip}.safetensors"
        window = Prepared(
            inputs=planted_inputs(scores[index], rng),
            start_s=0.0,
            end_s=2.0,
            reasons=(),
            used={"audio": 1.0, "visual": 1.0},
            face_detector="planted",
            media=MediaInfo("planted"),
        )
        write_entry(entries[clip], [window])
        rows.append(Row(clip, folder / clip, clip[:12], split, tuple(labels[index].tolist())))
    return Manifest("planted", tuple(rows), {}), entries
