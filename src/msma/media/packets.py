"""Read the packets of an open file in the order in which they lie there.

Read errors that pass are borne, and the jumps of a clock are cut out. Whoever reads the same file meets the same
packets and the same jumps, so that video and audio, which are read each for itself, stay together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from av.error import FFmpegError

from msma.media.container import Media

JUMP_S = 10.0
"""Where no stream has a packet for longer than this, the clock jumped; the time between did not pass."""
SET_BACK_S = 1.0
"""A stream whose clock falls back by more than this was joined from recordings, or its recorder was set."""
PACKET_S = 0.5
"""Longest time that one packet is taken to last where the time of the next one tells nothing."""
MAX_READ_ERRORS = 1000
"""Read errors on end after which a file is taken to end; in a transport stream each stands for 64 kB of rubbish."""

Problems = dict[str, str]
"""Problems of decoding, by topic; more come as decoding continues."""


def seconds(ticks: int, base: Fraction) -> float:
    """Ticks of a clock in seconds; `float(ticks * base)`, without the making of a fraction for every packet."""
    return ticks * base.numerator / base.denominator


def packets_of(media: Media, stream: Any, kind: str, problems: Problems) -> Iterator[Any]:
    """The packets of one stream, and the last, empty one, on a clock that does not jump; `problems` gets the rest.

    Those of the other stream are read too, because what one stream lacks and the other has is no jump.
    """
    for packet in on_one_clock(read_packets(media, kind, problems), media.origin_s, problems):
        if packet.stream.index == stream.index:  # the last one has no index of its own
            yield packet


def read_packets(media: Media, kind: str, problems: Problems) -> Iterator[Any]:
    """The packets of the streams in use; what follows a place that cannot be read is used as well."""
    streams = [stream for stream in (media.video, media.audio) if stream is not None]
    packets = media.container.demux(*streams)
    holes = errors = 0
    while errors <= MAX_READ_ERRORS:
        try:
            packet = next(packets, None)
        except (FFmpegError, OSError) as error:
            errors += 1
            problems[f"{kind} end"] = f"{kind} cannot be read to its end ({error.strerror or type(error).__name__})"
            packets = media.container.demux(*streams)  # the old one has ended
            continue
        except IndexError:  # of PyAV, for a stream that was not there when it began: none of those that are used
            packets = media.container.demux(*streams)
            continue
        if packet is None:
            return
        if errors and packet.size:
            errors, holes = 0, holes + 1
            del problems[f"{kind} end"]
            problems["holes"] = f"{holes} part{'s' * (holes > 1)} of the file cannot be read; what follows is used"
        yield packet


def on_one_clock(packets: Iterable[Any], origin_s: float, problems: Problems) -> Iterator[Any]:
    """The same packets with the jumps of their clock cut out: behind one, time continues where the last packet ended.

    A stretch that only one stream lacks stays, and so does one of up to `JUMP_S`: there something is missing.
    """
    shifts_s = [0.0]
    """One more for each jump; a stream takes up the next one when it comes to the jump itself."""
    shift_of: dict[int, int] = {}
    ends_s: dict[int, float] = {}
    now_s, jumps = origin_s, 0
    for packet in packets:
        stamp, base = packet.pts if packet.dts is None else packet.dts, packet.time_base
        if stamp is None or base is None:
            yield packet
            continue
        stream, own_s = packet.stream_index, seconds(stamp, base)
        last_s = ends_s.get(stream, origin_s)
        candidates = range(shift_of.get(stream, 0), len(shifts_s))
        shift = min(candidates, key=lambda one: abs(own_s + shifts_s[one] - last_s))
        time_s = own_s + shifts_s[shift]
        # Where only the time of presentation is known, a packet may lie before the one that it follows.
        set_back = stream in ends_s and packet.dts is not None and time_s < last_s - SET_BACK_S
        if set_back or time_s > now_s + JUMP_S:
            if ends_s:
                jumps += 1
                times = f" {jumps} times, last" if jumps > 1 else ""
                problems["clock"] = f"the clock jumps{times} at {now_s - origin_s:.1f} s; what follows is joined"
            shift, time_s = len(shifts_s), now_s
            shifts_s.append(now_s - own_s)
        shift_of[stream] = shift
        end_s = time_s + min(seconds(packet.duration or 0, base), PACKET_S)
        if stream not in ends_s or packet.dts is not None:
            ends_s[stream] = end_s
        now_s = max(now_s, end_s)
        if shift:
            ticks = round(shifts_s[shift] / base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        yield packet
