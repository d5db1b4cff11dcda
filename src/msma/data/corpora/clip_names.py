"""Clips by the names that tables of others write, as paths of any system: matched by the longest common end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from msma.data.corpora.manifest import Manifest, Row
from msma.files.finding import grouped, shared_folders
from msma.files.names import caseless, parts_of
from msma.types import MsmaError

VIDEO = ".mp4"
"""The suffix that names of clips most often lack, or have where the clip's own lacks it."""


NO_SUFFIX = "/"
"""The end of a name whose suffix was left out, so that it is no other's whole name."""


class Name(NamedTuple):
    """One way to name a clip."""

    clip: str
    parts: tuple[str, ...]
    own: int
    """How many parts, from the end, tell the clip from others: a path with another one there is another clip's."""


class Written(NamedTuple):
    """A name in a table and the clips that it fits."""

    parts: tuple[str, ...]
    clips: list[str]
    common: int
    """Length of the common end, in parts."""


class Names:
    """The names of clips, by their ends."""

    def __init__(self, names: Iterable[Name]) -> None:
        self.names = list(names)

    @cached_property
    def as_written(self) -> Ends:
        return Ends(self.names, str)

    @cached_property
    def without_case(self) -> Ends:
        return Ends(self.names, caseless)

    def find(self, written: str) -> Written:
        """The clips that a name fits best; upper and lower case count only where they tell clips apart."""
        parts = parts_of(written)
        clips, common = self.as_written.find(parts)
        if not clips:
            clips, common = self.without_case.find(parts)
        return Written(parts, clips, common)


class Ends:
    """The clips by the ends of their names, with and without suffix; `key` makes alike what is the same name."""

    def __init__(self, names: Sequence[Name], key: Callable[[str], str]) -> None:
        self.key = key
        self.whole, self.tails, self.heads = (defaultdict[str, dict[str, None]](dict) for _ in range(3))
        """Clips by their whole name; by each end of it, for what is no more than that; and by each end that tells them
        from others, for all that ends so."""
        for clip, parts, own in names:
            self.whole[self.joined(parts_of(clip))][clip] = None
            for length in range(1, len(parts) + 1):
                folders, last = parts[-length:-1], parts[-1]
                for end in dict.fromkeys([last, *(f"{bare}{NO_SUFFIX}" for bare in without_suffix(last))]):
                    text = self.joined((*folders, end))
                    self.tails[text][clip] = None
                    if length >= own:
                        self.heads[text][clip] = None

    def joined(self, parts: Sequence[str]) -> str:
        return self.key("/".join(parts))

    def find(self, parts: tuple[str, ...]) -> tuple[list[str], int]:
        """The clips with the longest common end, and its length; a suffix may lack on one of the sides."""
        last = parts[-1]
        bare = last.removesuffix(VIDEO)
        for length in range(len(parts), 0, -1):
            whole = length == len(parts)
            for end in (last, f"{last}{NO_SUFFIX}", bare, f"{bare}{NO_SUFFIX}"):
                text = self.joined((*parts[-length:-1], end))
                clips = (whole and self.whole.get(text)) or (self.tails if whole else self.heads).get(text)
                if clips:
                    return list(clips), length
        return [], 0


def without_suffix(last: str) -> list[str]:
    return [bare for suffix in (VIDEO, PurePosixPath(last).suffix) if suffix and (bare := last.removesuffix(suffix))]


def names_of_clips(manifest: Manifest) -> Iterator[Name]:
    """Every way to name the clips of a manifest: the clip, and the path of its file below what all files share.

    A table that gave paths with folders means them: another folder is another clip's. A corpus that names its clips
    does not say where they lie.
    """
    paths = [parts_of(str(row.path)) for row in manifest.rows]
    shared = shared_folders(paths)
    by_path = manifest.facts.get("named_folders")  # None: the clips have names of their own
    for row, path in zip(manifest.rows, paths, strict=True):
        clip = parts_of(row.clip)
        alike = folders_agree(path, clip) and bool(names_of(path[-1]) & names_of(clip[-1]))
        own = len(clip) if alike and by_path is None else max(len(path) - shared, 2 if by_path else 1)
        yield Name(row.clip, path[-max(len(path) - shared, own) :], own)
        if by_path is None or not alike:
            yield Name(row.clip, clip, len(clip))


def own_name(manifest: Manifest, row: Row) -> str:
    """The name of a clip as a table of predictions needs it."""
    return "/".join(parts_of(str(row.path))[-2:]) if manifest.facts.get("named_folders") else row.clip


def names_of(last: str) -> set[str]:
    """The last part of a path with and without suffix."""
    return {caseless(name) for name in (last, *without_suffix(last))}


def folders_agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the folders of two paths are the same as far as the shorter one goes."""
    length = min(len(one), len(other))
    return [*map(caseless, one[-length:-1])] == [*map(caseless, other[-length:-1])]


def match_clips(written: Sequence[str], names: Names, where: Callable[[int], str]) -> list[str | None]:
    """The clip that each name in a table means, None for none; `where` tells a place in the table.

    MsmaError where a name fits several clips, or several names in different folders fit a clip equally well.
    """
    found = [names.find(name) for name in written]
    takers: defaultdict[str, list[int]] = defaultdict(list)
    for place, (_, clips, _) in enumerate(found):
        if len(clips) > 1:
            raise MsmaError(
                f"{where(place)}: {written[place]!r} fits several clips, {clips[0]!r} and {clips[1]!r}; "
                "write their names as the manifest does"
            )
        for clip in clips:
            takers[clip].append(place)
    matched: list[str | None] = [None] * len(written)
    for clip, places in takers.items():
        longest = max(places, key=lambda place: (found[place].common, len(found[place].parts)))
        for place in places:
            if folders_agree(found[place].parts, found[longest].parts):
                matched[place] = clip
            elif found[place].common == found[longest].common:
                raise MsmaError(
                    f"{where(place)}: {written[place]!r} and {written[longest]!r} both fit the clip {clip!r}; "
                    "label each with its folder, or keep one"
                )
    return matched


def by_label(clips: Mapping[str, Path], labels: Mapping[str, Any]) -> dict[str, Path]:
    """The files of clips by the names that labels have, where upper and lower case do not count if one alone fits."""
    files, wanted = grouped(clips, caseless), grouped(labels, caseless)
    alone = {key for key in files.keys() & wanted.keys() if len(files[key]) == len(wanted[key]) == 1}
    return {wanted[key][0] if (key := caseless(name)) in alone else name: path for name, path in clips.items()}
