"""The report of predictions: one page with every clip, from what `msma predict` wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import get_args

from msma.reports.charts import MARKS, clock
from msma.reports.numbers import number
from msma.reports.page import render
from msma.reports.table import Row, Table
from msma.types import MODALITIES, TRAITS, MediaInfo, Prediction, Status, Window
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
    """The page; the same predictions give the same bytes.

    Args:
        source: the name of the file that they come from.
        calibrations: by the name of weights, whose labels their predictions are set beside.
    """
    return render(
        "predictions.html.j2",
        predictions=predictions,
        source=source,
        notices=[APPARENT, *dict.fromkeys(prediction.notice for prediction in predictions)],
        statuses=get_args(Status),
        counts=Counter(prediction.status for prediction in predictions),
        summary=summary,
        windows_table=windows_table,
        name_of=name_of,
        calibrations=calibrations,
        failure=failure,
        provenance=provenance,
    )


def summary(predictions: Sequence[Prediction]) -> Table:
    """A row for each clip, which leads to its section."""
    rows = [
        Row(
            [
                f"{place} {name_of(prediction)}",
                f"{MARKS[prediction.status]}\u00a0{prediction.status}",
                *(number((prediction.traits or {}).get(trait), 2) for trait in TRAITS),
                *map(audio_visual, (prediction.quality, prediction.used)),
                first_of(prediction.reasons),
            ],
            anchor=f"clip-{place}",
        )
        for place, prediction in enumerate(predictions, start=1)
    ]
    heads = ["clip", "status", *(trait[0].upper() for trait in TRAITS), "quality a/v", "used a/v", "why"]
    title = f"All clips ({', '.join(TRAITS)} by their first letters; a/v: audio and visual)"
    return Table(title, heads, rows, prose=[1, len(heads) - 1])


def audio_visual(share: Mapping[str, float]) -> str:
    return "/".join(number(share[modality], 2) for modality in MODALITIES)


def first_of(reasons: Sequence[str]) -> str:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else ""


def failure(prediction: Prediction) -> dict[str, str]:
    """Why it failed, and what to do, which stands behind the last semicolon of the line."""
    found, _, remedy = "; ".join(prediction.reasons).removeprefix(f"{prediction.path}: ").rpartition("; ")
    return {"file": prediction.path, "why": found or remedy, "what to do": remedy if found else ""}


def windows_table(windows: Sequence[Window]) -> Table:
    """The predictions for the windows of a long clip, one by one."""
    names = list(windows[0].traits)
    rows = [
        Row(
            [
                f"{clock(window.start_s)} to {clock(window.end_s)}",
                *(number(window.traits.get(trait), 2) for trait in names),
                *map(audio_visual, (window.quality, window.used)),
                "; ".join(window.reasons),
            ]
        )
        for window in windows[:MAX_WINDOWS]
    ]
    more = [f"And {len(windows) - MAX_WINDOWS} more, in the file."] if len(windows) > MAX_WINDOWS else []
    heads = ["time", *names, "quality a/v", "used a/v", "why"]
    return Table("Window by window (a/v: audio and visual)", heads, rows, notes=more, prose=[len(heads) - 1])


def provenance(prediction: Prediction) -> dict[str, str]:
    """The file, its streams, and what made the prediction."""
    return {
        "file": prediction.path,
        **({} if prediction.media is None else streams(prediction.media)),
        "face found by": prediction.face_detector or "",
        "weights": prediction.model,
        "device": prediction.device or "",
    }


def streams(media: MediaInfo) -> dict[str, str]:
    video = f"{media.video_codec}, {media.width} × {media.height}, {media.fps:.4g} frames a second"
    return {
        "container": media.container,
        "video": video if media.video_codec else "none",
        "audio": media.audio_codec or "none",
        "length": "" if media.duration_s is None else clock(media.duration_s),
    }


def name_of(prediction: Prediction) -> str:
    return PurePath(prediction.path).name or prediction.path
