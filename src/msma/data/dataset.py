"""Labelled clips as a torch Dataset, and the order in which training sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from msma.config import TrainConfig
from msma.data.augment import augment
from msma.data.cache import read_entry
from msma.data.manifest import Row
from msma.media.inputs import collate
from msma.types import Inputs

Item = tuple[Inputs, Float[Tensor, " 5"], Float[Tensor, " 2"]]
"""Inputs, target (OCEAN order) and quality (audio, visual) of one clip."""
Batch = tuple[Inputs, Float[Tensor, "b 5"], Float[Tensor, "b 2"]]


class ClipDataset(Dataset):
    """One window of a labelled clip: Inputs, target and quality.

    An item is named by (epoch, index), so that what is random (window, augmentation) is a function of seed, epoch and
    clip alone: any order, any worker, any resumed run gives the same item. Without `augmentation` the first window is
    given as it is.
    """

    def __init__(self, rows: Sequence[Row], entries: dict[str, Path], augmentation: TrainConfig | None = None) -> None:
        self.rows = [row for row in rows if row.clip in entries]
        self.entries = entries
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> Item:
        epoch, index = key
        row = self.rows[index]
        windows = read_entry(self.entries[row.clip])
        target = torch.tensor(row.target)
        if self.augmentation is None:
            return windows[0].inputs, target, torch.ones(2)
        generator = torch.Generator().manual_seed(mixed_seed(self.augmentation.seed, epoch, index))
        window = int(torch.randint(len(windows), (), generator=generator))
        inputs, quality = augment(windows[window].inputs, self.augmentation, generator)
        return inputs, target, quality


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
        order, ordered_epoch = np.arange(0), -1
        for step in self.steps:
            epoch, place = divmod(step, self.steps_per_epoch)
            if epoch != ordered_epoch:
                order, ordered_epoch = np.random.default_rng([self.seed, epoch]).permutation(self.clips), epoch
            first = place * self.batch_size
            yield [(epoch, int(index)) for index in order[first : first + self.batch_size]]


def collate_items(items: Sequence[Item]) -> Batch:
    inputs, targets, qualities = zip(*items, strict=True)
    return collate(list(inputs)), torch.stack(targets), torch.stack(qualities)


def mixed_seed(*parts: int) -> int:
    """One well-mixed 64-bit seed from several small numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
