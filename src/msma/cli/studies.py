"""`msma crossval` and `msma ablate`: a recipe trained many times, over folds or without each of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from msma.cli import options
from msma.cli.score import finish
from msma.cli.show.progress import progress_bar
from msma.cli.show.tables import show, show_result, tell
from msma.cli.steps import at_once, cached_corpus, check_out, held, names_in
from msma.files.names import shown


def crossval(
    recipe: options.Recipe,
    manifest: options.Manifest,
    out: Annotated[Path, typer.Option(help="A folder for the folds, evaluation.json and predictions.csv.")],
    folds: Annotated[str, typer.Option(help="How many folds by source, or source: one source each.")] = "5",
    baseline: Annotated[
        Literal["ridge"] | None, typer.Option(help="Compare with a ridge on the pooled features of the same backbones.")
    ] = None,
    overrides: options.Set = None,
    format: options.Format = "table",
    cache: options.Cache = None,
    workers: options.Workers = None,
    cpu: options.Cpu = False,
) -> None:
    """Cross-validate a recipe by source over a whole corpus.

    All clips are used, whatever their split. Called again, it resumes.
    """
    from msma.config import load_recipe
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.evaluation_folder import write_evaluation
    from msma.reports.scores import evaluation_blocks, fold_lines
    from msma.training.crossval import cross_validate, cross_validation

    if not (folds == "source" or folds.isdecimal()):
        raise typer.BadParameter(f"--folds is a number or source, not {folds!r}")
    check_out(out, folder=True)
    with held(out):
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
        found = cross_validation(result.msma, result, corpus, shown(recipe.stem), plan)
        finish(found, result.msma, format, out)
        if format == "table":
            show(fold_lines(found))
        if result.ridge is not None:
            ridge = cross_validation(result.ridge, result, corpus, "ridge", plan)
            write_evaluation(out / "ridge", ridge, result.ridge)
            if format == "table":
                show(evaluation_blocks(ridge))


def ablate(
    recipe: options.Recipe,
    manifest: options.Manifest,
    out: Annotated[Path, typer.Option(help="A folder for the runs, ablation.json and ablation.csv.")],
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Networks of each ablation, with seeds 0, 1, 2 ...")] = 3,
    only: Annotated[str | None, typer.Option(help="Some ablations beside the recipe: no_multiscale,concat.")] = None,
    ablations: Annotated[
        Path | None, typer.Option(help="Folder of their YAML files; default: `ablations` beside the recipe.")
    ] = None,
    paper_table: Annotated[
        bool, typer.Option("--paper-table", help="The paper's table: base, + MSFEM, + MAS, both; no other ablations.")
    ] = False,
    severity: Annotated[int, typer.Option(min=1, max=5, help="Severity of the noise in the six scenarios.")] = 3,
    scenario_clips: Annotated[
        int | None, typer.Option(min=1, help="Test clips in the six scenarios, evenly spread; default: all.")
    ] = None,
    probes: Annotated[
        bool, typer.Option(help="Probe the networks: predicted quality, attention and scales as noise grows.")
    ] = True,
    overrides: options.Set = None,
    format: options.Format = "table",
    cache: options.Cache = None,
    workers: options.Workers = None,
    cpu: options.Cpu = False,
) -> None:
    """Train a recipe and its ablations, and compare them.

    Each with several seeds, on clean clips and in the six non-ideal scenarios. Called again, it resumes.
    """
    from msma.config import load_recipe
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.ablation import AblationStudy
    from msma.evaluation.baselines import split_baselines
    from msma.evaluation.result_file import write_result
    from msma.evaluation.robustness.suite import spread
    from msma.files.writing import written_whole
    from msma.reports.ablation import ablation_blocks
    from msma.reports.paper import draw_paper_table
    from msma.training.ablation.checks import quick_checks
    from msma.training.ablation.offers import offered_gains
    from msma.training.ablation.plan import FULL, PAPER, plan_ablations
    from msma.training.ablation.runs import study
    from msma.training.ablation.table import ablation_table, write_csv

    if paper_table and only is not None:
        raise typer.BadParameter("--paper-table names its ablations itself; leave out --only")
    check_out(out, folder=True)
    with held(out):
        chosen = [name for name in PAPER if name != FULL] if paper_table else names_in(only) or []
        plan = plan_ablations(load_recipe(recipe, overrides or ()), ablations or recipe.parent / "ablations", chosen)
        for name, why in plan.left_out.items():
            tell(f"{name}: left out, it {why}")
        labels = read_manifest(manifest)
        labels.split("test")  # raises at once where there is none
        corpus = cached_corpus(labels, ("all",), plan.ablations[0].recipe.clip, manifest, cache, workers)
        with (
            progress_bar("features", "clips") as features_report,
            progress_bar("networks", "trained") as report,
            progress_bar("corrupting", "cells") as cells_report,
        ):
            networks = study(
                plan.ablations,
                seeds,
                corpus,
                out,
                severity=severity,
                scenario_clips=scenario_clips,
                probes=probes,
                cpu=cpu,
                workers=at_once("cpu" if cpu else None, workers),
                progress=report,
                features_progress=features_report,
                cells_progress=cells_report,
            )
        rows = corpus.split("test")
        constant = split_baselines(labels, rows).constant
        tested = networks, rows, constant, spread(rows, scenario_clips)
        table = ablation_table(plan.ablations, *tested)
        found = AblationStudy(
            **dict(table),
            recipe=shown(recipe.stem),
            corpus=labels.corpus,
            split="test",
            severity=severity,
            offered=offered_gains(*tested, labels.facts),
            left_out=plan.left_out,
            checks=quick_checks(networks, rows, constant, table),
        )
        write_result(out / "ablation.json", found)
        with written_whole(out / "ablation.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
            write_csv(file, table)
        draw_paper_table(out, found)
        tell(f"ablation.json and ablation.csv are in {out}, each network in a folder by ablation and seed")
        show_result(found, format, ablation_blocks)
