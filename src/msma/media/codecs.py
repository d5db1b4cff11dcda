"""Which codecs the bundled FFmpeg has."""

from __future__ import annotations

from typing import Literal

import av
from av.codec import Codec
from av.codec.codec import UnknownCodecError

DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "aac", "mp3", "opus", "vorbis", "pcm_s16le")
"""What people's videos are coded with."""
ENCODERS = ("libx264", "aac", "libmp3lame", "libopus")
"""What corpora are rendered and clips are corrupted with."""


Mode = Literal["r", "w"]
"""Decoding, encoding."""


def lacking(names: tuple[str, ...], mode: Mode) -> list[str]:
    """Those that there is no codec for."""
    return [name for name in names if not has_codec(name, mode)]


def has_codec(name: str, mode: Mode) -> bool:
    try:
        Codec(name, mode)
    except UnknownCodecError:
        return False
    return True


def ffmpeg_versions() -> dict[str, str]:
    """Of the libraries of FFmpeg that matter here."""
    return {name: ".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libavformat")}
