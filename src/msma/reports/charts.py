"""What pages about a clip are put together from: face strip, sound, traits with intervals, quality, status.

All but `answer_chart` take plain values (numbers, dictionaries, bytes of JPEG), and all give HTML that needs `STYLE`
on its page. Drawings place things by per cent of their width, so that lines and letters stay as they are on a telephone
and on paper. Nothing is told by colour alone: what has a colour has a place, a shape or a word of its own too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from msma.reports.figures import COLOURS
from msma.reports.page import data_uri, text
from msma.types import MODALITIES, Prediction
from msma.weights.calibration import Calibration

BLUE, ORANGE = COLOURS[:2]
WAVE_HEIGHT = 48
"""Units up and down together of a drawn waveform."""
ANSWER_Y, LABELS_Y, TRAIT_HEIGHT = 11, 28, 36
"""Pixels from the top of a trait's strip: the answer, and below it the labels of the corpus."""
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_EDGES = 60
"""More windows than this stand too close to be told apart, and their edges are not drawn."""
MARKS = {"ok": "\u2713", "degraded": "\u25b3", "abstained": "\u25cb", "failed": "\u2715"}
STYLE = """
.status { display: inline-block; padding: 0 .5rem; border: 1.5px solid #1a1a1a; border-radius: 1rem; font-size: .875rem;
  font-weight: 600; white-space: nowrap; }
.status.failed { background: #1a1a1a; color: #fff; print-color-adjust: exact; }
.status.degraded, .status.abstained { border-style: dashed; }
.faces { display: grid; grid-template-columns: repeat(8, minmax(0, 5rem)); gap: .5rem; margin: .5rem 0; padding: 0;
  list-style: none; }
.faces img { display: block; width: 100%; height: auto; aspect-ratio: 1; object-fit: cover; }
.faces span { font-size: .8125rem; color: #404040; }
.strip { display: block; width: 100%; overflow: visible; }
.strip text { font: 12px system-ui, sans-serif; fill: #404040; }
.sound { margin: .5rem .5rem 1rem 0; max-width: 46rem; }
.traits, .bars { margin: .5rem 0; padding: 0; list-style: none; max-width: 46rem; }
.traits li, .bars li { display: grid; grid-template-columns: 13rem 1fr; column-gap: 1rem; align-items: center;
  padding: 0 .5rem .25rem 0; break-inside: avoid; }
.traits small, .bars small { color: #404040; font-size: .8125rem; }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .25rem 0; font-size: .8125rem; color: #404040; }
.key span { display: inline-flex; align-items: center; gap: .4rem; }
.key svg { flex: none; }
@media (max-width: 40rem) { .traits li, .bars li { grid-template-columns: 1fr; } .traits li { margin-bottom: .5rem; }
  .faces { grid-template-columns: repeat(4, minmax(0, 1fr)); } }
@media print { .traits, .faces, .sound, .key, .bars { break-inside: avoid; } .traits li, .bars li { column-gap: .5rem;
  grid-template-columns: 9rem 1fr; } .traits small, .bars small, .faces span, .key { font-size: .625rem; } }
"""


def status_mark(status: str) -> str:
    """`ok`, `degraded`, `abstained` or `failed`, with a sign of its own."""
    return f'<span class="status {text(status)}"><span aria-hidden="true">{MARKS[status]}</span> {text(status)}</span>'


def face_strip(faces: Sequence[tuple[float, bytes]], about: str) -> str:
    """Pictures side by side, each with its time.

    Args:
        faces: seconds from the start of the file and a JPEG, in the order of time.
        about: what they show, for those who cannot see them.
    """
    items = "".join(
        f'<li><img src="{data_uri("image/jpeg", jpeg)}" alt="{text(about)} at {clock(time_s)}" width="80" height="80">'
        f"<span>{clock(time_s)}</span></li>\n"
        for time_s, jpeg in faces
    )
    return f'<ul class="faces">\n{items}</ul>\n'


def wave(
    low: Float[np.ndarray, " steps"], high: Float[np.ndarray, " steps"], label: str, full_scale: float, steps: int
) -> str:
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
    return (
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
) -> str:
    """The outline of the sound from `start_s` to `end_s` over an axis of time, with dashed lines where windows meet.

    Args:
        low, high: lowest and highest sample of each step, in [-1, 1]; the steps are even.
        windows: start and end in seconds.
    """
    peak = max((abs(value) for value in (*low, *high)), default=0.0)
    label = f"waveform from {clock(start_s)} to {clock(end_s)}, peak {peak:.2f} of full scale"
    drawn = wave(np.array(low), np.array(high), label, full_scale(peak), max(1, len(low)))
    edges = [start for start, _ in windows if start_s < start < end_s] if len(windows) <= MOST_EDGES else []
    return f'<div class="sound">\n{drawn}{time_axis(start_s, end_s, edges)}</div>\n'


