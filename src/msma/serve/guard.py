"""What stands before every request: who may ask, what may be asked for, and what the browser may do with the answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from msma.serve.uploads import Uploads

UPLOAD, CLIP = "/gradio_api/upload", "/gradio_api/file="
READ = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)/?|/(assets|static|svelte)/.+"
    r"|/gradio_api/(info|startup-events|theme\.css|upload_progress|queue/data|login_check)/?"
    r"|/gradio_api/(heartbeat|call)/.+|/gradio_api/file=.+"
)
WRITE = re.compile(rf"{UPLOAD}/?|/gradio_api/(queue/join|cancel|reset)/?|/gradio_api/call/[^/]+/?")
"""The routes of gradio that the page and its clients use. Others run without a place in the queue, keep what was sent,
or ask other machines."""
MAX_QUESTION_BYTES = 256 * 1024
"""Of a body that is not a clip."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""gradio's pages need inline scripts; no page may ask another machine for anything."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


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
        request = Request(scope, receive)
        path, method = scope["path"], scope["method"]
        host = host_of(request.headers)
        if self.hosts is not None and host not in self.hosts:
            refusal = PlainTextResponse(f"this server is not {host}", 421)
        elif not (READ if method in ("GET", "HEAD") else WRITE).fullmatch(path) or self.is_gone(path):
            refusal = PlainTextResponse("there is nothing here", 404)
        elif method == "POST" and path.rstrip("/") != UPLOAD:
            body = await question(request)
            refusal = self.refused(body)
            receive = replayed(body or b"", receive)
        else:
            refusal = None
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, marked(send, is_clip=path.startswith(CLIP)))

    def is_gone(self, path: str) -> bool:
        """Is this the address of a file that is no clip, or none any more?"""
        file = Path(path.removeprefix(CLIP))
        return path.startswith(CLIP) and not (self.uploads.holds(file) and file.is_file())

    def refused(self, body: bytes | None) -> PlainTextResponse | None:
        """A question names files that were sent here, never others, nor addresses, which gradio would fetch."""
        if body is None:
            return PlainTextResponse("the question is too long", 413, {"Connection": "close"})
        try:
            named = paths_in(json.loads(body or b"null"))
        except (ValueError, RecursionError):
            return PlainTextResponse("the question is not JSON", 400)
        if not all(isinstance(path, str) and self.uploads.holds(Path(path)) for path in named):
            return PlainTextResponse(f"a clip is named by the path that {UPLOAD} gave for it", 400)
        return None


def host_of(headers: Headers) -> str:
    """Without the port."""
    return re.sub(r":\d*$", "", headers.get("host", "")).strip("[]").lower()


async def question(request: Request) -> bytes | None:
    """The body; None where it is too long."""
    parts: list[bytes] = []
    try:
        async for part in request.stream():
            parts.append(part)
            if sum(map(len, parts)) > MAX_QUESTION_BYTES:
                return None
    except ClientDisconnect:
        return b""
    return b"".join(parts)


def paths_in(value: Any) -> list[Any]:
    """Every `path` in it, however deep."""
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


def marked(send: Send, *, is_clip: bool) -> Send:
    """With HEADERS; a browser keeps no clip."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS | ({"Cache-Control": "no-store"} if is_clip else {}))
        await send(message)

    return sent
