"""The report of predictions: one page with every clip, from what `msma predict` wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import get_args

from msma.files.names import distinct_names
from msma.reports.charts import clock
from msma.reports.numbers import number
from msma.reports.page import render
from msma.reports.table import Row, Table
from msma.types import MODALITIES, TRAITS, Prediction, Status, Window
from msma.weights.calibration import Calibration

MAX_WINDOWS = 40
"""In the table of windows; the drawing has all."""
APPARENT = (
    "Apparent personality: what observers would attribute to the person in a clip, with all their biases. It is not "
    "what the person is, and no ground for hiring, admission, policing or diagnosis."
)


def predictions_report(
    predictions: Sequence[Prediction], source: str, calibrations: Mapping[str, Calibration] = MappingProxyType({})
) -> str:
    """The page; the same predictions give the same bytes. `source` is the name of their file; they are set beside the
    labels of the calibration of their weights, by name."""
    return render(
        "predictions.html.j2",
        predictions=predictions,
        source=source,
        notices=[APPARENT, *dict.fromkeys(prediction.notice for prediction in predictions)],
        statuses=get_args(Status),
        counts=Counter(prediction.status for prediction in predictions),
        predictions_table=predictions_table,
        windows_table=windows_table,
        names=distinct_names([prediction.path for prediction in predictions]),
        calibrations=calibrations,
        failure=failure,
        provenance=provenance,
    )


def predictions_table(predictions: Sequence[Prediction]) -> Table:
    """A row for each clip: traits above their prediction intervals, quality above use, and the reasons."""
    names = distinct_names([prediction.path for prediction in predictions])
    rows = [
        Row(
            f"{name}\n{prediction.status}",
            *(score(prediction, trait) for trait in TRAITS),
            f"{audio_visual(prediction.quality)}\n{audio_visual(prediction.used)}",
            "; ".join(prediction.reasons).removeprefix(f"{prediction.path}: "),
            anchor=f"clip-{place}",
        )
        for place, (name, prediction) in enumerate(zip(names, predictions, strict=True), start=1)
    ]
    heads = ["clip", *(trait[0].upper() for trait in TRAITS), "quality a/v", "why"]
    notes = [
        f"{' '.join(heads[1:-2])}: {', '.join(TRAITS)}",
        "in [0, 1], each above its prediction interval; quality above use, audio/visual",
    ]
    return Table("Predictions", heads, rows, notes, prose=[len(heads) - 1])


def score(prediction: Prediction, trait: str) -> str:
    """The score of a trait, and below it the interval where there is one."""
    scored, ends = number((prediction.traits or {}).get(trait), 2), (prediction.intervals or {}).get(trait)
    return scored if ends is None else f"{scored}\n{'-'.join(f'{end:.2f}'.removeprefix('0') for end in ends)}"


def audio_visual(share: Mapping[str, float]) -> str:
    return "/".join(number(share[modality], 2) for modality in MODALITIES)


def failure(prediction: Prediction) -> dict[str, str]:
    """Why a clip failed, and the remedy behind the last semicolon."""
    found, _, remedy = "; ".join(prediction.reasons).removeprefix(f"{prediction.path}: ").rpartition("; ")
    return {"file": prediction.path, "why": found or remedy, "what to do": remedy if found else ""}


def windows_table(windows: Sequence[Window]) -> Table:
    """The predictions for the windows of a long clip, one by one."""
    names = list(windows[0].traits)
    rows = [
        Row(
            f"{clock(window.start_s)} to {clock(window.end_s)}",
            *(number(window.traits.get(trait), 2) for trait in names),
            *map(audio_visual, (window.quality, window.used)),
            "; ".join(window.reasons),
        )
        for window in windows[:MAX_WINDOWS]
    ]
    more = [f"And {len(windows) - MAX_WINDOWS} more, in the file."] if len(windows) > MAX_WINDOWS else []
    heads = ["time", *names, "quality a/v", "used a/v", "why"]
    return Table("Window by window (a/v: audio and visual)", heads, rows, notes=more, prose=[len(heads) - 1])


def provenance(prediction: Prediction) -> dict[str, str]:
    """The file, its streams, and what made the prediction."""
    about = {"file": prediction.path}
    if (media := prediction.media) is not None:
        video = f"{media.video_codec}, {media.width} × {media.height}, {media.fps:.4g} frames a second"
        length = "" if media.duration_s is None else clock(media.duration_s)
        about |= {"container": media.container, "video": video if media.video_codec else "none"}
        about |= {"audio": media.audio_codec or "none", "length": length}
    made_by = {"face found by": prediction.face_detector, "weights": prediction.model, "device": prediction.device}
    return about | {name: value or "" for name, value in made_by.items()}
