"""`msma serve`: the page in the browser and the endpoint for programs."""

from __future__ import annotations

from typing import Annotated

import typer

from msma.cli.options import (
    AlphaOption,
    DeviceOption,
    FaceOption,
    LimitOption,
    MinQualityOption,
    ModelOption,
    YunetOption,
)
from msma.cli.show.tables import tell

SMALLER = ("max_bytes=256_000_000", "max_seconds=600")
"""Limits below those for files of one's own: a clip of somebody else should not keep others waiting."""


def serve(
    model: ModelOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; 0.0.0.0 opens it to the network, without a password.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen at; 0: any that is free.")
    ] = 7860,
    waiting: Annotated[int, typer.Option("--waiting", min=1, help="Clips that may wait; more are refused.")] = 32,
    face: FaceOption = None,
    yunet: YunetOption = None,
    limits: LimitOption = None,
    alpha: AlphaOption = 0.1,
    min_quality: MinQualityOption = 0.1,
    device: DeviceOption = "cpu",
) -> None:
    """Serve a web page and an HTTP endpoint for predictions.

    The page also corrupts clips and explains predictions. Limits for uploads start at max_bytes=256_000_000 and
    max_seconds=600.
    """
    import importlib.util

    from msma.config import Limits, with_overrides
    from msma.types import MsmaError

    if importlib.util.find_spec("gradio") is None:
        raise MsmaError("the page needs gradio: pip install 'msma[serve]'")
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
        min_quality=min_quality,
    )
    if not is_loopback(host):
        tell(f"{host}: everybody who reaches this machine can send clips; there is no password and no encryption")
    run(loaded, host, port, waiting=waiting, ready=lambda address: tell(f"open {address} (Ctrl-C ends it)"))
