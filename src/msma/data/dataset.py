"""Labelled clips as a torch Dataset, and the order in which training sees them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from msma.config import ClipConfig, TrainConfig
from msma.data.augment import at_progress, degraded_inputs, draw, masked, perfect_quality
from msma.data.cache_entry import cached_windows, read_notes
from msma.data.corpora.manifest import Row
from msma.data.draw import drawn_window
from msma.media.prepare import prepare
from msma.model.tensors import Features, Inputs, collate, inputs_of
from msma.types import MODALITIES, MsmaError

Item = tuple[Inputs | Features, Float[Tensor, " 5"], Float[Tensor, "r 2"], Inputs | Features | None]
"""Inputs or Features, target (OCEAN order) and quality (audio, visual) of the segments of one clip; and, for training
where that is needed, a second reading: the clip before it was degraded, or another augmented version."""
Batch = tuple[Inputs | Features, Float[Tensor, "b 5"], Float[Tensor, "b r 2"]]
"""The clips, and behind them, where it is needed, the second reading of each; target and quality. The quality of a
masked segment is NaN."""
UNHARMED = {"corruption": 0.0, "modality_dropout": 0.0, "frame_dropout": 0.0}
T = TypeVar("T")


@dataclass(eq=False)
class ClipDataset(Dataset):
    """One window of a labelled clip. Reads the cache (`fill_cache`), never media.

    An item is named by (epoch, index), so that its window and augmentation are functions of seed, epoch and clip alone:
    any order, any worker, any resumed run gives the same item. Without `augmentation` the first window is given as it
    is. Modalities that are not named are not read.
    """

    rows: Sequence[Row]
    entries: dict[str, Path]
    config: ClipConfig
    augmentation: TrainConfig | None = None
    modalities: tuple[str, ...] = MODALITIES

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> Item:
        epoch, index = key
        entry, target = self.entries[self.rows[index].clip], torch.tensor(self.rows[index].target)
        if self.augmentation is None:
            (window,) = cached_windows(entry, [0], self.modalities)
            inputs = inputs_of(prepare(window, self.config).inputs)
            return inputs, target, perfect_quality(inputs), None
        config = at_progress(self.augmentation, epoch, len(self))
        generator = torch.Generator().manual_seed(mixed_seed(config.seed, epoch, index))
        place = draw(len(read_notes(entry)), generator)
        inputs, quality = self.reading(entry, place, config, generator)
        second = None
        if config.readings == 2:
            again = config.model_copy(update=UNHARMED) if config.needs_clean else config
            second, _ = self.reading(entry, place, again, generator)
        return inputs, target, quality, second

    def reading(
        self, entry: Path, place: int, config: TrainConfig, generator: torch.Generator
    ) -> tuple[Inputs, Float[Tensor, "r 2"]]:
        """A window at a phase and with a jitter of its own, harmed by chance; and the quality of its segments."""
        window = drawn_window(entry, place, config, self.config, generator, self.modalities)
        inputs, quality = degraded_inputs(window, config, self.config, generator)
        return masked(inputs, config, generator), quality


class StepBatches(Sampler[list[tuple[int, int]]]):
    """The batches from `first_step` to the last: epoch after epoch in shuffled order, incomplete ones left out."""

    def __init__(self, clips: int, config: TrainConfig, first_step: int) -> None:
        self.clips = clips
        self.batch_size = min(config.batch_size, clips)
        self.drop_last = True
        self.seed = config.seed
        self.steps = range(first_step, config.steps)
        self.steps_per_epoch = clips // self.batch_size

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch, steps in itertools.groupby(self.steps, lambda step: step // self.steps_per_epoch):
            order = np.random.default_rng([self.seed, epoch]).permutation(self.clips)
            for step in steps:
                first = step % self.steps_per_epoch * self.batch_size
                yield [(epoch, int(index)) for index in order[first : first + self.batch_size]]


def collate_items(items: Sequence[Item]) -> Batch:
    windows, targets, qualities, clean = zip(*items, strict=True)
    before = [] if clean[0] is None else clean
    quality = pad_sequence(list(qualities), batch_first=True, padding_value=math.nan)
    return collate([*windows, *before]), torch.stack(targets), quality


def each_batch(loader: Iterable[T]) -> Iterator[T]:
    """The items of a DataLoader; a failure in one of its processes is the one line that it would be without them."""
    try:
        yield from loader
    except MsmaError as error:
        kind, line = type(error), "".join(error.args).strip().splitlines()[-1]
        raise kind(line.removeprefix(f"{kind.__module__}.{kind.__qualname__}: ")) from error


def mixed_seed(*parts: int) -> int:
    """One well-mixed 64-bit seed from several small numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
