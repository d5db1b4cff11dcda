"""One zip that nobody vouches for: its directory is checked as a whole, then its members are read by it alone.

Nothing is written before the whole directory was found harmless, and no size is believed while a member is read.
stream_unzip decrypts (ZipCrypto and WinZip AES) and inflates in compiled code; Python's own zipfile does the first at
2 MB/s and the second not at all.
"""

from __future__ import annotations

import hashlib
import re
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from stream_unzip import IncorrectPasswordError, stream_unzip

from msma.types import MsmaError

MAX_DIRECTORY_BYTES = 8 * 1024**2
MAX_MEMBERS = 50_000
MAX_RATIO = 100
"""Bytes out of one byte in. Video does not shrink; deflate can claim 1000."""
MAX_FREE_BYTES = 1024**2
"""Members up to this size may shrink as they like."""
MAX_NAME_BYTES, MAX_PART_BYTES = 1024, 200
CHUNK_BYTES = 1024**2
LOCAL_HEADER_BYTES = 30

END = b"PK\x01\x02"
"""Begin of the directory, which follows the last member; no more of it is read."""
HAS_DESCRIPTOR, ENCRYPTED = 0x8, 0x1
OTHER_ENCRYPTION = 0x40 | 0x2000
"""PKWARE's own encryption, of members and of the directory."""
AES = 99
UNREADABLE = (zipfile.BadZipFile, NotImplementedError, OverflowError, ValueError, EOFError, OSError, struct.error)
"""Errors that zipfile raises for a broken directory."""


class Locked(MsmaError):
    """No key fits a member."""


class Damaged(MsmaError):
    """A zip or a member that cannot be read, without a sign of ill will."""


@dataclass(frozen=True)
class Member:
    """A file in a zip, as the directory has it."""

    name: str
    """A harmless relative path with forward slashes."""
    info: zipfile.ZipInfo
    start: int
    """Where its bytes begin in the file of the zip."""

    @property
    def crc(self) -> int | None:
        """CRC-32 of the content; AES may leave it out."""
        return None if self.info.compress_type == AES and not self.info.CRC else self.info.CRC


@dataclass(frozen=True)
class Zip:
    """An open archive whose directory has been checked."""

    name: str
    """For messages: where it lies, through the archives around it."""
    file: BinaryIO
    members: tuple[Member, ...]
    """Files only."""

    @property
    def identity(self) -> str:
        """The same for the same directory."""
        digest = hashlib.sha256()
        for member in self.members:
            info = member.info
            digest.update(f"{member.name}\n{info.file_size} {info.compress_size} {info.CRC}\n".encode())
        return digest.hexdigest()


def open_zip(file: BinaryIO, name: str) -> Zip:
    """Check the directory of a zip; Damaged where it is not a zip, or not one that can be read.

    MsmaError for a member that would be written elsewhere or over another one, that is not a plain file, or that is
    packed as no honest archive is; and for too many members.
    """
    reads = DirectoryReads(file, name)
    try:
        directory = zipfile.ZipFile(reads)  # reads the directory only
        infos, end = directory.infolist(), directory.start_dir
        if len(infos) > MAX_MEMBERS:
            raise refused(name, f"has {len(infos)} members, more than {MAX_MEMBERS}")
        paths = [checked_path(name, info) for info in infos]
        check_distinct(name, infos, paths)
        members = tuple(
            Member(path, info, data_start(file, info))
            for path, info in zip(paths, infos, strict=True)
            if not info.is_dir()
        )
    except UNREADABLE as error:
        raise Damaged(f"{name}: not a zip that can be read ({error}); download it again") from error
    check_spans(name, members, end)
    return Zip(name, file, members)


