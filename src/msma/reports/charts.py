"""Parts of pages about a clip: face strip, waveform, traits with intervals, quality, status.

All but `prediction_chart` and `trait_lines` take plain values, and all give HTML that needs `charts.css` on its page.
Drawings place things by per cent of their width, so that lines and letters stay as they are on a telephone and on
paper. Nothing is shown by colour alone: what has a colour has a place, a shape or a word of its own too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from msma.reports.figures import COLOURS
from msma.reports.page import text
from msma.types import MODALITIES, Prediction, PreviewFace, Window
from msma.weights.calibration import Calibration

BLUE, ORANGE = COLOURS[:2]
WAVE_HEIGHT = 48
"""Units up and down together of a drawn waveform."""
SCORE_Y, LABELS_Y, TRAIT_HEIGHT = 11, 28, 36
"""Pixels from the top of a trait's strip: the prediction, and below it the labels of the corpus."""
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
MAX_EDGES = 60
"""More windows than this stand too close to be told apart, and their edges are not drawn."""
LINES_HEIGHT = 48
LINES_GRID = "".join(
    f'<line x1="0" x2="100%" y1="{y}" y2="{y}" stroke="#d0d0d0"/>' for y in (0.5, LINES_HEIGHT / 2, LINES_HEIGHT - 0.5)
)
MARKS = {"ok": "\u2713", "degraded": "\u25b3", "abstained": "\u25cb", "failed": "\u2715"}


def status_mark(status: str) -> Markup:
    """`ok`, `degraded`, `abstained` or `failed`, with a sign of its own."""
    mark = f'<span aria-hidden="true">{MARKS[status]}</span> {text(status)}'
    return Markup(f'<span class="status {text(status)}">{mark}</span>')


def face_strip(faces: Sequence[PreviewFace], about: str) -> Markup:
    """Pictures side by side, each with its time; `about` is what they show, for those who cannot see them."""
    items = "".join(
        f'<li><img src="data:image/jpeg;base64,{text(face.jpeg)}" alt="{text(about)} at {clock(face.time_s)}" '
        f'width="80" height="80"><span>{clock(face.time_s)}</span></li>\n'
        for face in faces
    )
    return Markup(f'<ul class="faces">\n{items}</ul>\n')


def wave(
    low: Float[np.ndarray, " steps"], high: Float[np.ndarray, " steps"], label: str, full_scale: float, steps: int
) -> Markup:
    """A waveform as the span from the lowest to the highest sample of each step.

    Args:
        full_scale: the sample that reaches the edge.
        steps: that the drawing is wide; there may be fewer of sound.
    """
    half = WAVE_HEIGHT / 2
    top, bottom = (half - half * np.clip(edge / full_scale, -1, 1) for edge in (high, low))
    there = [f"{x} {y:.1f}" for x, y in enumerate(top)]
    # A silent step still has a line.
    back = [f"{x} {max(y, top[x] + 0.6):.1f}" for x, y in reversed(list(enumerate(bottom)))]
    return Markup(
        f'<svg class="waveform" viewBox="0 0 {steps} {WAVE_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(label)}">'
        f'<path fill="#0b4a8f" d="M{" L".join(there + back)}Z"/></svg>\n'
    )


def full_scale(peak: float) -> float:
    """The sample that reaches the edge of a drawing: a little more than the loudest one."""
    return min(1.0, 1.25 * peak) or 1.0


def sound_strip(
    low: Sequence[float],
    high: Sequence[float],
    start_s: float,
    end_s: float,
    windows: Sequence[tuple[float, float]],
) -> Markup:
    """The outline of the sound from `start_s` to `end_s` over an axis of time, with dashed lines where windows meet.

    Args:
        low, high: lowest and highest sample of each step, in [-1, 1]; the steps are even.
        windows: start and end in seconds.
    """
    peak = max((abs(value) for value in (*low, *high)), default=0.0)
    label = f"waveform from {clock(start_s)} to {clock(end_s)}, peak {peak:.2f} of full scale"
    drawn = wave(np.array(low), np.array(high), label, full_scale(peak), max(1, len(low)))
    edges = [start for start, _ in windows if start_s < start < end_s] if len(windows) <= MAX_EDGES else []
    return Markup(f'<div class="sound">\n{drawn}{time_axis(start_s, end_s, edges)}</div>\n')


def time_axis(start_s: float, end_s: float, edges: Sequence[float] = ()) -> Markup:
    """A line of `strip`s below what is drawn over time; `edges` are marked where windows meet."""
    span = max(end_s - start_s, 1e-9)
    times = [start_s + share * span for share in TICKS]
    marks = "".join(
        f'<line x1="{place}" x2="{place}" y1="0" y2="9" stroke="#1a1a1a" stroke-width="1.5" stroke-dasharray="2 2"/>'
        for place in (percent((edge - start_s) / span) for edge in edges)
    )
    return Markup(
        f'<svg class="strip" height="24" aria-hidden="true">{marks}{axis(TICKS, [clock(t) for t in times], 20)}</svg>\n'
    )


