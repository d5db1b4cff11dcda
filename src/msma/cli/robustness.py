"""`msma robustness` and `msma corruptions`: how clips are corrupted, and what is left of a model's skill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from msma.cli import options
from msma.cli.ending import Ended
from msma.cli.show.progress import progress_bar
from msma.cli.show.tables import show_json, show_result, show_table, tell
from msma.cli.steps import at_once, cached_corpus, check_out, held, names_in, severities_in
from msma.reports.table import Row, Table
from msma.types import Clip, MsmaError, WriteError

if TYPE_CHECKING:
    from msma.corruptions.corruption import Corruption
    from msma.corruptions.scenarios import Cell

SHOWN_S = 4.0
"""Length of the part of a clip that is shown, from its beginning."""


def robustness(
    manifest: options.Manifest,
    out: Annotated[Path, typer.Option(help="A folder for the cells, summary.json and the figures.")],
    suite: Annotated[str, typer.Option(help="six (scenarios), full (all corruptions), joint, or a YAML file.")] = "six",
    model: options.Model = None,
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "test",
    severity: Annotated[str | None, typer.Option(help="3, 1-5 or 1,3,5; default: 3 for six, else 1-5.")] = None,
    slices: options.Slices = None,
    format: options.Format = "table",
    workers: options.Workers = None,
    cache: options.Cache = None,
    device: options.Device = "cpu",
) -> None:
    """Measure how much skill a model keeps on corrupted clips.

    The suite joint has causes that strike both streams at once, such as a crowd or a bad connection. Called again, it
    resumes.
    """
    from msma.data.corpora.manifest import read_manifest
    from msma.evaluation.evaluation import slice_columns, warnings_of
    from msma.evaluation.result_file import write_result
    from msma.evaluation.robustness.suite import run_suite, summarize_suite
    from msma.prediction.model import load
    from msma.reports.figures import draw_figures
    from msma.reports.groups import group_retention_blocks
    from msma.reports.robustness import robustness_blocks

    check_out(out, folder=True)
    with held(out):
        cells, labels, loaded = cells_of_suite(suite, severity), read_manifest(manifest), load(model, device=device)
        slice_columns(labels.split(split), names_in(slices))  # raises at once where one is not there
        corpus = cached_corpus(labels, (split,), loaded.clip, manifest, cache, workers)
        try:
            with progress_bar("corrupting", "cells") as report:
                result = run_suite(loaded, corpus, split, cells, out, workers=at_once(device, workers), progress=report)
        except Ended as ended:
            tell(f"ended by {ended}; the cells that are done are in {out / 'cells'}; the same command resumes")
            raise typer.Exit(ended.exit_code) from None
        summary = summarize_suite(loaded, corpus, split, suite, result, names_in(slices))
        write_result(out / "summary.json", summary)
        show_result(summary, format, lambda found: [*robustness_blocks(found), *group_retention_blocks(found.slices)])
        for warning in warnings_of(result.clean.sources):
            tell(warning)
        if format == "json":
            for cell, reason in summary.not_run.items():
                tell(f"not run: {cell}: {reason}")
        for column, reason in summary.slices.skipped.items():
            tell(f"no slices by {column}: it {reason}")
        failed = sum(len(cell.failed) for cell in (result.clean, *result.cells))
        if failed:
            tell(f"{failed} predictions failed over all cells; the files in {out / 'cells'} say why")
        tell(f"{len(cells) + 1} cells and summary.json are in {out}")
        try:
            figures = draw_figures(out, f"{summary.model} on {labels.corpus}", summary.clean.skill, summary.scenarios)
            tell("figures: " + ", ".join(str(path) for path in figures))
        except WriteError:
            raise
        except MsmaError as error:  # all else is done
            tell(str(error))
        tell(loaded.weights.config.notice)


def cells_of_suite(suite: str, severity: str | None) -> list[Cell]:
    """The cells of a suite by name or file, at the severities that are wanted or its own."""
    from msma.corruptions.corruption import SEVERITIES
    from msma.corruptions.scenarios import full, joint, read_suite, six

    wanted = None if severity is None else severities_in(severity)
    if suite == "six":
        return six() if wanted is None else six(wanted)
    if suite == "full":
        return full(wanted or SEVERITIES)
    if suite == "joint":
        return joint(wanted or SEVERITIES)
    if not Path(suite).is_file():
        raise typer.BadParameter(f"--suite is six, full, joint or a YAML file that is there, not {suite!r}")
    return read_suite(Path(suite), wanted or SEVERITIES)


def corruptions(
    preview: Annotated[Path | None, typer.Option(help="Write a page (HTML) to see and hear them.")] = None,
    only: Annotated[str | None, typer.Option(help="Some of the corruptions: white_noise,no_audio.")] = None,
    severity: Annotated[str | None, typer.Option(help="Severities on the page, 1 to 5; default: 1,3,5.")] = None,
    clip: Annotated[
        list[Path] | None,
        typer.Option(help="A video file for the page, and a second one as the other person; default: rendered."),
    ] = None,
    format: Annotated[Literal["table", "markdown", "json"], typer.Option(help="Format of the list.")] = "table",
) -> None:
    """List the corruptions, or preview them on a page.

    Each with its family, its levels at severity 1 to 5 and what it does.
    """
    from msma.corruptions.table import CORRUPTIONS, find_corruption

    rows = list(CORRUPTIONS.values()) if only is None else [find_corruption(name) for name in names_in(only) or ()]
    if preview is not None:
        if format != "table":
            raise typer.BadParameter("--format is for the list; a page is always HTML")
        show_page(preview, rows, severities_in(severity or "1,3,5"), clip or [])
    elif severity is not None or clip:
        raise typer.BadParameter("--severity and --clip are for the page; name it with --preview")
    elif format == "json":
        show_json({"corruptions": [described(row) for row in rows]})
    elif format == "markdown":
        from msma.reports.markdown import as_markdown

        typer.echo(as_markdown(table_of(rows)), nl=False)
    else:
        show_table(table_of(rows))


def show_page(out: Path, rows: Sequence[Corruption], severities: tuple[int, ...], paths: Sequence[Path]) -> None:
    from msma.files.writing import write_whole
    from msma.reports.contact_sheet import contact_sheet

    check_out(out, *paths, option="--preview")
    clip, donor = clips(paths)
    with progress_bar("corrupting", "corruptions") as report:
        page = contact_sheet(clip, rows, severities, donor=donor, progress=report)
    write_whole(out, page)
    tell(f"{len(rows)} corruptions of {clip.name} are in {out} ({len(page) / 1e6:.1f} MB); open it in a browser")


def clips(paths: Sequence[Path]) -> tuple[Clip, Clip]:
    """The clip to corrupt and one of another person, rendered where none is named; MsmaError for an unreadable file."""
    from msma.config import ClipConfig, Limits
    from msma.data.synthetic.people import CLIPS_PER_SOURCE, cast
    from msma.data.synthetic.render import Format, render_clip
    from msma.media.bounded import Reading
    from msma.media.clip import load_clip
    from msma.media.isolated import MediaProcesses

    if len(paths) > 2:
        raise typer.BadParameter("--clip is given once, or twice with the other person")
    config = ClipConfig(window_s=SHOWN_S, face="whole")
    with MediaProcesses(1) as media:
        found = [media.first_raw(Reading(path, config, Limits())).clip for path in paths]
    people = cast(3 * CLIPS_PER_SOURCE, seed=0)[::CLIPS_PER_SOURCE]
    with TemporaryDirectory() as folder:
        for part in people[len(found) : 2]:
            render_clip(Path(folder), part, Format(seed=0, seconds=SHOWN_S, fps=12, size=(480, 360)))
            found.append(load_clip(Path(folder) / part.name, config))
    return found[0], found[1]


def table_of(rows: Sequence[Corruption]) -> Table:
    """A row for each corruption. What is all or nothing has one level, of severity 5."""
    from msma.corruptions.corruption import SEVERITIES
    from msma.corruptions.table import HELD_OUT

    cells = []
    for row in rows:
        levels = [f"{row.level(severity):g}" if severity in row.severities else "" for severity in SEVERITIES]
        seen = "held out" if row.family in HELD_OUT else "seen"
        cells.append(Row(row.name, row.family, seen, row.parameter, *levels, row.about))
    heads = ["name", "family", "in training", "parameter", *map(str, SEVERITIES), "about"]
    return Table("", heads, cells, prose=[1, 2, 3, len(heads) - 1])


def described(row: Corruption) -> dict[str, Any]:
    from msma.corruptions.table import HELD_OUT

    texts = {name: getattr(row, name) for name in ("name", "family", "acts_on", "parameter", "about")}
    lists: dict[str, Any] = {"modalities": list(row.modalities), "needs": list(row.needs)}
    levels = {str(severity): row.level(severity) for severity in row.severities}
    return texts | {"held_out": row.family in HELD_OUT, "levels": levels} | lists
