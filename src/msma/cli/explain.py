"""`msma explain`: what drove the prediction for a video, as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msma.cli.options import DeviceOption, ModelOption, check_out
from msma.cli.show.tables import tell


def explain(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A video file.")],
    out: Annotated[Path, typer.Option("--out", help="The page (HTML).")],
    model: ModelOption = None,
    windows: Annotated[
        int, typer.Option("--windows", min=1, help="How many windows of a long video, from its start.")
    ] = 4,
    device: DeviceOption = "cpu",
) -> None:
    """Show which modality, seconds and scales drove a prediction.

    The page also shows where the network attended.
    """
    from msma.cli.show.progress import progress_bar
    from msma.files import write_whole
    from msma.prediction.explain import explain as explain_clip
    from msma.prediction.model import load
    from msma.reports.explanation import explanation_page

    check_out(out, clip)
    loaded = load(model, device=device)
    with progress_bar("explaining", "seconds") as report:
        found = explain_clip(loaded, clip, max_windows=windows, progress=report)
    write_whole(out, explanation_page(found, loaded.weights.calibration))
    status = found.prediction.status
    tell(f"{status}; {found.passes} passes of the network in {found.elapsed_s:.1f} s; {out} opens in a browser")
    tell(found.prediction.notice)
