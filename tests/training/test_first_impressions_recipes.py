"""The recipes for First Impressions V2, each trained for two steps on a planted corpus, encoders of random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from planted import RECIPE, planted_corpus

from msma.config import load_recipe
from msma.prediction.model import load
from msma.training.run import train

RECIPES = Path(__file__).parents[2] / "recipes"
SHORT = (
    f"clip.fps={RECIPE.clip.fps}",
    "clip.crop_size=32",
    "train.steps=2",
    "train.batch_size=4",
    "train.validate_every=2",
    "train.warmup_steps=1",
    "train.workers=0",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chalearn_fi_frozen", "chalearn_fi_gpu"])
def test_a_recipe_trains_from_start_to_end_and_its_weights_load(name, tmp_path, monkeypatch):
    monkeypatch.setattr("msma.training.loop.load_backbone", lambda *_: {})
    recipe = load_recipe(RECIPES / f"{name}.yaml", SHORT)
    train(recipe, planted_corpus(tmp_path / "clips", train=8, held_out=4), tmp_path / "run", cpu=True)
    weights = load(tmp_path / "run").weights
    assert weights.config.model.audio_backbone == "ge2e+mfcc+prosody"
    assert all(torch.isfinite(tensor).all() for tensor in weights.network.state_dict().values())
