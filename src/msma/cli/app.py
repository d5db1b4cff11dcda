"""Every command, in groups and in the order of use."""

from __future__ import annotations

from typing import Annotated

import typer

from msma.cli.ablate import ablate
from msma.cli.calibrate import calibrate
from msma.cli.corruptions import corruptions
from msma.cli.crossval import crossval
from msma.cli.doctor import doctor
from msma.cli.explain import explain
from msma.cli.export import export_app
from msma.cli.predict import predict
from msma.cli.prepare import prepare_app
from msma.cli.profile import profile
from msma.cli.report import report
from msma.cli.robustness import robustness
from msma.cli.schema import schema
from msma.cli.score import compare, evaluate, score
from msma.cli.serve import serve
from msma.cli.share import card, share
from msma.cli.synth import synth
from msma.cli.train import train
from msma.cli.weights import weights_app

app = typer.Typer(
    help="Apparent Big Five personality from imperfect audiovisual clips.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
GROUPS = {
    "Predict": (predict, explain, report, serve),
    "Data and encoders": (synth, prepare_app, weights_app),
    "Train": (train, crossval, calibrate, ablate),
    "Evaluate": (evaluate, score, compare, robustness, corruptions, profile, schema),
    "Share": (card, share, export_app),
    "This machine": (doctor,),
}
"""In a group, the help lists commands before those with commands of their own."""
for group, commands in GROUPS.items():
    for command in commands:
        if isinstance(command, typer.Typer):
            app.add_typer(command, rich_help_panel=group)
        else:
            app.command(rich_help_panel=group)(command)


@app.callback(invoke_without_command=True)
def version_option(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        import msma

        typer.echo(f"msma {msma.__version__}")
        raise typer.Exit
