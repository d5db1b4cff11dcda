"""Middleware before every request: who may ask, for what, and what the browser may do with the response."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from msma.serve.uploads import Uploads, at_most, refused

UPLOAD, CLIP = "/gradio_api/upload", "/gradio_api/file="
READ = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)/?|/(assets|static|svelte)/.+"
    r"|/gradio_api/(info|startup-events|theme\.css|upload_progress|queue/data|login_check)/?"
    r"|/gradio_api/(heartbeat|call)/.+|/gradio_api/file=.+"
)
WRITE = re.compile(rf"{UPLOAD}/?|/gradio_api/(queue/join|cancel|reset)/?|/gradio_api/call/[^/]+/?")
ROUTES = {"GET": READ, "HEAD": READ, "POST": WRITE, "DELETE": re.compile(rf"{CLIP}.+")}
"""The routes that the page and its clients use. Others of gradio run without a place in the queue, keep what was sent,
or ask other machines."""
MAX_BODY_BYTES = 256 * 1024
"""The longest body that is not a clip."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""gradio's pages need inline scripts; no page may ask another machine for anything."""
HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class Guard:
    """ASGI middleware around gradio's application."""

    app: ASGIApp
    uploads: Uploads
    hosts: frozenset[str] | None
    """Names under which the server may be asked; None: any. Another name on a loopback address is that of a page of
    somebody else, which has its name point here."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        host = re.sub(r":\d*$", "", Headers(scope=scope).get("host", "")).strip("[]").lower()
        clips: list[Path] = []
        respond = self.app
        try:
            if self.hosts is not None and host not in self.hosts:
                raise HTTPException(421, f"this server is not {host}")
            if method not in ROUTES or not ROUTES[method].fullmatch(path):
                raise HTTPException(404, "there is nothing here")
            if method == "POST" and path.rstrip("/") != UPLOAD:
                body = await Request(scope, at_most(MAX_BODY_BYTES, receive, "the request is too long")).body()
                clips = self.clips_in(body)
                receive = replayed(body, receive)
        except HTTPException as error:
            respond = refused(error.status_code, error.detail)
        except ClientDisconnect:
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
                if message["status"] >= 400:  # these clips find no place in the queue
                    for clip in clips:
                        self.uploads.drop(clip)
            await send(message)

        await respond(scope, receive, guarded)

    def clips_in(self, body: bytes) -> list[Path]:
        """Clips that a request names; never other files, nor addresses, which gradio would fetch."""
        try:
            named = paths_in(json.loads(body or b"null"))
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, "the request is not JSON") from error
        if not all(isinstance(path, str) and self.uploads.holds(Path(path)) for path in named):
            raise HTTPException(400, f"a clip is named by the path that {UPLOAD} gave for it")
        return [Path(path) for path in named]


def paths_in(value: Any) -> list[Any]:
    """Every `path` in a JSON value, however deep."""
    if isinstance(value, dict):
        own = [value["path"]] if "path" in value else []
        return own + [path for inner in value.values() for path in paths_in(inner)]
    return [path for inner in value for path in paths_in(inner)] if isinstance(value, list) else []


def replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more, then what comes after it."""
    parts = iter([body])

    async def again() -> Message:
        part = next(parts, None)
        return await receive() if part is None else {"type": "http.request", "body": part, "more_body": False}

    return again
