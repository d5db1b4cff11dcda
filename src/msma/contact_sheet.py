"""A page that shows the corruptions and lets one hear them: one HTML file that needs nothing else, no script either."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from msma.config import ClipConfig
from msma.corruptions.corruption import WORST, Corruption, corrupt
from msma.corruptions.table import HELD_OUT
from msma.media.audio import FLOOR_DB, level_db
from msma.media.encode import write_mp4
from msma.media.faces import default_detector, track_face
from msma.media.sound_codec import encode
from msma.traits import MODALITIES
from msma.types import SAMPLE_RATE, Clip

PICTURES = 4
"""Of each version of the clip, evenly spread over its time."""
PICTURE_SIDE = 240
"""Longest side in pixels; the page shows them smaller unless it is zoomed."""
JPEG_QUALITY = 85
SOUND_KBIT_S = 64.0
"""As MP3, which every browser plays; of mono sound up to 8 kHz nothing is lost that one hears."""
MOVING = frozenset({"timing", "synchrony", "camera motion"})
"""Families that single pictures do not show: a film of the clip is beside them."""
FILM_FPS = 8
WAVE_WIDTH, WAVE_HEIGHT = 240, 48
"""Of the drawn waveform: steps in time, and units up and down together."""

# The policy keeps the promise that the page asks nobody for anything, whatever a name might smuggle in.
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
STYLE = """
body { margin: 0 auto; padding: 1rem; max-width: 90rem; font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a;
  background: #fff; }
h1, h2, h3 { line-height: 1.25; }
h1 { margin-top: 0; }
h2 { margin: 2.5rem 0 0; padding-top: .75rem; border-top: 2px solid #1a1a1a; }
h2 small { font-weight: normal; font-size: 1rem; }
h3 { margin: 1.5rem 0 0; font-family: ui-monospace, monospace; }
p { max-width: 46rem; margin: .25rem 0 .75rem; overflow-wrap: anywhere; }
a { color: #0b4a8f; }
nav ul { columns: 13rem; padding-left: 1.25rem; margin: .5rem 0; }
.versions { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: .75rem; }
figure { margin: 0; padding: .5rem; border: 1px solid #b5b5b5; border-radius: .25rem; break-inside: avoid; }
figcaption { margin-bottom: .25rem; }
figcaption span { white-space: nowrap; }
.pictures { display: grid; grid-template-columns: 1fr 1fr; gap: .25rem; }
.pictures img { display: block; width: 100%; height: auto; }
.none { display: grid; place-items: center; min-height: 3rem; color: #595959; border: 1px dashed #8a8a8a; }
svg { display: block; width: 100%; height: 3rem; margin-top: .5rem; background: #f3f3f3; }
audio { display: block; width: 100%; height: 2.5rem; margin-top: .25rem; }
video { display: block; width: 100%; height: auto; margin-top: .5rem; }
@media print { audio, video, nav { display: none; } body { max-width: none; padding: 0; font-size: .75rem; }
  h2 { break-after: avoid; } section { break-inside: avoid; }
  .versions { grid-template-columns: repeat(4, 1fr); } }
"""

Progress = Callable[[int, int], None]


def contact_sheet(
    clip: Clip,
    corruptions: Sequence[Corruption],
    severities: Sequence[int],
    *,
    donor: Clip,
    progress: Progress | None = None,
) -> str:
    """The page: a section for each corruption, with the clean clip and the clip at each severity side by side.

    Args:
        severities: 1 to 5. A corruption that is all or nothing is shown as it is, whichever they are.
        donor: a clip of somebody else, for the corruptions that need one.
        progress: is told (done, total) corruptions.
    """
    face = track_face(clip, ClipConfig(), default_detector())
    peak = float(np.abs(clip.waveform).max(initial=0.0))
    full_scale = min(1.0, 1.25 * peak) or 1.0
    families: dict[str, list[str]] = {}
    for done, corruption in enumerate(corruptions, start=1):
        versions = {0: clip}
        for severity in shown_severities(corruption, severities):
            versions[severity] = corrupt(clip, corruption, severity, face=face, donor=donor)
        families.setdefault(corruption.family, []).append(section(corruption, versions, full_scale))
        if progress:
            progress(done, len(corruptions))
    body = "".join(heading(family) + "".join(sections) for family, sections in families.items())
    return page(introduction(clip, corruptions, donor) + body)


def shown_severities(corruption: Corruption, wanted: Sequence[int]) -> tuple[int, ...]:
    return tuple(
        severity for severity in corruption.severities if severity in wanted or corruption.severities == (WORST,)
    )


def page(body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>msma: corruptions</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def introduction(clip: Clip, corruptions: Sequence[Corruption], donor: Clip) -> str:
    links = "".join(f'<li><a href="#{text(row.name)}">{text(row.name)}</a></li>\n' for row in corruptions)
    borrowed = (
        f" What belongs to another person is from <bdi>{text(donor.name)}</bdi>."
        if any(row.needs == "donor" for row in corruptions)
        else ""
    )
    return (
        "<h1>Corruptions</h1>\n"
        f"<p>What each does to <bdi>{text(clip.name)}</bdi>, from {clip.start_s:g} to {clip.end_s:g} s: first the "
        f"clean clip, then severities from 1 (just noticeable) to 5 (nearly useless).{borrowed}</p>\n"
        "<p>Pictures are those that the network's face crops are cut from, at the same four times; what only motion "
        "shows has a film too. All waveforms have one scale. Families that are <em>held out</em> are never used in "
        "training.</p>\n"
        f'<nav aria-label="Corruptions"><ul>\n{links}</ul></nav>\n'
    )


def heading(family: str) -> str:
    return f"<h2>{text(family)} <small>({'held out' if family in HELD_OUT else 'seen in training'})</small></h2>\n"


def section(corruption: Corruption, versions: dict[int, Clip], full_scale: float) -> str:
    # Where nothing is spoilt, picture and sound no longer belong together: both are needed to tell.
    modalities = corruption.spoils or MODALITIES
    once = " It is all or nothing." if len(corruption.levels) == 1 else ""
    figures = ""
    for severity, version in versions.items():
        label = f"{corruption.name}, severity {severity}" if severity else f"{corruption.name}, clean"
        level = f"{corruption.parameter} {corruption.level(severity):g}" if severity else ""
        caption = (
            f"<strong>Severity {severity}</strong> <span>{text(level)}</span>" if severity else "<strong>Clean</strong>"
        )
        figures += f"<figure>\n<figcaption>{caption}</figcaption>\n"
        if "visual" in modalities:
            figures += pictures(version, versions[0], label)
        if corruption.family in MOVING:
            figures += film(version, label)
        if "audio" in modalities:
            figures += sound(version, label, full_scale)
        figures += "</figure>\n"
    name = text(corruption.name)
    return (
        f'<section aria-labelledby="{name}">\n<h3 id="{name}">{name}</h3>\n'
        f"<p>{text(corruption.about[:1].upper() + corruption.about[1:])}.{once}</p>\n"
        f'<div class="versions">\n{figures}</div>\n</section>\n'
    )


def pictures(clip: Clip, clean: Clip, label: str) -> str:
    """What is to be seen at the same times as in the clean clip; a time that has no picture says so."""
    if not len(clip.frames):
        return '<div class="none">no picture</div>\n'
    step_s = clean.duration_s / PICTURES
    shown = ""
    for time_s in clean.start_s + (np.arange(PICTURES) + 0.5) * step_s:
        away_s = np.abs(clip.frame_times_s - time_s)
        if away_s.min() <= step_s / 2:
            shown += picture(clip.frames[int(away_s.argmin())], f"{label}, at {time_s:.1f} s")
        else:
            shown += '<div class="none">no picture</div>\n'
    return f'<div class="pictures">\n{shown}</div>\n'


def picture(frame: UInt8[np.ndarray, "h w 3"], alt: str) -> str:
    small = scaled(frame)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    source = data_uri("image/jpeg", jpeg.tobytes())
    return f'<img src="{source}" alt="{text(alt)}" width="{small.shape[1]}" height="{small.shape[0]}">\n'


def scaled(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    height, width = frame.shape[:2]
    scale = PICTURE_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return frame if scale >= 1 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def film(clip: Clip, label: str) -> str:
    """Picture and sound together, each picture until the next one is nearer."""
    if not len(clip.frames):
        return ""
    times_s = clip.start_s + (np.arange(max(1, round(clip.duration_s * FILM_FPS))) + 0.5) / FILM_FPS
    nearest = np.abs(times_s[:, None] - clip.frame_times_s).argmin(axis=1)
    height, width = (max(2, side // 2 * 2) for side in scaled(clip.frames[0]).shape[:2])  # as H.264 wants them
    frames = (cv2.resize(clip.frames[index], (width, height), interpolation=cv2.INTER_AREA) for index in nearest)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_mp4(path, frames, FILM_FPS, clip.waveform if len(clip.waveform) else None, SAMPLE_RATE)
        source = data_uri("video/mp4", path.read_bytes())
    return (
        f'<video controls preload="metadata" src="{source}" width="{width}" height="{height}" '
        f'aria-label="{text(label)}, film"></video>\n'
    )


def sound(clip: Clip, label: str, full_scale: float) -> str:
    if not len(clip.waveform):
        return '<div class="none">no sound</div>\n'
    source = data_uri("audio/mpeg", encode(clip.waveform, "mp3", SOUND_KBIT_S))
    player = f'<audio controls preload="metadata" src="{source}" aria-label="{text(label)}, sound"></audio>\n'
    return drawing(clip, label, full_scale) + player


def drawing(clip: Clip, label: str, full_scale: float) -> str:
    """The waveform over the whole time of the clip, as the span from the lowest to the highest sample of each step."""
    step = max(1, round(clip.duration_s * SAMPLE_RATE / WAVE_WIDTH))
    low, high = envelope(clip.waveform, step)
    half = WAVE_HEIGHT / 2
    top, bottom = (half - half * np.clip(edge / full_scale, -1, 1) for edge in (high, low))
    there = [f"{x} {y:.1f}" for x, y in enumerate(top)]
    # A silent step still has a line.
    back = [f"{x} {max(y, top[x] + 0.6):.1f}" for x, y in reversed(list(enumerate(bottom)))]
    rms_db = max(level_db(clip.waveform), FLOOR_DB)
    return (
        f'<svg viewBox="0 0 {WAVE_WIDTH} {WAVE_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(label)}, waveform: {rms_db:.0f} dB re full scale">'
        f'<path fill="#0b4a8f" d="M{" L".join(there + back)}Z"/></svg>\n'
    )


def envelope(waveform: Float32[np.ndarray, " n"], step: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of every `step` samples."""
    starts = np.arange(0, len(waveform), step)
    return np.minimum.reduceat(waveform, starts), np.maximum.reduceat(waveform, starts)


def data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"


def text(value: str) -> str:
    """Safe in the text and in the attributes of a page, whatever bytes a file name has."""
    return escape(value.encode("utf-8", "backslashreplace").decode("utf-8"))
