"""A page that shows where the answer for a video comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float

from msma.prediction.explain import ExplainedWindow, Explanation, Scale, second_of_steps
from msma.reports.charts import BLUE, ORANGE, answer_chart, clock, percent, quality_bars, status_mark
from msma.reports.charts import STYLE as PARTS_STYLE
from msma.reports.media import drawing, full_scale_of, picture
from msma.reports.page import page, text
from msma.types import MODALITIES, Prediction
from msma.weights.calibration import Calibration

CALLED = {"audio": "sound", "visual": "picture"}
LEAST_FULL = 0.02
"""A shift of a score as small as this still has a pale colour, however small all others are."""
STRONGEST = 0.6
"""Opacity of the strongest colour: black letters are read on it."""
STYLE = f"""{PARTS_STYLE}
.wide {{ overflow-x: auto; margin: .5rem 0; }}
table {{ border-collapse: collapse; }}
th {{ text-align: left; font-weight: 600; padding: .15rem .75rem .15rem 0; white-space: nowrap; }}
td {{ padding: .15rem .5rem; text-align: right; font-variant-numeric: tabular-nums; border: 1px solid #e0e0e0; }}
thead td {{ font-weight: 600; }}
.when, .looks {{ table-layout: fixed; width: 100%; font-size: .8125rem; }}
.when th:first-child {{ width: 12.5rem; }} .looks th:first-child {{ width: 4rem; }}
.when td, .looks td {{ padding: .15rem .1rem; text-align: center; }}
.when img {{ display: block; width: 100%; max-width: 5rem; height: auto; margin: 0 auto; }}
.when .waveform {{ margin: 0; }}
.looks {{ max-width: 46rem; }}
.looks th {{ font-weight: normal; }}
@media (max-width: 40rem) {{ th {{ padding-right: .35rem; }} td {{ padding: .15rem .25rem; }}
  table {{ font-size: .8125rem; }} }}
"""


def explanation_page(explanation: Explanation, calibration: Calibration | None) -> str:
    """The page; `calibration` of the weights that were explained gives the labels to set the prediction beside."""
    prediction = explanation.prediction
    sections = "".join(window_section(window) for window in explanation.windows)
    body = summary(prediction, calibration) + how(explanation) + sections + meaning(prediction)
    return page(f"msma: why {prediction.path}", body, STYLE)


def summary(prediction: Prediction, calibration: Calibration | None) -> str:
    reasons = "".join(f"<li>{text(reason)}</li>\n" for reason in prediction.reasons)
    return (
        "<h1>Where an answer comes from</h1>\n"
        f"<p><bdi>{text(prediction.path)}</bdi> {status_mark(prediction.status)}</p>\n"
        + (f"<ul>\n{reasons}</ul>\n" if reasons else "")
        + answer_chart(prediction, calibration)
        + quality_bars(prediction.quality, prediction.used)
        + f"<p>{text(prediction.model)}. {text(prediction.notice)}</p>\n"
    )


def how(explanation: Explanation) -> str:
    shown, every = len(explanation.windows), len(explanation.prediction.windows)
    some = f" The first {shown} of {every} windows are explained." if shown < every else ""
    return (
        f"<p>This took {explanation.passes} passes of the network besides those of the answer: one for each window, "
        f"and one for each second of sound and of picture that is masked.{some}</p>\n"
    )


def meaning(prediction: Prediction) -> str:
    face = f"faces by {text(prediction.face_detector)}, " if prediction.face_detector else ""
    return (
        "<h2>How to read this</h2>\n"
        "<p>All of it tells how this network came to this answer, not why a person is seen as they are, and even less "
        "what they are like. Attention says where the network looked, not what mattered. The masked seconds say what "
        "mattered, one at a time: where two tell the same, masking either changes little.</p>\n"
        f"<p>Made with {face}on {text(str(prediction.device))}.</p>\n"
    )


def window_section(found: ExplainedWindow) -> str:
    window = found.window
    return (
        f"<h2>{clock(window.start_s)} to {clock(window.end_s)}</h2>\n"
        + carried_section(found)
        + when_section(found)
        + attention_section(found)
        + scales_section(found.scales)
    )


def carried_section(found: ExplainedWindow) -> str:
    """From the prior to the answer, trait by trait."""
    shares = found.shares
    told = "Nothing could be used: the answer is the prior."
    if shares is not None:
        told = " and ".join(f"{CALLED[m]} {shares[m]:.0%}" for m in MODALITIES)
        told = f"Of the way from the prior to the answer, {told}."
    reach = max([LEAST_FULL, *(abs(shift) for m in MODALITIES for shift in found.carried[m].values())])
    rows = "".join(
        f'<tr><th scope="row">{text(trait)}</th><td>{found.prior[trait]:.2f}</td>'
        + "".join(shaded(found.carried[m][trait], reach, f"{found.carried[m][trait]:+.2f}") for m in MODALITIES)
        + f"<td><strong>{score:.2f}</strong></td></tr>\n"
        for trait, score in found.window.traits.items()
    )
    heads = "".join(f"<td>{CALLED[m]} adds</td>" for m in MODALITIES)
    return (
        f"<h3>Which modality carried it</h3>\n<p>{told} The prior is the answer to nothing at all. What each adds is "
        "its Shapley value over the network's four readings: of nothing, of sound, of picture, of both.</p>\n"
        f'<div class="wide"><table><thead><tr><th></th><td>prior</td>{heads}<td>answer</td></tr></thead>\n'
        f"<tbody>\n{rows}</tbody></table></div>\n"
    )


def when_section(found: ExplainedWindow) -> str:
    """A column for each second: the face, the sound, and how far the answer would be off without it."""
    seconds = len(found.seconds[MODALITIES[0]])
    heads = "".join(f"<td>{second}</td>" for second in range(seconds))
    rows = f'<tr><th scope="row">second</th>{heads}</tr></thead>\n<tbody>\n'
    if found.seen.any():
        rows += f'<tr><th scope="row">face</th>{"".join(faces(found, seconds))}</tr>\n'
    if len(found.waveform):
        wave = drawing(
            found.waveform, found.window.end_s - found.window.start_s, "sound", full_scale_of(found.waveform)
        )
        rows += f'<tr><th scope="row">sound</th><td colspan="{seconds}">{wave}</td></tr>\n'
    told = []
    for modality in MODALITIES:
        effects = found.seconds[modality]
        if np.isnan(effects).all():
            told.append(f"There is no {CALLED[modality]} to mask.")
            continue
        sizes = np.abs(effects).mean(axis=1)
        told.append(f"Of the {CALLED[modality]}, second {int(sizes.argmax())} moves the answer most.")
        rows += effect_rows(modality, effects, tuple(found.window.traits))
    return (
        "<h3>When</h3>\n<p>How far the scores with a second are above (+) or below (-) those without it, in "
        f"hundredths. {' '.join(told)}</p>\n"
        f'<div class="wide"><table class="when" style="min-width:{12.5 + 2.1 * seconds:g}rem"><thead>\n'
        f"{rows}</tbody></table></div>\n"
    )


def faces(found: ExplainedWindow, seconds: int) -> Iterable[str]:
    """The first face that was seen in each second, in a cell."""
    second_of = second_of_steps(len(found.seen), 1 / found.fps, seconds)
    for second in range(seconds):
        there = np.flatnonzero(found.seen & (second_of == second))
        shown = picture(found.crops[there[0]].transpose(1, 2, 0), f"second {second}") if len(there) else "–"
        yield f"<td>{shown}</td>"


def effect_rows(modality: str, effects: Float[np.ndarray, "seconds k"], traits: tuple[str, ...]) -> str:
    reach = max(LEAST_FULL, float(np.abs(effects).max()))
    rows = ""
    for place, trait in enumerate(traits):
        cells = "".join(shaded(value, reach, hundredths(value)) for value in effects[:, place].tolist())
        rows += f'<tr><th scope="row">{CALLED[modality]}: {text(trait)}</th>{cells}</tr>\n'
    return rows


def hundredths(value: float) -> str:
    return f"{100 * value:+.0f}" if abs(value) >= 0.005 else "0"


def attention_section(found: ExplainedWindow) -> str:
    """Where each second of one modality looked in the other."""
    if found.attention is None:
        return "<h3>Attention</h3>\n<p>None: it takes sound and picture, and a network with cross-attention.</p>\n"
    tables = ""
    for modality, other in zip(MODALITIES, reversed(MODALITIES), strict=True):
        shares = found.attention[modality]
        tables += (
            f"<p>From each second of the {CALLED[other]} (rows) to each second of the {CALLED[modality]}, in per cent; "
            f"even attention would be {100 / len(shares):.0f}.</p>\n{attention_table(shares)}"
        )
    return f"<h3>Attention</h3>\n{tables}"


def attention_table(shares: Float[np.ndarray, "seconds seconds"]) -> str:
    seconds = len(shares)
    reach = max(float(np.nanmax(shares)), 1 / seconds)
    heads = "".join(f"<td>{second}</td>" for second in range(seconds))
    rows = "".join(
        f'<tr><th scope="row">{second}</th>'
        + "".join("<td></td>" if np.isnan(share) else shaded(share, reach, f"{100 * share:.0f}") for share in row)
        + "</tr>\n"
        for second, row in enumerate(shares.tolist())
    )
    return (
        f'<div class="wide"><table class="looks" style="min-width:{4 + 1.7 * seconds:g}rem">'
        f"<thead><tr><th>second</th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )


def scales_section(scales: tuple[Scale, ...]) -> str:
    stages: dict[tuple[str, str], Mapping[int, float]] = {}
    for scale in scales:
        stages[scale.modality, scale.axis] = {**stages.get((scale.modality, scale.axis), {}), scale.size: scale.share}
    rows = ""
    for (modality, axis), shares in stages.items():
        for size, share in shares.items():
            reach = f"{size} × {size}" if axis == "space" else f"{size} {'step' if size == 1 else 'steps'} apart"
            over = "bands and time" if (modality, axis) == ("audio", "space") else axis
            label = f"{CALLED[modality]} over {over}, {reach}: {share:.0%}"
            rows += (
                f"<li><div>{CALLED[modality]} over {over} <br><small>{reach}: {share:.0%}</small></div>"
                f'<svg class="strip" height="16" role="img" aria-label="{label}">'
                '<rect x="0" width="100%" y="3" height="10" fill="#ececec"/>'
                f'<rect x="0" width="{percent(share)}" y="3" height="10" fill="{BLUE}"/></svg></li>\n'
            )
    told = "How much each scale adds, as a share of all scales of its stage." if rows else "This network has none."
    return f"<h3>Scales</h3>\n<p>{told}</p>\n" + (f'<ul class="bars">\n{rows}</ul>\n' if rows else "")


def shaded(value: float, reach: float, said: str) -> str:
    """A cell whose colour tells the size of a value against `reach`, and which sign it has."""
    colour = BLUE if value >= 0 else ORANGE
    opacity = round(255 * STRONGEST * min(1.0, abs(value) / reach))
    return f'<td style="background:{colour}{opacity:02x}">{said}</td>'
