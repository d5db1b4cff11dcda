"""Zips for the tests: honest ones, encrypted ones, and ones that no honest program writes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass, field, replace

import pyzipper

Files = dict[str, bytes]


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    return written([entry(name, content, method) for name, content in files.items()])


def aes_zipped(files: Files, key: str) -> bytes:
    """As WinZip encrypts; pyzipper leaves the checksum out (AE-2)."""
    buffer = io.BytesIO()
    with pyzipper.AESZipFile(buffer, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(key.encode())
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def locked_zipped(files: Files, key: str, streamed: bool = False) -> bytes:
    """As `zip -P` encrypts (ZipCrypto); `streamed`: with the checksum behind the data, as Info-ZIP does."""
    return written([encrypted(entry(name, content), key, streamed) for name, content in files.items()])


@dataclass(frozen=True)
class Entry:
    """A member and every claim of its headers."""

    name: bytes
    packed: bytes
    size: int
    crc: int
    method: int = 8
    flags: int = 0
    time: int = 0
    mode: int = 0o100644
    offset: int | None = None
    """Where the directory says that it lies, instead of where it does."""
    claims: dict[str, int] = field(default_factory=dict)
    """Other sizes in the directory: `size`, `packed`."""


def entry(name: str, content: bytes = b"content", method: int = 8, **other: object) -> Entry:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(content) + packer.flush() if method == 8 else content
    return replace(Entry(name.encode(), packed, len(content), zlib.crc32(content), method, 0x800), **other)


def written(entries: list[Entry]) -> bytes:
    """The zip."""
    data, directory = bytearray(), bytearray()
    for item in entries:
        offset = len(data) if item.offset is None else item.offset
        packed, size = item.claims.get("packed", len(item.packed)), item.claims.get("size", item.size)
        common = struct.pack(
            "<HHHHIIIHH", item.flags, item.method, item.time, 0x21, item.crc, packed, size, len(item.name), 0
        )
        data += struct.pack("<4sH", b"PK\x03\x04", 20) + common + item.name + item.packed
        if item.flags & 8:
            data += struct.pack("<4sIII", b"PK\x07\x08", item.crc, packed, size)
        directory += struct.pack("<4sBBH", b"PK\x01\x02", 20, 3, 20) + common
        directory += struct.pack("<HHHII", 0, 0, 0, item.mode << 16, offset) + item.name
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), len(data), 0)
    return bytes(data + directory + end)


def encrypted(item: Entry, key: str, streamed: bool = False) -> Entry:
    """The traditional encryption of PKWARE's APPNOTE, section 6.1."""
    keys = [0x12345678, 0x23456789, 0x34567890]

    def crc(value: int, byte: int) -> int:
        return zlib.crc32(bytes([byte]), value ^ 0xFFFFFFFF) ^ 0xFFFFFFFF

    def update(byte: int) -> None:
        keys[0] = crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = crc(keys[2], keys[1] >> 24)

    def encrypt(byte: int) -> int:
        mask = (keys[2] | 2) & 0xFFFF
        update(byte)
        return byte ^ (mask * (mask ^ 1) >> 8 & 0xFF)

    for byte in key.encode():
        update(byte)
    time = 0x5A5A
    check = time >> 8 if streamed else item.crc >> 24
    header = bytes(range(11)) + bytes([check])
    packed = bytes(encrypt(byte) for byte in header + item.packed)
    return replace(item, packed=packed, flags=item.flags | 1 | (8 if streamed else 0), time=time)


def zeros(count: int) -> bytes:
    """`count` zero bytes, deflated without ever being there; a multiple of 1 MiB."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (count >> 20) + packer.flush(zlib.Z_FINISH)
