"""`msma report`: one page of predictions, or of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msma.cli.options import check_out
from msma.cli.show.tables import tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msma.types import Prediction
    from msma.weights.calibration import Calibration


def report(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|PREDICTIONS.json", help="A run folder, or what `msma predict --format json` or jsonl wrote."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The page: one file of HTML that opens offline.")] = Path(
        "report.html"
    ),
    model: Annotated[
        str | None,
        typer.Option("--model", help="The weights that predicted, to show their labels; default: the bundled weights."),
    ] = None,
) -> None:
    """Make an HTML page of predictions, or of a training run.

    Reads result files only: no media, no tensors.
    """
    from msma.files import write_whole

    check_out(out, source)
    if source.is_dir():
        from msma.reports.run.files import read_run
        from msma.reports.run.report import run_report

        page = run_report(read_run(source))
    else:
        from msma.prediction.predictions_json import read_answers
        from msma.reports.predictions import predictions_report

        predictions = read_answers(source)
        page = predictions_report(predictions, source.name, calibrations(model, predictions))
    write_whole(out, page)
    tell(f"{out} is written ({out.stat().st_size / 1024:.0f} KiB)")


def calibrations(model: str | None, predictions: Sequence[Prediction]) -> dict[str, Calibration]:
    """The calibration of the named weights (by default, the bundled ones) by their name.

    Raises:
        MsmaError: there are no such weights, or they made none of the predictions.
    """
    from msma.types import MsmaError
    from msma.weights.config import named_calibration

    name, calibration = named_calibration(model)
    made_by = dict.fromkeys(prediction.model for prediction in predictions)
    if model is not None and name not in made_by:
        raise MsmaError(f"{model}: these weights ({name}) made none of the predictions; name {', '.join(made_by)}")
    return {} if calibration is None else {name: calibration}
