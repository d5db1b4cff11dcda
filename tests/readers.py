"""Every reader of a file, by its name in the source, with a valid file that its writer made."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from answered import prediction, run_folder, written
from exports import SMALL, saved_weights, weights_of
from labels import labelled_corpus, predictions_for, write_csv, write_predictions
from made_up import graded
from planted import CACHED, RECIPE, StopAfter, planted_corpus, planted_window
from tiny_hf import TINY, saved

import msma
from msma.cli.show.place import records_before
from msma.cli.show.predictions import FORMATS, writer_of
from msma.config import Recipe, load_recipe, with_changes, with_overrides
from msma.corruptions.scenarios import cells_of, read_suite
from msma.data.cache import INDEX, read_index
from msma.data.cache_entry import cached_windows, read_notes, write_entry
from msma.data.corpora.chalearn import oracle_facts, read_annotation
from msma.data.corpora.columns import read_columns
from msma.data.corpora.layout import Layout
from msma.data.corpora.manifest import mean_target, read_manifest, write_manifest
from msma.data.corpora.table import find_table
from msma.data.corpora.table_file import read_table
from msma.data.corpora.unpacking import MARK, read_mark
from msma.data.features import fill_features, read_features, windows_in
from msma.data.identity import record_identity
from msma.data.synthetic.corpus import same_corpus
from msma.data.synthetic.oracle import ceilings, ceilings_without
from msma.evaluation.evaluation_folder import read_evaluation
from msma.evaluation.predictions_csv import read_predictions
from msma.evaluation.result_file import read_lines, read_result, write_result
from msma.evaluation.results import SCHEMAS
from msma.evaluation.robustness.suite import cell_path, done_before
from msma.files.reading import read_json
from msma.files.writing import append, write_whole
from msma.prediction.predictions_json import load_predictions
from msma.reports.card.results import profile_rows, read_results
from msma.reports.run.files import read_run
from msma.reports.study import read_study
from msma.training.ablation.plan import read_ablation
from msma.training.ablation.probes import read_probed, write_probed
from msma.training.ablation.runs import gained_at_the_end
from msma.training.crossval import read_fold
from msma.training.fold import FoldResult
from msma.training.loop import State, fresh_network, new_accelerator, new_network, start
from msma.training.run import LOG, PROVENANCE, Session, begin, drop_log_after, train
from msma.training.saved_state import restore
from msma.types import TRAITS
from msma.weights.checkpoint import load_weights
from msma.weights.config import read_calibration, read_config
from msma.weights.onnx import Export, digest_of, load_exported
from msma.weights.pretrained import architecture
from msma.weights.wheels import convert_wheel, packaged, read_weights

SOURCE = Path(msma.__file__).parent
GUARDS = {
    *("reading", "read_file", "read_text", "read_json", "read_yaml", "read_mapping", "yaml_values"),
    *("read_result", "read_lines", "read_table", "opened"),
}
"""Functions that refuse what they cannot read, by a MsmaError; whoever calls one is a reader."""
RAW = {"path.read_bytes", "path.read_text", "safe_open", "torch.load", "json.load", "yaml.safe_load", "np.load"}
"""What raises as it likes, and belongs into a guard."""
ELSEWHERE = ("media", "serve")
"""Packages that read media and requests; these have guards and tests of their own."""


@dataclass(frozen=True)
class Reader:
    """One file and what reads it."""

    names: tuple[str, ...]
    """The functions that read, as in the source below msma."""
    path: Path
    read: Callable[[], object]
    whole: bool = True
    """Is the file there valid? Not where only what is published is."""


def functions() -> Iterator[tuple[str, set[str]]]:
    """Every function of msma by name, with what it calls."""
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not module.startswith(ELSEWHERE):
                yield f"{module}.{node.name}", {ast.unparse(call.func) for call in ast.walk(node) if is_call(call)}


def is_call(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call)


def readers_in_source() -> set[str]:
    """The functions that call a guard."""
    return {name for name, calls in functions() if calls & GUARDS and not name.startswith("files.")}


def unguarded_in_source() -> set[str]:
    """The functions that read and call no guard, nor are one."""
    return {name for name, calls in functions() if calls & RAW and not calls & GUARDS}


def readers(folder: Path) -> list[Reader]:
    """The table: each file of msma, made in `folder`, and its readers."""
    return [*of_settings(folder), *of_weights(folder), *of_data(folder), *of_results(folder), *of_training(folder)]


def of_settings(folder: Path) -> Iterator[Reader]:
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE.model_dump(mode="json"), sort_keys=False))
    yield Reader(("config.load_recipe",), recipe, lambda: load_recipe(recipe))
    text = folder / "override.txt"
    text.write_text("train.steps=5")
    yield Reader((), text, lambda: with_overrides(Recipe, given(text)))
    suite = folder / "suite.yaml"
    suite.write_text(
        "- name: call\n  corruptions: [no_visual, {white_noise: 2}]\n- name: dark\n  corruptions: [gaussian_noise]\n"
        "  severities: [1, 3]\n"
    )
    yield Reader(("corruptions.scenarios.read_suite",), suite, lambda: read_suite(suite))
    ablation = folder / "no_dropout.yaml"
    ablation.write_text("model:\n  dropout: 0.0\ntrain:\n  modality_dropout: 0\n")
    yield Reader(
        ("training.ablation.plan.read_ablation",),
        ablation,
        lambda: with_changes(RECIPE, read_ablation(ablation), "no_dropout"),
    )


def given(path: Path) -> list[str]:
    """The content of a file as an option of the command line, where it is there."""
    return [path.read_bytes().decode("latin1")] if path.exists() else []


def of_weights(folder: Path) -> Iterator[Reader]:
    run = folder / "weights"
    weights = saved_weights(run, weights_of(SMALL))
    for name in ("model.safetensors", "config.json", "calibration.json"):
        readers_of = ("weights.checkpoint.load_weights", "weights.checkpoint._read_tensors")
        yield Reader(readers_of, run / name, lambda: load_weights(run))
    yield Reader(("weights.config.read_config",), run / "config.json", lambda: read_config(run / "config.json"))
    yield Reader(
        ("weights.config.read_calibration",),
        run / "calibration.json",
        lambda: read_calibration(run / "calibration.json"),
    )
    out = folder / "exported"
    out.mkdir()
    (out / "model.onnx").write_bytes(b"no network")
    (out / "config.json").write_text((run / "config.json").read_text())
    digests = {"weights_sha256": "0" * 64, "config_sha256": digest_of(weights.config), "onnx_sha256": "0" * 64}
    (out / "export.json").write_text(Export(format="msma-onnx/2", largest_difference=0, **digests).model_dump_json())
    for name in ("export.json", "config.json", "model.onnx"):
        yield Reader(("weights.onnx.load_exported",), out / name, lambda: load_exported(out), whole=False)
    model = saved(folder / "hf", "vit", TINY | {"image_size": 16, "patch_size": 8}, {"do_rescale": True})
    for name in ("config.json", "preprocessor_config.json"):
        yield Reader(("weights.pretrained.architecture",), folder / "hf" / name, lambda: architecture(model))
    pinned, wheel = packaged("ge2e"), folder / "ge2e.whl"
    wheel.write_bytes(b"PK\x03\x04" * 100)
    yield Reader(("weights.wheels.convert_wheel",), wheel, lambda: convert_wheel(pinned, wheel), whole=False)
    tensors = folder / "ge2e.safetensors"  # in the weights folder, as the test sets it
    tensors.write_bytes((run / "model.safetensors").read_bytes())
    yield Reader(("weights.wheels.read_weights",), tensors, lambda: read_weights(pinned), whole=False)


def of_data(folder: Path) -> Iterator[Reader]:
    rng = np.random.default_rng(0)
    index = folder / INDEX
    for number in range(3):
        append(index, f"\n{json.dumps([f'/clips/{number}.mp4', 5, 6, 7, 'c0ffee'])}")
    yield Reader(("data.cache.read_index",), index, lambda: read_index(index))

    entry = folder / "a.clip"
    write_entry(entry, [planted_window("a.mp4", np.linspace(0.2, 0.8, 5), rng)])
    names = ("data.cache_entry.cached_windows", "data.cache_entry.opened")
    yield Reader(names, entry, lambda: list(cached_windows(entry)))
    yield Reader(("data.cache_entry.read_notes",), entry, lambda: [note["degradations"] for note in read_notes(entry)])

    corpus = planted_corpus(folder / "cache", train=2, held_out=0)
    network, _ = new_network(CACHED, mean_target(corpus.rows))
    features = next(iter(fill_features(network, corpus.rows, corpus, CACHED, "none").values()))
    yield Reader(("data.features.read_stored",), features, lambda: read_features(features))
    yield Reader(("data.features.windows_in",), features, lambda: windows_in(features))

    labels = folder / "annotation_training.pkl"
    scores = {"a.001.mp4": np.float64(0.5), "b.002.mp4": np.float64(0.25)}
    labels.write_bytes(pickle.dumps(dict.fromkeys((*TRAITS, "interview"), scores), protocol=2))
    yield Reader(("data.corpora.chalearn.read_pickle",), labels, lambda: read_annotation(labels))
    oracle, about = folder / "oracle.json", {"generator_version": 1, "parameters": {"clips": 2}}
    planted = {"attribute": {"column": "hat", "label_bias": {"openness": 0.1}}}
    write_whole(
        oracle,
        json.dumps({**about, "ceilings": ceilings(), "ceilings_without": ceilings_without(), "parameters": planted}),
    )
    yield Reader(("data.corpora.chalearn.oracle_facts",), oracle, lambda: oracle_facts(oracle))
    yield Reader(("data.synthetic.corpus.same_corpus",), oracle, lambda: same_corpus(oracle, about))

    manifest, known = folder / "manifest.csv", labelled_corpus(train=6, test=4, sources=5)
    write_manifest(manifest, "made up", known.rows, {"notes": [], "notice": "made up", "ceiling": ceilings()})
    for path in (manifest, manifest.with_suffix(".facts.json")):
        names = ("data.corpora.manifest.read_manifest", "data.corpora.manifest._facts")
        yield Reader(names, path, lambda: read_manifest(manifest))
    yield Reader(
        ("data.corpora.table.find_table",),
        manifest,
        lambda: find_table(manifest, Layout("path", source="source"), None),
    )
    more = write_csv(folder / "more.csv", ["clip", "age"], [[row.clip, 30] for row in known.rows])
    clips = [row.clip for row in known.rows]
    yield Reader(("data.corpora.columns.read_columns",), more, lambda: read_columns([more], "clip", clips))
    scored = write_predictions(folder / "predictions.csv", predictions_for(known))
    yield Reader(
        ("evaluation.predictions_csv.read_predictions",), scored, lambda: read_predictions(scored, known, "test")
    )
    parquet = folder / "table.parquet"
    parquet.write_bytes(parquet_bytes())
    yield Reader(("data.corpora.table_file.read_table",), parquet, lambda: read_table(parquet))

    mark = folder / MARK
    write_whole(mark, json.dumps({"archive": "c0ffee", "files": {"a.mp4": 5}}))
    yield Reader(("data.corpora.unpacking.read_mark",), mark, lambda: read_mark(folder))
    identity = {"format": 5, "corpus": "made up"}
    record_identity(folder / "identity.yaml", identity, "another")
    yield Reader(
        ("data.identity.record_identity",),
        folder / "identity.yaml",
        lambda: record_identity(folder / "identity.yaml", identity, "another"),
    )


def parquet_bytes() -> bytes:
    import pyarrow
    import pyarrow.parquet as pq

    sink = pyarrow.BufferOutputStream()
    pq.write_table(pyarrow.table({"clip": ["a.mp4", "b.mp4"], "openness": [0.5, 0.25]}), sink)
    return sink.getvalue().to_pybytes()


def of_results(folder: Path) -> Iterator[Reader]:
    for form, made in FORMATS.items():
        out = folder / f"earlier.{form}"
        with writer_of(form, out) as write:
            write(replace(prediction(), settings="same"))
        yield Reader(
            ("cli.show.place.records_before",),
            out,
            lambda form=form, made=made, out=out: made.whole(
                records_before(out, form, "same", [prediction().path]).values()
            ),
        )
    run = run_folder(folder / "run")
    kinds = {
        "evaluation": run / "test" / "evaluation.json",
        "robustness": run / "full" / "summary.json",
        "ablation": run / "ablation.json",
        "profile": run / "profile.json",
    }
    for kind, path in kinds.items():
        yield Reader(
            ("evaluation.result_file.read_result",),
            path,
            lambda kind=kind, path=path: read_result(path, SCHEMAS[kind], "make it again"),
        )
    for name in ("evaluation.json", "predictions.csv"):
        yield Reader(
            ("evaluation.evaluation_folder.read_evaluation",),
            run / "test" / name,
            lambda: read_evaluation(run / "test"),
        )
    names = ("reports.run.files.read_run", "reports.run.files.read")
    for name in ("recipe.yaml", "corpus.json", "metrics.jsonl", PROVENANCE, "calibration.json"):
        yield Reader(names, run / name, lambda: read_run(run))
    yield Reader(
        ("evaluation.result_file.read_lines",),
        run / PROVENANCE,
        lambda: read_lines(run / PROVENANCE, Session, "train again"),
    )
    yield Reader(("reports.study.read_study",), run / "ablation.json", lambda: read_study(run))

    weights = load_weights(folder / "weights")
    card = ("reports.card.results.read_results", "reports.card.results.result")
    (run / "six").mkdir()
    (run / "six" / "summary.json").write_text((run / "full" / "summary.json").read_text())
    yield Reader(card, run / "test" / "evaluation.json", lambda: read_results(weights, run), whole=False)
    yield Reader(
        ("reports.card.results.profile_rows",),
        run / "profile.json",
        lambda: profile_rows(weights, run),
        whole=False,  # of another network
    )
    cell = graded("white_noise", [0.35, 0.3, 0.2, 0.1, -0.1])[0]
    (plain,) = cells_of("white_noise", [("white_noise", None)], [1])
    at = cell_path(run, plain)
    write_result(at, cell)
    yield Reader(
        ("evaluation.robustness.suite.done_before",), at, lambda: done_before(run, plain, labelled_corpus().rows)
    )
    shown = written(folder / "shown.json", prediction(), prediction("failed"))
    yield Reader(("prediction.predictions_json.load_predictions",), shown, lambda: load_predictions(shown))


def of_training(folder: Path) -> Iterator[Reader]:
    corpus = planted_corpus(folder / "clips", train=8, held_out=4)
    run = folder / "begun"
    train(RECIPE, corpus, run, cpu=True, should_stop=StopAfter(3))
    identity = read_json(run / "corpus.json", "train again")
    for name in ("recipe.yaml", "corpus.json"):
        yield Reader(("training.run.begin",), run / name, lambda: begin(run, RECIPE, identity, resume=True))
    yield Reader(("training.ablation.runs.gained_at_the_end",), run / LOG, lambda: gained_at_the_end(run / LOG))
    yield Reader(("training.run.drop_log_after",), run / LOG, lambda: drop_log_after(run / LOG, 3))
    fresh = fresh_network(RECIPE, mean_target(corpus.rows))

    def state() -> State:
        return start(fresh, RECIPE, new_accelerator(RECIPE.train, cpu=True))

    yield Reader(("training.saved_state.restore",), run / "state.pt", lambda: restore(state(), run / "state.pt"))
    fold = folder / "fold_000.json"
    write_result(fold, FoldResult(predicted=[[0.5] * 5] * 2, ridge=None, shrinkage=None))
    yield Reader(("training.crossval.read_fold",), fold, lambda: read_fold(fold, 2))
    probed = folder / "probes.safetensors"
    write_probed(probed, {"rows": np.arange(3), "clean": np.zeros((3, 5))})
    yield Reader(("training.ablation.probes.read_probed",), probed, lambda: read_probed(probed))
