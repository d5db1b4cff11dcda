"""Every command, in groups and in the order of use."""

from __future__ import annotations

from typing import Annotated

import typer

from msma.cli.doctor import doctor
from msma.cli.predict import explain, predict, serve
from msma.cli.prepare import prepare_app
from msma.cli.profile import profile
from msma.cli.report import report
from msma.cli.robustness import corruptions, robustness
from msma.cli.score import compare, evaluate, schema, score
from msma.cli.share import card, export_app, share
from msma.cli.studies import ablate, crossval
from msma.cli.synth import synth
from msma.cli.train import calibrate, train
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
