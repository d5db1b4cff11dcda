"""Ablations are small files laid over a recipe: exactly their keys differ, and a mistake in one is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from msma.config import ConfigError, ModelConfig, Recipe, TrainConfig, load_recipe, merged
from msma.training.ablation.plan import FULL, PAPER, plan_ablations

RECIPES = Path(__file__).parents[3] / "recipes"
FILES = sorted((RECIPES / "ablations").glob("*.yaml"))
FROM_SCRATCH = [RECIPES / name for name in ("synthetic.yaml", "demo.yaml", "chalearn_fi_gpu.yaml")]
STRATEGY = {
    "model.missing_token": False,
    "model.imputation": False,
    "train.modality_dropout": 0,
    "train.frame_dropout": 0,
    "train.corruption": 0,
    "train.room_noise": 0,
    "train.unimodal_weight": 0,
    "train.imputation_weight": 0,
    "train.distillation_weight": 0,
}


def flat(values: dict) -> dict:
    return {f"{section}.{key}": value for section, keys in values.items() for key, value in keys.items()}


@pytest.fixture
def folder(tmp_path):
    """Writes ablations, by name, and gives their folder."""

    def write(**texts: str) -> Path:
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


# those of the repository


def test_the_papers_ablations_and_the_summarys_are_there():
    assert {path.stem for path in FILES} == {
        "no_multiscale", "no_spatial_scales", "no_temporal_scales", "one_temporal_scale", "wide_temporal_scales",
        "one_spatial_scale", "no_channel_attention", "concat", "audio", "visual", "no_modal_enhancement",
        "no_modality_dropout", "no_frame_dropout", "no_corruption", "no_room_noise", "no_missing_token",
        "no_unimodal_outputs", "adaptive_weighting", "no_imputation", "no_distillation", "base",
        "no_modal_enhancement_two_readings", "no_modal_enhancement_twice_the_steps",
    }  # fmt: skip


@pytest.mark.parametrize("recipe", FROM_SCRATCH, ids=lambda path: path.stem)
def test_every_ablation_differs_from_the_recipe_in_exactly_its_keys(recipe):
    plan = plan_ablations(load_recipe(recipe), RECIPES / "ablations")
    assert plan.left_out == {}
    assert [ablation.name for ablation in plan.ablations] == [FULL, *(path.stem for path in FILES)]
    for ablation, path in zip(plan.ablations[1:], FILES, strict=True):
        expected = flat(yaml.safe_load(path.read_text(encoding="utf-8")))
        assert ablation.changes == expected | (
            {"train.steps": 2 * load_recipe(recipe).train.steps} if "train.steps" in expected else {}
        )


def test_over_a_recipe_that_has_no_spatial_scales_their_ablation_is_left_out_and_said_so():
    recipe = load_recipe(RECIPES / "small_corpus.yaml", ["model.spatial_scales=[]"])
    plan = plan_ablations(recipe, RECIPES / "ablations")
    assert plan.left_out == {
        "no_spatial_scales": "changes nothing in this recipe",
        "no_temporal_scales": "is the same as no_multiscale here",
    }
    kept = {ablation.name: ablation for ablation in plan.ablations}
    assert set(kept) | set(plan.left_out) == {FULL, *(path.stem for path in FILES)}
    assert kept["no_multiscale"].changes == {"model.temporal_scales_s": []}


def test_without_modal_enhancement_every_part_of_it_is_off_and_each_part_has_an_ablation_of_its_own():
    by_name = {path.stem: flat(yaml.safe_load(path.read_text(encoding="utf-8"))) for path in FILES}
    assert by_name["no_modal_enhancement"] == STRATEGY
    alone = [changes for changes in by_name.values() if changes and changes.items() < STRATEGY.items()]
    assert sorted(key for changes in alone for key in changes) == sorted(STRATEGY)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_ablation_says_in_its_first_line_what_it_asks(path):
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_the_controls_at_equal_cost_read_as_many_clips_as_the_strategy():
    plan = plan_ablations(Recipe(), RECIPES / "ablations")
    trains = {ablation.name: ablation.recipe.train for ablation in plan.ablations}
    read = {name: train.readings * train.batch_size * train.steps for name, train in trains.items()}
    alone = "no_modal_enhancement"
    assert read[f"{alone}_two_readings"] == read[f"{alone}_twice_the_steps"] == read[FULL] == 2 * read[alone]
    changes = {ablation.name: ablation.changes for ablation in plan.ablations}
    assert changes[f"{alone}_two_readings"] == STRATEGY | {"train.two_readings": True}
    assert changes[f"{alone}_twice_the_steps"] == STRATEGY | {"train.steps": 2 * Recipe().train.steps}


def test_the_papers_table_is_of_ablations_that_are_there():
    plan = plan_ablations(Recipe(), RECIPES / "ablations", [name for name in PAPER if name != FULL])
    changes = {ablation.name: ablation.changes for ablation in plan.ablations}
    assert changes.keys() == PAPER.keys()
    assert changes["base"] == changes["no_modal_enhancement"] | changes["no_multiscale"]


@pytest.mark.parametrize("text", ["0x", "x2", "2 x", "1.5x", "twice"])
def test_steps_are_a_number_or_a_multiple_of_the_recipes(folder, text):
    with pytest.raises(ConfigError, match=r"train\.steps"):
        plan_ablations(Recipe(), folder(longer=f"train:\n  steps: {text}\n"))


# the way of a plan


def test_the_recipe_itself_is_always_the_first():
    plan = plan_ablations(Recipe(), RECIPES / "ablations", ["concat"])
    assert [(ablation.name, ablation.changes) for ablation in plan.ablations] == [
        (FULL, {}),
        ("concat", {"model.fusion": "concat"}),
    ]
    assert [ablation.name for ablation in plan_ablations(Recipe(), RECIPES / "ablations", [FULL]).ablations] == [FULL]


def test_an_ablation_wins_over_the_recipe_and_leaves_the_rest(folder):
    recipe = Recipe(model=ModelConfig(width=64, fusion="concat"), train=TrainConfig(steps=7))
    _, ablation = plan_ablations(recipe, folder(audio="model:\n  fusion: audio\n")).ablations
    assert ablation.recipe.model == ModelConfig(width=64, fusion="audio")
    assert ablation.recipe.train == recipe.train


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("bad", "model:\n  fusoin: audio\n", "model.fusoin: no such key"),
        ("bad", "model:\n  fusion: sum\n", "model.fusion"),
        ("bad", "model: 5\n", "model: input should be a valid dictionary"),
        ("bad", "model:\n", "model: input should be a valid dictionary"),
        ("bad", "model:\n  fusion:\n    kind: audio\n", "model.fusion: input should be 'cross_attention'"),
        ("bad", "clip:\n  fps: 2\n", "clip: an ablation changes model and train only"),
        ("bad", "trian:\n  steps: 2\n", "trian: an ablation changes model and train only"),
        ("bad", "train:\n  seed: 2\n", "see --seeds"),
        ("bad", "- audio\n", "an ablation is a mapping with the sections model, train"),
        ("bad", "# nothing\n", "names no key"),
        ("bad", "model: [unclosed\n", "YAML"),
        ("full", "model:\n  fusion: audio\n", "call it otherwise"),
        ("No-Audio", "model:\n  fusion: audio\n", "call it otherwise"),
    ],
)
def test_a_mistake_in_an_ablation_is_one_line_that_names_the_file(folder, name, text, told):
    where = folder(**{name: text})
    with pytest.raises(ConfigError) as caught:
        plan_ablations(Recipe(), where)
    assert str(caught.value).startswith(f"{where / name}.yaml: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_ablations_names_the_option(tmp_path):
    with pytest.raises(ConfigError, match="name their folder with --ablations"):
        plan_ablations(Recipe(), tmp_path / "nowhere")


def test_an_unknown_name_is_answered_with_those_there_are(folder):
    with pytest.raises(ConfigError, match=r"--only concta: no such ablation; .* has audio, concat"):
        plan_ablations(Recipe(), folder(audio="model: {fusion: audio}", concat="model: {fusion: concat}"), ["concta"])


def test_merging_changes_neither_side():
    values, changes = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5}}
    assert merged(values, changes) == {"a": {"b": 5, "c": 2}, "d": 3}
    assert (values, changes) == ({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5}})


def test_a_stream_that_is_left_out_is_a_difference_though_it_is_not_written(folder):
    best = load_recipe(RECIPES / "chalearn_fi_best.yaml")
    full, left_out = plan_ablations(best, folder(no_scene="model: {scene_backbone: null}")).ablations
    assert (full.changes, left_out.changes) == ({}, {"model.scene_backbone": None})
