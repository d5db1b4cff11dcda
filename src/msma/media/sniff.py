"""The format of a media file by its first bytes, so that the demuxer can be forced.

FFmpeg's own guess also takes the name and text into account: a script named .mp4 then opens other files.
"""

from __future__ import annotations

import functools
import io
import struct
from codecs import BOM_UTF16_LE

HEAD_BYTES = 8192
"""Bytes of the file that are looked at."""

PREFIXES = {
    b"\x1aE\xdf\xa3": "matroska",
    b"\x00\x00\x01\xba": "mpeg",
    b"\x00\x00\x01\xb3": "mpegvideo",
    b"FLV\x01": "flv",
    b"OggS": "ogg",
    b"fLaC": "flac",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf",
    b"#!AMR": "amr",
    b"caff": "caf",
}
"""First bytes → FFmpeg demuxer."""

MAX_ATOMS = 10_000
"""A healthy file has a handful at its top level (a fragmented one two per second)."""

MOV_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp")
STILL_BRANDS = (b"avif", b"heic", b"heix", b"mif1", b"msf1")
IMAGES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
SCRIPTS = (b"ffconcat", b"#EXTM3U", b"v=0", b"<?xml", b"<MPD", b"[Reference]", b"[playlist]", b"RTSPtext")


def refusal(head: bytes) -> str:
    """Reason and remedy for refusing a file that begins with `head`, for which `demuxer_for` knows nothing."""
    if is_image(head):
        return "is a still image; give a video or an audio file"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(SCRIPTS):
        return "is a text that points to other files, not a video; give the media file itself"
    if not any(head):
        return f"{'holds only zeros' if head else 'is empty'}; record or download it again"
    return "is not a known video or audio file; convert it to mp4 (ffmpeg -i IN OUT.mp4)"


def demuxer_for(head: bytes) -> str | None:
    """FFmpeg's demuxer for a file that begins with `head`; None where nothing is recognised."""
    if is_image(head):
        return None
    if head[4:8] in MOV_ATOMS:
        return "mov"
    if known := [demuxer for prefix, demuxer in PREFIXES.items() if head.startswith(prefix)]:
        return known[0]
    if head[:4] in (b"RIFF", b"RF64"):
        return {b"AVI ": "avi", b"WAVE": "wav"}.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    # Transport streams repeat a sync byte every 188 bytes (192 with the time codes of camcorders and discs).
    for step, first in ((188, 0), (192, 4)):
        if len(head) > first + 2 * step and all(head[first + k * step] == 0x47 for k in range(3)):
            return "mpegts"
    if head.startswith(b"ID3"):
        return demuxer_after_id3(head)
    return elementary_audio(head)


def is_image(head: bytes) -> bool:
    still_brand = head[4:8] == b"ftyp" and head[8:12] in STILL_BRANDS
    return still_brand or head.startswith(IMAGES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def demuxer_after_id3(head: bytes) -> str:
    """ID3 tags stand before MP3, sometimes before AAC or FLAC; a tag longer than `head` is taken for MP3's."""
    size = functools.reduce(lambda size, byte: size << 7 | byte & 0x7F, head[6:10], 0)
    rest = head[10 + size :]
    return "flac" if rest.startswith(b"fLaC") else elementary_audio(rest) or "mp3"


def elementary_audio(head: bytes) -> str | None:
    """AAC (ADTS) or MPEG audio without a container, known by a frame header with valid fields.

    One that equals the mark at the start of UTF-16 text, layer I with a checksum, is not known of any audio."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head.startswith(BOM_UTF16_LE):
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if layer == 0:
        return "aac" if head[1] & 0xF0 == 0xF0 and head[2] >> 2 & 15 < 13 else None
    valid = version != 1 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3
    return "mp3" if valid else None


def mov_has_index(file: io.BufferedIOBase) -> bool:
    """Whether an mp4 or mov file has its index (`moov`), looking at the top-level atoms only."""
    total, position = file.seek(0, 2), 0
    for _ in range(MAX_ATOMS):
        if position + 8 > total:
            break
        file.seek(position)
        header = file.read(16)
        size, kind = struct.unpack(">I4s", header[:8])
        if kind == b"moov":
            return True
        if size == 1 and len(header) == 16:
            size = struct.unpack(">Q", header[8:])[0]
        if size < 8:  # 0: the atom runs to the end of the file; else it is broken
            break
        position += size
    return False
