"""Further columns for the clips of a corpus, from tables of their own: gender, age group, whatever is sliced by."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from msma.data.corpora.clip_names import Name, Names, match_clips
from msma.data.corpora.manifest import COLUMNS
from msma.data.corpora.table_file import Table, read_table
from msma.files.names import parts_of
from msma.types import TRAITS, MsmaError


def read_columns(
    paths: Sequence[Path], clip_column: str, clips: Collection[str], taken: Collection[str] = ()
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Clip to its values of all columns of the tables, for the clips that a table has; and the tables' notes.

    A clip is written as in the corpus, without `.mp4`, or as a path that ends in it. Tables may share columns where
    they are of other clips, as when each split has a table. MsmaError where a table cannot be read, has no column for
    the clips or none beside it, names a clip that is not in the corpus or one twice, or has a column whose name is the
    manifest's own or in `taken`.
    """
    columns: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    known = Names(Name(clip, parts, len(parts)) for clip in clips for parts in [parts_of(clip)])
    for path in paths:
        table = read_table(path)
        clip_at = table.place(clip_column, "; say with --clip-column which one names the clips")
        names = [name for place, name in enumerate(table.columns) if place != clip_at]
        if not names:
            raise MsmaError(f"{path}: has no column beside that of the clips; add one")
        if clashes := [name for name in names if name in {*COLUMNS, *TRAITS, *taken}]:
            raise MsmaError(f"{path}: the manifest has a column {clashes[0]!r} of its own; rename it in this table")
        for clip, values in by_clip(table, clip_at, known).items():
            own = columns.setdefault(clip, {})
            if shared := sorted(own.keys() & values.keys()):
                raise MsmaError(f"{path}: clip {clip} has {shared[0]!r} in another table too; keep one of them")
            own.update(values)
        notes += table.notes
    return columns, notes


def by_clip(table: Table, clip_at: int, known: Names) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    lines: dict[str, str] = {}
    written = [cells[clip_at].strip() for cells in table.rows]
    matched = match_clips(written, known, lambda place: f"{table.path}, {table.where(place)}")
    for place, (cells, clip) in enumerate(zip(table.records(), matched, strict=True)):
        if clip is not None and clip in found:
            where = f"{lines[clip]} and {table.where(place)}"
            raise MsmaError(f"{table.path}: clip {clip} is duplicated ({where}); keep one of its rows")
        if clip is not None:
            found[clip] = {name: text.strip() for name, text in cells.items() if name != table.columns[clip_at]}
            lines[clip] = table.where(place)
    if unknown := [place for place, clip in enumerate(matched) if clip is None]:
        called = min((name.clip for name in known.names), default="")
        raise MsmaError(
            f"{table.path}: {len(unknown)} of {len(table.rows)} rows are for clips without labels here, such as "
            f"{written[unknown[0]][:100]!r} ({table.where(unknown[0])}); clips are called like {called!r}; fix or "
            "remove the rows"
        )
    return found
