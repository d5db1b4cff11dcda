"""Training on the kept features of frozen backbones: what it learns, resumes and leaves behind."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import CACHED, RECIPE, StopAfter, changed, chosen, planted_corpus, unmapped
from safetensors.torch import load_file, save_file
from tiny_hf import CONVOLUTIONS, TINY, saved

from msma.config import Recipe, load_recipe
from msma.data.cache_entry import cached_windows, write_entry
from msma.data.corpora.manifest import targets
from msma.data.corpus import Corpus
from msma.data.features import read_features
from msma.evaluation.evaluate import predict_split
from msma.media.prepare import prepare
from msma.metrics import all_metrics, ccc
from msma.model.tensors import Features, collate, inputs_of
from msma.prediction.model import load
from msma.training import loop
from msma.training.run import train
from msma.types import TRAITS, MsmaError
from msma.weights.checkpoint import load_weights
from msma.weights.wheels import tensors_sha256

VARIED = changed(CACHED, train={"feature_variants": 3, "corruption": 0.5, "batch_size": 7})
PATCHES = {"image_size": 16, "patch_size": 8}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return planted_corpus(tmp_path_factory.mktemp("corpus"))


def validations(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def features_of(corpus: Corpus) -> Path:
    return corpus.cache.folder / "features"


# learning


def test_planted_traits_are_learned_by_the_linear_path_at_once(corpus, tmp_path):
    train(changed(CACHED, train={"steps": 1}), corpus, tmp_path, cpu=True)
    assert chosen(tmp_path)["ccc"] > 0.75


def test_planted_traits_are_learned_without_a_linear_path_too(corpus, tmp_path):
    learning = {"steps": 120, "validate_every": 120, "batch_size": 16, "learning_rate": 1e-2, "ema_decay": 0.9}
    recipe = changed(CACHED, model={"linear_path": False}, train=learning)
    train(recipe, corpus, tmp_path, cpu=True)
    assert chosen(tmp_path)["ccc"] > 0.6


def test_in_training_the_linear_path_answers_each_clip_as_if_its_source_were_held_out(corpus, tmp_path, monkeypatch):
    """As it will be on other clips: from its answers for clips that it was fitted to there is no step to be learned."""
    plain, given = loop.steps, {}

    def recorded(state, training, config, should_stop):
        given.update(network=state.network, clips=training)
        return plain(state, training, config, should_stop)

    monkeypatch.setattr("msma.training.run.steps", recorded)
    train(CACHED, corpus, tmp_path, cpu=True)
    clips = given["clips"]
    seen = torch.stack([clips[0, index][0].linear for index in range(len(clips))])[:, 1].numpy()
    batch = collate([read_features(clips.files[row.clip])[0] for row in clips.rows])
    fitted = given["network"].linear_path(batch)[:, 1].numpy()
    target = targets(clips.rows)
    assert ccc(fitted, target).mean() > ccc(seen, target).mean() > 0.6


def test_shuffled_labels_are_not_learned(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus", train=40, held_out=40, shuffle_labels=True)
    train(CACHED, corpus, tmp_path / "run", cpu=True)
    assert abs(chosen(tmp_path / "run")["ccc"]) < 0.2


# resuming


@pytest.mark.parametrize("recipe", [CACHED, VARIED], ids=["plain", "variants"])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(corpus, tmp_path, recipe):
    train(recipe, corpus, tmp_path / "unbroken", cpu=True)
    first = train(recipe, corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(3))
    assert (first.finished, first.step) == (False, 3)
    shutil.rmtree(features_of(corpus))  # computed again, they are the same
    assert train(recipe, corpus, tmp_path / "run", cpu=True, resume=True).finished
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


def test_progress_of_the_features_is_told(corpus, tmp_path):
    told: list[tuple[int, int]] = []
    recipe = changed(CACHED, clip={"mels": 21})
    train(recipe, corpus, tmp_path / "run", cpu=True, features_progress=lambda *event: told.append(event))
    assert told == [(done, 32) for done in [*range(9), *range(8, 33)]]  # validation, then training


def test_a_damaged_file_of_features_ends_the_run_with_one_line(corpus, tmp_path):
    recipe = changed(CACHED, clip={"mels": 22})
    train(recipe, corpus, tmp_path / "run", cpu=True)
    newest = max(features_of(corpus).iterdir(), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(b"")
    with pytest.raises(MsmaError, match=f"{newest}: damaged cache entry") as caught:
        train(recipe, corpus, tmp_path / "again", cpu=True)
    assert "\n" not in str(caught.value)
    newest.unlink()
    assert train(recipe, corpus, tmp_path / "again", cpu=True).finished


# what a run leaves


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, str]:
    """Names of tiny models: one of pictures, one of speech."""
    folder = tmp_path_factory.mktemp("models")
    scaling = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    return {
        "visual": saved(folder / "vit", "vit", {**TINY, **PATCHES}, scaling),
        "audio": saved(folder / "wav2vec2", "wav2vec2", {**TINY, **CONVOLUTIONS}, {"do_normalize": True}),
    }


@pytest.fixture(scope="module", params=["kept", "tuned"])
def gone(request, corpus, models, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A run of pretrained backbones, frozen with kept features or tuned, whose folders are no longer there."""
    folder = tmp_path_factory.mktemp(request.param)
    names = {}
    for modality, name in models.items():
        shutil.copytree(name.removeprefix("hf:"), folder / modality)
        names[modality] = f"hf:{folder / modality}"
    kept = request.param == "kept"
    recipe = changed(
        RECIPE,
        model={"visual_backbone": names["visual"], "audio_backbone": names["audio"], "linear_path": kept},
        train={"tune_stages": 0 if kept else 2, "cache_features": kept, "steps": 4},
    )
    train(recipe, corpus, folder / "broken", cpu=True, should_stop=StopAfter(2))
    assert train(recipe, corpus, folder / "broken", cpu=True, resume=True).finished
    assert train(recipe, corpus, folder / "run", cpu=True).finished
    for modality in models:
        shutil.rmtree(folder / modality)
    return folder, names


