"""`msma crossval`: a recipe on all clips of a corpus, each predicted by networks that did not see its source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from msma.cli.options import (
    CacheOption,
    CpuOption,
    FormatOption,
    JobsOption,
    ManifestOption,
    RecipeArgument,
    SetOption,
    at_once,
    cached_corpus,
    check_out,
)
from msma.cli.score import tell_warnings
from msma.cli.show.tables import tell


def crossval(
    recipe: RecipeArgument,
    manifest: ManifestOption,
    out: Annotated[Path, typer.Option("--out", help="A folder for the folds, evaluation.json and predictions.csv.")],
    folds: Annotated[str, typer.Option("--folds", help="How many folds by source, or source: one source each.")] = "5",
    baseline: Annotated[
        Literal["ridge"] | None,
        typer.Option("--baseline", help="Compare with a ridge on the pooled features of the same backbones."),
    ] = None,
    overrides: SetOption = None,
    format: FormatOption = "table",
    cache: CacheOption = None,
    workers: JobsOption = None,
    cpu: CpuOption = False,
) -> None:
    """Cross-validate a recipe by source over a whole corpus.

    All clips are used, whatever their split. Called again, it resumes.
    """
    from msma.cli.show.progress import progress_bar
    from msma.cli.show.tables import show, show_result
    from msma.config import load_recipe
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.evaluation_folder import write_evaluation
    from msma.reports.scores import evaluation_blocks, fold_lines
    from msma.training.crossval import cross_validate, cross_validation

    if not (folds == "source" or folds.isdecimal()):
        raise typer.BadParameter(f"--folds is a number or source, not {folds!r}")
    check_out(out, folder=True)
    plan, labels = load_recipe(recipe, overrides or ()), read_manifest(manifest)
    corpus = cached_corpus(labels, ("all",), plan.clip, manifest, cache, workers)
    with progress_bar("features", "clips") as features_report, progress_bar("folds", "done") as report:
        result = cross_validate(
            plan,
            corpus,
            None if folds == "source" else int(folds),
            out,
            ridge=baseline == "ridge",
            cpu=cpu,
            workers=at_once("cpu" if cpu else None, workers),
            progress=report,
            features_progress=features_report,
        )
    found = cross_validation(result.msma, result, corpus, recipe.stem, plan)
    write_evaluation(out, found, result.msma)
    if result.ridge is not None:
        ridge = cross_validation(result.ridge, result, corpus, "ridge", plan)
        write_evaluation(out / "ridge", ridge, result.ridge)
    tell_warnings(found)
    tell(f"evaluation.json and predictions.csv are in {out}")
    if format == "json":
        show_result(found)
        return
    show(evaluation_blocks(found))
    show(fold_lines(found))
    if result.ridge is not None:
        show(evaluation_blocks(ridge))
