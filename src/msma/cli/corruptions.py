"""`msma corruptions`: what a clip can be corrupted with, as a table or as a page to look at and listen to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from msma.cli.options import check_out, names_in, severities_in
from msma.cli.show.tables import show_table, tell
from msma.reports.table import Row, Table

if TYPE_CHECKING:
    from msma.corruptions.corruption import Corruption
    from msma.types import Clip

SHOWN_S = 4.0
"""Of a clip, from its beginning."""


def corruptions(
    preview: Annotated[
        Path | None, typer.Option("--preview", help="Write a page (HTML) to look at them and listen to them.")
    ] = None,
    only: Annotated[str | None, typer.Option("--only", help="Some of the corruptions: white_noise,no_audio.")] = None,
    severity: Annotated[
        str | None, typer.Option("--severity", help="Severities on the page, 1 to 5; default: 1,3,5.")
    ] = None,
    clip: Annotated[
        list[Path] | None,
        typer.Option(
            "--clip", help="A video file for the page, and a second one as the other person; default: rendered."
        ),
    ] = None,
    format: Annotated[
        Literal["table", "markdown", "json"], typer.Option("--format", help="How the list goes to stdout.")
    ] = "table",
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
        return
    if severity is not None or clip:
        raise typer.BadParameter("--severity and --clip are for the page; name it with --preview")
    if format == "json":
        from msma.cli.show.tables import show_json

        show_json({"corruptions": [described(row) for row in rows]})
    elif format == "markdown":
        from msma.reports.markdown import as_markdown

        typer.echo(as_markdown(table_of(rows)), nl=False)
    else:
        show_table(table_of(rows))


def show_page(out: Path, rows: Sequence[Corruption], severities: tuple[int, ...], paths: Sequence[Path]) -> None:
    from msma.cli.show.progress import progress_bar
    from msma.files import write_whole
    from msma.reports.contact_sheet import contact_sheet

    check_out(out, *paths, option="--preview")
    clip, donor = clips(paths)
    with progress_bar("corrupting", "corruptions") as report:
        page = contact_sheet(clip, rows, severities, donor=donor, progress=report)
    write_whole(out, page)
    tell(f"{len(rows)} corruptions of {clip.name} are in {out} ({len(page) / 1e6:.1f} MB); open it in a browser")


def clips(paths: Sequence[Path]) -> tuple[Clip, Clip]:
    """The clip to corrupt and one of another person; rendered where no file is named.

    Raises:
        MsmaError: a file cannot be read.
    """
    from tempfile import TemporaryDirectory

    from msma.config import ClipConfig
    from msma.data.synthetic.people import CLIPS_PER_SOURCE, cast
    from msma.data.synthetic.render import Format, render_clip
    from msma.media.clip import load_clip

    if len(paths) > 2:
        raise typer.BadParameter("--clip is given once, or twice with the other person")
    config = ClipConfig(window_s=SHOWN_S)
    found = [load_clip(path, config) for path in paths]
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
        cells.append(Row([row.name, row.family, seen, row.parameter, *levels, row.about]))
    heads = ["name", "family", "in training", "parameter", *map(str, SEVERITIES), "about"]
    return Table("", heads, cells, prose=[1, 2, 3, len(heads) - 1])


def described(row: Corruption) -> dict[str, Any]:
    from msma.corruptions.table import HELD_OUT

    return {
        "name": row.name,
        "family": row.family,
        "held_out": row.family in HELD_OUT,
        "acts_on": row.acts_on,
        "parameter": row.parameter,
        "levels": {str(severity): row.level(severity) for severity in row.severities},
        "about": row.about,
        "modalities": list(row.modalities),
        "needs": row.needs,
    }
