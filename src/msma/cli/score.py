"""`msma evaluate`, `msma score` and `msma compare`: predictions, scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msma.cli.options import (
    CacheOption,
    DeviceOption,
    FormatOption,
    ManifestOption,
    ModelOption,
    SlicesOption,
    SplitOption,
    cached_corpus,
    check_out,
    names_in,
)
from msma.cli.show.tables import tell

if TYPE_CHECKING:
    from msma.evaluation.evaluation import Evaluation
    from msma.evaluation.predictions import Predictions

ResultsOption = Annotated[Path | None, typer.Option("--out", help="Folder for evaluation.json and predictions.csv.")]


def evaluate(
    manifest: ManifestOption,
    model: ModelOption = None,
    split: SplitOption = "test",
    slices: SlicesOption = None,
    format: FormatOption = "table",
    out: ResultsOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips loaded at once; results do not depend on it.")] = 16,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that read clips; default: one per core for media.")
    ] = None,
    cache: CacheOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Score a model on a split, beside media-free baselines.

    By trait, by seen and unseen source and by group, with confidence intervals.
    """
    from msma.cli.show.progress import progress_bar
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.evaluate import evaluate as evaluate_model
    from msma.evaluation.evaluate import predict_split
    from msma.prediction.model import load

    if out is None and model is not None and Path(model).is_dir():
        out = Path(model) / split
    check_out(out, folder=True)
    labels, loaded = read_manifest(manifest), load(model, device=device)
    readers = workers if workers is None else max(workers, 1)
    corpus = cached_corpus(labels, (split,), loaded.clip, manifest, cache, readers)
    with progress_bar("predicting", "clips") as report:
        predictions = predict_split(loaded, corpus, split, batch_size=batch_size, workers=workers or 0, progress=report)
    evaluation = evaluate_model(loaded, corpus, split, predictions, names_in(slices))
    finish(evaluation, predictions, format, out)


def score(
    file: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS.csv", help="A CSV with a clip column and a column for each trait.")
    ],
    manifest: ManifestOption,
    split: SplitOption = "test",
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Other predictions: show the paired difference on the common clips."),
    ] = None,
    slices: SlicesOption = None,
    clip_column: Annotated[
        str | None, typer.Option("--clip-column", help="The column that names the clips; default: clip, else path.")
    ] = None,
    trait_columns: Annotated[
        str | None, typer.Option("--trait-columns", help="Other names of columns: openness=o,neuroticism=n.")
    ] = None,
    clamp: Annotated[bool, typer.Option("--clamp", help="Move scores outside [0, 1] to the nearer end.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Missing, unknown, duplicated or unusable clips are an error.")
    ] = False,
    format: FormatOption = "table",
    out: ResultsOption = None,
) -> None:
    """Score the predictions of any tool, from a CSV.

    As `msma evaluate` scores a model, but no media is needed.
    """
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.baselines import split_baselines
    from msma.evaluation.comparison import Comparison
    from msma.evaluation.comparison import compare as compare_predictions
    from msma.evaluation.evaluation import evaluation_of, rows_of
    from msma.evaluation.predictions_csv import Reading, parse_trait_columns, read_predictions

    check_out(out, folder=True)
    for name in ("predictions.csv", "evaluation.json"):
        check_out(out and out / name, manifest, file, *([against] if against else []))
    columns = {} if trait_columns is None else parse_trait_columns(trait_columns)
    reading, corpus = Reading(clip_column, columns, clamp, strict), read_manifest(manifest)
    read = read_predictions(file, corpus, split, reading)
    comparison, warnings = None, read.warnings
    if against is not None:
        other = read_predictions(against, corpus, split, reading)
        warnings = [*warnings, *other.warnings]
        constant = split_baselines(corpus, rows_of(corpus, read.predictions)).constant
        paired = compare_predictions(read.predictions, other.predictions, constant)
        comparison = Comparison(**dict(paired), file=str(against))
    evaluation = evaluation_of(
        corpus,
        split,
        read.predictions,
        model=str(file),
        slices=names_in(slices),
        warnings=warnings,
        failed=read.failed,
        against=comparison,
    )
    finish(evaluation, read.predictions, format, out)


def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders with an evaluation; the first is compared with the others.")
    ],
) -> None:
    """Compare evaluations of the same split, clip by clip.

    Side by side, with paired differences from the first.
    """
    from msma.cli.show.tables import show_table
    from msma.evaluation.evaluation_folder import read_evaluation
    from msma.reports.scores import evaluations_table

    show_table(evaluations_table({str(folder): read_evaluation(folder) for folder in folders}))


def finish(evaluation: Evaluation, predictions: Predictions, format: str, folder: Path | None) -> None:
    """Tell the warnings, write the files, and show the table or the JSON."""
    from msma.cli.show.tables import show, show_result
    from msma.evaluation.evaluation_folder import write_evaluation
    from msma.reports.scores import evaluation_blocks

    tell_warnings(evaluation)
    if folder is not None:
        write_evaluation(folder, evaluation, predictions)
        tell(f"evaluation.json and predictions.csv are in {folder}")
    if format == "json":
        show_result(evaluation)
    else:
        show(evaluation_blocks(evaluation))


def tell_warnings(evaluation: Evaluation) -> None:
    for warning in evaluation.warnings:
        tell(f"warning: {warning}")
    for column, reason in evaluation.slices.skipped.items():
        tell(f"no slices by {column}: it {reason}")
