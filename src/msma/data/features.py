"""Outputs of frozen backbones, computed once for each clip and cached on disk.

A file holds every window of a clip in one or more variants: the first as it is, the others at a random phase, flipped,
jittered and corrupted, with the quality that they have. Masks (frames and segments that drop out, a modality that is
lost) are still drawn anew in every epoch. Maps are stored in half precision, but in full for a linear path, whose
weights may make a rounding large.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from msma.config import Recipe, TrainConfig
from msma.data.augment import SEEN, at_progress, degraded_inputs, draw, masked_features, perfect_quality
from msma.data.cache_entry import cached_windows, opened
from msma.data.corpora.manifest import Row
from msma.data.corpus import Corpus
from msma.data.dataset import Item, each_batch, mixed_seed
from msma.data.draw import drawn_window
from msma.files.writing import write_whole
from msma.media.prepare import prepare
from msma.media.processes import leave_signals
from msma.model.msma_net import MsMANet
from msma.model.tensors import Features, Inputs, collate, inputs_of

FORMAT = 11
CORRUPTED_BY = [(row.name, row.levels) for row in SEEN]
BACKBONES = {
    *("audio_backbone", "visual_backbone", "scene_backbone"),
    *("audio_architecture", "visual_architecture", "scene_architecture"),
    *("hidden_layers", "visual_grid"),
}
"""The fields of ModelConfig that decide what is computed, beside which modalities are read."""
RANDOM = (
    *("corruption", "local_corruption", "room_noise", "flip"),
    *("random_phase", "crop_shift", "crop_scale", "colour_jitter"),
)
"""The fields of TrainConfig that decide what variants are."""
STORED = tuple(field.name for field in fields(Features) if field.name != "linear")
MAPS = ("audio", "visual", "scene")
"""Nearly all of the bytes."""
HELD_BYTES = 1024**3
"""Features that are held in memory, at most: all of a small corpus, so that its files are read once."""


@dataclass(eq=False)
class InputVariants(Dataset):
    """Every window of a clip, and its degraded variants, as Inputs with their quality."""

    entries: Sequence[Path]
    recipe: Recipe
    variants: int

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> list[list[tuple[Inputs, Float[Tensor, "r 2"]]]]:
        config = self.recipe.train
        windows = []
        for place, window in enumerate(cached_windows(self.entries[index])):
            clean = inputs_of(prepare(window, self.recipe.clip).inputs)
            variants = [(clean, perfect_quality(clean))]
            for variant in range(1, self.variants):
                # The clip's content alone decides, so that a file serves every corpus, split and seed.
                seed = mixed_seed(int(self.entries[index].stem[:15], 16), place, variant)
                generator = torch.Generator().manual_seed(seed)
                drawn = drawn_window(self.entries[index], place, config, self.recipe.clip, generator)
                variants.append(degraded_inputs(drawn, config, self.recipe.clip, generator))
            windows.append(variants)
        return windows


def fill_features(
    network: MsMANet,
    rows: Sequence[Row],
    corpus: Corpus,
    recipe: Recipe,
    backbones: str,
    *,
    variants: int | None = None,
    share: tuple[int, int] = (0, 1),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Path]:
    """Clip name to file of features, in the cache of `corpus`; those that are there are not computed again.

    `backbones` says which weights `network` carries, `variants` may be fewer than the recipe's. Of several processes,
    each computes its share (which one, of how many).
    """
    config = recipe.train
    variants, half = variants or config.feature_variants, not recipe.model.linear_path
    random = [*(getattr(config, name) for name in RANDOM), CORRUPTED_BY] if variants > 1 else []
    settings = recipe.model_dump_json(include={"clip": True, "model": BACKBONES})
    made_by = f"{[FORMAT, backbones, network.reads, variants, half, *random]}|{settings}"
    folder, entries = corpus.cache.folder / "features", corpus.cache.entries
    digests = {row.clip: hashlib.sha256(f"{entries[row.clip].name}|{made_by}".encode()).hexdigest() for row in rows}
    files = {clip: folder / f"{digest[:32]}.safetensors" for clip, digest in digests.items()}
    missing = [clip for clip in sorted(files)[share[0] :: share[1]] if not files[clip].exists()]
    pieces = InputVariants([entries[clip] for clip in missing], recipe, variants)
    loader = DataLoader(pieces, batch_size=None, num_workers=config.workers, worker_init_fn=leave_signals)
    device = next(network.parameters()).device
    network.eval()
    progress(len(files) - len(missing), len(files))
    for done, (clip, windows) in enumerate(zip(missing, each_batch(loader), strict=True), start=1):
        tensors = {}
        for place, window in enumerate(windows):
            for variant, (inputs, quality) in enumerate(window):
                with torch.inference_mode():
                    features = network.features(collate([inputs]).to(device))
                named = {name: tensor[0].cpu().contiguous() for name, tensor in tensors_of(features).items()}
                named = {name: compact(name, tensor) for name, tensor in named.items()} if half else named
                tensors |= {f"{place}.{variant}.{name}": one for name, one in (named | {"quality": quality}).items()}
        write_whole(files[clip], save(tensors))
        progress(len(files) - len(missing) + done, len(files))
    return files


def read_features(path: Path, window: int = 0, variant: int = 0) -> tuple[Features, Float[Tensor, "r 2"]]:
    """One window of a clip, and the quality of its segments; MsmaError where the file is missing or damaged."""
    return as_features(read_stored(path, window, variant))


def read_stored(path: Path, window: int, variant: int) -> dict[str, Tensor]:
    """The tensors of a window as they are stored; MsmaError where the file is missing or damaged."""
    start = f"{window}.{variant}."
    with opened(path, "pt") as file:
        found = {key.removeprefix(start): file.get_tensor(key) for key in file.keys() if key.startswith(start)}  # noqa: SIM118
        features_from(found)  # raises at once where one is missing
        return {"quality": found.pop("quality"), **found}


def as_features(stored: dict[str, Tensor]) -> tuple[Features, Float[Tensor, "r 2"]]:
    """The stored tensors in full precision, and the quality of the segments."""
    whole = {name: tensor.float() if tensor.dtype == torch.half else tensor for name, tensor in stored.items()}
    return features_from(whole), whole["quality"]


def tensors_of(features: Features) -> dict[str, Tensor]:
    """What is stored of Features, by name: of a field with several maps, `visual.0`, `visual.1`, ..."""
    found: dict[str, Tensor] = {}
    for name, value in ((name, getattr(features, name)) for name in STORED):
        if isinstance(value, tuple):
            found |= {f"{name}.{place}": one for place, one in enumerate(value)}
        elif value is not None:
            found[name] = value
    return found


def features_from(tensors: dict[str, Tensor]) -> Features:
    """The Features of `tensors_of`; KeyError where one is missing."""
    values: dict[str, Any] = {"scene": tensors.get("scene")}
    for name in STORED:
        if name in values:
            continue
        places = sum(key.startswith(f"{name}.") for key in tensors)
        values[name] = tuple(tensors[f"{name}.{place}"] for place in range(places)) if places else tensors[name]
    return Features(**values)


def compact(name: str, tensor: Tensor) -> Tensor:
    """Maps in half precision, unless a value of them is too large for that; others as they are."""
    half = tensor.half() if name.split(".")[0] in MAPS else tensor
    return half if half.isfinite().all() else tensor


def windows_in(path: Path) -> int:
    """Number of windows in a file of features."""
    with opened(path, "pt") as file:
        return 1 + max(int(name.split(".")[0]) for name in file.keys())  # noqa: SIM118


@dataclass(eq=False)
class FeatureDataset(Dataset):
    """One window of a labelled clip as Features; items are named and random as those of ClipDataset.

    `linear` holds, for the clips that the linear path was fitted to, its predictions `(3, 5)` when they are held out.
    """

    rows: Sequence[Row]
    files: dict[str, Path]
    augmentation: TrainConfig | None = None
    linear: dict[str, Float[Tensor, "3 5"]] = field(default_factory=dict)
    held: dict[tuple[Path, int, int], dict[str, Tensor]] = field(default_factory=dict)
    held_bytes: int = 0
    windows: dict[Path, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> Item:
        epoch, index = key
        row = self.rows[index]
        path, target = self.files[row.clip], torch.tensor(row.target)
        second = None
        if self.augmentation is None:
            features, quality = self.read(path)
        else:
            config = at_progress(self.augmentation, epoch, len(self))
            generator = torch.Generator().manual_seed(mixed_seed(config.seed, epoch, index))
            if path not in self.windows:
                self.windows[path] = windows_in(path)
            # The linear path's prediction for a clip that is held out is for its first window.
            windows = 1 if row.clip in self.linear else self.windows[path]
            window, variant = draw(windows, generator), draw(config.feature_variants, generator)
            features, quality = self.read(path, window, variant)
            features = masked_features(features, config, generator)
            if config.needs_clean:
                second = self.read(path, window)[0]
            elif config.two_readings:
                other, _ = self.read(path, window, draw(config.feature_variants, generator))
                second = masked_features(other, config, generator)
        linear = self.linear.get(row.clip)
        second = None if second is None else replace(second, linear=linear)
        return replace(features, linear=linear), target, quality, second

    def read(self, path: Path, window: int = 0, variant: int = 0) -> tuple[Features, Float[Tensor, "r 2"]]:
        """From memory, where it was read before and there is room."""
        key = path, window, variant
        if key in self.held:
            return as_features(self.held[key])
        stored = read_stored(*key)
        size = sum(tensor.nbytes for tensor in stored.values())
        if self.held_bytes + size <= HELD_BYTES:
            self.held[key] = stored
            self.held_bytes += size
        return as_features(stored)
