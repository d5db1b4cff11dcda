"""Further columns for the clips of a corpus, from tables of their own: gender, age group, whatever is sliced by."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from msma.data.corpora.manifest import COLUMNS
from msma.data.corpora.table_file import Table, read_table
from msma.types import TRAITS, MsmaError


def read_columns(
    paths: Sequence[Path], clip_column: str, clips: Collection[str], taken: Collection[str] = ()
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """By clip, its values of all columns of the tables, and what the tables' readers noted.

    A clip is written as in the corpus, or without `.mp4`. Tables may share columns where they are of other clips, as
    when each split has a table. A clip that no table has is not in the answer.

    Raises:
        MsmaError: a table cannot be read, has no column for the clips or none beside it, names a clip that is not in
            the corpus, names one twice, or has a column whose name is the manifest's own or in `taken`.
    """
    columns: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    known = {clip.removesuffix(".mp4"): clip for clip in clips} | {clip: clip for clip in clips}
    for path in paths:
        table = read_table(path)
        clip_at = clip_place(table, clip_column)
        names = {at: name for at, name in enumerate(table.columns) if at != clip_at}
        check_names(table, list(names.values()), taken)
        for clip, values in by_clip(table, clip_at, names, known).items():
            own = columns.setdefault(clip, {})
            twice = sorted(own.keys() & values.keys())
            if twice:
                raise MsmaError(f"{path}: clip {clip} has {twice[0]!r} in another table too; keep one of them")
            own.update(values)
        notes += table.notes
    return columns, notes


def clip_place(table: Table, name: str) -> int:
    try:
        return table.place(name)
    except MsmaError as error:
        raise MsmaError(f"{error}; say with --clip-column which one names the clips") from error


def check_names(table: Table, names: Sequence[str], taken: Collection[str]) -> None:
    if not names:
        raise MsmaError(f"{table.path}: has no column beside that of the clips; add one")
    clashes = [name for name in names if name in {*COLUMNS, *TRAITS, *taken}]
    if clashes:
        raise MsmaError(f"{table.path}: the manifest has a column {clashes[0]!r} of its own; rename it in this table")


def by_clip(
    table: Table, clip_at: int, names: Mapping[int, str], known: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    unknown: list[str] = []
    for cells in table.rows:
        written = cells[clip_at].strip()
        clip = known.get(written)
        if clip is None:
            unknown.append(written)
        elif clip in found:
            raise MsmaError(f"{table.path}: clip {clip} comes twice; keep one of its rows")
        else:
            found[clip] = {name: cells[at].strip() for at, name in names.items()}
    if unknown:
        raise MsmaError(
            f"{table.path}: {len(unknown)} of {len(table.rows)} rows are for clips without labels here, such as "
            f"{unknown[0][:100]!r}; clips are called like {min(known.values(), default='')!r}; mend or remove the rows"
        )
    return found