def axis(places: Sequence[float], names: Sequence[str], y: int) -> str:
    """Names below their places, shares of the width; the outer ones stay within it."""
    anchors = {0: "start", len(names) - 1: "end"}
    return "".join(
        f'<line x1="{percent(place)}" x2="{percent(place)}" y1="{y - 20}" y2="{y - 15}" stroke="#595959"/>'
        f'<text x="{percent(place)}" y="{y}" text-anchor="{anchors.get(index, "middle")}">{text(name)}</text>'
        for index, (place, name) in enumerate(zip(places, names, strict=True))
    )


def trait_chart(
    traits: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]] | None = None,
    quantiles: Mapping[str, Sequence[float]] | None = None,
    *,
    coverage: float | None = None,
    corpus: str = "",
) -> Markup:
    """Each trait as a dot on [0, 1], with its interval, over the labels of a corpus as a box; and the key to it.

    Args:
        intervals: low and high end by trait.
        quantiles: by trait, labels of the corpus at evenly spaced shares from 0 to 1 (a multiple of 20 of steps).
        coverage: of the intervals.
    """
    rows = ""
    for trait, score in traits.items():
        ends = None if intervals is None else intervals.get(trait)
        labels = None if quantiles is None else quantiles.get(trait)
        told = [] if ends is None else [f"{ends[0]:.2f} to {ends[1]:.2f}"]
        told += [] if labels is None else [f"above {whole_percent(share_below(score, labels))} of the labels"]
        small = "".join(f"<br><small>{one}</small>" for one in told)
        label = ", ".join([f"{trait} {score:.2f}", *told])
        rows += (
            f"<li><div><strong>{text(trait)}</strong> {score:.2f}{small}</div>"
            f"{trait_strip(score, ends, labels, label)}</li>\n"
        )
    scale = f'<svg class="strip" height="24" aria-hidden="true">{axis(TICKS, [f"{t:g}" for t in TICKS], 20)}</svg>'
    key = f"<span>{swatch(dot('50%'))} prediction</span>"
    if intervals is not None:
        held = "" if coverage is None else f", made to hold {whole_percent(coverage)} of the labels"
        key += f"<span>{swatch(span_line('5%', '95%'))} interval{held}</span>"
    if quantiles is not None:
        key += (
            f"<span>{swatch(box([0.05, 0.3, 0.5, 0.7, 0.95], SCORE_Y))} labels of the corpus {text(corpus)}: "
            "the middle half and the median in the box, nine in ten on the line</span>"
        )
    return Markup(f'<ul class="traits">\n{rows}<li><div></div>{scale}</li>\n</ul>\n<p class="key">{key}</p>\n')


def prediction_chart(prediction: Prediction, calibration: Calibration | None) -> Markup:
    """`trait_chart` of a prediction over the labels of its weights' calibration; empty where it has no traits."""
    if prediction.traits is None:
        return Markup("")
    quantiles, corpus = None, ""
    if calibration is not None:
        about = calibration.about
        quantiles, corpus = calibration.labels, f"{about.corpus} (split {about.split}, {about.clips} clips)"
    return trait_chart(prediction.traits, prediction.intervals, quantiles, coverage=prediction.coverage, corpus=corpus)


def trait_strip(score: float, ends: Sequence[float] | None, labels: Sequence[float] | None, label: str) -> Markup:
    grid = "".join(
        f'<line x1="{percent(tick)}" x2="{percent(tick)}" y1="0" y2="{TRAIT_HEIGHT}" stroke="#d0d0d0"/>'
        for tick in TICKS
    )
    drawn = "" if ends is None else span_line(percent(ends[0]), percent(ends[1]))
    drawn += dot(percent(score))
    height = TRAIT_HEIGHT if labels is not None else 2 * SCORE_Y
    if labels is not None:
        shares = np.linspace(0, 1, len(labels))
        drawn += box(np.interp([0.05, 0.25, 0.5, 0.75, 0.95], shares, labels).tolist(), LABELS_Y)
    return Markup(f'<svg class="strip" height="{height}" role="img" aria-label="{text(label)}">{grid}{drawn}</svg>')


def dot(x: str) -> str:
    return f'<circle cx="{x}" cy="{SCORE_Y}" r="5.5" fill="#1a1a1a"/>'


