"""A page on which the corruptions are seen and heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from markupsafe import Markup

from msma.config import ClipConfig
from msma.corruptions.corruption import WORST, Corruption, corrupt
from msma.corruptions.table import HELD_OUT
from msma.media.encode import shrunk, write_mp4
from msma.media.faces import default_detector, track_face
from msma.reports.media import STILL_SIDE, drawing, player, still
from msma.reports.page import data_uri, render, text
from msma.types import MODALITIES, Clip

STILLS = 4
"""Frames of each version of the clip, evenly spread over its time."""
MOVING = frozenset({"timing", "synchrony", "camera motion", "joint"})
"""Families that still frames do not show: a film of the clip is beside them."""
FILM_FPS = 8


def contact_sheet(
    clip: Clip,
    corruptions: Sequence[Corruption],
    severities: Sequence[int],
    *,
    donor: Clip,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """The page: a section for each corruption, with the clean clip and the clip at each severity side by side.

    A corruption that is all or nothing is shown as it is, whichever severities (1 to 5) are wanted. Some need a
    `donor`, a clip of somebody else. `progress` gets (done, total) corruptions.
    """
    face = track_face(clip, ClipConfig(), default_detector())
    peak = float(np.abs(clip.waveform).max(initial=0.0))
    families: dict[str, list[tuple[Corruption, dict[int, list[Markup]]]]] = {}
    for done, corruption in enumerate(corruptions, start=1):
        versions = {0: list(version_parts(clip, clip, corruption, f"{corruption.name}, clean", peak))}
        for severity in corruption.severities:
            if severity in severities or corruption.severities == (WORST,):
                version = corrupt(clip, corruption, severity, face=face, donor=donor)
                label = f"{corruption.name}, severity {severity}"
                versions[severity] = list(version_parts(version, clip, corruption, label, peak))
        families.setdefault(corruption.family, []).append((corruption, versions))
        if progress:
            progress(done, len(corruptions))
    borrowed = any("donor" in corruption.needs for corruption in corruptions)
    shown = {"clip": clip, "donor": donor, "borrowed": borrowed, "families": families, "held_out": HELD_OUT}
    return render("corruptions.html.j2", **shown)


def version_parts(clip: Clip, clean: Clip, corruption: Corruption, label: str, peak: float) -> Iterator[Markup]:
    """Still frames, film, waveform and player of one version of the clip, as far as they show the corruption."""
    # Where neither is corrupted by itself, frames and audio no longer belong together: both are needed to see that.
    modalities = corruption.modalities or MODALITIES
    if "visual" in modalities:
        yield stills(clip, clean, label)
    if corruption.family in MOVING and len(clip.frames):
        yield film(clip, label)
    if "audio" in modalities:
        if len(clip.waveform):
            yield drawing(clip.waveform, clip.duration_s, label, peak)
            yield player(clip.waveform, label)
        else:
            yield Markup('<div class="none">no audio</div>')


def stills(clip: Clip, clean: Clip, label: str) -> Markup:
    """The frames at the same times as in the clean clip; a time without a frame is marked."""
    none = Markup('<div class="none">no frame</div>')
    if not len(clip.frames):
        return none
    step_s = clean.duration_s / STILLS
    shown = []
    for time_s in clean.start_s + (np.arange(STILLS) + 0.5) * step_s:
        away_s = np.abs(clip.frame_times_s - time_s)
        near = away_s.min() <= step_s / 2
        shown.append(still(clip.frames[int(away_s.argmin())], f"{label}, at {time_s:.1f} s") if near else none)
    return Markup(f'<div class="stills">\n{"".join(shown)}</div>')


def film(clip: Clip, label: str) -> Markup:
    """Frames and audio together, each frame until the next one is nearer."""
    times_s = clip.start_s + (np.arange(max(1, round(clip.duration_s * FILM_FPS))) + 0.5) / FILM_FPS
    nearest = np.abs(times_s[:, None] - clip.frame_times_s).argmin(axis=1)
    small = shrunk(clip.frames[0], STILL_SIDE)
    height, width = (max(2, side // 2 * 2) for side in small.shape[:2])  # as H.264 wants them
    frames = (cv2.resize(clip.frames[index], (width, height), interpolation=cv2.INTER_AREA) for index in nearest)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_mp4(path, frames, FILM_FPS, clip.waveform if len(clip.waveform) else None)
        source = data_uri("video/mp4", path.read_bytes())
    return Markup(
        f'<video controls preload="metadata" src="{source}" width="{width}" height="{height}" '
        f'aria-label="{text(label)}, film"></video>'
    )
