"""The report of answers: one page with every clip that was asked for, from what `msma predict` wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import get_args

from msma.prediction.predictions_json import jpeg_bytes
from msma.reports.charts import (
    BLUE,
    MARKS,
    STYLE,
    answer_chart,
    clock,
    face_strip,
    percent,
    quality_bars,
    sound_strip,
    status_mark,
    time_axis,
)
from msma.reports.numbers import number
from msma.reports.page import page, text
from msma.reports.tables import STYLE as TABLES
from msma.reports.tables import facts, missing, notice, table
from msma.types import MODALITIES, TRAITS, KeptMedia, MediaInfo, Prediction, Status, Window
from msma.weights.calibration import Calibration

MOST_WINDOWS = 40
"""In the table of windows; the drawing has all."""
OVER_TIME_HEIGHT = 48
GRID = "".join(
    f'<line x1="0" x2="100%" y1="{y}" y2="{y}" stroke="#d0d0d0"/>'
    for y in (0.5, OVER_TIME_HEIGHT / 2, OVER_TIME_HEIGHT - 0.5)
)
APPARENT = (
    "Apparent personality: what observers would attribute to the person in a clip, with all their biases. It is not "
    "what the person is, and no ground for hiring, admission, policing or diagnosis."
)
OWN = """
section.clip { break-inside: auto; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 32rem), 1fr)); gap: 0 3rem; }
@media print { .sides { grid-template-columns: 1fr 1fr; gap: 0 1.5rem; } .sides > div { break-inside: avoid; } }
section.clip h2 { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; overflow-wrap: anywhere; }
section.clip h2 bdi { min-width: 0; }
.counts { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; padding: 0; list-style: none; }
"""


def predictions_report(
    answers: Sequence[Prediction], source: str, calibrations: Mapping[str, Calibration] = MappingProxyType({})
) -> str:
    """The page; the same answers give the same bytes.

    Args:
        source: the name of the file that they come from.
        calibrations: by the name of weights, whose labels their predictions are set beside.
    """
    counts = Counter(answer.status for answer in answers)
    told = "".join(f"<li>{counts[status]} {status_mark(status)}</li>\n" for status in get_args(Status))
    said = [APPARENT, *dict.fromkeys(answer.notice for answer in answers)]
    head = (
        f"<h1>Apparent personality in {len(answers)} {'clip' if len(answers) == 1 else 'clips'}</h1>\n"
        f"<p>From <bdi>{text(source)}</bdi>.</p>\n{notice(said)}"
        f'<ul class="counts" aria-label="How many answers of each status">\n{told}</ul>\n'
    )
    sections = "".join(
        clip_section(place, answer, calibrations.get(answer.model)) for place, answer in enumerate(answers, start=1)
    )
    return page("msma: answers", head + summary(answers) + sections, TABLES + STYLE + OWN)


def summary(answers: Sequence[Prediction]) -> str:
    """A line a clip."""
    if len(answers) == 1:
        return ""
    rows = [
        [
            f"{place} {name_of(answer)}",
            f"{MARKS[answer.status]}\u00a0{answer.status}",
            *(number((answer.traits or {}).get(trait), 2) for trait in TRAITS),
            *("/".join(number(share[m], 2) for m in MODALITIES) for share in (answer.quality, answer.used)),
            first_of(answer.reasons),
        ]
        for place, answer in enumerate(answers, start=1)
    ]
    heads = ["clip", "status", *(trait[0].upper() for trait in TRAITS), "quality a/v", "used a/v", "why"]
    about = f"All clips ({', '.join(TRAITS)} by their first letters; a/v: audio and visual)"
    links = [f"clip-{place}" for place in range(1, len(answers) + 1)]
    return table(heads, rows, about, words=[1, len(heads) - 1], links=links)


def first_of(reasons: Sequence[str]) -> str:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else ""


def clip_section(place: int, answer: Prediction, calibration: Calibration | None) -> str:
    name = f"clip-{place}"
    parts = [
        f'<h2 id="{name}"><bdi>{text(name_of(answer))}</bdi> {status_mark(answer.status)}</h2>\n',
        why(answer),
    ]
    if answer.status != "failed":
        sides = media(answer) + provenance(answer), traits(answer, calibration) + quality(answer)
        columns = "".join(f"<div>\n{side}</div>\n" for side in sides)
        parts += [f'<div class="sides">\n{columns}</div>\n', windows(answer.windows)]
    return f'<section class="clip" aria-labelledby="{name}">\n{"".join(parts)}</section>\n'


def why(answer: Prediction) -> str:
    """The reasons; of what failed also what to do, which stands behind the last semicolon of the line."""
    if answer.status == "failed":
        found, _, remedy = "; ".join(answer.reasons).removeprefix(f"{answer.path}: ").rpartition("; ")
        return facts({"file": answer.path, "why": found or remedy, "what to do": remedy if found else ""})
    items = "".join(f"<li>{text(reason)}</li>\n" for reason in answer.reasons)
    intro = "Not answered, because:" if answer.status == "abstained" else "Answered from what was left:"
    return f"<p>{intro}</p>\n<ul>\n{items}</ul>\n" if items else ""


def media(answer: Prediction) -> str:
    kept = answer.kept_media
    if kept is None:
        return missing(
            "No faces and no waveform: they are not in the file. To have them:",
            "msma predict CLIP --format json --keep-media --out answers.json",
        )
    return seen(answer, kept) + heard(answer, kept)


def seen(answer: Prediction, kept: KeptMedia) -> str:
    if not kept.faces:
        return '<h3>What was seen</h3>\n<div class="none">no picture was used</div>\n'
    whole = answer.face_detector == "whole frame"
    about = "the whole picture" if whole else "the face"
    faces = [(face.time_s, jpeg_bytes(face.jpeg)) for face in kept.faces]
    return f"<h3>What was seen</h3>\n<p>As the network gets it: {about}.</p>\n{face_strip(faces, about)}"


def heard(answer: Prediction, kept: KeptMedia) -> str:
    if not kept.low:
        return '<h3>What was heard</h3>\n<div class="none">no sound was used</div>\n'
    spans = [(window.start_s, window.end_s) for window in answer.windows]
    edges = ""
    if len(spans) > 1:
        edges = f"<p>{len(spans)} windows, each with its own answer; dashes show where they meet.</p>\n"
    return f"<h3>What was heard</h3>\n{edges}{sound_strip(kept.low, kept.high, kept.start_s, kept.end_s, spans)}"


def traits(answer: Prediction, calibration: Calibration | None) -> str:
    if answer.traits is None:
        return ""
    told = ""
    if answer.intervals is None:
        told += missing("No intervals: these weights are not calibrated.", "msma calibrate --model RUN --manifest CSV")
    elif calibration is None:
        told += missing(
            "No labels to compare with: they are beside the weights, which were not named.",
            "msma report predictions.json --model RUN",
        )
    return f"<h3>Apparent traits</h3>\n{answer_chart(answer, calibration)}{told}"


def quality(answer: Prediction) -> str:
    return (
        "<h3>Quality and use</h3>\n<p>Quality: 1 is as good as the clips that the weights learned from, 0 is useless. "
        f"Used: the share of the time that could be used.</p>\n{quality_bars(answer.quality, answer.used)}"
    )


def windows(found: Sequence[Window]) -> str:
    """Of a long clip: each trait over time, and the answers one by one."""
    if len(found) < 2:
        return ""
    names = list(found[0].traits)
    rows = [
        [
            f"{clock(window.start_s)} to {clock(window.end_s)}",
            *(number(window.traits.get(trait), 2) for trait in names),
            *("/".join(number(share[m], 2) for m in MODALITIES) for share in (window.quality, window.used)),
            "; ".join(window.reasons),
        ]
        for window in found[:MOST_WINDOWS]
    ]
    heads = ["time", *names, "quality a/v", "used a/v", "why"]
    more = f"<p>And {len(found) - MOST_WINDOWS} more, in the file.</p>\n" if len(found) > MOST_WINDOWS else ""
    listed = table(heads, rows, "Window by window (a/v: audio and visual)", words=[len(heads) - 1])
    return f"<h3>Over time</h3>\n{over_time(found, names)}{listed}{more}"


def over_time(found: Sequence[Window], names: Sequence[str]) -> str:
    """A strip for each trait, 0 at the bottom and 1 at the top, with a line as long as each window."""
    start_s, end_s = found[0].start_s, max(window.end_s for window in found)
    rows = ""
    for trait in names:
        known = [window for window in found if trait in window.traits]
        scores = [window.traits[trait] for window in known]
        said = f"{min(scores):.2f} to {max(scores):.2f}" if scores else "not answered"
        lines = "".join(level(window, window.traits[trait], start_s, end_s) for window in known)
        rows += (
            f"<li><div><strong>{text(trait)}</strong> <small>{said}</small></div>"
            f'<svg class="strip" height="{OVER_TIME_HEIGHT}" role="img" '
            f'aria-label="{text(trait)} over time: {said}">{GRID}{lines}</svg></li>\n'
        )
    scale = f"<li><div><small>0 below, 1 above</small></div>{time_axis(start_s, end_s)}</li>\n"
    return f'<ul class="traits">\n{rows}{scale}</ul>\n'


def level(window: Window, score: float, start_s: float, end_s: float) -> str:
    length, y = max(end_s - start_s, 1e-9), OVER_TIME_HEIGHT * (1 - score)
    x1, x2 = (percent((time_s - start_s) / length) for time_s in (window.start_s, window.end_s))
    return f'<line x1="{x1}" x2="{x2}" y1="{y:.1f}" y2="{y:.1f}" stroke="{BLUE}" stroke-width="3"/>'


def provenance(answer: Prediction) -> str:
    return "<h3>What was used</h3>\n" + facts(
        {
            "file": answer.path,
            **({} if answer.media is None else told_of(answer.media)),
            "face found by": answer.face_detector or "",
            "weights": answer.model,
            "device": answer.device or "",
        }
    )


def told_of(media: MediaInfo) -> dict[str, str]:
    video = f"{media.video_codec}, {media.width} × {media.height}, {media.fps:.4g} pictures a second"
    return {
        "container": media.container,
        "picture": video if media.video_codec else "none",
        "sound": media.audio_codec or "none",
        "length": "" if media.duration_s is None else clock(media.duration_s),
    }


def name_of(answer: Prediction) -> str:
    return PurePath(answer.path).name or answer.path
