"""`msma serve`: the page in the browser and the endpoint for programs."""

from __future__ import annotations

from typing import Annotated

import typer

from msma.cli.options import (
    AlphaOption,
    DeviceOption,
    FaceOption,
    LeastQualityOption,
    ModelOption,
    YunetOption,
    check_face,
)
from msma.cli.show.tables import tell

SMALLER = ("max_bytes=256_000_000", "max_seconds=600")
"""Than for files of one's own: a clip of somebody else should not keep others waiting."""


def serve(
    model: ModelOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to answer at; 0.0.0.0 opens it to the network, without a password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 7860,
    waiting: Annotated[int, typer.Option("--waiting", min=1, help="Clips that may wait; more are refused.")] = 32,
    face: FaceOption = None,
    yunet: YunetOption = None,
    limits: Annotated[
        list[str] | None,
        typer.Option("--limit", help=f"Change a limit: max_seconds=7200. From the start, {', '.join(SMALLER)}."),
    ] = None,
    alpha: AlphaOption = 0.1,
    least_quality: LeastQualityOption = 0.1,
    device: DeviceOption = "cpu",
) -> None:
    """A page that answers clips as `msma predict` does, spoils them, and has an endpoint for programs."""
    import importlib.util

    from msma.config import Limits, with_overrides
    from msma.types import MsmaError

    if importlib.util.find_spec("gradio") is None:
        raise MsmaError("the page needs gradio: pip install 'msma[serve]'")
    check_face(face)

    from msma.prediction.model import load
    from msma.serve.server import is_loopback
    from msma.serve.server import serve as run

    loaded = load(
        model,
        device=device,
        face=face,
        yunet=yunet,
        limits=with_overrides(Limits, (*SMALLER, *(limits or ()))),
        alpha=alpha,
        least_quality=least_quality,
    )
    if not is_loopback(host):
        tell(f"{host}: everybody who reaches this machine can send clips; there is no password and no encryption")
    run(loaded, host, port, waiting=waiting, ready=lambda address: tell(f"open {address} (Ctrl-C ends it)"))
