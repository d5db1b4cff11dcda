"""The media files that a user means by folders and patterns, and what is passed over there."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msma.files.walking import FORBIDDEN, LINKED, PassedOver, files_below, lines_on
from msma.media.sniff import HEAD_BYTES, demuxer_for

MEDIA_SUFFIXES = frozenset(
    f".{name}"
    for name in "mp4 m4v mov qt mkv mka webm avi mpg mpeg vob ts mts m2ts flv wmv wma asf ogv 3gp 3g2 wav aiff caf mp3 m4a ogg oga flac aac opus amr".split()  # noqa: E501, SIM905
)
"""Names of media: such a file is taken whatever it holds, for one that is damaged or empty should fail, with its
reason. Files of other names are known by their content."""

NO_MEDIA = "hold no media that is known; --all-files includes them"
NOTES = "are notes of macOS beside other files; --all-files includes them"
SPECIAL = "are pipes or devices; copy their content to files"
MATCHED = "are folders that a pattern matches; name them without a pattern"
PASSED_OVER = (NO_MEDIA, NOTES, LINKED, FORBIDDEN, SPECIAL, MATCHED)


@dataclass
class Found:
    files: list[str] = field(default_factory=list)
    passed_over: PassedOver = field(default_factory=lambda: {kind: [] for kind in PASSED_OVER})

    def lines(self) -> Iterator[str]:
        """One for each kind of what was passed over, with an example."""
        return lines_on(self.passed_over)


def media_files(paths: Sequence[str], *, all_files: bool = False, follow_links: bool = False) -> Found:
    """Expand folders (the media in them, at any depth) and globs; a file that is named is taken as it is.

    A folder without media or a pattern without a match stays as it is, and fails when it is read.
    """
    found = Found()
    for text in paths:
        inside: list[str] = []
        try:
            if os.path.isdir(text):  # noqa: PTH112  a Path would change the text
                inside = in_folder(text, found, all_files=all_files, follow_links=follow_links)
            elif glob.has_magic(text) and not os.path.lexists(text):
                inside = matching(text, found)
        except ValueError:  # an impossible path; reading it says why
            pass
        found.files += sorted(inside) or [text]
    found.files = list(dict.fromkeys(found.files))
    return found


def matching(pattern: str, found: Found) -> list[str]:
    """The files that a pattern matches, whatever they hold."""
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    if "**" not in pattern:  # else the pattern itself goes into them
        found.passed_over[MATCHED] += [one for one in matches if Path(one).is_dir()]
    return [one for one in matches if not Path(one).is_dir()]


def in_folder(folder: str, found: Found, *, all_files: bool, follow_links: bool) -> list[str]:
    """The media in a folder and those below it, each of which is entered once."""
    media: list[str] = []
    for path in files_below(folder, found.passed_over, follow_links=follow_links):
        by_name = path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith("._")
        kind = None if by_name else problem_of(path)
        if kind is None or (all_files and kind in (NO_MEDIA, NOTES)):
            media.append(str(path))
        else:
            found.passed_over[kind].append(str(path))
    return media


def problem_of(path: Path) -> str | None:
    """Why a file in a folder is passed over; None where it begins as media does."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return SPECIAL
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:  # a link to nothing
        return NO_MEDIA
    except OSError:
        return FORBIDDEN
    if demuxer_for(head) is not None:
        return None
    return NOTES if path.name.startswith("._") else NO_MEDIA
