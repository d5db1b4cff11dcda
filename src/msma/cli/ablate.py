"""`msma ablate`: a recipe and what is left of it without each of its parts, over several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msma.cli.options import CacheOption, ManifestOption, at_once, cached_clips, check_choice
from msma.cli.show.tables import tell


def ablate(
    recipe: Annotated[Path, typer.Argument(help="A YAML recipe, such as recipes/synthetic.yaml.")],
    manifest: ManifestOption,
    out: Annotated[Path, typer.Option("--out", help="A folder for the runs, ablation.json and ablation.csv.")],
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Networks of each ablation: seeds 0, 1, 2 ...")] = 3,
    only: Annotated[
        str | None, typer.Option("--only", help="Some of the ablations: no_multiscale,concat. The recipe always.")
    ] = None,
    ablations: Annotated[
        Path | None,
        typer.Option("--ablations", help="Folder of their YAML files; by default `ablations` beside the recipe."),
    ] = None,
    severity: Annotated[int, typer.Option("--severity", min=1, max=5, help="Of the noise in the six scenarios.")] = 3,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change one value of the recipe: train.steps=500.")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    cache: CacheOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes that read media or train networks; one a core.")
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Stay on the CPU even where there is a GPU.")] = False,
) -> None:
    """Train a recipe and its ablations with several seeds and compare them, clean and in the six non-ideal scenarios.

    Called again, it goes on where it was.
    """
    from msma.cli.show.ablation import show_checks, show_differences, show_table
    from msma.cli.show.progress import progress_bar
    from msma.cli.show.scores import show_json
    from msma.config import load_recipe
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.baselines import split_baselines
    from msma.training.ablation.checks import quick_checks
    from msma.training.ablation.plan import plan_ablations
    from msma.training.ablation.result_file import study_json, write_study
    from msma.training.ablation.runs import study
    from msma.training.ablation.table import ablation_table

    check_choice("--format", format, ("table", "json"))
    names = [name.strip() for name in (only or "").split(",") if name.strip()]
    plan = plan_ablations(load_recipe(recipe, overrides or ()), ablations or recipe.parent / "ablations", names)
    for name, why in plan.left_out.items():
        tell(f"{name}: left out, it {why}")
    corpus = read_manifest(manifest)
    tested = corpus.split("test")
    filled = cached_clips(corpus.rows, plan.ablations[0].recipe.clip, manifest, cache, workers)
    with progress_bar("networks", "done") as report:
        studied = study(
            plan.ablations,
            seeds,
            corpus,
            filled.entries,
            out,
            severity=severity,
            cpu=cpu,
            workers=at_once("cpu" if cpu else None, workers),
            progress=report,
        )
    rows = [row for row in tested if row.clip in filled.entries]
    constant = split_baselines(corpus, rows).constant
    table = ablation_table(plan.ablations, studied.parameters, studied.answers, rows, constant)
    checks = quick_checks(studied.probed, rows, constant, table)
    about = {"recipe": recipe.stem, "corpus": corpus.corpus, "split": "test", "severity": severity}
    values = study_json(about | {"left_out": plan.left_out}, table, checks)
    write_study(out, values, table)
    tell(f"ablation.json and ablation.csv are in {out}, each network in a folder by ablation and seed")
    if format == "json":
        show_json(values)
        return
    show_table(f"{recipe.stem} on {corpus.corpus}, split test, severity {severity}", table)
    show_differences(table)
    show_checks(checks)
