"""`msma export`: weights in a form that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msma.cli.options import RunOption, check_out
from msma.cli.show.tables import tell

export_app = typer.Typer(name="export", help="Export weights for other runtimes (ONNX).", no_args_is_help=True)


@export_app.callback()
def export() -> None: ...


@export_app.command("onnx")
def export_to_onnx(
    out: Annotated[Path, typer.Option("--out", help="A folder for model.onnx and what goes with it.")],
    model: RunOption = None,
) -> None:
    """Export the network as ONNX, and check it against torch.

    The folder is for `msma predict --runtime onnx`.
    """
    from msma.weights.checkpoint import load_weights
    from msma.weights.onnx_export import export_onnx

    check_out(out, folder=True)
    found = export_onnx(load_weights(model), out, progress=lambda doing: tell(f"{doing} ..."))
    tell(
        f"largest difference from torch: {found.largest_difference:.1g}, over {found.clips} random clips "
        "of several lengths, some without audio or visual"
    )
    tell(f"time for a window of {found.window_s:g} s: {found.time_ratio:.2f} of torch's")
    tell(f"{found.bytes / 1e6:.1f} MB; next: msma predict CLIP --runtime onnx --model {out}")
