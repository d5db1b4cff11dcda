"""Open a file for its two streams, on one clock that begins with the sound itself or with the first frame."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from av import AudioFrame

from msma.config import Limits
from msma.media.container import ORDER_ONLY, Media, open_media
from msma.media.decode import audio_samples, clock_s, decoded
from msma.media.packets import Problems, packets_of
from msma.media.priming import delay_samples, without_first
from msma.media.speech import speech_likeness
from msma.types import SAMPLE_RATE, MsmaError

MAX_PRIMING_S = 0.2
"""Latest time after the claimed start of the audio at which its first frame is taken for that start."""
LISTEN_S = 30.0
"""Time at the start of each of several audio tracks in which speech is looked for."""
CLEARLY = 0.5
"""Speech of FFmpeg's choice over that of another track below which the other one is taken."""
SKIPPED = struct.Struct("<I")
"""Samples at the start that FFmpeg skips by itself, in the side data of the first packet."""


@contextmanager
def opened(
    source: Path | bytes, limits: Limits, name: str, problems: Problems
) -> Iterator[tuple[Media, Media, Iterator[AudioFrame]]]:
    """A file for its video, the same for its audio, and the frames of the audio; MsmaError as of `open_media`.

    It is opened twice, once for each stream. With one reader, a file that stores all frames before all audio (or any
    bad interleaving) would force the frames of the whole file to be held until their audio comes.
    """
    with ExitStack() as files:
        video = files.enter_context(open_media(source, limits, name))
        spoken = track_with_speech(source, video, limits, name)
        if spoken != video.info.audio_track:
            limits = limits.model_copy(update={"audio_track": spoken})
            video = files.enter_context(open_media(source, limits, name))
            reason = f"several audio tracks ({len(video.audio_tracks)}); number {spoken} is used, which has more speech"
            video = replace(video, reasons=(*video.reasons, reason))
        audio, heard = begun(files.enter_context(open_media(source, limits, name)), problems)
        yield replace(video, origin_s=audio.origin_s, claimed_s=audio.claimed_s), audio, heard


def track_with_speech(source: Path | bytes, media: Media, limits: Limits, name: str) -> int | None:
    """Number of the audio track that is wanted; else FFmpeg's choice, unless another one has clearly more speech."""
    chosen = media.info.audio_track
    if limits.audio_track is not None or len(media.audio_tracks) < 2:
        return chosen
    heard = {number: speech_in(source, number, limits, name) for number in media.audio_tracks}
    best = max(heard, key=lambda number: heard[number])
    return best if chosen is None or heard[chosen] < CLEARLY * heard[best] else chosen


def speech_in(source: Path | bytes, number: int, limits: Limits, name: str) -> float:
    """The speech at the start of one audio track; 0 where it cannot be read."""
    problems: Problems = {}
    pieces, samples = [], 0
    try:
        with open_media(source, limits.model_copy(update={"audio_track": number}), name) as media:
            media, heard = begun(media, problems)
            for piece in audio_samples(media, heard, problems):
                pieces.append(piece)
                samples += len(piece)
                if samples >= LISTEN_S * SAMPLE_RATE:
                    break
    except MsmaError:  # over a limit: if it is chosen in spite of that, it is reported then
        return 0.0
    return speech_likeness(np.concatenate(pieces)) if pieces else 0.0


def begun(media: Media, problems: Problems) -> tuple[Media, Iterator[AudioFrame]]:
    """The file with time 0 where its audio really begins, unless its video is earlier, and the frames of the audio.

    What the encoder put in front of the sound is left out of them, whichever container it lies in.
    """
    if media.audio is None:
        return media, iter(())
    packets = packets_of(media, media.audio, "audio", problems)
    packet = next(packets, None)
    told = packet is not None and packet.has_sidedata("skip_samples")
    skipped = SKIPPED.unpack_from(packet.get_sidedata("skip_samples"))[0] if packet and told else 0
    frames = decoded(itertools.chain([packet] if packet else [], packets), "audio", problems)
    first = next(frames, None)
    if first is None:
        return media, iter(())
    delay = delay_samples(media.audio, first, skipped)
    # Where no stream has a start of its own, the sound starts where they all do.
    goes_back = media.info.container in ORDER_ONLY
    kept = without_first(itertools.chain([first], frames), delay, goes_back=goes_back)
    own_s, claimed_s = clock_s(first), start_s(media.audio)
    if own_s is None or abs(own_s - (own_s if claimed_s is None else claimed_s)) > MAX_PRIMING_S:
        return media, kept
    heard_s = own_s if goes_back else own_s + delay / first.sample_rate
    shown_s = None if media.video is None else start_s(media.video)
    origin_s = heard_s if shown_s is None else min(heard_s, shown_s)
    ends_s = None if media.claimed_s is None else media.claimed_s - (origin_s - media.origin_s)
    return replace(media, origin_s=origin_s, claimed_s=ends_s), kept


def start_s(stream: Any) -> float | None:
    """The start that the file claims of a stream, on the file's clock."""
    return None if stream.start_time is None or not stream.time_base else float(stream.start_time * stream.time_base)
