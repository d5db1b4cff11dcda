"""What is unpacked already: the folder of an archive has a mark that says whose it is and, in the end, what it gave."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msma.data.zips import CHUNK_BYTES, Member
from msma.files import written_whole
from msma.types import MsmaError

MARK = ".archive.json"

Loose = Mapping[str, Sequence[Path]]
"""Files that lie unpacked elsewhere, by name."""


def claim(folder: Path, identity: str) -> None:
    """Make the folder that of this archive.

    Raises:
        MsmaError: it is another one's.
    """
    owner = read(folder / MARK).get("archive", identity)
    if owner != identity:
        raise MsmaError(f"{folder}: holds what came out of another archive of that name; remove it or use --extract")
    write(folder / MARK, {"archive": identity})


def mark_finished(folder: Path, identity: str, root: Path, files: Sequence[Path]) -> None:
    """Say that the archive was unpacked to its end and gave `files`, below `root` or elsewhere."""
    ours = {str(path.relative_to(root)): size_of(path) for path in files if path.is_relative_to(root)}
    loose = {path.name: size_of(path) for path in files if not path.is_relative_to(root)}
    write(folder / MARK, {"archive": identity, "files": ours, "loose": loose})


def finished(folder: Path, identity: str, root: Path, loose: Loose) -> list[Path] | None:
    """What the archive gave, if it was unpacked to its end and all is still there; None: look at each member."""
    content = read(folder / MARK)
    ours, others = content.get("files"), content.get("loose")
    if content.get("archive") != identity or not isinstance(ours, dict) or not isinstance(others, dict):
        return None
    inside = {name: root / name for name in ours if ".." not in Path(name).parts}
    places = [((path,), ours[name]) for name, path in inside.items() if path.is_relative_to(root)]
    places += [(loose.get(name, ()), size) for name, size in others.items()]
    files = [path for paths, size in places for path in [path for path in paths if size_of(path) == size][:1]]
    return files if len(files) == len(ours) + len(others) else None


def is_whole(path: Path, member: Member) -> bool:
    """Whether a file is the member, by size and checksum (where the archive has one)."""
    if size_of(path) != member.info.file_size:
        return False
    if member.crc is None:
        return True
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
    return crc == member.crc


def size_of(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def read(path: Path) -> dict[str, Any]:
    """The mark; empty where there is none or it is not ours, so that the files are looked at one by one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write(path: Path, content: dict[str, Any]) -> None:
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(content), encoding="utf-8")