def test_a_run_of_hf_backbones_resumes(gone):
    folder, _ = gone
    one, other = ((folder / run / "model.safetensors").read_bytes() for run in ("run", "broken"))
    assert one == other


def test_weights_hold_their_backbones_and_load_where_the_pretrained_ones_are_not(gone, corpus):
    folder, _ = gone
    weights = load_weights(folder / "run")
    assert any(".backbone." in name for name in weights.network.state_dict())
    unmapped = weights.config.model_copy(update={"operating_points": None})
    model = replace(load(folder / "run"), weights=replace(weights, config=unmapped))
    predicted = predict_split(model, corpus, "val").predicted
    found = all_metrics(predicted, targets(corpus.split("val")), weights.network.head.prior.double().numpy())
    best = max(validations(folder / "run"), key=lambda line: line["mean_accuracy"])
    for name in ("ccc", "mean_accuracy", "skill"):
        assert found[name]["mean"] == pytest.approx(best[name], abs=1e-4)


def test_weights_tell_which_pretrained_ones_they_started_from(gone):
    folder, names = gone
    pretrained = load_weights(folder / "run").config.pretrained
    assert {modality: record["name"] for modality, record in pretrained.items()} == names
    assert all(len(record["sha256"]) == 64 for record in pretrained.values())
    assert all({"version", "licence"} <= record.keys() for record in pretrained.values())


def test_the_recipe_of_a_run_and_its_weights_know_the_architecture_of_its_backbones(gone):
    folder, _ = gone
    recipe, config = load_recipe(folder / "run" / "recipe.yaml"), load_weights(folder / "run").config
    assert recipe.model == config.model
    assert config.model.visual_architecture["config"]["model_type"] == "vit"
    assert config.model.visual_architecture["preprocessor"]["image_std"] == [0.2, 0.3, 0.4]
    assert config.model.audio_architecture["config"]["conv_stride"] == [5, 4, 4]


