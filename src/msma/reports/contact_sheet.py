"""A page that shows the corruptions and lets one hear them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from msma.config import ClipConfig
from msma.corruptions.corruption import WORST, Corruption, corrupt
from msma.corruptions.table import HELD_OUT
from msma.media.encode import shrunk, write_mp4
from msma.media.faces import default_detector, track_face
from msma.reports.media import PICTURE_SIDE, drawing, full_scale_of, picture, player
from msma.reports.page import data_uri, page, text
from msma.types import MODALITIES, SAMPLE_RATE, Clip

PICTURES = 4
"""Of each version of the clip, evenly spread over its time."""
MOVING = frozenset({"timing", "synchrony", "camera motion"})
"""Families that single pictures do not show: a film of the clip is beside them."""
FILM_FPS = 8
STYLE = """
h3 { font-family: ui-monospace, monospace; }
nav ul { columns: 13rem; padding-left: 1.25rem; margin: .5rem 0; }
.versions { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: .75rem; }
figcaption span { white-space: nowrap; }
.pictures { display: grid; grid-template-columns: 1fr 1fr; gap: .25rem; }
.pictures img { display: block; width: 100%; height: auto; }
@media print { .versions { grid-template-columns: repeat(4, 1fr); } }
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
    full_scale = full_scale_of(clip.waveform)
    families: dict[str, list[str]] = {}
    for done, corruption in enumerate(corruptions, start=1):
        versions = {0: clip}
        for severity in shown_severities(corruption, severities):
            versions[severity] = corrupt(clip, corruption, severity, face=face, donor=donor)
        families.setdefault(corruption.family, []).append(section(corruption, versions, full_scale))
        if progress:
            progress(done, len(corruptions))
    body = "".join(heading(family) + "".join(sections) for family, sections in families.items())
    return page("msma: corruptions", introduction(clip, corruptions, donor) + body, STYLE)


def shown_severities(corruption: Corruption, wanted: Sequence[int]) -> tuple[int, ...]:
    return tuple(
        severity for severity in corruption.severities if severity in wanted or corruption.severities == (WORST,)
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
    modalities = corruption.modalities or MODALITIES
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


def film(clip: Clip, label: str) -> str:
    """Picture and sound together, each picture until the next one is nearer."""
    if not len(clip.frames):
        return ""
    times_s = clip.start_s + (np.arange(max(1, round(clip.duration_s * FILM_FPS))) + 0.5) / FILM_FPS
    nearest = np.abs(times_s[:, None] - clip.frame_times_s).argmin(axis=1)
    small = shrunk(clip.frames[0], PICTURE_SIDE)
    height, width = (max(2, side // 2 * 2) for side in small.shape[:2])  # as H.264 wants them
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
    return drawing(clip.waveform, clip.duration_s, label, full_scale) + player(clip.waveform, label)
