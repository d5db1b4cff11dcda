"""Open media that nobody vouches for: tell it by its content, check its claims, choose its streams."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from msma.config import Limits
from msma.media.sniff import HEAD_BYTES, demuxer_for, mov_has_index, refusal
from msma.types import MediaInfo, MsmaError

SAMPLE_RATES = range(2_000, 768_001)
"""Plausible sample rates of an audio track, in Hz."""

DURATION_IN_HEADER = ("mov", "matroska", "avi", "flv", "asf", "wav", "flac", "ogg")
"""Demuxers whose duration is stored in the file; the others estimate it from the bit rate, or from
the last time stamp, which a clock that jumps makes anything."""

ORDER_ONLY = ("avi",)
"""Demuxers of files that tell the order in which frames are decoded, and their rate, but neither when they are shown,
for which FFmpeg guesses, nor when a stream begins."""


@dataclass(frozen=True)
class Media:
    """An open file and the streams chosen from it; nothing of it outlives the block of `open_media`."""

    name: str
    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None
    info: MediaInfo
    origin_s: float
    """Time 0 on the file's own clock."""
    claimed_s: float | None
    """Length that the file claims, where its header says so."""
    limits: Limits
    reasons: tuple[str, ...]
    audio_tracks: tuple[int, ...]
    """Numbers of the audio tracks that can be decoded."""
    notes: dict[str, str] = field(default_factory=dict)
    """What was done to read it, by topic; more come as decoding continues."""


