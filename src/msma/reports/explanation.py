"""A page that shows where the prediction for a video comes from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from msma.prediction.explain import ExplainedWindow, Explanation, Scale, second_of_steps
from msma.reports.charts import BLUE, ORANGE
from msma.reports.media import drawing, still
from msma.reports.page import render
from msma.types import MODALITIES
from msma.weights.calibration import Calibration

MIN_REACH = 0.02
"""A shift of a score as small as this still has a pale colour, however small all others are."""
STRONGEST = 0.6
"""Opacity of the strongest colour: black letters are read on it."""


def explanation_page(explanation: Explanation, calibration: Calibration | None) -> str:
    """The page; `calibration` of the weights that were explained gives the labels to set the prediction beside."""
    return render("explanation.html.j2", path=explanation.prediction.path, body=explained(explanation, calibration))


def explained(explanation: Explanation, calibration: Calibration | None, level: int = 2) -> Markup:
    """The body of the page, with headings from `level` on, for a page that has `explanation.css`."""
    body = render(
        "explained.html.j2",
        explanation=explanation,
        calibration=calibration,
        outer=f"h{level}",
        inner=f"h{level + 1}",
        **{part.__name__: part for part in (shares, carried, strongest, faces, waveform, effects, looks, scale_reach)},
    )
    return Markup(body)


def shares(found: ExplainedWindow) -> str:
    """How much of the way from the baseline to the prediction each modality went."""
    if found.shares is None:
        return "Nothing could be used: the prediction is the baseline."
    went = " and ".join(f"{modality} {found.shares[modality]:.0%}" for modality in MODALITIES)
    return f"Of the way from the baseline to the prediction, {went}."


def carried(found: ExplainedWindow) -> dict[str, list[Markup]]:
    """By trait, how much each modality adds."""
    reach = max([MIN_REACH, *(abs(shift) for m in MODALITIES for shift in found.carried[m].values())])
    return {
        trait: [shaded(found.carried[m][trait], reach, f"{found.carried[m][trait]:+.2f}") for m in MODALITIES]
        for trait in found.window.traits
    }


def strongest(found: ExplainedWindow) -> Iterator[str]:
    """Which second of each modality moves the prediction most."""
    for modality in MODALITIES:
        sizes = np.abs(found.seconds[modality]).mean(axis=1)
        if np.isnan(sizes).all():
            yield f"There is no {modality} stream to mask."
        else:
            yield f"Of {modality}, second {int(sizes.argmax())} moves the prediction most."


def faces(found: ExplainedWindow, seconds: int) -> Iterator[str]:
    """The first face that was seen in each second."""
    second_of = second_of_steps(len(found.seen), 1 / found.fps, seconds)
    for second in range(seconds):
        there = np.flatnonzero(found.seen & (second_of == second))
        yield still(found.crops[there[0]].transpose(1, 2, 0), f"second {second}") if len(there) else "–"


def waveform(found: ExplainedWindow) -> Markup:
    length_s = found.window.end_s - found.window.start_s
    return drawing(found.waveform, length_s, "audio")


def effects(found: ExplainedWindow) -> dict[str, list[Markup]]:
    """By modality and trait, how far off the score would be without each second; of what is there to be masked."""
    rows = {}
    for modality in MODALITIES:
        moved = found.seconds[modality]
        if not np.isnan(moved).all():
            reach = max(MIN_REACH, float(np.abs(moved).max()))
            for trait, of_seconds in zip(found.window.traits, moved.T.tolist(), strict=True):
                rows[f"{modality}: {trait}"] = [shaded(value, reach, hundredths(value)) for value in of_seconds]
    return rows


def hundredths(value: float) -> str:
    return f"{100 * value:+.0f}" if abs(value) >= 0.005 else "0"


def looks(attention: Float[np.ndarray, "seconds seconds"]) -> list[list[Markup]]:
    """Where each second of one modality looked in the other, in per cent."""
    reach = max(float(np.nanmax(attention)), 1 / len(attention))
    return [
        [Markup("<td></td>") if np.isnan(share) else shaded(share, reach, f"{100 * share:.0f}") for share in row]
        for row in attention.tolist()
    ]


def scale_reach(scale: Scale) -> str:
    """How far a scale reaches: the side of its kernel, or the steps between."""
    if scale.axis == "space":
        return f"{scale.size:g} × {scale.size:g}"
    return f"{scale.size:.3g} s apart"


def shaded(value: float, reach: float, written: str) -> Markup:
    """A cell whose colour shows the size of a value against `reach`, and its sign."""
    colour = BLUE if value >= 0 else ORANGE
    opacity = round(255 * STRONGEST * min(1.0, abs(value) / reach))
    return Markup(f'<td style="background:{colour}{opacity:02x}">{written}</td>')