def test_going_on_without_the_pretrained_weights_is_one_line(gone, corpus, tmp_path):
    folder, _ = gone
    with pytest.raises(MsmaError, match="its weights cannot be loaded") as caught:
        train(load_recipe(folder / "run" / "recipe.yaml"), corpus, tmp_path / "again", cpu=True)
    assert "\n" not in str(caught.value)


def content_of(features: Features) -> bytes:
    return b"".join(one.numpy().tobytes() for one in (*features.audio, *features.visual))


@pytest.mark.parametrize("fusion", ["cross_attention", "audio", "visual"])
def test_a_trained_network_answers_media_as_it_answers_their_kept_features(corpus, models, tmp_path, fusion):
    names = {"visual_backbone": models["visual"], "audio_backbone": "mfcc"}
    run, recipe = tmp_path / "run", changed(CACHED, model={"fusion": fusion, **names}, train={"steps": 2})
    shutil.rmtree(features_of(corpus), ignore_errors=True)
    train(recipe, corpus, run, cpu=True)
    model = unmapped(run)
    by_content = {}
    for path in features_of(corpus).iterdir():
        features, _ = read_features(path)
        with torch.inference_mode():
            output = model.weights.network(collate([features]))
        by_content[content_of(features)] = output.traits[0].tolist()
    for row in corpus.split("val"):
        (raw,) = cached_windows(corpus.entry(row))
        window = prepare(raw, recipe.clip)
        with torch.inference_mode():
            features = model.weights.network.features(collate([inputs_of(window.inputs)]))
        expected = by_content[content_of(features)]
        assert model.read([window]).windows[0].traits == dict(zip(TRAITS, expected, strict=True))


def test_what_is_validated_is_what_the_saved_weights_answer(corpus, tmp_path):
    """The shrunk linear path and step, the averaged network and the backbone that was taken out, all together."""
    recipe = changed(CACHED, train={"steps": 30, "validate_every": 10, "learning_rate": 3e-2, "ema_decay": 0.5})
    train(recipe, corpus, tmp_path / "run", cpu=True)
    predictions = predict_split(unmapped(tmp_path / "run"), corpus, "val")
    prior = np.mean([row.target for row in corpus.split("train")], axis=0)
    found = all_metrics(predictions.predicted, predictions.target, prior)
    best = chosen(tmp_path / "run")
    assert found["ccc"]["mean"] == pytest.approx(best["ccc"], abs=1e-4)
    assert found["mean_accuracy"]["mean"] == pytest.approx(best["mean_accuracy"], abs=1e-4)


def test_where_no_clip_has_sound_its_readings_answer_the_prior(tmp_path, models):
    corpus = planted_corpus(tmp_path / "corpus")
    for entry in corpus.cache.entries.values():
        (window,) = cached_windows(entry)
        silent = replace(window.clip, waveform=np.zeros(0, np.float32))
        write_entry(entry, [replace(window, clip=silent)])
    model = {"visual_backbone": models["visual"], "fusion": "cross_attention"}
    assert train(changed(CACHED, model=model), corpus, tmp_path / "run", cpu=True).finished
    path = load_weights(tmp_path / "run").network.linear_path
    prior = torch.tensor(np.mean([row.target for row in corpus.split("train")], axis=0)).float()
    assert not path.audio_weights.any()
    assert not path.both_weights.any()
    torch.testing.assert_close(path.audio_bias, prior)
    assert path.visual_weights.any()


# of a network trained before


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory) -> Path:
    """A small network, trained end to end."""
    run = tmp_path_factory.mktemp("trained")
    train(RECIPE, corpus, run, cpu=True)
    return run


