"""What is shown of an answer, as HTML inside gradio's page."""

from __future__ import annotations

from msma.config import Limits
from msma.corruptions.scenarios import Cell
from msma.corruptions.table import find_corruption
from msma.prediction.explain import Explanation
from msma.reports.charts import face_strip, prediction_chart, quality_bars, sound_strip, status_mark, trait_strip
from msma.reports.explanation import explanation_page
from msma.reports.media import player
from msma.reports.page import text
from msma.serve.predictions import Compared
from msma.types import MODALITIES, Clip, Prediction
from msma.weights.calibration import Calibration

MEANING = (
    "<p>A score says which trait <strong>observers would attribute</strong> to the person in this clip. It does not "
    "say what the person is like. The interval beside it says how far the network may be from what observers said, on "
    "clips like those that it was calibrated on.</p>\n"
    "<p>Not for any decision about a person (work, school, housing, credit, insurance, benefits, courts, borders, "
    "policing), not for diagnosis, not for clips of people who do not know and did not agree.</p>\n"
)


def notice(of_weights: str) -> str:
    """What scores are and are not, and what the weights say of themselves."""
    own = f"<p><strong>{text(of_weights)}</strong></p>\n" if of_weights else ""
    return f'<div class="msma"><div class="notice">\n{own}{MEANING}</div></div>\n'


def programs(address: str) -> str:
    """How other programs ask."""
    return (
        '<div class="msma">\n<pre tabindex="0" aria-label="Example in Python">'
        "from gradio_client import Client, handle_file\n\n"
        f'Client("{text(address)}").predict(\n    handle_file("clip.mp4"), api_name="/predict"\n)</pre>\n'
        "<p>gives the JSON text that <code>msma predict clip.mp4 --format json</code> writes. docs/serve.md has the "
        "same with curl.</p>\n</div>\n"
    )


def limits(of: Limits) -> str:
    return f"{of.max_bytes / 1e6:.0f} MB and {of.max_seconds / 60:.0f} minutes"


def chooser(of: Limits) -> str:
    """Where a file is chosen or dropped, for `msma.listen` in clip.js; gradio's own sends it at once, and its stream of
    answers ends with that."""
    return (
        '<label for="clip">Video or audio file: choose it, or drop it here</label>\n'
        f'<input type="file" id="clip" data-max-bytes="{of.max_bytes}" data-limit="{of.max_bytes / 1e6:.0f} MB">\n'
        '<p role="status"></p>\n'
    )


def problem(message: str) -> str:
    return f'<div class="msma"><p>{status_mark("failed")} {text(message)}</p></div>\n'


def answer(told: Prediction, calibration: Calibration | None) -> str:
    """The prediction as `msma predict` writes it, with some of what was looked at."""
    if told.status == "failed":
        return problem("; ".join(told.reasons))
    shown = (
        f"<h3><bdi>{text(told.path)}</bdi> {status_mark(told.status)}</h3>\n{reasons(told)}{traits(told, calibration)}"
    )
    shown += f"<h4>Sound and picture</h4>\n{quality_bars(told.quality, told.used)}{sight(told)}"
    return f'<div class="msma">\n{shown}</div>\n'


def reasons(told: Prediction) -> str:
    items = "".join(f"<li>{text(reason)}</li>\n" for reason in told.reasons)
    return f'<ul class="reasons">\n{items}</ul>\n' if items else ""


def traits(told: Prediction, calibration: Calibration | None) -> str:
    if told.traits is None:
        return ""
    without = "" if told.intervals is not None else "<p>No intervals: these weights have none.</p>\n"
    return f"<h4>Apparent traits</h4>\n{prediction_chart(told, calibration)}{without}"


def sight(told: Prediction) -> str:
    """Some of the pictures that the network was given, and the outline of the sound."""
    kept = told.kept_media
    if kept is None:
        return ""
    about = "whole picture" if told.face_detector == "whole frame" else "face"
    seen = face_strip(kept.faces, about) if kept.faces else '<p class="none">no picture was used</p>\n'
    windows = [(window.start_s, window.end_s) for window in told.windows]
    heard = sound_strip(kept.low, kept.high, kept.start_s, kept.end_s, windows)
    return f"{seen}{heard}" if kept.low else f'{seen}<p class="none">no sound was used</p>\n'


