"""Clips that were sent: there while they are asked about, and no other files."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from starlette.requests import Request

from msma.serve.uploads import Uploads
from msma.types import MsmaError


@pytest.fixture
def uploads(tmp_path):
    (tmp_path / "clips").mkdir()
    return Uploads(tmp_path / "clips", 1_000_000)


def sent(uploads: Uploads, folder: str = "one") -> dict[str, str]:
    path = uploads.root / folder / "hash" / "clip.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"clip")
    return {"path": str(path)}


def test_a_clip_is_there_while_it_is_claimed_and_gone_after(uploads):
    with uploads.claimed(sent(uploads)) as path:
        assert path.read_bytes() == b"clip"
    assert list(uploads.root.iterdir()) == []


def test_a_clip_is_gone_too_where_the_prediction_fails(uploads):
    with pytest.raises(ZeroDivisionError), uploads.claimed(sent(uploads)):
        1 / 0  # noqa: B018
    assert list(uploads.root.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["/etc/hostname", "clips/../../x", "{root}", "{root}/one", "{root}/one/hash/../../../x"]
)
def test_only_what_was_sent_can_be_claimed(uploads, path):
    named = {"path": path.replace("{root}", str(uploads.root))}
    with pytest.raises(MsmaError, match="is not here any more"), uploads.claimed(named):
        pass


def test_nothing_sent_is_reported_as_such(uploads):
    with pytest.raises(MsmaError, match="choose or record one first"), uploads.claimed(None):
        pass


def test_what_nobody_asked_about_is_forgotten(uploads):
    old, young = (Path(sent(uploads, folder)["path"]) for folder in ("old", "young"))
    os.utime(uploads.root / "old", (time.time() - 1000, time.time() - 1000))
    uploads.forget(900.0)
    assert (old.exists(), young.exists()) == (False, True)


def test_a_clip_that_is_deleted_while_it_is_read_back_is_read_to_its_end(uploads):
    path = Path(sent(uploads)["path"])
    scope = {"type": "http", "method": "GET", "path_params": {"path": str(path)}, "headers": []}

    async def read_back() -> bytes:
        response = await uploads.give_back(Request(scope))
        uploads.drop(path)
        return b"".join([part async for part in response.body_iterator])

    assert asyncio.run(read_back()) == b"clip"
