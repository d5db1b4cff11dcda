"""The server: the page and its endpoint, until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Lock

import gradio.routes
import uvicorn
from fastapi import FastAPI

from msma.files.folders import LOCK
from msma.files.locks import LOCKS, hold
from msma.media.isolated import MediaProcesses
from msma.prediction.model import Model
from msma.serve.app import HEAD, THEME, page
from msma.serve.guard import CLIP, UPLOAD, Guard
from msma.serve.predictions import Predictor
from msma.serve.uploads import FORGOTTEN_AFTER_S, Uploads
from msma.types import MsmaError
from msma.weights.checkpoint import Weights

CONNECTIONS = 256
"""Open at the same time; a page holds three or four."""
PREFIX = "msma-serve-"
"""Of the folders that servers keep clips in."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def serve(model: Model[Weights], host: str, port: int, *, waiting: int, ready: Callable[[str], None]) -> None:
    """Serve at `host` and `port` (0: any that is free) until Ctrl-C; MsmaError where nothing can be opened there.

    At most `waiting` requests may wait; `ready` gets the address once it is open.
    """
    with (
        opened(host, port) as listener,
        own_folder() as folder,
        MediaProcesses(1) as media,
    ):
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder).resolve())
        gradio.routes.DEFAULT_TEMP_DIR = os.environ["GRADIO_TEMP_DIR"]  # pyright: ignore  asked for at its import, too
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        uploads = Uploads(Path(folder).resolve() / "clips", model.limits.max_bytes)
        uploads.root.mkdir()

        @contextlib.asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            forgetting = asyncio.create_task(forget(uploads))
            ready(address)
            yield
            forgetting.cancel()
            shutil.rmtree(folder, ignore_errors=True)  # here, as a signal may end the process right after

        app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
        app.add_middleware(Guard, uploads=uploads, hosts=LOOPBACK if is_loopback(host) else None)
        app.add_route(UPLOAD, uploads.receive, methods=["POST"])
        app.add_route(f"{CLIP}{{path:path}}", uploads.give_back, methods=["GET", "DELETE"])
        gradio.mount_gradio_app(
            app,
            page(Predictor(model, media, Lock()), uploads, waiting=waiting, address=address),
            "/",
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            max_file_size=uploads.max_bytes,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            theme=THEME,
            head=HEAD,
        )
        config = uvicorn.Config(
            app, log_level="warning", limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=2, ws="none"
        )
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def own_folder() -> Iterator[str]:
    """A folder for what is sent, deleted when the block ends; those of servers that were killed are deleted first."""
    sweep()
    while True:
        with TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
            try:
                held = hold(Path(folder, LOCK))
            except FileNotFoundError:  # a server that starts at the same time took it for one of the killed
                continue
            if held is None:
                continue
            with held:
                yield folder
            return


def sweep() -> None:
    """Delete folders of this user's servers that do not run any more."""
    for folder in Path(gettempdir()).glob(f"{PREFIX}*") if LOCKS else ():
        with contextlib.suppress(OSError):  # another server may do the same
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
                held = hold(folder / LOCK)
                if held is not None:
                    with held:
                        shutil.rmtree(folder)


async def forget(uploads: Uploads) -> None:
    """Delete clips that nobody asked about, again and again."""
    while True:
        await asyncio.sleep(FORGOTTEN_AFTER_S / 10)
        await asyncio.to_thread(uploads.forget, FORGOTTEN_AFTER_S)


def opened(host: str, port: int) -> socket.socket:
    """A listening socket; MsmaError where the address is taken, or not one of this machine."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=CONNECTIONS)
    except (OSError, OverflowError) as error:
        raise MsmaError(f"{host}, port {port}: cannot be opened ({error}); choose another --host or --port") from error


def is_loopback(host: str) -> bool:
    """Can only this machine reach it?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
