"""Clips that were sent: each in a folder of its own, and deleted with the prediction for it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, BinaryIO

from gradio.route_utils import upload_fn
from gradio.routes import file_upload_statuses
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Message, Receive

from msma.files.reading import why
from msma.types import MsmaError

FORM_BYTES = 64 * 1024
"""How much larger a request may be than the clip in it."""
PART_BYTES = 256 * 1024
"""How much of a clip is read at once."""
FORGOTTEN_AFTER_S = 15 * 60.0
"""A clip that nobody asked about by then is deleted."""


@dataclass(frozen=True)
class Uploads:
    root: Path
    """An empty folder of this server alone."""
    max_bytes: int
    """Largest clip."""

    async def receive(self, request: Request) -> Response:
        """Take one clip, as a form with `files`, and return its path; what is too large is not read to its end.

        Unlike gradio's own upload, it stores equal clips of two people apart, and nothing of a broken transfer.
        """
        claimed = request.headers.get("content-length", "0")
        if not claimed.isdecimal() or int(claimed) > self.max_bytes + FORM_BYTES:
            return refused(413, self.too_large())
        upload_id = request.query_params.get("upload_id")
        folder = Path(mkdtemp(dir=self.root))
        try:
            counted = Request(request.scope, at_most(self.max_bytes + FORM_BYTES, request.receive, self.too_large()))
            paths, _, _ = await upload_fn(
                counted, str(folder), self.max_bytes, upload_id, upload_progress=file_upload_statuses
            )
            if len(paths) != 1:
                raise HTTPException(400, "send one clip at a time, as `files`")
        except BaseException as error:
            shutil.rmtree(folder)
            if upload_id:
                file_upload_statuses.set_done(upload_id)
            if isinstance(error, HTTPException):
                return refused(error.status_code, error.detail)
            if isinstance(error, MultiPartException) and "size" in error.message:
                return refused(413, self.too_large())
            if isinstance(error, MultiPartException | KeyError | TypeError | ClientDisconnect):
                return refused(400, "this is not a form with one clip as `files`")
            if isinstance(error, OSError):  # a full disk
                return refused(507, f"the server cannot keep the clip ({why(error)}); try again later")
            raise
        return JSONResponse(paths)

    async def give_back(self, request: Request) -> Response:
        """A clip, for the page that recorded it, which deletes it then; never as a page, whatever it is called."""
        path = Path(request.path_params["path"])
        if not self.holds(path) or not path.is_file():
            return refused(404, "there is no such clip, or not any more")
        if request.method == "DELETE":
            self.drop(path)
            return Response(status_code=204)
        # An open file can be read to its end, also where it is deleted in between.
        parts = read_in_parts(path.open("rb"))
        return StreamingResponse(parts, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    def too_large(self) -> str:
        problem = f"the clip is over the limit of {self.max_bytes / 1e6:.0f} MB"
        return f"{problem}; cut it, or start the server with --limit max_bytes=..."

    @contextmanager
    def claimed(self, sent: Any) -> Iterator[Path]:
        """The file of a clip that was sent (`{"path": ...}`, as gradio has it), deleted when the block ends; MsmaError
        where nothing was sent, or it is not here any more."""
        if sent is None:
            raise MsmaError("there is no clip; choose or record one first")
        path = Path(sent["path"] if isinstance(sent, dict) and isinstance(sent.get("path"), str) else str(sent))
        if not self.holds(path) or not path.is_file():
            raise MsmaError(f"{path.name}: is not here any more; send the clip again")
        try:
            yield path
        finally:
            self.drop(path)

    def drop(self, path: Path) -> None:
        """Delete a clip that was sent."""
        shutil.rmtree(self.root / path.relative_to(self.root).parts[0], ignore_errors=True)

    def holds(self, path: Path) -> bool:
        """Is this the path of a clip that was sent?"""
        return path.is_relative_to(self.root) and ".." not in path.parts and len(path.relative_to(self.root).parts) == 3

    def forget(self, older_than_s: float) -> None:
        """Delete clips that have been here for longer."""
        for folder in self.root.iterdir():
            if time.time() - folder.stat().st_mtime > older_than_s:
                shutil.rmtree(folder, ignore_errors=True)


def read_in_parts(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while part := file.read(PART_BYTES):
            yield part


def refused(status: int, why: str) -> Response:
    """A response that does not wait for the rest of the request."""
    return PlainTextResponse(why, status, {"Connection": "close"})


def at_most(limit: int, receive: Receive, refusal: str) -> Receive:
    """The same body, which ends with an HTTPException beyond so many bytes."""
    left = limit

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, refusal)
        return message

    return counted
