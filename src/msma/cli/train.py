"""`msma train` and `msma calibrate`: a recipe and a manifest make weights with prediction intervals."""

from __future__ import annotations

import multiprocessing
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from msma.cli import options
from msma.cli.ending import SIGNALS
from msma.cli.show.progress import progress_bar, training_bar
from msma.cli.show.tables import show_table, stderr, tell
from msma.cli.steps import cached_corpus, check_out, held
from msma.types import MsmaError, WriteError

if TYPE_CHECKING:
    from msma.data.corpus import Corpus
    from msma.prediction.model import Model


def train(
    recipe: options.Recipe,
    manifest: options.Manifest,
    out: Annotated[Path, typer.Option(help="A new folder for the run.")],
    overrides: options.Set = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    cache: options.Cache = None,
    workers: options.Workers = None,
    cpu: options.Cpu = False,
    calibration_clips: Annotated[
        int, typer.Option(min=0, help="At most so many validation clips for prediction intervals; 0: none.")
    ] = 400,
) -> None:
    """Train a network from a recipe and a manifest.

    The weights with the best validation mean accuracy are in --out, with their prediction intervals.
    """
    from accelerate import PartialState

    from msma.config import load_recipe
    from msma.data.corpora.manifest import read_manifest
    from msma.training.run import check_begun
    from msma.training.run import train as run_training

    check_out(out, folder=True)
    check_begun(out, resume)
    plan, labels = load_recipe(recipe, overrides or ()), read_manifest(manifest)
    corpus = cached_corpus(labels, ("train", "val"), plan.clip, manifest, cache, workers)
    stop = StopOnSignal()
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
    stop.over()
    if not result.finished:
        again = shlex.join(argument for argument in sys.argv[1:] if argument != "--resume")
        tell(f"stopped at step {result.step} of {plan.train.steps} and saved; resume with: msma {again} --resume")
        raise typer.Exit(128 + (stop.asked or signal.SIGINT))
    if stop.asked is not None:  # in the last step: there was none to stop before
        signal.raise_signal(stop.asked)
    state = PartialState(cpu=cpu)  # where it was trained
    if calibration_clips and state.is_main_process:
        try:
            with held(out):
                calibrate_run(out, uncalibrated(out, str(state.device)), corpus, "val", calibration_clips)
        except WriteError:
            raise
        except MsmaError as error:  # the weights are there all the same
            tell(f"no intervals: {error}")
    tell(
        f"best validation mean accuracy {result.best_accuracy:.4f}; "
        f"next: msma evaluate --model {out} --manifest {manifest}"
    )


class StopOnSignal:
    """The first of SIGNALS asks training to stop after the step and save; a second one ends it at once.

    It holds from the first step until training is `over`: before, there is nothing to save, and after it, all is saved;
    then a signal ends the command.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self.previous: dict[int, Any] = {}

    def over(self) -> None:
        """Training is over: signals are again what they were before."""
        for ending, previous in self.previous.items():
            signal.signal(ending, previous)

    def ask(self, number: int, _frame: Any) -> None:
        self.asked = number
        self.over()
        if multiprocessing.parent_process() is None:  # processes of loaders, which are forked, get the signal too
            tell("stopping after this step; once more to end at once")

    def __call__(self) -> bool:
        if not self.previous:
            heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self.previous = {number: signal.signal(number, self.ask) for number in heard}
        return self.asked is not None


def calibrate(
    model: Annotated[Path, typer.Option(help="A run folder; calibration.json goes into it.")],
    manifest: options.Manifest,
    split: Annotated[str, typer.Option(help="Held-out clips: val or test.")] = "val",
    clips: Annotated[int, typer.Option(min=10, help="At most so many clips, by whole sources.")] = 400,
    cache: options.Cache = None,
    workers: options.Workers = None,
    device: options.Device = "cpu",
) -> None:
    """Fit prediction intervals on held-out clips.

    The clips are predicted clean and corrupted; calibration.json in the run folder holds how far predictions were off.
    """
    from msma.data.corpora.manifest import read_manifest

    check_out(model / "calibration.json", option="--model")
    labels, loaded = read_manifest(manifest), uncalibrated(model, device)
    with held(model):
        corpus = cached_corpus(labels, (split,), loaded.clip, manifest, cache, workers)
        calibrate_run(model, loaded, corpus, split, clips)


def uncalibrated(run: Path, device: str) -> Model:
    """A run without the intervals that it may have; their file stays until there are new ones."""
    from msma.config import Limits
    from msma.media.faces import default_detector
    from msma.prediction.model import Model
    from msma.prediction.network import network_of_torch

    if not run.is_dir():  # nor is it looked for on the hub: the calibration goes into it
        raise MsmaError(f"{run}: no such folder; name a run written by `msma train`")
    weights = network_of_torch(run, None, device, calibrated=False)
    return Model(weights, weights.config.clip, Limits(), default_detector(), device)


def calibrate_run(run: Path, model: Model, corpus: Corpus, split: str, clips: int) -> None:
    from msma.evaluation.calibrate import calibrate as calibrate_model
    from msma.reports.scores import half_widths_table
    from msma.weights.config import save_calibration

    with progress_bar("calibrating", "clips") as report:
        found = calibrate_model(model, corpus, split, max_clips=clips, progress=report)
    save_calibration(run, found)
    show_table(half_widths_table(found), stderr())
    tell(f"{run / 'calibration.json'} is written")