class DirectoryReads:
    """The file as zipfile sees it; MsmaError where the directory, which zipfile reads at once, is too large."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name, self.left = file, name, MAX_DIRECTORY_BYTES
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        taken = self.file.read(self.left + 1 if size < 0 else min(size, self.left + 1))
        self.left -= len(taken)
        if self.left < 0:
            raise refused(self.name, f"has a directory of more than {MAX_DIRECTORY_BYTES >> 20} MiB")
        return taken


def refused(name: str, why: str) -> MsmaError:
    return MsmaError(f"{name}: {why}; the archive is refused, get it again from its owner")


def shown(member: str) -> str:
    return repr(member if len(member) <= 120 else f"{member[:120]}…")


def checked_path(archive: str, info: zipfile.ZipInfo) -> str:
    """The member's path without dots and doubled slashes.

    MsmaError where it leads elsewhere, or where the member is not a plain file or is packed as no honest one is.
    """
    name = info.orig_filename  # before zipfile cuts it at a zero
    parts = [part for part in name.split("/") if part not in ("", ".")]
    longest = max((len(part.encode()) for part in parts), default=0)
    checks = {
        "has an absolute path": name.startswith("/"),
        "has a backslash, a colon or a control character in its name": re.search(r"[\\:\0-\x1f]", name),
        "leads out of its folder": ".." in parts or not parts,
        "has a name that is too long": len(name.encode()) > MAX_NAME_BYTES or longest > MAX_PART_BYTES,
        "is a link or a device": stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR),
        f"claims to unpack {info.compress_size} bytes to {info.file_size}": info.file_size
        > max(MAX_FREE_BYTES, MAX_RATIO * info.compress_size),
    }
    for problem, found in checks.items():
        if found:
            raise refused(archive, f"member {shown(name)} {problem}")
    return "/".join(parts)


def check_distinct(archive: str, infos: list[zipfile.ZipInfo], paths: list[str]) -> None:
    """Refuse two members that become one file, also where upper and lower case are the same, or a file and a folder."""
    keys = [unicodedata.normalize("NFC", path).casefold() for path in paths]
    seen = {str(parent) for key in keys for parent in PurePosixPath(key).parents}
    seen |= {key for key, info in zip(keys, infos, strict=True) if info.is_dir()}
    for key, path, info in zip(keys, paths, infos, strict=True):
        if not info.is_dir():
            if key in seen:
                raise refused(archive, f"member {shown(path)} is there twice")
            seen.add(key)


def data_start(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Place behind the local header, of which only the lengths are used; BadZipFile where there is none."""
    file.seek(info.header_offset)
    header = file.read(LOCAL_HEADER_BYTES)
    if len(header) < LOCAL_HEADER_BYTES or not header.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile(f"member {shown(info.orig_filename)} is not where the directory says")
    return info.header_offset + len(header) + sum(struct.unpack("<HH", header[-4:]))


def check_spans(archive: str, members: tuple[Member, ...], end: int) -> None:
    """Refuse members that share bytes (a bomb gives the same ones out again and again) or reach into the directory."""
    ordered = sorted(members, key=lambda member: member.info.header_offset)
    limits = [*(member.info.header_offset for member in ordered[1:]), end]
    for member, limit in zip(ordered, limits, strict=False):
        if member.start + member.info.compress_size > limit:
            raise refused(archive, f"member {shown(member.name)} overlaps what comes after it")


def unpack_member(archive: Zip, member: Member, out: BinaryIO, keys: list[bytes]) -> None:
    """Write a member's content to `out`; the key that fits comes first in `keys` from now on.

    Locked where no key fits, Damaged where its bytes are not what the directory says, MsmaError where they are more.
    """
    name = f"{archive.name}: member {shown(member.name)}"
    if member.info.flag_bits & OTHER_ENCRYPTION:
        raise Damaged(f"{name} is encrypted in a way that is not known here; unpack the archive by hand")
    encrypted = member.info.flag_bits & ENCRYPTED
    failure: MsmaError = Locked(f"{name} is encrypted and no key fits; give it with --key")
    for key in list(keys) if encrypted else [b""]:
        out.seek(0)
        out.truncate()
        size = 0
        try:
            for _, _, chunks in stream_unzip(one_member_zip(archive.file, member), key, CHUNK_BYTES):
                for chunk in chunks:
                    size += len(chunk)
                    if size > member.info.file_size:
                        raise refused(archive.name, f"member {shown(member.name)} holds more than it says")
                    out.write(chunk)
        except IncorrectPasswordError:
            continue
        except ValueError as error:  # all failures of stream_unzip and stream_inflate
            # One wrong key in 256 is only found out here, so the others are tried too.
            hint = "is damaged, or no key fits" if encrypted else "is damaged"
            failure = Damaged(f"{name} {hint} ({type(error).__name__}); download the archive again")
            continue
        if encrypted:
            keys.remove(key)
            keys.insert(0, key)
        return
    raise failure


def one_member_zip(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """The member as a zip of its own, with the checked directory's word for its local header."""
    info = member.info
    flags = info.flag_bits & (ENCRYPTED | HAS_DESCRIPTOR)
    _, _, _, hours, minutes, seconds = info.date_time  # a byte of the time may be the check of the key
    time = hours << 11 | minutes << 5 | seconds // 2
    large = 0xFFFFFFFF  # the sizes stand in the zip64 field, which comes last to win over another one
    extra = info.extra[: 0xFFFF - 20] + struct.pack("<HHQQ", 1, 16, info.file_size, info.compress_size)
    yield struct.pack(
        "<4sHHHHHIIIHH",
        *(b"PK\x03\x04", 45, flags, info.compress_type, time, 0, info.CRC, large, large, 0, len(extra)),
    )
    yield extra
    file.seek(member.start)
    left = info.compress_size
    while left and (chunk := file.read(min(left, CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk
    if flags & HAS_DESCRIPTOR:
        yield struct.pack("<4sIQQ", b"PK\x07\x08", info.CRC, info.compress_size, info.file_size)
    yield END
