"""`msma calibrate`: prediction intervals for the weights of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msma.cli.options import CacheOption, DeviceOption, ManifestOption, WorkersOption, cached_corpus, check_out
from msma.cli.show.tables import tell

if TYPE_CHECKING:
    from msma.data.corpus import Corpus
    from msma.prediction.model import Model


def calibrate(
    model: Annotated[Path, typer.Option("--model", help="A run folder; calibration.json goes into it.")],
    manifest: ManifestOption,
    split: Annotated[str, typer.Option("--split", help="Held-out clips: val or test.")] = "val",
    clips: Annotated[int, typer.Option("--clips", min=10, help="At most so many clips, by whole sources.")] = 400,
    cache: CacheOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Fit prediction intervals on held-out clips.

    The clips are predicted clean and corrupted; calibration.json in the run folder holds how far predictions were off.
    """
    from msma.data.corpora.manifest import read_manifest

    check_out(model / "calibration.json", option="--model")
    labels, loaded = read_manifest(manifest), uncalibrated(model, device)
    corpus = cached_corpus(labels, (split,), loaded.clip, manifest, cache, workers)
    calibrate_run(model, loaded, corpus, split, clips)


def uncalibrated(run: Path, device: str) -> Model:
    """A run without the intervals that it may have; their file stays until there are new ones."""
    from msma.config import Limits
    from msma.media.faces import default_detector
    from msma.prediction.model import Model, network_of_torch
    from msma.types import MsmaError

    if not run.is_dir():  # nor is it looked for on the hub: the calibration goes into it
        raise MsmaError(f"{run}: no such folder; name a run written by `msma train`")
    weights = network_of_torch(run, None, device, calibrated=False)
    return Model(weights, weights.config.clip, Limits(), default_detector(), device)


def calibrate_run(run: Path, model: Model, corpus: Corpus, split: str, clips: int) -> None:
    from msma.cli.show.progress import progress_bar
    from msma.cli.show.tables import show_table, stderr
    from msma.evaluation.calibrate import calibrate as calibrate_model
    from msma.reports.scores import half_widths_table
    from msma.weights.config import save_calibration

    with progress_bar("calibrating", "clips") as report:
        found = calibrate_model(model, corpus, split, max_clips=clips, progress=report)
    save_calibration(run, found)
    show_table(half_widths_table(found), stderr())
    tell(f"{run / 'calibration.json'} is written")
