"""`msma schema`: what a result file holds."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Kind = Literal[
    "evaluation",
    "comparison",
    "cross-validation",
    "robustness",
    "cell",
    "ablation",
    "profile",
    "calibration",
    "predictions",
]


def schema(
    name: Annotated[Kind, typer.Argument(metavar="NAME", help="The kind of file: evaluation, cell ...")],
) -> None:
    """Print the JSON Schema of a result file."""
    from msma.cli.show.tables import show_json
    from msma.evaluation.results import SCHEMAS

    show_json(SCHEMAS[name].json_schema())
