"""`msma ablate`: a recipe and what is left of it without each of its parts, over several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    names_in,
)
from msma.cli.show.tables import tell


def ablate(
    recipe: RecipeArgument,
    manifest: ManifestOption,
    out: Annotated[Path, typer.Option("--out", help="A folder for the runs, ablation.json and ablation.csv.")],
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Networks of each ablation, with seeds 0, 1, 2 ...")] = 3,
    only: Annotated[
        str | None, typer.Option("--only", help="Some of the ablations beside the recipe: no_multiscale,concat.")
    ] = None,
    ablations: Annotated[
        Path | None,
        typer.Option("--ablations", help="Folder of their YAML files; default: `ablations` beside the recipe."),
    ] = None,
    severity: Annotated[
        int, typer.Option("--severity", min=1, max=5, help="Severity of the noise in the six scenarios.")
    ] = 3,
    probes: Annotated[
        bool, typer.Option(help="Probe the networks: predicted quality, attention and scales as noise grows.")
    ] = True,
    overrides: SetOption = None,
    format: FormatOption = "table",
    cache: CacheOption = None,
    workers: JobsOption = None,
    cpu: CpuOption = False,
) -> None:
    """Train a recipe and its ablations, and compare them.

    Each with several seeds, on clean clips and in the six non-ideal scenarios. Called again, it resumes.
    """
    from msma.cli.show.progress import progress_bar
    from msma.cli.show.tables import show, show_result
    from msma.config import load_recipe
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.baselines import split_baselines
    from msma.evaluation.result_file import write_result
    from msma.evaluation.results import AblationStudy
    from msma.files import written_whole
    from msma.reports.ablation import ablation_blocks
    from msma.training.ablation.checks import quick_checks
    from msma.training.ablation.plan import plan_ablations
    from msma.training.ablation.runs import study
    from msma.training.ablation.table import ablation_table, write_csv

    check_out(out, folder=True)
    chosen = names_in(only) or []
    plan = plan_ablations(load_recipe(recipe, overrides or ()), ablations or recipe.parent / "ablations", chosen)
    for name, why in plan.left_out.items():
        tell(f"{name}: left out, it {why}")
    labels = read_manifest(manifest)
    labels.split("test")  # raises at once where there is none
    corpus = cached_corpus(labels, ("all",), plan.ablations[0].recipe.clip, manifest, cache, workers)
    with progress_bar("networks", "done") as report:
        studied = study(
            plan.ablations,
            seeds,
            corpus,
            out,
            severity=severity,
            probes=probes,
            cpu=cpu,
            workers=at_once("cpu" if cpu else None, workers),
            progress=report,
        )
    rows = corpus.split("test")
    constant = split_baselines(labels, rows).constant
    table = ablation_table(plan.ablations, studied.parameters, studied.predictions, rows, constant)
    found = AblationStudy(
        **dict(table),
        recipe=recipe.stem,
        corpus=labels.corpus,
        split="test",
        severity=severity,
        left_out=plan.left_out,
        checks=quick_checks(studied.probed, rows, constant, table),
    )
    write_result(out / "ablation.json", found)
    with written_whole(out / "ablation.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        write_csv(file, table)
    tell(f"ablation.json and ablation.csv are in {out}, each network in a folder by ablation and seed")
    if format == "json":
        show_result(found)
        return
    show(ablation_blocks(found))
