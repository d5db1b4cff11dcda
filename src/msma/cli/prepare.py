"""`msma prepare`: from a corpus as its users have it to a manifest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msma.cli.show.progress import progress_bar
from msma.cli.show.tables import show_found, tell
from msma.cli.steps import by_trait, check_out
from msma.files.folders import locked
from msma.types import MsmaError

if TYPE_CHECKING:
    from msma.data.corpora.manifest import Found

KEYS_VARIABLE = "MSMA_KEYS"

prepare_app = typer.Typer(name="prepare", help="Make a manifest of a labelled corpus.", no_args_is_help=True)

OutOption = Annotated[Path, typer.Option("--out", help="The manifest to write (CSV).")]
MediaCheckOption = Annotated[bool, typer.Option(help="Open every clip, and leave out unreadable ones.")]


@prepare_app.command("chalearn")
def prepare_chalearn(
    place: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of clips, label pickles and zips; or one zip.")],
    out: OutOption,
    key: Annotated[
        list[str] | None,
        typer.Option(help=f"Key of encrypted archives. Repeatable; or one per line in {KEYS_VARIABLE}."),
    ] = None,
    extract: Annotated[
        Path | None, typer.Option(help="Folder that archives are unpacked to; default: `extracted` beside --out.")
    ] = None,
    columns: Annotated[
        list[Path] | None,
        typer.Option(help="CSV or Parquet with further columns of the clips, such as gender. Repeatable."),
    ] = None,
    clip_column: Annotated[str, typer.Option(help="Column of --columns that names the clips.")] = "clip",
    follow_links: Annotated[bool, typer.Option("--follow-links", help="Also folders by a link.")] = False,
    media_check: MediaCheckOption = True,
) -> None:
    """Make a manifest of First Impressions V2, or of `msma synth`.

    The corpus may be archives, folders or both.
    """
    from msma.data.corpora.chalearn import find_chalearn
    from msma.data.corpora.manifest import check_manifest_path
    from msma.media.bounded import media_problems

    check_manifest_path(out)
    check_out(out, *(columns or ()))
    extract = extract or out.parent / "extracted"
    check_out(extract, folder=True, option="--extract")
    keys = [*(key or ()), *os.environ.get(KEYS_VARIABLE, "").splitlines()]
    with progress_bar("unpacking", "MiB") as report:
        found = find_chalearn(
            place,
            media_problems if media_check else None,
            extract=extract,
            keys=keys,
            columns=columns or (),
            clip_column=clip_column,
            follow_links=follow_links,
            progress=lambda done, total: report(done >> 20, total >> 20),
        )
    finish(place, out, found)


@prepare_app.command("table")
def prepare_table(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet with one row per clip.")],
    out: OutOption,
    path_column: Annotated[str, typer.Option(help="Column of the media files.")],
    traits: Annotated[
        list[str] | None,
        typer.Option(help="openness=COLUMN,extraversion=COLUMN,...; default: columns named like traits."),
    ] = None,
    source_column: Annotated[
        str | None, typer.Option(help="Column of the person or video, which no split may share; default: each clip.")
    ] = None,
    split_column: Annotated[str | None, typer.Option(help="Column of train, val and test.")] = None,
    split: Annotated[str | None, typer.Option(help="Shares of train, val, test by source; default: 60,20,20.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn split.")] = 0,
    range: Annotated[str | None, typer.Option(help="Lowest and highest score, such as 1,7; default: 0,1.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of relative paths; default: that of the table.")] = None,
    media_check: MediaCheckOption = True,
) -> None:
    """Make a manifest of any corpus with a table of clips and scores."""
    from msma.data.corpora.layout import Layout
    from msma.data.corpora.manifest import check_manifest_path
    from msma.data.corpora.table import UnusableTable, find_table
    from msma.media.bounded import media_problems

    check_manifest_path(out)
    check_out(out, table)
    if split is not None and split_column is not None:
        raise typer.BadParameter("--split draws the splits, --split-column reads them: give one of the two")
    train, val, test = numbers("--split", split or "60,20,20", 3)
    low, high = numbers("--range", range or "0,1", 2)
    named = by_trait("--traits", ",".join(traits)) if traits else {}
    layout = Layout(
        path=path_column,
        traits={trait: column or trait for trait, column in named.items()} or None,
        source=source_column,
        split=split_column,
        shares=(train, val, test),
        seed=seed,
        range=(low, high) if range else None,
        root=root,
    )
    try:
        found = find_table(table, layout, media_problems if media_check else None)
    except UnusableTable as error:
        show_found(error.found)
        raise
    finish(table, out, found)


def finish(place: Path, out: Path, found: Found) -> None:
    """Show what was found and write it; MsmaError where nothing was."""
    from msma.data.corpora.manifest import facts_path, write_manifest

    show_found(found)
    if not found.rows:
        raise MsmaError(
            f"{place}: no clip with a label can be read ({found.counts() or 'none was found'}); see above, or use "
            "--no-media-check for labels alone"
        )
    with locked(out.parent, waiting=tell):  # two files that belong together
        write_manifest(out, found.corpus, found.rows, {**found.facts, "problems": found.problems})
    tell(f"{len(found.rows)} clips are in {out}; notes and problems in {facts_path(out)}")


def numbers(option: str, text: str, count: int) -> list[float]:
    words = text.split(",")
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != count:
        raise typer.BadParameter(f"{option} takes {count} numbers with commas between, not {text!r}")
    return values
