"""The files of a corpus, in folders and in zips: what lies in archives is unpacked into a folder of our own.

Each archive has a subfolder of its path there, zips in zips too. Whoever calls says which names are wanted; nothing
else is unpacked. A file is whole or not there, and an archive that was unpacked to its end is marked, so that an
interrupted call resumes. Zips in zips pass through a nameless temporary file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msma.data.corpora.zips import CHUNK_BYTES, Damaged, Locked, Member, Zip, open_zip, refused, shown, unpack_member
from msma.files import write_whole, written_whole
from msma.types import MsmaError

MAX_DEPTH = 3
"""Zips in zips in zips."""
MAX_TOTAL_BYTES = 256 * 1024**3
MAX_TOTAL_MEMBERS = 200_000
SPARE_BYTES = 512 * 1024**2
"""Left free on the disk."""
OTHER_ARCHIVES = (".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")

Progress = Callable[[int, int], None]
"""Told (done, total) in bytes of the archives."""


@dataclass(frozen=True)
class Gathered:
    """What lies in a place, and what could not be had."""

    files: list[Path] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    """One line a member."""
    unused: list[str] = field(default_factory=list)
    """One line an archive that gave nothing, or not all."""


@dataclass
class Unpacking:
    """What the archives of one call share."""

    root: Path
    """Where everything is unpacked to."""
    wanted: Callable[[str], bool]
    keys: list[bytes]
    """The one that fitted last comes first."""
    loose: dict[str, list[Path]]
    """Files that lie unpacked, by name."""
    gathered: Gathered
    spent_members: int = 0
    spent_bytes: int = 0


def gather(
    place: Path,
    wanted: Callable[[str], bool],
    root: Path,
    *,
    keys: Sequence[str] = (),
    progress: Progress | None = None,
) -> Gathered:
    """Find the files with a wanted name below `place` (a folder, or one zip), unpacking archives into `root`.

    A member that lies unpacked below `place` already, with the same name, size and checksum, is not unpacked again.

    Raises:
        MsmaError: no such place, a hostile archive (before any of its members is written), or no room on the disk.
    """
    place, root = place.absolute(), root.absolute()
    zips, others = find_files(place, root)
    task = Unpacking(root, wanted, [os.fsencode(key) for key in keys if key], {}, Gathered())
    for path in others:
        if wanted(path.name):
            task.gathered.files.append(path)
            task.loose.setdefault(path.name, []).append(path)
        elif path.suffix.lower() in OTHER_ARCHIVES:
            task.gathered.unused.append(f"{path}: an archive but no zip; unpack it by hand")
    base = place if place.is_dir() else place.parent
    archives: list[tuple[Path, Zip]] = []
    for path in zips:
        try:
            with path.open("rb") as file:
                archives.append((path, open_zip(file, str(path))))
        except Damaged as error:
            task.gathered.unused.append(str(error))
    task.gathered.unused.extend(
        f"{path}: holds no file of the corpus" for path, it in archives if not relevant(task, it)
    )
    check_room(task, sum(missing_bytes(task, archive, root / path.relative_to(base)) for path, archive in archives))
    total = sum(member.info.compress_size for _, archive in archives for member in relevant(task, archive))
    done = 0

    def report(packed: int) -> None:
        nonlocal done
        done += packed
        if progress:
            progress(done, total)

    for path, archive in archives:
        with path.open("rb") as file:
            archive = replace(archive, file=file)
            task.gathered.files.extend(
                unpack(task, archive, archive.identity, root / path.relative_to(base), 1, report)
            )
    # A member that lies unpacked, too, is one file.
    return replace(task.gathered, files=list(dict.fromkeys(task.gathered.files)))


def find_files(place: Path, skipped: Path) -> tuple[list[Path], list[Path]]:
    """Zips and other files below `place`, sorted; the folder `skipped` is not looked into.

    Raises:
        MsmaError: neither a folder nor a zip, or a folder that may not be read.
    """
    if place.is_file() and is_zip(place.name):
        return [place], []
    if not place.is_dir():
        raise MsmaError(f"{place}: not a folder and not a zip; name the one that holds the clips and the label files")

    def unreadable(error: OSError) -> None:
        raise MsmaError(f"{error.filename}: cannot be read ({error.strerror}); change its permissions") from error

    files: list[Path] = []
    for here, folders, names in os.walk(place, onerror=unreadable):
        folders[:] = [name for name in folders if not (skipped.exists() and skipped.samefile(Path(here, name)))]
        files += [path for name in names if not is_clutter(name) and (path := Path(here, name)).is_file()]
    files.sort()
    return [path for path in files if is_zip(path.name)], [path for path in files if not is_zip(path.name)]


def is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def is_clutter(name: str) -> bool:
    """What macOS lays beside each file, under the same ending."""
    return name.startswith("._")


def relevant(task: Unpacking, archive: Zip) -> list[Member]:
    """The members to unpack."""
    named = [(member, *member.name.rpartition("/")[::2]) for member in archive.members]
    return [
        member
        for member, folder, name in named
        if (is_zip(name) or task.wanted(name)) and not is_clutter(name) and "__MACOSX" not in folder
    ]


def unpack(
    task: Unpacking, archive: Zip, identity: str, folder: Path, depth: int, report: Callable[[int], None]
) -> list[Path]:
    """The wanted files of an archive and of the zips in it; `report` is told the packed bytes of each member.

    Raises:
        MsmaError: hostile, or no room.
    """
    members = relevant(task, archive)
    known = finished(folder, identity, task.root, task.loose)
    if known is not None or not members:
        report(sum(member.info.compress_size for member in members))
        return known or []
    task.spent_members += len(members)
    if task.spent_members > MAX_TOTAL_MEMBERS:
        raise refused(archive.name, f"is one of archives with more than {MAX_TOTAL_MEMBERS} files")
    if depth == MAX_DEPTH and (deeper := [member for member in members if is_zip(member.name)]):
        raise refused(archive.name, f"member {shown(deeper[0].name)} is a zip in {MAX_DEPTH} zips")
    problems = len(task.gathered.damaged) + len(task.gathered.unused)
    files: list[Path] = []
    locked = 0
    try:
        claim(folder, identity)
        for leftover in folder.rglob(".*.part"):
            leftover.unlink()
        for member in members:
            try:
                if is_zip(member.name):
                    files += unpack_inner(task, archive, member, identity, folder, depth)
                else:
                    files.append(unpack_file(task, archive, member, folder))
            except Locked:
                locked += 1
            except Damaged as error:
                (task.gathered.unused if is_zip(member.name) else task.gathered.damaged).append(str(error))
            report(member.info.compress_size)
        if locked:
            task.gathered.unused.append(
                f"{archive.name}: {locked} of {len(members)} members are encrypted and none of {len(task.keys)} keys "
                "fits; give the key with --key"
            )
        if problems == len(task.gathered.damaged) + len(task.gathered.unused):
            mark_finished(folder, identity, task.root, files)
    except OSError as error:
        raise MsmaError(
            f"{archive.name}: cannot be unpacked to {folder} ({error.strerror}); name another folder with --extract"
        ) from error
    return files


def unpack_file(task: Unpacking, archive: Zip, member: Member, folder: Path) -> Path:
    """Where the member's content lies: unpacked now, earlier, or by the user."""
    path = folder / member.name
    if is_whole(path, member):
        return path
    for same in task.loose.get(path.name, ()):
        if member.crc is not None and is_whole(same, member):
            return same
    spend(task, archive, member)
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        unpack_member(archive, member, file, task.keys)
    task.loose.setdefault(path.name, []).append(path)  # nor is the same clip unpacked from another archive
    return path


