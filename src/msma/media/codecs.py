"""Which codecs the bundled FFmpeg has."""

from __future__ import annotations

from typing import Literal

import av
from av.codec import Codec
from av.codec.codec import UnknownCodecError

DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "aac", "mp3", "opus", "vorbis", "pcm_s16le")
"""Codecs of people's videos."""
ENCODERS = ("libx264", "aac", "libmp3lame", "libopus")
"""Codecs of rendered corpora and corrupted clips."""


def lacking(names: tuple[str, ...], mode: Literal["r", "w"]) -> list[str]:
    """Those of the decoders (`r`) or encoders (`w`) that are not there."""
    missing = []
    for name in names:
        try:
            Codec(name, mode)
        except UnknownCodecError:
            missing.append(name)
    return missing


def ffmpeg_versions() -> dict[str, str]:
    """Versions of the libraries of FFmpeg that matter here."""
    return {name: ".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libavformat")}
