"""The files that names in a table mean: as they are called, or as people and other systems would write that."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePosixPath, PureWindowsPath

from msma.files.names import caseless, composed, meant
from msma.types import MsmaError


class Listing:
    """The names in a folder."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)

    @cached_property
    def composed(self) -> dict[str, list[str]]:
        return grouped(self.names, composed)

    @cached_property
    def caseless(self) -> dict[str, list[str]]:
        return grouped(self.names, caseless)


def grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        groups[key(name)].append(name)
    return dict(groups)


def find_files(home: Path, names: Sequence[str]) -> list[Path]:
    """Find the files that `names` mean, relative to `home` or absolute; of a file that is not there, where it would be.

    The file that is called exactly so comes first. Else Unicode is compared in NFC, `\\` separates folders too, and
    upper and lower case do not count where one file alone fits: its name on the disk is the one that is given. Absolute
    names of another machine are sought below `home`, without folders that all absolute names share. MsmaError where
    several files fit.
    """
    listings: dict[Path, Listing | None] = {}
    shared = shared_folders([whole.parts for name in names if (whole := absolute(name)) is not None])
    return [find_file(home, name, shared, listings) for name in names]


def find_file(home: Path, name: str, shared: int, listings: dict[Path, Listing | None]) -> Path:
    slashed = meant(name).replace("\\", "/")
    ways = [Path(os.path.normpath(way)) for way in dict.fromkeys((name, meant(name), slashed))]
    if (whole := absolute(name)) is not None:
        ways += [Path(*whole.parts[dropped:]) for dropped in range(1, shared + 1)]
    return next((path for way in ways if (path := walk(home, way, listings)) is not None), home / slashed)


def absolute(name: str) -> PurePosixPath | PureWindowsPath | None:
    """An absolute path of this or another system; None for a relative one."""
    return next((path for kind in (PurePosixPath, PureWindowsPath) if (path := kind(name)).is_absolute()), None)


def shared_folders(paths: Sequence[tuple[str, ...]]) -> int:
    """The number of parts, from the root, that are the folders of all `paths`, in any case."""
    columns = zip(*(map(caseless, parts[:-1]) for parts in paths), strict=False)
    return sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, columns))


def walk(home: Path, way: Path, listings: dict[Path, Listing | None]) -> Path | None:
    """The file at the end of a way from a folder, part by part; None where there is none."""
    here = home
    for part in way.parts:
        step = here / part if part in ("..", way.anchor) else entry(here, part, listings)
        if step is None:
            return None
        here = step
    return here


def entry(folder: Path, name: str, listings: dict[Path, Listing | None]) -> Path | None:
    """What is called so in a folder; None where nothing is, MsmaError where several files may be meant."""
    if folder not in listings:
        try:
            listings[folder] = Listing(os.listdir(folder))  # noqa: PTH208  (a Path for each name is slow)
        except (OSError, ValueError):  # no folder, or one that may be entered but not listed
            listings[folder] = None
    listing = listings[folder]
    if listing is None:
        return folder / name if os.path.exists(folder / name) else None  # noqa: PTH110  (no error for a long name)
    if name in listing.names:
        return folder / name
    fits = listing.composed.get(composed(name)) or listing.caseless.get(caseless(name)) or []
    if len(fits) > 1:
        raise MsmaError(f"{folder / name}: may be {fits[0]!r} or {fits[1]!r}; write the name as the folder has it")
    return folder / fits[0] if fits else None
