"""A corpus without media: raw clips in which the traits are planted where a network must find them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from msma.config import ClipConfig, ModelConfig, Recipe, TrainConfig
from msma.data.cache import CacheReport
from msma.data.cache_entry import write_entry
from msma.data.corpora.manifest import Manifest, Row
from msma.data.corpus import Corpus
from msma.media.audio import mel_edges
from msma.media.faces import WHOLE_FRAME
from msma.prediction.model import Model, load
from msma.types import SAMPLE_RATE, TRAITS, Clip, FaceTrack, MediaInfo, RawWindow
from msma.weights.checkpoint import Weights

CLIP = ClipConfig(crop_size=16, mels=16, fps=2.0)
STILL = {"random_phase": False, "crop_shift": 0.0, "crop_scale": 0.0, "colour_jitter": 0.0}
"""Settings of a training that draws and jitters nothing."""
MODEL = ModelConfig(width=16, heads=2, dropout=0.1)
TRAIN = TrainConfig(steps=6, batch_size=4, validate_every=2, warmup_steps=2, ccc_weight=0.5)
RECIPE = Recipe(clip=CLIP, model=MODEL, train=TRAIN)
BANDS_HZ = mel_edges(CLIP.mels)[1:-1]
"""The middle of each mel band."""


def planted_window(name: str, scores: np.ndarray, rng: np.random.Generator) -> RawWindow:
    """Five bands of the picture are as bright, and five groups of mel bands as loud, as the five scores."""
    rows = np.repeat(scores, [3, 3, 3, 3, 4])
    pictures = 255 * rows[:, None, None] * np.ones((16, 3)) + rng.normal(0, 8, (4, 16, 16, 3))
    levels_db = -65 + 40 * rows + rng.normal(0, 2, 16)
    seconds = np.arange(round(0.64 * SAMPLE_RATE)) / SAMPLE_RATE
    phases = 2 * np.pi * (BANDS_HZ[:, None] * seconds + rng.uniform(0, 1, (16, 1)))
    sound = (10 ** (levels_db / 20)) @ np.sin(phases)
    clip = Clip(
        name=name,
        frames=pictures.clip(0, 255).astype(np.uint8),
        frame_times_s=np.arange(4) / 2 + 0.25,
        waveform=sound.astype(np.float32),
        start_s=0.0,
        end_s=2.0,
        media=MediaInfo("planted"),
    )
    whole = np.tile(np.array([0, 0, 16, 16], np.float32), (4, 1))
    return RawWindow(clip, FaceTrack(whole, np.ones(4, bool), WHOLE_FRAME))


def changed(recipe: Recipe, **sections: dict[str, Any]) -> Recipe:
    """The recipe with other values: `changed(recipe, train={"steps": 3})`."""
    return Recipe.model_validate({name: dict(values) | sections.get(name, {}) for name, values in recipe})


CACHED = changed(
    RECIPE,
    clip={"mels": 20},
    model={
        "audio_backbone": "mfcc",
        "fusion": "audio",
        "map_channels": 16,
        "spatial_scales": (),
        "temporal_scales_s": (),
        "linear_path": True,
    },
    train={"tune_stages": 0, "cache_features": True},
)
"""A frozen backbone that needs no weights, computed once, and a linear path."""


def planted_corpus(
    folder: Path, train: int = 24, held_out: int = 8, shuffle_labels: bool = False, alike: bool = False
) -> Corpus:
    """Clips in a cache; with `shuffle_labels` the training labels belong to other clips.

    A source has two clips; with `alike` they have the same scores.
    """
    rng = np.random.default_rng(0)
    splits = ["train"] * train + ["val"] * held_out + ["test"] * held_out
    scores = rng.uniform(0.1, 0.9, (len(splits), 5))
    if alike:
        scores[1::2] = scores[::2]
    labels = scores.copy()
    if shuffle_labels:
        labels[:train] = labels[rng.permutation(train)]
    rows, entries = [], {}
    folder.mkdir(parents=True, exist_ok=True)
    for index, split in enumerate(splits):
        clip = f"source{index // 2:06d}.{index % 2:03d}.mp4"
        entries[clip] = folder / f"{hashlib.sha256(clip.encode()).hexdigest()[:32]}.clip"
        write_entry(entries[clip], [planted_window(clip, scores[index], rng)])
        rows.append(Row(clip, folder / clip, clip[:12], split, tuple(labels[index].tolist())))
    return Corpus(Manifest("planted", tuple(rows), {}), CacheReport(folder, entries))


def with_rows(corpus: Corpus, rows: Iterable[Row]) -> Corpus:
    return replace(corpus, manifest=replace(corpus.manifest, rows=tuple(rows)))


def with_entries(corpus: Corpus, entries: dict[str, Path], failed: dict[str, str] | None = None) -> Corpus:
    return replace(corpus, cache=replace(corpus.cache, entries=entries, failed=failed or {}))


def without(corpus: Corpus, *clips: str) -> Corpus:
    """The same corpus, of which these clips cannot be read."""
    left = {clip: path for clip, path in corpus.cache.entries.items() if clip not in clips}
    return with_entries(corpus, left, dict.fromkeys(clips, "no moov atom"))


def only(corpus: Corpus, *traits: str) -> Corpus:
    """The same corpus, which labels no other traits."""
    kept = [trait in traits for trait in TRAITS]

    def labelled(row: Row) -> Row:
        scores = zip(row.target, kept, strict=True)
        return replace(row, target=tuple(score if has else math.nan for score, has in scores))

    return with_rows(corpus, (labelled(row) for row in corpus.manifest.rows))


class StopAfter:
    """A `should_stop` that says yes after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def chosen(run: Path) -> dict[str, float]:
    """The validation whose weights a run kept."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return max(lines, key=lambda line: line["mean_accuracy"])


def unmapped(run: Path) -> Model[Weights]:
    """The model of a run, whose scores are what its network gives: at no operating point."""
    model = load(run)
    config = model.weights.config.model_copy(update={"operating_points": None})
    return replace(model, weights=replace(model.weights, config=config))
