"""`msma synth`: a corpus of rendered talking heads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from msma.cli.options import WorkersOption, check_out
from msma.cli.show.tables import tell


def synth(
    out: Annotated[Path, typer.Argument(help="A new folder for the corpus.")],
    clips: Annotated[int, typer.Option(min=6, help="Clips to render, over all splits.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed renders other people.")] = 0,
    seconds: Annotated[float, typer.Option(min=1.0, max=60.0, help="Length of each clip.")] = 4.0,
    attribute: Annotated[
        Literal["hat"] | None,
        typer.Option("--attribute", help="What half of the people wear, whatever their traits; a column for slices."),
    ] = None,
    label_bias: Annotated[
        str | None,
        typer.Option(help="How much higher the labels of those people are: agreeableness=0.2. Needs --attribute."),
    ] = None,
    workers: WorkersOption = None,
) -> None:
    """Render a synthetic corpus of talking heads with labels.

    The clips have voices; files and labels are in the layout of First Impressions V2.
    """
    from msma.cli.show.progress import progress_bar
    from msma.data.synthetic.corpus import ATTRIBUTES, render_corpus

    check_out(out, folder=True, option="OUT")
    bias = {} if label_bias is None else shifts_by_trait(label_bias)
    hats = attribute == "hat"
    with progress_bar("rendering", "clips") as report:
        render_corpus(out, clips, seed, seconds=seconds, hats=hats, label_bias=bias, workers=workers, progress=report)
    tell(
        f"{clips} clips, labels and oracle.json are in {out}; "
        f"next: msma prepare chalearn {out} --out {out}/manifest.csv"
        + (f" --columns {out}/annotation/{ATTRIBUTES}" if hats else "")
    )


def shifts_by_trait(text: str) -> dict[str, float]:
    """`agreeableness=0.2,openness=-0.1` -> by trait."""
    pairs = [pair.strip().partition("=") for pair in text.split(",")]
    try:
        shifts = {trait.strip(): float(shift) for trait, _, shift in pairs}
    except ValueError as error:
        raise typer.BadParameter(f"--label-bias is TRAIT=NUMBER, such as agreeableness=0.2, not {text!r}") from error
    if len(shifts) < len(pairs):
        raise typer.BadParameter("--label-bias names a trait twice")
    return shifts
