"""Unpack the wanted files of checked zips, and of the zips in them, each once: what lies there already is kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msma.data.corpora.zips import CHUNK_BYTES, Damaged, Locked, Member, Zip, open_zip, refused, shown, unpack_member
from msma.files.reading import read_json, why
from msma.files.walking import PassedOver
from msma.files.writing import sweep, write_whole, written_whole
from msma.types import MsmaError, WriteError

MAX_DEPTH = 3
"""Zips in zips in zips."""
MAX_TOTAL_BYTES = 256 * 1024**3
MAX_TOTAL_MEMBERS = 200_000
SPARE_BYTES = 512 * 1024**2
"""Left free on the disk."""
MARK = ".archive.json"
MAX_MARK_BYTES = 256 * 1024**2
"""In the folder of an archive: the archive that it belongs to and, once that is unpacked, its files and their sizes."""

Progress = Callable[[int, int], None]
"""Called with (done, total) in bytes of the archives."""


@dataclass(frozen=True)
class Gathered:
    """The files of a place, and what could not be read."""

    files: list[Path] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    """One line per member."""
    unused: list[str] = field(default_factory=list)
    """One line per archive that gave nothing, or not all."""
    passed_over: PassedOver = field(default_factory=dict)


@dataclass
class Unpacking:
    """The state that the archives of one call share."""

    root: Path
    """Where everything is unpacked to."""
    wanted: Callable[[str], bool]
    keys: list[bytes]
    """The one that fitted last comes first."""
    progress: Progress
    loose: defaultdict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    """Files that lie unpacked, by name."""
    gathered: Gathered = field(default_factory=Gathered)
    members: int = 0
    size: int = 0
    """Bytes that were written."""
    done: int = 0
    total: int = 0

    def relevant(self, archive: Zip) -> list[Member]:
        """The members to unpack."""
        named = [(member, *member.name.rpartition("/")[::2]) for member in archive.members]
        return [
            member
            for member, folder, name in named
            if (is_zip(name) or self.wanted(name)) and not is_clutter(name) and "__MACOSX" not in folder
        ]

    def report(self, members: Sequence[Member], depth: int) -> None:
        if depth == 1:
            self.done += sum(member.info.compress_size for member in members)
            self.progress(self.done, self.total)

    def unpack(self, archive: Zip, identity: str, folder: Path, depth: int = 1) -> list[Path]:
        """The wanted files of an archive and of the zips in it; MsmaError where it is hostile or there is no room."""
        members = self.relevant(archive)
        known = self.finished(folder, identity)
        if known is not None or not members:
            self.report(members, depth)
            return known or []
        self.members += len(members)
        if self.members > MAX_TOTAL_MEMBERS:
            raise refused(archive.name, f"is one of archives with more than {MAX_TOTAL_MEMBERS} files")
        if depth == MAX_DEPTH and (deeper := [member for member in members if is_zip(member.name)]):
            raise refused(archive.name, f"member {shown(deeper[0].name)} is a zip in {MAX_DEPTH} zips")
        damaged, unused = self.gathered.damaged, self.gathered.unused
        problems = len(damaged) + len(unused)
        files: list[Path] = []
        locked = 0
        try:
            mark_begun(folder, identity)
            sweep(folder, "**/.*.part")
            for member in members:
                try:
                    if is_zip(member.name):
                        files += self.unpack_inner(archive, member, identity, folder / member.name, depth)
                    else:
                        files.append(self.unpack_file(archive, member, folder / member.name))
                except Locked:
                    locked += 1
                except Damaged as error:
                    (unused if is_zip(member.name) else damaged).append(str(error))
                self.report([member], depth)
            if locked:
                unused.append(
                    f"{archive.name}: {locked} of {len(members)} members are encrypted and none of {len(self.keys)} "
                    "keys fits; give the key with --key"
                )
            if problems == len(damaged) + len(unused):
                sizes = {str(path): path.stat().st_size for path in files}
                write_whole(folder / MARK, json.dumps({"archive": identity, "files": sizes}))
        except (OSError, WriteError) as error:
            raise WriteError(
                f"{archive.name}: cannot be unpacked to {folder} ({why(error)}); name another folder with --extract"
            ) from error
        return files

    def unpack_file(self, archive: Zip, member: Member, path: Path) -> Path:
        """Where the member's content lies: unpacked to `path` now or earlier, or elsewhere by the user."""
        if is_whole(path, member):
            return path
        for same in self.loose[path.name]:
            if member.crc is not None and is_whole(same, member):
                return same
        self.count(archive, member)
        with written_whole(path) as unfinished, unfinished.open("wb") as file:
            unpack_member(archive, member, file, self.keys)
        self.loose[path.name].append(path)  # nor is the same clip unpacked from another archive
        return path

    def unpack_inner(self, archive: Zip, member: Member, identity: str, folder: Path, depth: int) -> list[Path]:
        """As `unpack`, of a zip in an archive."""
        identity = hashlib.sha256(f"{identity}/{member.name}".encode()).hexdigest()
        known = self.finished(folder, identity)
        if known is not None:
            return known
        self.count(archive, member)
        with tempfile.TemporaryFile(dir=self.root) as file:
            unpack_member(archive, member, file, self.keys)
            inner = open_zip(file, f"{archive.name}/{member.name}")
            self.check_room(self.missing_bytes(self.relevant(inner), folder))
            return self.unpack(inner, identity, folder, depth + 1)

    def count(self, archive: Zip, member: Member) -> None:
        """Count the bytes to be written, and refuse more than any corpus has."""
        self.size += member.info.file_size
        if self.size > MAX_TOTAL_BYTES:
            raise refused(archive.name, f"is one of archives that unpack to more than {MAX_TOTAL_BYTES >> 30} GiB")

    def missing_bytes(self, members: Sequence[Member], folder: Path) -> int:
        """Bytes still to be written, about: a zip within stands for what is in it, and the largest one for itself."""
        files, inner = [0], [0]
        for member in members:
            path, size = folder / member.name, member.info.file_size
            if is_zip(member.name):
                inner.append(0 if path.exists() else size)
            elif not any(has_size(other, size) for other in (path, *self.loose[path.name])):
                files.append(size)
        return sum(files) + sum(inner) + max(inner)

    def check_room(self, needed: int) -> None:
        """Refuse more bytes than the disk has room for."""
        there = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        free = max(shutil.disk_usage(there).free - SPARE_BYTES, 0)
        if needed > free:
            raise MsmaError(
                f"{self.root}: the archives unpack to {needed / 2**20:,.0f} MiB, {free / 2**20:,.0f} MiB are free; "
                "name a folder on another disk with --extract"
            )

    def finished(self, folder: Path, identity: str) -> list[Path] | None:
        """The files of an archive that was unpacked to its end, if all are there; None: look at each member."""
        mark = read_mark(folder)
        sizes = mark.get("files")
        if mark.get("archive") != identity or not isinstance(sizes, dict):
            return None
        files = {Path(os.path.normpath(name)): size for name, size in sizes.items()}
        ours = [path.is_relative_to(self.root) or path in self.loose[path.name] for path in files]
        return list(files) if all(ours) and all(map(has_size, files, files.values())) else None


def mark_begun(folder: Path, identity: str) -> None:
    """Mark the folder as that of this archive; MsmaError where it is another one's."""
    if read_mark(folder).get("archive", identity) != identity:
        raise MsmaError(f"{folder}: holds what came out of another archive of that name; remove it or use --extract")
    write_whole(folder / MARK, json.dumps({"archive": identity}))


def read_mark(folder: Path) -> dict[str, Any]:
    """The mark; empty where there is none or it is not ours, so that the files are looked at one by one."""
    try:
        content = read_json(folder / MARK, "", MAX_MARK_BYTES)
    except MsmaError:
        return {}
    return content if isinstance(content, dict) else {}


def is_whole(path: Path, member: Member) -> bool:
    """Whether a file is the member, by size and checksum (where the archive has one)."""
    if member.crc is None or not has_size(path, member.info.file_size):
        return has_size(path, member.info.file_size)
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
    return crc == member.crc


def has_size(path: Path, size: object) -> bool:
    return path.is_file() and path.stat().st_size == size


def is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def is_clutter(name: str) -> bool:
    """Whether macOS lays such a file beside each other one, under the same ending."""
    return name.startswith("._")
