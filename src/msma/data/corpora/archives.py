"""The files of a corpus, in folders and in zips: what lies in archives is unpacked into a folder of our own.

Each archive has a subfolder of its path there, zips in zips too. Whoever calls says which names are wanted; nothing
else is unpacked. A file is whole or not there, and an archive that was unpacked to its end is marked, so that an
interrupted call resumes. Zips in zips pass through a nameless temporary file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from msma.data.corpora.unpacking import Gathered, Progress, Unpacking, is_clutter, is_zip
from msma.data.corpora.zips import Damaged, Zip, open_zip
from msma.files.folders import locked
from msma.files.walking import FORBIDDEN, PassedOver, files_below
from msma.types import MsmaError

NOTES = "are notes of macOS beside other files"
NO_FILES = "are pipes, devices or links to nothing"
OTHERS = "are no clips (mp4), label files or zips"
OTHER_ARCHIVES = (".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")


def gather(
    place: Path,
    wanted: Callable[[str], bool],
    root: Path,
    *,
    keys: Sequence[str] = (),
    follow_links: bool = False,
    progress: Progress = lambda *_: None,
) -> Gathered:
    """Find the files with a wanted name below `place` (a folder, or one zip), unpacking archives into `root`.

    A member that lies unpacked below `place` already, with the same name, size and checksum, is not unpacked again.
    MsmaError for no such place, a hostile archive (before any of its members is written), no room on the disk, or a
    `root` that another run unpacks into.
    """
    place, root = place.absolute(), root.absolute()
    task = Unpacking(root, wanted, [os.fsencode(key) for key in keys if key], progress)
    gathered = task.gathered
    archives: list[tuple[Path, Zip]] = []
    for path in find_files(place, root, gathered.passed_over, follow_links=follow_links):
        try:
            if is_zip(path.name):
                with path.open("rb") as file:
                    archives.append((path, open_zip(file, str(path))))
            elif wanted(path.name):
                gathered.files.append(path)
                task.loose[path.name].append(path)
            elif path.suffix.lower() in OTHER_ARCHIVES:
                gathered.unused.append(f"{path}: an archive but no zip; unpack it by hand")
            else:
                gathered.passed_over.setdefault(OTHERS, []).append(str(path))
        except Damaged as error:
            gathered.unused.append(str(error))
    base = place if place.is_dir() else place.parent
    folders = [root / path.relative_to(base) for path, _ in archives]
    members = [task.relevant(archive) for _, archive in archives]
    gathered.unused.extend(
        f"{path}: holds no file of the corpus" for (path, _), some in zip(archives, members, strict=True) if not some
    )
    task.check_room(sum(map(task.missing_bytes, members, folders)))
    task.total = sum(member.info.compress_size for some in members for member in some)
    finished = [task.finished(folder, archive.identity) for (_, archive), folder in zip(archives, folders, strict=True)]
    with locked(root) if any(members) and None in finished else nullcontext():
        for (path, archive), folder in zip(archives, folders, strict=True):
            with path.open("rb") as file:
                gathered.files.extend(task.unpack(replace(archive, file=file), archive.identity, folder))
    # A member that lies unpacked, too, is one file.
    return replace(gathered, files=list(dict.fromkeys(gathered.files)))


def find_files(place: Path, skipped: Path, passed_over: PassedOver, *, follow_links: bool) -> list[Path]:
    """Files below `place`, sorted, zips last; the folder `skipped` is not looked into.

    MsmaError where it is neither a folder nor a zip. See `files_below` for what is passed over.
    """
    if place.is_file() and is_zip(place.name):
        return [place]
    if not place.is_dir():
        raise MsmaError(f"{place}: not a folder and not a zip; name the one that holds the clips and the label files")
    files: list[Path] = []
    for path in files_below(place, passed_over, follow_links=follow_links, skipped=skipped):
        try:
            kind = NOTES if is_clutter(path.name) else None if path.is_file() else NO_FILES
        except PermissionError:
            kind = FORBIDDEN
        if kind is None:
            files.append(path)
        else:
            passed_over.setdefault(kind, []).append(str(path))
    return sorted(files, key=lambda path: (is_zip(path.name), path))
