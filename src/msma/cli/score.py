"""`msma evaluate`, `msma score`, `msma compare` and `msma schema`: predictions, scored."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msma.cli import options
from msma.cli.show.progress import progress_bar
from msma.cli.show.tables import show_json, show_result, show_table, tell
from msma.cli.steps import cached_corpus, check_out, held, names_in
from msma.files.names import distinct_names, shown

if TYPE_CHECKING:
    from msma.evaluation.evaluation import Evaluation
    from msma.evaluation.predictions import Predictions


ResultsOption = Annotated[Path | None, typer.Option("--out", help="Folder for evaluation.json and predictions.csv.")]


def evaluate(
    manifest: options.Manifest,
    model: options.Model = None,
    split: options.Split = "test",
    slices: options.Slices = None,
    format: options.Format = "table",
    out: ResultsOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips loaded at once; results do not depend on it.")] = 16,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that read clips; default: one per core for media.")
    ] = None,
    cache: options.Cache = None,
    device: options.Device = "cpu",
    tta: options.Tta = False,
) -> None:
    """Score a model on a split, beside media-free baselines.

    By trait, by seen and unseen source and by group, with confidence intervals.
    """
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.evaluate import evaluate as evaluate_model
    from msma.evaluation.evaluate import predict_split
    from msma.prediction.model import load

    if out is None and model is not None and Path(model).is_dir():
        out = Path(model) / split
    check_out(out, folder=True)
    with held(out):
        labels, loaded = read_manifest(manifest), load(model, device=device, tta=tta)
        readers = workers if workers is None else max(workers, 1)
        corpus = cached_corpus(labels, (split,), loaded.clip, manifest, cache, readers)
        with progress_bar("predicting", "clips") as bar:
            predictions = predict_split(
                loaded, corpus, split, batch_size=batch_size, workers=workers or 0, progress=bar
            )
        evaluation = evaluate_model(loaded, corpus, split, predictions, names_in(slices))
        finish(evaluation, predictions, format, out)


def score(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="PREDICTIONS.csv...",
            help="A CSV or Parquet table with clip and trait columns; of several, the mean is scored.",
        ),
    ],
    manifest: options.Manifest,
    split: options.Split = "test",
    against: Annotated[Path | None, typer.Option(help="Other predictions, for paired differences.")] = None,
    slices: options.Slices = None,
    clip_column: Annotated[str | None, typer.Option(help="The column of clip names; default: clip, else path.")] = None,
    trait_columns: Annotated[str | None, typer.Option(help="Other names of columns: openness=o,neuroticism=n.")] = None,
    clamp: Annotated[bool, typer.Option("--clamp", help="Move scores outside [0, 1] to the nearer end.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse missing, unknown, duplicate or bad clips.")] = False,
    format: options.Format = "table",
    out: ResultsOption = None,
) -> None:
    """Score the predictions of any tool, from a CSV or Parquet table.

    As `msma evaluate` scores a model, but no media is needed. The mean of several tables is that of several seeds.
    """
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.baselines import split_baselines
    from msma.evaluation.comparison import Comparison
    from msma.evaluation.comparison import compare as compare_predictions
    from msma.evaluation.evaluation import evaluation_of, rows_of
    from msma.evaluation.predictions_csv import averaged, parse_trait_columns, read_predictions

    check_out(out, folder=True)
    for name in ("predictions.csv", "evaluation.json"):
        check_out(out and out / name, manifest, *files, *([against] if against else []))
    with held(out):
        columns = {} if trait_columns is None else parse_trait_columns(trait_columns)
        corpus = read_manifest(manifest)
        reader = partial(
            read_predictions,
            manifest=corpus,
            split=split,
            clip_column=clip_column,
            trait_columns=columns,
            clamp=clamp,
            strict=strict,
        )
        read = averaged({file: reader(file) for file in files})
        comparison, warnings = None, read.warnings
        if against is not None:
            other = reader(against)
            warnings = [*warnings, *other.warnings]
            constant = split_baselines(corpus, rows_of(corpus, read.predictions)).constant
            paired = compare_predictions(read.predictions, other.predictions, constant)
            comparison = Comparison(**dict(paired), file=shown(str(against)))
        evaluation = evaluation_of(
            corpus,
            split,
            read.predictions,
            model=shown(str(files[0])) if len(files) == 1 else shown(f"mean of {', '.join(map(str, files))}"),
            slices=names_in(slices),
            warnings=warnings,
            failed=read.failed,
            against=comparison,
        )
        finish(evaluation, read.predictions, format, out)


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Evaluation folders; the first is compared with the others.")],
) -> None:
    """Compare evaluations of the same split, clip by clip.

    Side by side, with paired differences from the first.
    """
    from msma.evaluation.evaluation_folder import read_evaluation
    from msma.reports.scores import evaluations_table

    names = distinct_names([str(folder) for folder in folders])
    show_table(evaluations_table({name: read_evaluation(folder) for name, folder in zip(names, folders, strict=True)}))


def finish(evaluation: Evaluation, predictions: Predictions, format: str, folder: Path | None) -> None:
    """Tell the warnings, write the files, and show the table or the JSON."""
    from msma.evaluation.evaluation_folder import write_evaluation
    from msma.reports.scores import evaluation_blocks

    for warning in evaluation.warnings:
        tell(f"warning: {warning}")
    for column, reason in evaluation.slices.skipped.items():
        tell(f"no slices by {column}: it {reason}")
    if folder is not None:
        write_evaluation(folder, evaluation, predictions)
        tell(f"evaluation.json and predictions.csv are in {folder}")
    show_result(evaluation, format, evaluation_blocks)


def schema(name: Annotated[str, typer.Argument(help="The kind of file.")]) -> None:
    """Print the JSON Schema of a result file.

    evaluation, comparison, cross-validation, robustness, cell, ablation, profile, calibration or predictions.
    """
    from msma.evaluation.results import SCHEMAS

    if name not in SCHEMAS:
        raise typer.BadParameter(f"NAME is one of {', '.join(SCHEMAS)}, not {name!r}")
    show_json(SCHEMAS[name].json_schema())