def explanation(found: Explanation, calibration: Calibration | None) -> str:
    """The page of `msma explain` within this one, as high as it is."""
    fit = "this.style.height = this.contentDocument.documentElement.scrollHeight + 20 + 'px'"
    return (
        f'<iframe title="Explanation" srcdoc="{text(explanation_page(found, calibration))}" onload="{fit}"></iframe>\n'
    )


def comparison(compared: Compared) -> str:
    """How the answer moves when something is wrong with the clip."""
    clean, spoilt = compared.clean, compared.answer
    rows = "".join(moved(trait, clean, spoilt) for trait in clean.traits or spoilt.traits or {})
    key = '<p class="none">→ from the clean to the spoilt clip; dot: answer, line: interval</p>\n' if rows else ""
    shown = (
        f"<h3>{part(compared.clip)} with {done(compared.cell)} {status_mark(spoilt.status)}</h3>\n{reasons(spoilt)}"
        f'{key}<ul class="traits">\n{rows}</ul>\n'
        f"<h4>Sound and picture</h4>\n{qualities(clean, spoilt)}{sight(spoilt)}"
    )
    if len(compared.spoilt.waveform):
        shown += str(player(compared.spoilt.waveform, "spoilt clip"))
    return f'<div class="msma">\n{shown}</div>\n'


def part(clip: Clip) -> str:
    """How much of a file a window is."""
    whole_s = clip.media.duration_s
    return "The clip" if whole_s is None or whole_s < clip.end_s + 1 else f"The first {clip.end_s:.0f} s"


def done(cell: Cell) -> str:
    """What is wrong, each with its level where it has several."""
    said = []
    for step in cell.steps:
        row = find_corruption(step.corruption)
        level = f" ({row.parameter} {row.level(step.severity):g})" if len(row.levels) > 1 else ""
        said.append(f"{text(row.name)}{text(level)}")
    return ", ".join(said) or "nothing wrong"


def moved(trait: str, clean: Prediction, spoilt: Prediction) -> str:
    """One trait before and after, in words and as two strips."""
    before, after = ((told.traits or {}).get(trait) for told in (clean, spoilt))
    said = " → ".join("none" if score is None else f"{score:.2f}" for score in (before, after))
    by = "" if before is None or after is None else f" ({after - before:+.2f})"
    widths = [
        f"{told.intervals[trait][1] - told.intervals[trait][0]:.2f}" for told in (clean, spoilt) if told.intervals
    ]
    wide = f"<br><small>interval {' → '.join(widths)} wide</small>" if widths else ""
    strips = "".join(
        f'<div class="pair"><span>{when}</span>{strip(trait, told, when)}</div>'
        for when, told in (("clean", clean), ("spoilt", spoilt))
    )
    return f"<li><div><strong>{text(trait)}</strong> {said}{by}{wide}</div><div>{strips}</div></li>\n"


def strip(trait: str, told: Prediction, when: str) -> str:
    if told.traits is None:
        return '<span class="none">no answer</span>'
    ends = None if told.intervals is None else told.intervals[trait]
    return trait_strip(told.traits[trait], ends, None, f"{trait}, {when}: {told.traits[trait]:.2f}")


def qualities(clean: Prediction, spoilt: Prediction) -> str:
    rows = "".join(
        f'<tr><th scope="row">{m} {what}</th><td>{before[m]:.2f}</td><td>{after[m]:.2f}</td></tr>\n'
        for m in MODALITIES
        for what, before, after in (("quality", clean.quality, spoilt.quality), ("used", clean.used, spoilt.used))
    )
    return (
        '<table>\n<thead><tr><td></td><th scope="col">clean</th><th scope="col">spoilt</th></tr></thead>\n'
        f"<tbody>\n{rows}</tbody></table>\n"
    )
