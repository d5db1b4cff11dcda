"""`msma report`: one page of predictions, of a run or of an ablation study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msma.cli.show.progress import progress_bar
from msma.cli.show.tables import tell
from msma.cli.steps import check_out
from msma.types import MsmaError


def report(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|STUDY|PREDICTIONS.json",
            help="A folder of `msma train` or `msma ablate`, or what `msma predict --format json` or jsonl wrote.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page: one file of HTML that opens offline.")] = Path("report.html"),
    model: Annotated[
        str | None,
        typer.Option("--model", help="The weights that predicted, to show their labels; default: the bundled weights."),
    ] = None,
    manifest: Annotated[Path | None, typer.Option(help="For a study: show its corpus too, with some frames.")] = None,
    clip: Annotated[
        Path | None, typer.Option("--explain", metavar="CLIP", help="For a study: explain a prediction of its recipe.")
    ] = None,
) -> None:
    """Make an HTML page of predictions, a run or a study.

    Reads result files only, no media and no tensors, unless --manifest or --explain ask for them.
    """
    from msma.files.writing import write_whole

    check_out(out, source, *(path for path in (manifest, clip) if path is not None))
    is_study = (source / "ablation.json").exists() and not (source / "config.json").exists()
    if not is_study and (manifest is not None or clip is not None):
        raise typer.BadParameter("--manifest and --explain are for the folder of a study (`msma ablate --out`)")
    if is_study:
        page = study_page(source, manifest, clip)
    elif source.is_dir():
        from msma.reports.run.files import read_run
        from msma.reports.run.report import run_report

        page = run_report(read_run(source))
    else:
        from msma.prediction.predictions_json import load_predictions
        from msma.reports.predictions import predictions_report
        from msma.weights.config import named_calibration

        predictions, (name, calibration) = load_predictions(source), named_calibration(model)
        made_by = dict.fromkeys(prediction.model for prediction in predictions)
        if model is not None and name not in made_by:
            raise MsmaError(f"{model}: these weights ({name}) made none of the predictions; name {', '.join(made_by)}")
        page = predictions_report(predictions, source.name, {} if calibration is None else {name: calibration})
    write_whole(out, page)
    tell(f"{out} is written ({out.stat().st_size / 1024:.0f} KiB)")


def study_page(folder: Path, manifest: Path | None, clip: Path | None) -> str:
    """The page of a study; `clip` is explained by the first network of its recipe."""
    from msma.data.corpora.manifest import read_manifest
    from msma.prediction.explain import explain
    from msma.prediction.model import load
    from msma.reports.study import read_study, study_report
    from msma.training.ablation.plan import FULL

    files = read_study(folder)
    corpus = None if manifest is None else read_manifest(manifest)
    if clip is None:
        return study_report(files, corpus)
    model = load(folder / FULL / "seed_0")
    with progress_bar("explaining", "seconds") as bar:
        found = explain(model, clip, max_windows=1, progress=bar)
    return study_report(files, corpus, (found, model.weights.calibration))