def span_line(low: str, high: str) -> str:
    """An interval: a thick line with ends."""
    line = f'<line x1="{low}" x2="{high}" y1="{SCORE_Y}" y2="{SCORE_Y}" stroke="{BLUE}" stroke-width="4"/>'
    return line + "".join(
        f'<line x1="{end}" x2="{end}" y1="{SCORE_Y - 6}" y2="{SCORE_Y + 6}" stroke="{BLUE}" stroke-width="2"/>'
        for end in (low, high)
    )


def box(at: Sequence[float], y: int) -> str:
    """Five shares of the width: ends of the line, of the box, and the median between."""
    low, left, middle, right, high = at
    return (
        f'<line x1="{percent(low)}" x2="{percent(high)}" y1="{y}" y2="{y}" stroke="#595959" stroke-width="1.5"/>'
        f'<rect x="{percent(left)}" width="{percent(right - left)}" y="{y - 5}" height="10" fill="#e0e0e0" '
        'stroke="#595959"/>'
        f'<line x1="{percent(middle)}" x2="{percent(middle)}" y1="{y - 5}" y2="{y + 5}" stroke="#1a1a1a" '
        'stroke-width="2"/>'
    )


def swatch(drawn: str) -> str:
    return f'<svg width="44" height="{2 * SCORE_Y}" aria-hidden="true">{drawn}</svg>'


def share_below(score: float, labels: Sequence[float]) -> float:
    """Share of labels below a score, between evenly spaced quantiles by a straight line."""
    values = np.asarray(labels, dtype=np.float64)
    if score <= values[0] or score > values[-1]:
        return float(score > values[-1])
    place = int(np.searchsorted(values, score))  # values[place - 1] < score <= values[place]
    below = place - 1 + (score - values[place - 1]) / (values[place] - values[place - 1])
    return float(below / (len(values) - 1))


@dataclass(frozen=True)
class Bar:
    """A share of the width, drawn and in words."""

    name: str
    what: str
    share: float
    said: str
    filled: bool = True


def quality_bars(quality: Mapping[str, float], used: Mapping[str, float]) -> Markup:
    """Predicted quality and used share by modality, each in [0, 1], as bars with their numbers."""
    return bars(
        bar
        for m in MODALITIES
        for bar in (
            Bar(m, "quality", quality[m], f"{quality[m]:.2f}"),
            Bar(m, "used", used[m], whole_percent(used[m]), filled=False),
        )
    )


def bars(rows: Iterable[Bar]) -> Markup:
    """Bars below one another, the unfilled ones with an outline."""
    items = ""
    for bar in rows:
        name, what, said = text(bar.name), text(bar.what), text(bar.said)
        pattern = f'fill="{BLUE}"' if bar.filled else f'fill="#fff" stroke="{BLUE}" stroke-width="2"'
        items += (
            f"<li><div><strong>{name}</strong> {what} <small>{said}</small></div>"
            f'<svg class="strip" height="16" role="img" aria-label="{name} {what} {said}">'
            '<rect x="0" width="100%" y="3" height="10" fill="#ececec"/>'
            f'<rect x="0" width="{percent(bar.share)}" y="3" height="10" {pattern}/></svg></li>\n'
        )
    return Markup(f'<ul class="bars">\n{items}</ul>\n')


def trait_lines(windows: Sequence[Window]) -> Markup:
    """Each trait over time: a strip, 0 at the bottom and 1 at the top, with a line as long as each window."""
    start_s, end_s = windows[0].start_s, max(window.end_s for window in windows)
    rows = ""
    for trait in windows[0].traits:
        known = [window for window in windows if trait in window.traits]
        scores = [window.traits[trait] for window in known]
        said = f"{min(scores):.2f} to {max(scores):.2f}" if scores else "not predicted"
        lines = "".join(level(window, window.traits[trait], start_s, end_s) for window in known)
        rows += (
            f"<li><div><strong>{text(trait)}</strong> <small>{said}</small></div>"
            f'<svg class="strip" height="{LINES_HEIGHT}" role="img" '
            f'aria-label="{text(trait)} over time: {said}">{LINES_GRID}{lines}</svg></li>\n'
        )
    scale = f"<li><div><small>0 below, 1 above</small></div>{time_axis(start_s, end_s)}</li>\n"
    return Markup(f'<ul class="traits">\n{rows}{scale}</ul>\n')


def level(window: Window, score: float, start_s: float, end_s: float) -> str:
    length, y = max(end_s - start_s, 1e-9), LINES_HEIGHT * (1 - score)
    x1, x2 = (percent((time_s - start_s) / length) for time_s in (window.start_s, window.end_s))
    return f'<line x1="{x1}" x2="{x2}" y1="{y:.1f}" y2="{y:.1f}" stroke="{BLUE}" stroke-width="3"/>'


def whole_percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def clock(seconds: float) -> str:
    """`7.5 s`, `2:05` or `1:02:05`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
