"""Every command: its options, what it calls, and what it tells."""

from __future__ import annotations

import multiprocessing
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msma.config import ClipConfig
    from msma.data.cache import CacheReport
    from msma.data.manifest import Row

app = typer.Typer(
    help="Apparent Big Five personality from audiovisual clips that are not perfect.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
prepare_app = typer.Typer(help="Make a manifest of a labelled corpus.", no_args_is_help=True)
app.add_typer(prepare_app, name="prepare")

ManifestOption = Annotated[Path, typer.Option("--manifest", help="CSV written by `msma prepare`.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of prepared clips; by default beside the manifest.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes that read media; by default one a core.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="A torch device: cpu, cuda, cuda:1, mps.")]


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
    workers: WorkersOption = None,
) -> None:
    """Render a synthetic corpus: talking heads with voices, in the layout of First Impressions V2."""
    from msma.cli.progress import progress_bar
    from msma.data.synthetic.corpus import render_corpus

    with progress_bar("rendering", "clips") as report:
        render_corpus(out, clips, seed, seconds=seconds, workers=workers, progress=report)
    tell(
        f"{clips} clips, labels and oracle.json are in {out}; "
        f"next: msma prepare chalearn {out} --out {out}/manifest.csv"
    )


@prepare_app.command("chalearn")
def prepare_chalearn(
    folder: Annotated[Path, typer.Argument(help="Folder with the clips and the annotation pickles, anywhere below.")],
    out: Annotated[Path, typer.Option("--out", help="The manifest to write (CSV).")],
    media_check: Annotated[bool, typer.Option(help="Open every clip and leave out those that cannot be read.")] = True,
) -> None:
    """Make a manifest of First Impressions V2 (unpacked folders) or of a corpus made by `msma synth`."""
    from msma.cli.tables import show_found
    from msma.config import Limits
    from msma.data.chalearn import find_chalearn
    from msma.data.manifest import write_manifest
    from msma.errors import MsmaError
    from msma.media.windows import check_media

    found = find_chalearn(folder, (lambda path: check_media(path, Limits())) if media_check else None)
    show_found(found)
    if not found.rows:
        raise MsmaError(f"{folder}: no clip with a label can be read; see the table above")
    write_manifest(out, found.corpus, found.rows, found.facts)
    tell(f"{len(found.rows)} clips are in {out}")


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
) -> None:
    """Train MsMA-Net by a recipe; the weights with the best validation CCC are kept in --out."""
    from msma.cli.progress import training_bar
    from msma.config import load_recipe
    from msma.data.manifest import read_manifest
    from msma.train import train as run_training

    plan, corpus = load_recipe(recipe, overrides or ()), read_manifest(manifest)
    rows = corpus.split("train") + corpus.split("val")
    filled = prepared_clips(rows, plan.clip, manifest, cache, workers)
    stop = StopOnInterrupt()
    with training_bar(plan.train.steps) as report:
        result = run_training(
            plan, corpus, filled.entries, out, resume=resume, cpu=cpu, progress=report, should_stop=stop
        )
    if not result.finished:
        again = shlex.join(argument for argument in sys.argv[1:] if argument != "--resume")
        tell(f"stopped at step {result.step} of {plan.train.steps} and saved; go on with: msma {again} --resume")
        raise typer.Exit(130)
    tell(
        f"best validation CCC {result.best_ccc:.3f} (a constant has 0); "
        f"next: msma evaluate --model {out} --manifest {manifest}"
    )


@app.command()
def evaluate(
    manifest: ManifestOption,
    model: Annotated[Path | None, typer.Option("--model", help="A run folder; by default the bundled weights.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    format: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for evaluation.json and predictions.csv.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips that are loaded at once; changes no result.")] = 16,
    workers: WorkersOption = None,
    cache: CacheOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Score a model on a split, beside the constant baseline and, on the synthetic corpus, the ceiling."""
    from msma.cli.progress import progress_bar
    from msma.cli.tables import show_evaluation, show_json
    from msma.data.manifest import read_manifest
    from msma.evaluate import evaluate as score
    from msma.evaluate import predict_split, write_evaluation
    from msma.predict import load

    check_choice("--format", format, ("table", "json"))
    corpus, loaded = read_manifest(manifest), load(model, device=device)
    rows = corpus.split(split)
    filled = prepared_clips(rows, loaded.clip, manifest, cache, workers)
    with progress_bar("predicting", "clips") as report:
        predictions = predict_split(
            loaded, list(rows), filled, batch_size=batch_size, workers=workers or 0, progress=report
        )
    evaluation = score(loaded, corpus, split, filled, predictions)
    folder = out or (model / split if model is not None else None)
    if folder is not None:
        write_evaluation(folder, evaluation, predictions)
        tell(f"evaluation.json and predictions.csv are in {folder}")
    if format == "json":
        show_json(evaluation)
    else:
        show_evaluation(evaluation)


@app.command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders written by `msma evaluate`; the first is compared with the others.")
    ],
) -> None:
    """Set evaluations of the same split side by side, with paired differences from the first."""
    from msma.cli.tables import show_comparison
    from msma.evaluate import read_evaluation

    show_comparison({str(folder): read_evaluation(folder) for folder in folders})


@app.command()
def predict(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Video files, folders or glob patterns.")],
    model: Annotated[Path | None, typer.Option("--model", help="A run folder; by default the bundled weights.")] = None,
    format: Annotated[str, typer.Option("--format", help="table, json, jsonl or csv.")] = "table",
    out: Annotated[Path | None, typer.Option("--out", help="Write the answers here instead of to stdout.")] = None,
    face: Annotated[
        str | None, typer.Option("--face", help="Whose face: largest, center, or whole for the whole picture.")
    ] = None,
    yunet: Annotated[Path | None, typer.Option("--yunet", help="A YuNet ONNX file, to find faces with OpenCV.")] = None,
    limits: Annotated[list[str] | None, typer.Option("--limit", help="Change a limit: max_seconds=7200.")] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Apparent Big Five of the person in each video, with a status, the quality and the use of picture and sound."""
    from msma.cli.answers import writer_of
    from msma.cli.progress import progress_bar
    from msma.config import Limits, with_overrides
    from msma.predict import load, media_files, predict_each

    check_choice("--format", format, ("table", "json", "jsonl", "csv"))
    if face is not None:
        check_choice("--face", face, ("largest", "center", "whole"))
    files = media_files(paths)
    loaded = load(model, device=device, face=face, yunet=yunet, limits=with_overrides(Limits, limits or ()))
    answers = []
    with writer_of(format, out) as write, progress_bar("predicting", "files") as report:
        for answer in predict_each(loaded, files):
            answers.append(answer)
            write(answer)
            report(len(answers), len(files))
    counts = {status: sum(answer.status == status for answer in answers) for status in ("ok", "degraded", "failed")}
    tell(f"{len(answers)} files: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    for answer in answers:
        if answer.status == "failed":
            tell(f"failed: {answer.reasons[0]}")
    tell(loaded.weights.config.notice)
    if counts["failed"] == len(answers):
        raise typer.Exit(1)


class StopOnInterrupt:
    """The first Ctrl-C asks training to stop after the step and save; a second one ends it at once."""

    def __init__(self) -> None:
        self.asked = False
        self.previous = signal.signal(signal.SIGINT, self.ask)

    def ask(self, *_: Any) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self.previous)
        if multiprocessing.parent_process() is None:  # loader workers are told too
            tell("stopping after this step; once more to end at once")

    def __call__(self) -> bool:
        return self.asked


def prepared_clips(
    rows: Sequence[Row], config: ClipConfig, manifest: Path, cache: Path | None, workers: int | None
) -> CacheReport:
    from msma.cli.progress import progress_bar
    from msma.cli.tables import show_cache_report
    from msma.config import Limits
    from msma.data.cache import fill_cache

    folder = cache or manifest.parent / "cache"
    with progress_bar("preparing", "clips") as report:
        filled = fill_cache(rows, config, Limits(), folder, workers=workers, progress=report)
    show_cache_report(filled)
    return filled


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise typer.BadParameter(f"{option} is one of {', '.join(choices)}, not {value!r}")


def tell(text: str) -> None:
    """One line on stderr; control characters of a file name do not reach the terminal."""
    typer.echo("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text), err=True)
