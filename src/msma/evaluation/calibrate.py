"""Fit prediction intervals on held-out clips, clean and corrupted.

Each clip is predicted as it is, without audio and without visual, and each of these again with random corruptions of
the families that are seen in training, so that every availability and quality has errors of its own. The choice of
corruptions, and their number, is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from msma.corruptions.corruption import SEVERITIES, WORST
from msma.corruptions.scenarios import REMOVES, Cell, Step, corrupt_window
from msma.data.augment import SEEN
from msma.data.cache_entry import cached_windows
from msma.data.corpora.manifest import Row, targets
from msma.data.corpus import Corpus
from msma.data.dataset import mixed_seed
from msma.media.prepare import prepare
from msma.prediction.model import Model
from msma.types import TRAITS, MsmaError
from msma.weights.calibration import CalibratedOn, Calibration, calibration_of
from msma.weights.checkpoint import weights_sha256

MAX_CLIPS = 400
CORRUPTED = 2
"""Corrupted versions of each clip with both modalities, with audio alone, and with visual alone."""
MIN_SOURCES = 10
"""With fewer, a coverage of 0.9 cannot be known."""


def calibrate(
    model: Model,
    corpus: Corpus,
    split: str,
    *,
    max_clips: int = MAX_CLIPS,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Calibration:
    """The errors of `model` on up to `max_clips` clips of a split, whole sources drawn at random; MsmaError for too few
    sources with clips that can be read, or no trait that is labelled and predicted."""
    manifest, rows = corpus.manifest, drawn(corpus.split(split), max_clips, seed)
    sources = {row.source for row in rows}
    if len(sources) < MIN_SOURCES:
        raise MsmaError(
            f"{manifest.corpus}: {len(sources)} sources in split {split!r}; intervals need {MIN_SOURCES} at least"
        )
    traits = [trait for trait in model.weights.config.traits if trait in manifest.traits]
    if not traits:
        raise MsmaError(f"{manifest.corpus}: labels no trait that {model.weights.config.name} predicts")
    columns = [TRAITS.index(trait) for trait in traits]
    errors, quality, source_of = [], [], []
    labels = targets(rows)[:, columns]
    for done, (row, label) in enumerate(zip(rows, labels, strict=True), start=1):
        windows = list(cached_windows(corpus.entry(row), name=row.clip))
        for cell in conditions(model.weights.network.reads, mixed_seed(seed, done)):
            corrupted = (corrupt_window(window, cell, model.clip, model.detector) for window in windows)
            video = model.read(prepare(window, model.clip) for window in corrupted)
            errors.append(np.abs(label - np.array([video.traits[trait] for trait in traits])))
            quality.append(video.quality)
            source_of.append(row.source)
        progress(done, len(rows))
    about = CalibratedOn(
        weights_sha256=weights_sha256(model.weights),
        operating_point=model.operating_point,
        corpus=manifest.corpus,
        split=split,
        clips=len(rows),
        sources=len(sources),
    )
    return calibration_of(np.array(errors), quality, source_of, traits, about, labels)


def drawn(rows: Sequence[Row], max_clips: int, seed: int) -> list[Row]:
    """All clips of some sources, no more than `max_clips` (but for those of the first source)."""
    names = sorted({row.source for row in rows})
    chosen: list[Row] = []
    for place in np.random.default_rng(seed).permutation(len(names)):
        of_source = [row for row in rows if row.source == names[place]]
        if chosen and len(chosen) + len(of_source) > max_clips:
            break
        chosen += of_source
    return chosen


def conditions(reads: Sequence[str], seed: int) -> Iterator[Cell]:
    """Both modalities, and each alone, where the network reads both: as they are, and with random corruptions."""
    rng = np.random.default_rng(seed)
    for removed in (None, *REMOVES) if len(reads) > 1 else (None,):
        missing = () if removed is None else (Step(removed, WORST),)
        left = set(reads) - {REMOVES.get(removed or "")}
        rows = [row for row in SEEN if left & set(row.modalities)]
        chosen = [Step(rows[rng.integers(len(rows))].name, int(rng.choice(SEVERITIES))) for _ in range(CORRUPTED)]
        for steps in (missing, *((*missing, step) for step in chosen)):
            yield Cell("calibration", "", steps, severity=0, held_out=False)