@contextmanager
def open_media(source: Path | bytes, limits: Limits, name: str) -> Iterator[Media]:
    """Open a file by its content, never by its name, and choose its best video and audio stream.

    MsmaError where it is unreadable, empty, not media, without an index, damaged, or over one of `limits`.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else open_file(source, name) as file:
        size = file.seek(0, 2)
        if size > limits.max_bytes:
            raise MsmaError(f"{name}: {size} bytes are over the limit of {limits.max_bytes}; cut it or raise max_bytes")
        file.seek(0)
        head = file.read(HEAD_BYTES)
        demuxer = demuxer_for(head)
        if demuxer is None:
            raise MsmaError(f"{name}: {refusal(head)}")
        with open_container(file, demuxer, limits, name) as container:
            yield choose_streams(container, demuxer, limits, name)


def open_file(path: Path, name: str) -> io.BufferedIOBase:
    """The file, open for reading bytes; MsmaError where it is missing, not a regular file or may not be read."""
    try:
        # A pipe would wait for ever and a device never ends: only regular files are opened.
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise MsmaError(f"{name}: is a folder that holds no media file; name one with videos, or a file")
        if not stat.S_ISREG(mode):
            raise MsmaError(f"{name}: is not a regular file; copy its content to a file first")
        return path.open("rb")
    except FileNotFoundError as error:
        problem = "is a link to a file that is not there" if path.is_symlink() else "no such file"
        raise MsmaError(f"{name}: {problem}; check the path") from error
    except PermissionError as error:
        raise MsmaError(f"{name}: may not be read; check its permissions") from error
    except (OSError, ValueError) as error:  # ValueError: a zero character in the path
        raise MsmaError(f"{name!r}: cannot be opened ({error}); check the path") from error


def open_container(file: io.BufferedIOBase, demuxer: str, limits: Limits, name: str) -> InputContainer:
    options = {
        # The file is handed over open; with no protocol allowed, nothing in it can make FFmpeg open another one.
        "protocol_whitelist": "none",
        "format_whitelist": av.ContainerFormat(demuxer, "r").name,
        # Reading the header decodes the first frames, before their size can be asked for: let FFmpeg refuse
        # giants by itself. Twice the limit, because codecs round up to whole blocks.
        "max_pixels": str(2 * limits.max_pixels),
    }
    if demuxer == "mov":
        options |= {"enable_drefs": "0", "use_absolute_path": "0"}
    file.seek(0)
    try:
        return av.open(file, "r", format=demuxer, options=options, metadata_errors="replace")
    except (FFmpegError, OSError, ValueError) as error:
        if demuxer == "mov" and not mov_has_index(file):
            raise MsmaError(
                f"{name}: its index (moov atom) is missing, so it was cut off while it was recorded or downloaded; "
                "download it again, or rebuild the index with a repair tool"
            ) from error
        raise MsmaError(
            f"{name}: is damaged, no stream can be read ({demuxer}); download or convert it again"
        ) from error


def choose_streams(container: InputContainer, demuxer: str, limits: Limits, name: str) -> Media:
    """Check the file's claims against `limits` and pick the streams to use; all facts are read here, while it is open.

    Stream objects must not be touched after the container is closed.
    """
    if len(container.streams) > limits.max_streams:
        raise MsmaError(
            f"{name}: {len(container.streams)} streams are over the limit of {limits.max_streams}; keep one video and "
            "one audio stream (ffmpeg -i IN -map 0:v:0 -map 0:a:0 OUT.mp4)"
        )
    decodable: list[Any] = [s for s in container.streams if s.codec_context is not None]
    # A cover is a video stream of one frame that never moves: not the person.
    videos = [s for s in decodable if s.type == "video" and not s.disposition & Disposition.attached_pic]
    tracks = [s for s in decodable if s.type == "audio"]
    audios = [s for s in tracks if s.codec_context.sample_rate in SAMPLE_RATES]
    usable: dict[Any, list[Any]] = {"video": videos, "audio": audios}
    numbers = {s: number for some in (videos, tracks) for number, s in enumerate(some, start=1)}
    wanted = {"video": limits.video_track, "audio": limits.audio_track}
    for kind, some in usable.items():
        if wanted[kind] is not None and wanted[kind] not in [numbers[s] for s in some]:
            raise MsmaError(
                f"{name}: has no {kind} track {wanted[kind]} that can be decoded (of {len(some)}); "
                f"leave {kind}_track out or name another one"
            )
    # FFmpeg's own choice (default flag, then resolution and bit rate), if it is among the usable ones.
    streams: Any = container.streams
    video, audio = (
        next((s for s in (streams.best(kind), *some) if s in some and wanted[kind] in (None, numbers[s])), None)
        for kind, some in usable.items()
    )
    used = [s for s in (video, audio) if s is not None]
    if not used:
        raise MsmaError(f"{name}: holds no video and no audio that can be decoded; download or convert it again")
    for stream in container.streams:
        if stream not in used:
            stream.discard = Discard.all

    width, height, fps = 0, 0, 0.0
    if video is not None:
        width, height = video.codec_context.width, video.codec_context.height
        check_pixels(width, height, limits, name)
        # r_frame_rate of a healthy file can be its clock (90000); only rates that can be true are repeated.
        rates = [float(rate) for rate in (video.average_rate, video.guessed_rate) if rate]
        fps = next((rate for rate in rates if 0 < rate <= limits.max_fps), 0.0)

    timed = [s for s in used if s.time_base]
    starts = [float(s.start_time * s.time_base) for s in timed if s.start_time is not None]
    ends = [float(((s.start_time or 0) + s.duration) * s.time_base) for s in timed if s.duration is not None]
    origin_s = min(starts, default=(container.start_time or 0) / 1e6)
    whole_s = container.duration / 1e6 if container.duration else None
    if whole_s is not None and demuxer == "matroska":  # it tells when it ends: the length only of what starts at 0
        whole_s = max(0.0, whole_s - origin_s)
    stream_s = max(ends) - origin_s if len(ends) == len(used) else None
    claimed_s = whole_s if stream_s is None else stream_s
    trusted = demuxer in DURATION_IN_HEADER
    longest_s = max(whole_s or 0.0, stream_s or 0.0)
    if trusted and longest_s > limits.max_seconds:
        raise MsmaError(
            f"{name}: claims to last {longest_s:.0f} s, over the limit of {limits.max_seconds:.0f} s; "
            "cut it or raise max_seconds"
        )
    reasons = [
        f"several {kind} tracks ({len(found)}); the best one is used"
        for kind, found in usable.items()
        if len(found) > 1 and wanted[kind] is None
    ]
    if video is None:
        reasons.append("no video track")
    if audio is None:
        rates = ", ".join(f"{s.codec_context.sample_rate} Hz" for s in tracks)
        reasons.append(f"audio track has an impossible sample rate ({rates})" if rates else "no audio track")
    video_codec, audio_codec = (None if stream is None else stream.codec_context.name for stream in (video, audio))
    video_track, audio_track = (None if stream is None else numbers[stream] for stream in (video, audio))
    trusted_s = claimed_s if trusted else None
    claims = demuxer, video_codec, audio_codec, width, height, fps, trusted_s
    info = MediaInfo(*claims, video_track=video_track, audio_track=audio_track)
    choices = tuple(numbers[stream] for stream in audios)
    return Media(name, container, video, audio, info, origin_s, trusted_s, limits, tuple(reasons), choices)


def check_pixels(width: int, height: int, limits: Limits, name: str) -> None:
    if width * height > limits.max_pixels:
        raise MsmaError(
            f"{name}: frames of {width}x{height} are over the limit of {limits.max_pixels} pixels; "
            "scale it down or raise max_pixels"
        )