def unpack_inner(task: Unpacking, archive: Zip, member: Member, identity: str, folder: Path, depth: int) -> list[Path]:
    """As `unpack`, of a zip in an archive."""
    identity = hashlib.sha256(f"{identity}/{member.name}".encode()).hexdigest()
    inner = folder / member.name
    known = finished(inner, identity, task.root, task.loose)
    if known is not None:
        return known
    spend(task, archive, member)
    with tempfile.TemporaryFile(dir=task.root) as file:
        unpack_member(archive, member, file, task.keys)
        opened = open_zip(file, f"{archive.name}/{member.name}")
        check_room(task, missing_bytes(task, opened, inner))
        return unpack(task, opened, identity, inner, depth + 1, lambda _: None)


def spend(task: Unpacking, archive: Zip, member: Member) -> None:
    """Count what is about to be written.

    Raises:
        MsmaError: more than any corpus has.
    """
    task.spent_bytes += member.info.file_size
    if task.spent_bytes > MAX_TOTAL_BYTES:
        raise refused(archive.name, f"is one of archives that unpack to more than {MAX_TOTAL_BYTES >> 30} GiB")


def missing_bytes(task: Unpacking, archive: Zip, folder: Path) -> int:
    """About what has still to be written; a zip within stands for what is in it, and the largest one for itself."""
    files, inner = [0], [0]
    for member in relevant(task, archive):
        path, size = folder / member.name, member.info.file_size
        if is_zip(member.name):
            inner.append(0 if path.exists() else size)
        elif all(size_of(other) != size for other in (path, *task.loose.get(path.name, ()))):
            files.append(size)
    return sum(files) + sum(inner) + max(inner)


def check_room(task: Unpacking, needed: int) -> None:
    """Raises:
    MsmaError: the disk has too little left.
    """
    there = next(folder for folder in (task.root, *task.root.parents) if folder.exists())
    free = shutil.disk_usage(there).free - SPARE_BYTES
    if needed > max(free, 0):
        raise MsmaError(
            f"{task.root}: the archives unpack to {needed / 2**30:.1f} GiB, {max(free, 0) / 2**30:.1f} GiB are free; "
            "name a folder on another disk with --extract"
        )


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
    write_whole(path, json.dumps(content))
