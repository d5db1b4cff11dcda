"""The recipes for corpora of people run from end to end, with tiny random models in the place of their encoders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_hf import CONVOLUTIONS, TINY, saved
from typer.testing import CliRunner

from msma.cli.commands import app
from msma.config import load_recipe
from msma.weights.checkpoint import load_weights

RECIPES = Path(__file__).parents[1] / "recipes"
FOR_PEOPLE = [path.stem for path in [*sorted(RECIPES.glob("chalearn_*.yaml")), RECIPES / "small_corpus.yaml"]]
SMALL = {
    "clip.crop_size": 32,
    "train.steps": 2,
    "train.validate_every": 2,
    "train.batch_size": 4,
    "train.workers": 0,
}
CLIPS, SECONDS = 24, 1


@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_in_every_recipe_for_people_the_scales_are_on(name):
    model = load_recipe(RECIPES / f"{name}.yaml").model
    assert model.spatial_scales == (1, 3, 5)
    assert model.temporal_scales_s == (0.25, 0.5, 1.0, 2.0)
    assert model.visual_grid > 1


@pytest.mark.parametrize("name", [name for name in FOR_PEOPLE if name.startswith("chalearn")])
def test_no_recipe_claims_a_number_on_first_impressions(name):
    header = " ".join(
        (RECIPES / f"{name}.yaml").read_text(encoding="utf-8").split("clip:")[0].replace("#", " ").split()
    )
    assert "NOT YET RUN on First Impressions V2" in header


def msma(*arguments: object):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr or result.exception
    return result


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    corpus = tmp_path_factory.mktemp("rendered") / "corpus"
    msma("synth", corpus, "--clips", CLIPS, "--seed", 2, "--seconds", SECONDS)
    msma("prepare", "chalearn", corpus, "--out", corpus / "manifest.csv")
    return corpus / "manifest.csv"


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, str]:
    """The backbone of each stream: two of pictures, one of speech."""
    folder, patches = tmp_path_factory.mktemp("models"), {"image_size": 32, "patch_size": 8}
    return {
        "visual": saved(folder / "face", "clip_vision_model", {**TINY, **patches}),
        "audio": saved(folder / "speech", "wavlm", {**TINY, **CONVOLUTIONS}, {"do_normalize": True}),
        "scene": saved(folder / "scene", "dinov2", {**TINY, **patches, "mlp_ratio": 2}),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_a_recipe_for_people_runs_from_clips_to_an_evaluated_model(name, manifest, models, tmp_path):
    recipe, run = load_recipe(RECIPES / f"{name}.yaml"), tmp_path / "run"
    _, *joined = recipe.model.audio_backbone.split("+")
    sets = SMALL | {
        "model.visual_backbone": models["visual"],
        "model.audio_backbone": "+".join([models["audio"], *joined]),
    }
    if recipe.model.scene_backbone is not None:
        sets |= {"model.scene_backbone": models["scene"], "clip.scene_size": 32}
    changes = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    shared = ["--manifest", manifest, "--cache", manifest.parent / "cache"]
    scored = []
    for seed in (0, 1):
        seeded = ["--set", f"train.seed={seed}"]
        msma("train", RECIPES / f"{name}.yaml", *shared, "--out", run / f"{seed}", "--cpu", *changes, *seeded)
        msma("evaluate", "--model", run / f"{seed}", *shared)
        scored.append(run / f"{seed}" / "test" / "predictions.csv")
    config = load_weights(run / "0").config
    assert set(config.pretrained) == {"audio", "visual", *(["scene"] if recipe.model.scene_backbone else [])}
    result = json.loads(msma("score", *scored, "--manifest", manifest, "--format", "json").stdout)
    assert result["clips"] == len(list((manifest.parent / "test").glob("*.mp4")))
    assert 0 < result["metrics"]["mean_accuracy"]["mean"] < 1
