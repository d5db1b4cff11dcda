"""`msma profile`: what a prediction costs, stage by stage and variant by variant."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from msma.cli import options
from msma.cli.show.progress import progress_bar
from msma.cli.show.tables import show, tell
from msma.cli.steps import check_out


def profile(
    model: options.Run = None,
    clip: Annotated[Path | None, typer.Option(help="A video to predict; default: 15 s in 720p are rendered.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write all rows here, as JSON, with the configuration of network and clip.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="One variant. Repeatable.")] = None,
    device: Annotated[
        Literal["cpu", "cuda"] | None, typer.Option(help="Where to measure; default: on both, where there is a GPU.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=2, help="How often each stage is timed.")] = 20,
) -> None:
    """Measure parameters, time and memory of each stage.

    From the file to the prediction, for variants of a network. Times are of this machine as it is now: their shares
    are more telling than the milliseconds.
    """
    import torch

    from msma.evaluation.complexity import profile as profile_variants
    from msma.evaluation.complexity import render_talking_head
    from msma.evaluation.result_file import write_result
    from msma.reports.costs import costs
    from msma.weights.checkpoint import load_weights

    devices = [device] if device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    check_out(out, *([clip] if clip else []))
    config = load_weights(model).config
    with TemporaryDirectory() as folder:
        if clip is None:
            tell("rendering a clip")
        media = clip or render_talking_head(Path(folder))
        with progress_bar("measuring", "variants") as report:
            found = profile_variants(
                config.model, config.clip, media, devices, only=only or (), rounds=rounds, progress=report
            )
    if out is not None:
        write_result(out, found)
    show(costs(found.rows))
