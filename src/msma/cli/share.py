"""`msma card` and `msma share`: the card of a model, and the model on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msma.cli.options import check_out
from msma.cli.show.tables import tell

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, with its results.")]
LicenceOption = Annotated[
    str | None,
    typer.Option("--licence", help="Licence of the weights, by its name on the hub; default: that of a known corpus."),
]
OriginOption = Annotated[
    str | None,
    typer.Option("--origin", help="Where clips and labels are from, in a sentence or two; default: of a known corpus."),
]


def card(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option("--out", help="The card (Markdown); default: README.md in RUN.")] = None,
    repository: Annotated[str | None, typer.Option("--to", help="owner/name, where it will be shared.")] = None,
    licence: LicenceOption = None,
    origin: OriginOption = None,
) -> None:
    """Write the model card of a run from its results.

    Evaluation, calibration and robustness: it is refused where one of them is missing.
    """
    from msma.files import write_whole
    from msma.reports.card.card import model_card
    from msma.weights.checkpoint import load_weights

    out = out or run / "README.md"
    check_out(out)
    text = model_card(load_weights(run), run, repository, licence=licence, origin=origin)
    write_whole(out, text)
    tell(f"the card is {out}")


def share(
    run: RunArgument,
    repository: Annotated[str, typer.Option("--to", help="owner/name on the Hugging Face hub.")],
    private: Annotated[bool, typer.Option("--private", help="Only you, or your organisation, can see it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the folder, and send nothing.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for what is shared; default: share in RUN.")] = None,
    licence: LicenceOption = None,
    origin: OriginOption = None,
) -> None:
    """Share a model on the Hugging Face hub.

    Weights, configuration, calibration and card, and nothing else.
    """
    from msma.reports.card.share import written_folder
    from msma.weights.checkpoint import load_weights
    from msma.weights.hub import MAX_BYTES, named_repository, push

    named_repository(repository)
    folder = out or run / "share"
    check_out(folder, folder=True)
    written_folder(folder, load_weights(run), run, repository, licence=licence, origin=origin)
    tell(f"what is shared is in {folder}: {', '.join(MAX_BYTES)}")
    if dry_run:
        tell(f"nothing was sent; without --dry-run it goes to {repository}")
        return
    address = push(repository, folder, private=private)
    tell(f"shared: {address}")
    tell(f"next: msma predict your_video.mp4 --model {repository}")
