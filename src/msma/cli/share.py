"""`msma card`, `msma share` and `msma export`: a run for other people and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msma.cli import options
from msma.cli.show.tables import tell
from msma.cli.steps import check_out, held

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
    out: Annotated[Path | None, typer.Option(help="The card (Markdown); default: README.md in RUN.")] = None,
    repository: Annotated[str | None, typer.Option("--to", help="owner/name, where it will be shared.")] = None,
    licence: LicenceOption = None,
    origin: OriginOption = None,
) -> None:
    """Write the model card of a run from its results.

    Evaluation, calibration and robustness: it is refused where one of them is missing.
    """
    from msma.files.writing import write_whole
    from msma.reports.card.card import model_card
    from msma.weights.checkpoint import load_weights

    into_run, out = out is None, out or run / "README.md"
    check_out(out)
    with held(run if into_run and run.is_dir() else None):
        text = model_card(load_weights(run), run, repository, licence=licence, origin=origin)
        write_whole(out, text)
    tell(f"the card is {out}")


def share(
    run: RunArgument,
    repository: Annotated[str, typer.Option("--to", help="owner/name on the Hugging Face hub.")],
    private: Annotated[bool, typer.Option("--private", help="Only you, or your organisation, can see it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the folder, and send nothing.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for what is shared; default: share in RUN.")] = None,
    licence: LicenceOption = None,
    origin: OriginOption = None,
) -> None:
    """Share a model on the Hugging Face hub.

    Weights, configuration, calibration and card, and nothing else.
    """
    from msma.reports.card.card import written_folder
    from msma.weights.checkpoint import load_weights
    from msma.weights.hub import MAX_BYTES, named_repository, push

    named_repository(repository)
    folder = out or run / "share"
    check_out(folder, folder=True)
    with held(folder):
        written_folder(folder, load_weights(run), run, repository, licence=licence, origin=origin)
    tell(f"what is shared is in {folder}: {', '.join(MAX_BYTES)}")
    if dry_run:
        tell(f"nothing was sent; without --dry-run it goes to {repository}")
        return
    address = push(repository, folder, private=private)
    tell(f"shared: {address}")
    tell(f"next: msma predict your_video.mp4 --model {repository}")


export_app = typer.Typer(name="export", help="Export weights for other runtimes (ONNX).", no_args_is_help=True)


@export_app.callback()
def export() -> None: ...


@export_app.command("onnx")
def export_to_onnx(
    out: Annotated[Path, typer.Option(help="A folder for model.onnx and what goes with it.")], model: options.Run = None
) -> None:
    """Export the network as ONNX, and check it against torch.

    The folder is for `msma predict --runtime onnx`.
    """
    from msma.weights.checkpoint import load_weights
    from msma.weights.onnx_export import export_onnx

    check_out(out, folder=True)
    with held(out):
        found = export_onnx(load_weights(model), out, progress=lambda doing: tell(f"{doing} ..."))
    tell(
        f"largest difference from torch: {found.largest_difference:.1g}, over {found.clips} random clips "
        "of several lengths, some without audio or visual"
    )
    tell(f"time for a window of {found.window_s:g} s: {found.time_ratio:.2f} of torch's")
    tell(f"{found.bytes / 1e6:.1f} MB; next: msma predict CLIP --runtime onnx --model {out}")
