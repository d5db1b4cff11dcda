"""Every command: its options, what it calls, and what it tells."""

from __future__ import annotations

import multiprocessing
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from msma.cli.ablate import ablate
from msma.cli.calibrate import calibrate, calibrate_run, uncalibrated
from msma.cli.corruptions import corruptions
from msma.cli.crossval import crossval
from msma.cli.doctor import doctor
from msma.cli.explain import explain
from msma.cli.export import export_app
from msma.cli.messages import tell
from msma.cli.options import (
    AlphaOption,
    CacheOption,
    DeviceOption,
    FaceOption,
    LeastQualityOption,
    ManifestOption,
    ModelOption,
    WorkersOption,
    YunetOption,
    check_choice,
    check_face,
    prepared_clips,
    refuse_input,
)
from msma.cli.prepare import prepare_app
from msma.cli.profile import profile
from msma.cli.report import report
from msma.cli.robustness import robustness
from msma.cli.score import compare, evaluate, score
from msma.cli.serve import serve
from msma.cli.share import card, share
from msma.cli.weights import weights_app
from msma.types import MsmaError

app = typer.Typer(
    help="Apparent Big Five personality from audiovisual clips that are not perfect.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(prepare_app, name="prepare")
app.add_typer(weights_app, name="weights")
app.add_typer(export_app, name="export")

COMMANDS = (
    explain,
    report,
    serve,
    evaluate,
    score,
    compare,
    robustness,
    ablate,
    calibrate,
    crossval,
    corruptions,
    card,
    share,
    profile,
    doctor,
)
for command in COMMANDS:
    app.command()(command)


@app.callback(invoke_without_command=True)
def version_option(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        import msma

        typer.echo(f"msma {msma.__version__}")
        raise typer.Exit


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="A new folder for the corpus.")],
    clips: Annotated[int, typer.Option(min=6, help="Clips to render, over all splits.")] = 1000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    seconds: Annotated[float, typer.Option(min=1.0, max=60.0, help="Length of each clip.")] = 4.0,
    hats: Annotated[bool, typer.Option("--hats", help="Half of the people wear a hat, whatever their traits.")] = False,
    label_bias: Annotated[
        str | None,
        typer.Option(help="Labels of people with a hat are higher by so much: agreeableness=0.2. Needs --hats."),
    ] = None,
    workers: WorkersOption = None,
) -> None:
    """Render a synthetic corpus: talking heads with voices, in the layout of First Impressions V2."""
    from msma.cli.progress import progress_bar
    from msma.data.synthetic.corpus import ATTRIBUTES, render_corpus

    bias = {} if label_bias is None else shifts_by_trait(label_bias)
    with progress_bar("rendering", "clips") as report:
        render_corpus(out, clips, seed, seconds=seconds, hats=hats, label_bias=bias, workers=workers, progress=report)
    tell(
        f"{clips} clips, labels and oracle.json are in {out}; "
        f"next: msma prepare chalearn {out} --out {out}/manifest.csv"
        + (f" --columns {out}/annotation/{ATTRIBUTES}" if hats else "")
    )


