"""The data that a recipe is trained on, clips or features, and the linear path that is fitted to them.

A recipe with frozen backbones may compute their features once for each clip (`train.cache_features`). Training, a fold
and a cross-validation decide it here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor

from msma.config import Recipe
from msma.data.corpora.manifest import Row
from msma.data.corpus import Corpus
from msma.data.dataset import ClipDataset
from msma.data.features import FeatureDataset, fill_features
from msma.model.head import LinearPath
from msma.model.msma_net import MsMANet
from msma.training.linear_fit import Pooled, fit_linear_path, pooled_features
from msma.training.loop import LabelledClips
from msma.types import MODALITIES
from msma.weights.pretrained import architecture

HeldOut = dict[str, Float[Tensor, "3 5"]]
"""The predictions of a linear path for each clip with its source held out."""


@dataclass(frozen=True)
class Learner:
    """A recipe, and the data of its clips. Made once, and sent to every process that trains one of its networks."""

    recipe: Recipe
    rows: Sequence[Row]
    """The clips that networks may be trained on."""
    files: dict[str, Path]
    """The file of each clip: features where the recipe caches them, else its cache entry."""
    pooled: Pooled | None = None
    """The features of `rows`, where they are cached and something linear is fitted to them."""
    modalities: tuple[str, ...] = MODALITIES

    def dataset(self, rows: Sequence[Row], linear: HeldOut | None = None, *, augmented: bool = False) -> LabelledClips:
        """Some clips, as they are or `augmented`; `linear` for those that a linear path was fitted to."""
        augmentation = self.recipe.train if augmented else None
        if self.recipe.train.cache_features:
            return FeatureDataset(rows, self.files, augmentation, linear or {})
        return ClipDataset(rows, self.files, self.recipe.clip, augmentation, self.modalities)

    def linear_path(
        self, places: np.ndarray, mean: Float[np.ndarray, " 5"]
    ) -> tuple[LinearPath, HeldOut] | tuple[None, None]:
        """A linear path fitted to the clips at `places` in `rows`, where the recipe has one."""
        if self.pooled is None or not self.recipe.model.linear_path:
            return None, None
        path = LinearPath(*map(sum, self.pooled.groups))
        rows = [self.rows[int(place)] for place in places]
        return path, fit_linear_path(path, rows, self.pooled.rows(places), mean, self.recipe.train.seed)


def new_learner(
    recipe: Recipe,
    network: MsMANet,
    pretrained: dict[str, dict[str, str]],
    corpus: Corpus,
    rows: Sequence[Row],
    held_out: Sequence[Row] = (),
    *,
    accelerator: Accelerator,
    modalities: tuple[str, ...] = MODALITIES,
    ridge: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Learner:
    """Compute the features that are not there yet, where the recipe caches them; processes share the work.

    `network` has its backbones, whose weights `pretrained` names. No network is trained on clips that are `held_out`:
    they need no augmented variants. With `ridge`, a ridge regression is fitted to the features too.
    """
    if not recipe.train.cache_features:
        return Learner(recipe, rows, corpus.cache.entries, modalities=modalities)
    files: dict[str, Path] = {}

    def report(done: int, _: int) -> None:
        if accelerator.is_main_process:
            progress(len(files) + done, len(rows) + len(held_out))

    for part, variants in ((held_out, 1), (rows, recipe.train.feature_variants)):
        if part:
            files |= fill_features(
                network.to(accelerator.device),
                part,
                corpus,
                recipe,
                json.dumps(pretrained),
                variants=variants,
                share=(accelerator.process_index, accelerator.num_processes),
                progress=report,
            )
    accelerator.wait_for_everyone()
    pooled = pooled_features(rows, files, network) if ridge or recipe.model.linear_path else None
    return Learner(recipe, rows, files, pooled)


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": seed})})


def with_architectures(recipe: Recipe) -> Recipe:
    """The recipe with what its `hf:` backbones are built from, so that its weights can be loaded anywhere."""
    model = recipe.model
    found = {
        "visual_architecture": model.visual_architecture or architecture(model.visual_backbone),
        "audio_architecture": model.audio_architecture or architecture(model.audio_backbone),
        "scene_architecture": model.scene_architecture or architecture(model.scene_backbone or ""),
    }
    return recipe.model_copy(update={"model": model.model_copy(update=found)})