def time_axis(start_s: float, end_s: float, edges: Sequence[float] = ()) -> str:
    """A line of `strip`s below what is drawn over time; `edges` are marked where windows meet."""
    span = max(end_s - start_s, 1e-9)
    times = [start_s + share * span for share in TICKS]
    marks = "".join(
        f'<line x1="{place}" x2="{place}" y1="0" y2="9" stroke="#1a1a1a" stroke-width="1.5" stroke-dasharray="2 2"/>'
        for place in (percent((edge - start_s) / span) for edge in edges)
    )
    return (
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
) -> str:
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
    key = f"<span>{swatch(dot('50%'))} answer</span>"
    if intervals is not None:
        held = "" if coverage is None else f", made to hold {whole_percent(coverage)} of the labels"
        key += f"<span>{swatch(span_line('5%', '95%'))} interval{held}</span>"
    if quantiles is not None:
        key += (
            f"<span>{swatch(box([0.05, 0.3, 0.5, 0.7, 0.95], ANSWER_Y))} labels of the corpus {text(corpus)}: "
            "the middle half and the median in the box, nine in ten on the line</span>"
        )
    return f'<ul class="traits">\n{rows}<li><div></div>{scale}</li>\n</ul>\n<p class="key">{key}</p>\n'


def answer_chart(answer: Prediction, calibration: Calibration | None) -> str:
    """`trait_chart` of a prediction over the labels of its weights' calibration; empty where it has no traits."""
    if answer.traits is None:
        return ""
    quantiles, corpus = None, ""
    if calibration is not None:
        about = calibration.about
        quantiles, corpus = calibration.labels, f"{about.corpus} (split {about.split}, {about.clips} clips)"
    return trait_chart(answer.traits, answer.intervals, quantiles, coverage=answer.coverage, corpus=corpus)


def trait_strip(score: float, ends: Sequence[float] | None, labels: Sequence[float] | None, label: str) -> str:
    grid = "".join(
        f'<line x1="{percent(tick)}" x2="{percent(tick)}" y1="0" y2="{TRAIT_HEIGHT}" stroke="#d0d0d0"/>'
        for tick in TICKS
    )
    drawn = "" if ends is None else span_line(percent(ends[0]), percent(ends[1]))
    drawn += dot(percent(score))
    height = TRAIT_HEIGHT if labels is not None else 2 * ANSWER_Y
    if labels is not None:
        shares = np.linspace(0, 1, len(labels))
        drawn += box(np.interp([0.05, 0.25, 0.5, 0.75, 0.95], shares, labels).tolist(), LABELS_Y)
    return f'<svg class="strip" height="{height}" role="img" aria-label="{text(label)}">{grid}{drawn}</svg>'


def dot(x: str) -> str:
    return f'<circle cx="{x}" cy="{ANSWER_Y}" r="5.5" fill="#1a1a1a"/>'


def span_line(low: str, high: str) -> str:
    """An interval: a thick line with ends."""
    line = f'<line x1="{low}" x2="{high}" y1="{ANSWER_Y}" y2="{ANSWER_Y}" stroke="{BLUE}" stroke-width="4"/>'
    return line + "".join(
        f'<line x1="{end}" x2="{end}" y1="{ANSWER_Y - 6}" y2="{ANSWER_Y + 6}" stroke="{BLUE}" stroke-width="2"/>'
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
    return f'<svg width="44" height="{2 * ANSWER_Y}" aria-hidden="true">{drawn}</svg>'


def share_below(score: float, labels: Sequence[float]) -> float:
    """Share of labels below a score, between evenly spaced quantiles by a straight line."""
    values = np.asarray(labels, dtype=np.float64)
    if score <= values[0] or score > values[-1]:
        return float(score > values[-1])
    place = int(np.searchsorted(values, score))  # values[place - 1] < score <= values[place]
    below = place - 1 + (score - values[place - 1]) / (values[place] - values[place - 1])
    return float(below / (len(values) - 1))


def quality_bars(quality: Mapping[str, float], used: Mapping[str, float]) -> str:
    """Predicted quality and used share by modality, each in [0, 1], as bars with their numbers."""
    rows = ""
    for modality in MODALITIES:
        for what, value, said in (
            ("quality", quality[modality], f"{quality[modality]:.2f}"),
            ("used", used[modality], whole_percent(used[modality])),
        ):
            pattern = f'fill="{BLUE}"' if what == "quality" else f'fill="#fff" stroke="{BLUE}" stroke-width="2"'
            rows += (
                f"<li><div><strong>{modality}</strong> {what} <small>{said}</small></div>"
                f'<svg class="strip" height="16" role="img" aria-label="{modality} {what} {said}">'
                '<rect x="0" width="100%" y="3" height="10" fill="#ececec"/>'
                f'<rect x="0" width="{percent(value)}" y="3" height="10" {pattern}/></svg></li>\n'
            )
    return f'<ul class="bars">\n{rows}</ul>\n'


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
