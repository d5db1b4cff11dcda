"""`msma synth`: a corpus of rendered talking heads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from msma.cli import options
from msma.cli.show.progress import progress_bar
from msma.cli.show.tables import tell
from msma.cli.steps import by_trait, check_out


def synth(
    out: Annotated[Path, typer.Argument(help="A new folder for the corpus.")],
    clips: Annotated[int, typer.Option(min=6, help="Clips to render, over all splits.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed renders other people.")] = 0,
    seconds: Annotated[
        float | None,
        typer.Option(min=1.0, max=60.0, help="Length of each clip; 4 by default, 8 with --structure."),
    ] = None,
    structure: Annotated[
        bool,
        typer.Option("--structure", help="Labels hang on events in time and on small regions, too; 8 s or longer."),
    ] = False,
    attribute: Annotated[
        Literal["hat"] | None,
        typer.Option(help="What half of the people wear, whatever their traits; a column for slices."),
    ] = None,
    label_bias: Annotated[
        str | None,
        typer.Option(help="How much higher the labels of those people are: agreeableness=0.2. Needs --attribute."),
    ] = None,
    workers: options.Workers = None,
) -> None:
    """Render a synthetic corpus of talking heads with labels.

    The clips have voices; files and labels are in the layout of First Impressions V2.
    """
    from msma.data.synthetic.corpus import ATTRIBUTES, render_corpus

    check_out(out, folder=True, option="OUT")
    shifts = {} if label_bias is None else by_trait("--label-bias", label_bias)
    try:
        bias = {trait: float(shift) for trait, shift in shifts.items()}
    except ValueError as error:
        raise typer.BadParameter(f"--label-bias is TRAIT=NUMBER, as agreeableness=0.2, not {label_bias!r}") from error
    hats = attribute == "hat"
    with progress_bar("rendering", "clips") as report:
        render_corpus(
            out,
            clips,
            seed,
            seconds=seconds,
            hats=hats,
            label_bias=bias,
            structured=structure,
            workers=workers,
            progress=report,
        )
    tell(
        f"{clips} clips, labels and oracle.json are in {out}; "
        f"next: msma prepare chalearn {out} --out {out}/manifest.csv"
        + (f" --columns {out}/annotation/{ATTRIBUTES}" if hats else "")
    )