def shifts_by_trait(text: str) -> dict[str, float]:
    """`agreeableness=0.2,openness=-0.1` -> by trait."""
    pairs = [pair.strip().partition("=") for pair in text.split(",")]
    try:
        shifts = {trait.strip(): float(shift) for trait, _, shift in pairs}
    except ValueError as error:
        raise typer.BadParameter(f"--label-bias is TRAIT=NUMBER, such as agreeableness=0.2, not {text!r}") from error
    if len(shifts) < len(pairs):
        raise typer.BadParameter("--label-bias names a trait twice")
    return shifts


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML recipe, such as recipes/synthetic.yaml.")],
    manifest: ManifestOption,
    out: Annotated[Path, typer.Option("--out", help="A new folder for the run.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change one value of the recipe: train.steps=500.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    cache: CacheOption = None,
    workers: WorkersOption = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Stay on the CPU even where there is a GPU.")] = False,
    calibration_clips: Annotated[
        int, typer.Option("--calibration-clips", min=0, help="Most validation clips for intervals; 0: no intervals.")
    ] = 400,
) -> None:
    """Train MsMA-Net by a recipe; the weights with the best validation CCC are kept in --out, with their intervals."""
    from accelerate import PartialState

    from msma.cli.progress import progress_bar, training_bar
    from msma.config import load_recipe
    from msma.data.manifest import read_manifest
    from msma.train import train as run_training

    plan, corpus = load_recipe(recipe, overrides or ()), read_manifest(manifest)
    rows = corpus.split("train") + corpus.split("val")
    filled = prepared_clips(rows, plan.clip, manifest, cache, workers)
    stop = StopOnInterrupt()
    with progress_bar("features", "clips") as features_report, training_bar(plan.train.steps) as report:
        result = run_training(
            plan,
            corpus,
            filled.entries,
            out,
            resume=resume,
            cpu=cpu,
            progress=report,
            features_progress=features_report,
            should_stop=stop,
        )
    if not result.finished:
        again = shlex.join(argument for argument in sys.argv[1:] if argument != "--resume")
        tell(f"stopped at step {result.step} of {plan.train.steps} and saved; go on with: msma {again} --resume")
        raise typer.Exit(130)
    state = PartialState(cpu=cpu)  # where it was trained
    if calibration_clips and state.is_main_process:
        try:
            calibrate_run(out, uncalibrated(out, str(state.device)), corpus, "val", filled.entries, calibration_clips)
        except MsmaError as error:  # the weights are there all the same
            tell(f"no intervals: {error}")
    tell(
        f"best validation CCC {result.best_ccc:.3f} (a constant has 0); "
        f"next: msma evaluate --model {out} --manifest {manifest}"
    )


@app.command()
def predict(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Video files, folders or glob patterns.")],
    model: ModelOption = None,
    format: Annotated[str, typer.Option("--format", help="table, json, jsonl or csv.")] = "table",
    out: Annotated[Path | None, typer.Option("--out", help="Write the answers here instead of to stdout.")] = None,
    face: FaceOption = None,
    yunet: YunetOption = None,
    limits: Annotated[list[str] | None, typer.Option("--limit", help="Change a limit: max_seconds=7200.")] = None,
    alpha: AlphaOption = 0.1,
    least_quality: LeastQualityOption = 0.1,
    device: DeviceOption = "cpu",
    keep_media: Annotated[
        bool,
        typer.Option(
            "--keep-media",
            help="For `msma report`: some face crops and the outline of the sound too; the file then holds pictures of "
            "the person. With json and jsonl.",
        ),
    ] = False,
    runtime: Annotated[
        str, typer.Option("--runtime", help="torch, or onnx for a folder written by `msma export onnx`.")
    ] = "torch",
) -> None:
    """Apparent Big Five of the person in each video: intervals, a status, the quality and use of picture and sound."""
    from msma.cli.answers import writer_of
    from msma.cli.progress import progress_bar
    from msma.config import Limits, with_overrides
    from msma.media.listing import media_files
    from msma.predict import load, predict_each
    from msma.types import Status

    check_choice("--format", format, ("table", "json", "jsonl", "csv"))
    check_choice("--runtime", runtime, ("torch", "onnx"))
    if keep_media and format not in ("json", "jsonl"):
        raise typer.BadParameter(f"--keep-media needs --format json or jsonl, not {format!r}")
    check_face(face)
    files = media_files(paths)
    refuse_input(out, *files)
    loaded = load(
        model,
        device=device,
        face=face,
        yunet=yunet,
        limits=with_overrides(Limits, limits or ()),
        alpha=alpha,
        least_quality=least_quality,
        runtime="onnx" if runtime == "onnx" else "torch",
    )
    answers = []
    with writer_of(format, out) as write, progress_bar("predicting", "files") as report:
        for answer in predict_each(loaded, files, keep_media=keep_media):
            answers.append(answer)
            write(answer)
            report(len(answers), len(files))
    counts = {status: sum(answer.status == status for answer in answers) for status in get_args(Status)}
    tell(f"{len(answers)} files: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    for answer in answers:
        if answer.status == "failed":
            tell(f"failed: {answer.reasons[0]}")
    if loaded.weights.calibration is None:
        tell("no intervals: these weights have none; make them with `msma calibrate`")
    tell(loaded.weights.config.notice)
    if counts["failed"] == len(answers):
        raise typer.Exit(1)


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