def frozen(trained: Path, **train) -> Recipe:
    model = {f"{modality}_backbone": f"small:{trained}" for modality in ("audio", "visual")}
    kept = {"tune_stages": 0, "cache_features": True, "feature_variants": 2}
    return changed(RECIPE, model=model, train=kept | train)


def test_the_backbones_of_a_trained_network_stay_as_they_are_and_the_rest_is_learned_behind_them(
    trained, corpus, tmp_path
):
    train(frozen(trained), corpus, tmp_path / "run", cpu=True)
    before, after = (load_file(run / "model.safetensors") for run in (trained, tmp_path / "run"))
    assert before.keys() == after.keys()
    of_backbones = {name for name in before if ".backbone." in name}
    assert all(torch.equal(before[name], after[name]) for name in of_backbones)
    assert not all(torch.equal(before[name], after[name]) for name in before.keys() - of_backbones)


def test_what_is_validated_on_maps_in_half_precision_is_what_the_saved_weights_answer(trained, corpus, tmp_path):
    train(frozen(trained, steps=12), corpus, tmp_path / "run", cpu=True)
    predicted = predict_split(unmapped(tmp_path / "run"), corpus, "val").predicted
    found = all_metrics(predicted, targets(corpus.split("val")), np.full(5, 0.5))
    assert found["ccc"]["mean"] == pytest.approx(chosen(tmp_path / "run")["ccc"], abs=2e-3)


def test_weights_with_such_backbones_load_without_their_folder_which_is_recorded(trained, corpus, tmp_path):
    there = tmp_path / "trained"
    shutil.copytree(trained, there)
    train(frozen(there), corpus, tmp_path / "run", cpu=True)
    shutil.rmtree(there)
    weights = load_weights(tmp_path / "run")
    assert set(weights.config.pretrained) == {"audio", "visual"}
    for modality, record in weights.config.pretrained.items():
        backbone = weights.network.encoders[modality].backbone
        assert (record["name"], record["version"]) == (f"small:{there}", trained.name)
        assert record["sha256"] == tensors_sha256(backbone.state_dict())


def test_a_run_is_not_resumed_on_backbones_that_were_trained_again(trained, corpus, tmp_path):
    there = tmp_path / "trained"
    shutil.copytree(trained, there)
    train(frozen(there), corpus, tmp_path / "run", cpu=True, should_stop=StopAfter(2))
    tensors = load_file(there / "model.safetensors")
    other = {name: tensor * 1.01 for name, tensor in tensors.items() if ".backbone." in name}
    save_file(tensors | other, there / "model.safetensors")
    with pytest.raises(MsmaError, match="another recipe, corpus or weights"):
        train(frozen(there), corpus, tmp_path / "run", cpu=True, resume=True)


def test_a_network_without_the_backbone_that_is_wanted_is_one_line(corpus, tmp_path):
    train(changed(RECIPE, model={"fusion": "audio"}), corpus, tmp_path / "audio", cpu=True)
    with pytest.raises(MsmaError, match="has no small visual backbone; name weights trained with") as caught:
        train(frozen(tmp_path / "audio"), corpus, tmp_path / "run", cpu=True)
    assert str(caught.value).startswith(f"small:{tmp_path / 'audio'}: ")
    assert "\n" not in str(caught.value)


def test_another_part_behind_the_same_backbones_computes_no_feature_again(trained, corpus, tmp_path):
    train(frozen(trained), corpus, tmp_path / "full", cpu=True)
    files = {path: path.stat().st_mtime_ns for path in features_of(corpus).iterdir()}
    for name, model in {"concat": {"fusion": "concat"}, "temporal": {"temporal_scales_s": ()}}.items():
        recipe = changed(frozen(trained, seed=1), model=model)
        train(recipe, corpus, tmp_path / name, cpu=True)
    assert {path: path.stat().st_mtime_ns for path in features_of(corpus).iterdir()} == files
