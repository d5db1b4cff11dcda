"""`msma train`: a recipe and a manifest make weights."""

from __future__ import annotations

import multiprocessing
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from msma.cli.calibrate import calibrate_run, uncalibrated
from msma.cli.options import (
    CacheOption,
    CpuOption,
    ManifestOption,
    RecipeArgument,
    SetOption,
    WorkersOption,
    cached_corpus,
    check_out,
)
from msma.cli.show.tables import tell
from msma.types import MsmaError


def train(
    recipe: RecipeArgument,
    manifest: ManifestOption,
    out: Annotated[Path, typer.Option("--out", help="A new folder for the run.")],
    overrides: SetOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    cache: CacheOption = None,
    workers: WorkersOption = None,
    cpu: CpuOption = False,
    calibration_clips: Annotated[
        int,
        typer.Option(
            "--calibration-clips", min=0, help="At most so many validation clips for prediction intervals; 0: none."
        ),
    ] = 400,
) -> None:
    """Train a network from a recipe and a manifest.

    The weights with the best validation CCC are in --out, with their prediction intervals.
    """
    from accelerate import PartialState

    from msma.cli.show.progress import progress_bar, training_bar
    from msma.config import load_recipe
    from msma.data.corpora.manifest import read_manifest
    from msma.training.run import check_begun
    from msma.training.run import train as run_training

    check_out(out, folder=True)
    check_begun(out, resume)
    plan, labels = load_recipe(recipe, overrides or ()), read_manifest(manifest)
    corpus = cached_corpus(labels, ("train", "val"), plan.clip, manifest, cache, workers)
    stop = StopOnInterrupt()
    with progress_bar("features", "clips") as features_report, training_bar(plan.train.steps) as report:
        result = run_training(
            plan,
            corpus,
            out,
            resume=resume,
            cpu=cpu,
            progress=report,
            features_progress=features_report,
            should_stop=stop,
        )
    if not result.finished:
        again = shlex.join(argument for argument in sys.argv[1:] if argument != "--resume")
        tell(f"stopped at step {result.step} of {plan.train.steps} and saved; resume with: msma {again} --resume")
        raise typer.Exit(130)
    state = PartialState(cpu=cpu)  # where it was trained
    if calibration_clips and state.is_main_process:
        try:
            calibrate_run(out, uncalibrated(out, str(state.device)), corpus, "val", calibration_clips)
        except MsmaError as error:  # the weights are there all the same
            tell(f"no intervals: {error}")
    tell(
        f"best validation CCC {result.best_ccc:.3f} (a constant has 0); "
        f"next: msma evaluate --model {out} --manifest {manifest}"
    )


class StopOnInterrupt:
    """The first Ctrl-C asks training to stop after the step and save; a second one ends it at once.

    It holds from the first step on: before, there is nothing to save, and Ctrl-C ends the command.
    """

    def __init__(self) -> None:
        self.asked = False
        self.previous: Any = None

    def ask(self, *_: Any) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self.previous)
        if multiprocessing.parent_process() is None:  # loader workers are told too
            tell("stopping after this step; once more to end at once")

    def __call__(self) -> bool:
        if self.previous is None:
            self.previous = signal.signal(signal.SIGINT, self.ask)
        return self.asked
