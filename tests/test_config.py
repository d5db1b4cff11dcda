"""Configuration is frozen and strict, and a mistake in it is reported in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from msma.config import ClipConfig, ConfigError, ModelConfig, Recipe, TrainConfig, load_recipe
from msma.types import MsmaError

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe and loads it."""

    def load(text: str, *overrides: str) -> Recipe:
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path, overrides)

    return load


def test_an_empty_recipe_is_the_defaults(recipe):
    assert recipe("# nothing\n") == Recipe()


def test_a_recipe_changes_only_what_it_names(recipe):
    assert recipe("model:\n  width: 64\n") == Recipe(model=ModelConfig(width=64))


@pytest.mark.parametrize("config", [ClipConfig(), ModelConfig(), TrainConfig()], ids=lambda c: type(c).__name__)
def test_configuration_is_frozen(config):
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, next(iter(type(config).model_fields)), 1)


def test_an_exponent_without_a_point_is_a_number(recipe):
    assert recipe("train:\n  learning_rate: 1e-4\n").train.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("train.steps=500", lambda r: r.train.steps == 500),
        ("train.learning_rate=1e-4", lambda r: r.train.learning_rate == 1e-4),
        ("model.fusion=audio", lambda r: r.model.fusion == "audio"),
        ("model.spatial_scales=[]", lambda r: r.model.spatial_scales == ()),
        ("model.spatial_scales=[3, 7]", lambda r: r.model.spatial_scales == (3, 7)),
        ("model.imputation=false", lambda r: r.model.imputation is False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_set_changes_one_value(recipe, override, read):
    assert read(recipe("train:\n  seed: 3\n", override))


def test_set_wins_over_the_file_and_leaves_the_rest(recipe):
    changed = recipe("train:\n  steps: 10\n  seed: 3\n", "train.steps=20").train
    assert (changed.steps, changed.seed) == (20, 3)


def test_the_last_set_wins(recipe):
    assert recipe("", "train.steps=1", "train.steps=2").train.steps == 2


@pytest.mark.parametrize(
    ("text", "overrides", "named"),
    [
        ("train:\n  stepz: 5\n", (), "train.stepz"),
        ("trian:\n  steps: 5\n", (), "trian"),
        ("train:\n  steps: many\n", (), "train.steps"),
        ("train:\n  steps: 0\n", (), "train.steps"),
        ("train:\n  steps: 1.5\n", (), "train.steps"),
        ("train:\n  learning_rate: .nan\n", (), "train.learning_rate"),
        ("train:\n  learning_rate: .inf\n", (), "train.learning_rate"),
        ("train:\n  ema_decay: 1\n", (), "train.ema_decay"),
        ("train:\n  corruption: 1.1\n", (), "train.corruption"),
        ("train:\n  seed: -1\n", (), "train.seed"),
        ("model:\n  fusion: sum\n", (), "model.fusion"),
        ("model:\n  spatial_scales: [1, 0]\n", (), "model.spatial_scales.1"),
        ("model:\n  spatial_scales: [1, 4]\n", (), "spatial_scales (1, 4) has an even kernel size"),
        ("model:\n  width: 90\n", (), "width 90 is not a multiple of heads 4"),
        ("model:\n  width: 33\n  heads: 3\n", (), "width 33 is odd"),
        ("clip:\n  face: smallest\n", (), "clip.face"),
        ("train: 5\n", (), "train"),
        ("train:\n", (), "train"),
        ("- 1\n- 2\n", (), "mapping"),
        ("just words\n", (), "mapping"),
        ("train: [unclosed\n", (), "YAML"),
        ("train: !!python/object/apply:os.getcwd []\n", (), "YAML"),
        ("", ("train.steps",), "--set train.steps"),
        ("", ("=5",), "--set =5"),
        ("", ("train..steps=5",), "--set train..steps=5"),
        ("", ("train.nonsense=5",), "train.nonsense"),
        ("", ("train.steps=[1, 2",), "--set train.steps=[1, 2"),
        ("train:\n  steps: 5\n", ("train.steps.more=5",), "train.steps: input should be a valid integer"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(recipe, text, overrides, named):
    with pytest.raises(ConfigError) as caught:
        recipe(text, *overrides)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


PRETRAINED = "model:\n  visual_backbone: efficientnet_lite0\n  audio_backbone: ge2e\n  linear_path: {linear}\n"


@pytest.mark.parametrize(
    ("text", "overrides", "named"),
    [
        ("", ("train.cache_features=true", "train.tune_stages=0"), "cache_features needs pretrained backbones"),
        (PRETRAINED, ("train.cache_features=true",), "cache_features needs pretrained backbones and tune_stages: 0"),
        (PRETRAINED, ("train.cache_features=true", "train.tune_stages=1"), "tune_stages: 0"),
        (
            PRETRAINED,
            ("train.cache_features=true", "train.tune_stages=0", "model.visual_backbone=small"),
            "cache_features needs pretrained backbones",
        ),
        (PRETRAINED, ("model.linear_path=true",), "linear_path needs cache_features"),
        (PRETRAINED, ("train.feature_variants=2",), "feature_variants needs cache_features"),
        (PRETRAINED, ("train.tune_stages=most",), "train.tune_stages"),
        (PRETRAINED, ("train.tune_stages=-1",), "train.tune_stages"),
        (PRETRAINED, ("train.tune_rate=1.5",), "train.tune_rate"),
        (PRETRAINED, ("train.feature_variants=0",), "train.feature_variants"),
        (PRETRAINED, ("train.members=0",), "train.members"),
        (PRETRAINED, ("model.visual_grid=0",), "model.visual_grid"),
    ],
)
def test_a_recipe_whose_parts_do_not_fit_is_one_line_that_says_so(recipe, tmp_path, text, overrides, named):
    with pytest.raises(ConfigError) as caught:
        recipe(text.format(linear="false"), *overrides)
    assert str(caught.value).startswith(f"{tmp_path / 'recipe.yaml'}: ")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ": :" not in str(caught.value)


@pytest.mark.parametrize(("fusion", "other"), [("audio", "visual"), ("visual", "audio")])
def test_what_is_not_read_may_be_small_where_features_are_kept(recipe, fusion, other):
    overrides = [f"model.fusion={fusion}", f"model.{other}_backbone=small"]
    overrides += ["train.cache_features=true", "train.tune_stages=0"]
    assert recipe(PRETRAINED.format(linear="true"), *overrides).model.linear_path
    with pytest.raises(ConfigError, match="cache_features"):
        recipe(PRETRAINED.format(linear="true"), *overrides, f"model.{fusion}_backbone=small")


def test_stages_to_tune_are_a_number_or_all(recipe):
    assert recipe(PRETRAINED.format(linear="false"), "train.tune_stages=3").train.tune_stages == 3
    assert recipe(PRETRAINED.format(linear="false"), "train.tune_stages=all").train.tune_stages == "all"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00steps"], ids=["missing", "not text"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=str(path)) as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)


def test_a_config_error_is_a_failure_that_the_user_is_shown():
    assert issubclass(ConfigError, MsmaError)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_recipes_of_the_repository_load(path):
    assert load_recipe(path) != Recipe()
