"""Where the predictions of a run are written, so that a run that is ended leaves what was there before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msma.cli.show.predictions import FORMATS, Record
from msma.files.finding import grouped
from msma.files.locks import hold
from msma.files.names import composed, meant, shown
from msma.files.reading import read_file
from msma.files.writing import writing
from msma.types import MsmaError

MAX_BYTES = 4 * 1024**3
"""Of predictions that are resumed: more do not fit into memory beside the rest."""


def unfinished_of(out: Path) -> Path:
    """The file beside `out` that is written while `out` stays as it is."""
    return out.with_name(f"{out.name}.unfinished")


@contextmanager
def place_for(out: Path | None, *, resume: bool = False) -> Iterator[Path | None]:
    """The path to write to: `out` itself where nothing is there yet, else OUT.unfinished, which takes its place when
    the block ends well. No other process writes to it meanwhile: MsmaError. None is stdout; what is no regular file,
    such as a pipe, is written to as it is."""
    if out is None or (out.exists() and not out.is_file()):
        yield out
        return
    out = Path(os.path.realpath(out))  # a link stays one
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        made, held = not out.exists(), hold(out)
    if held is None:
        raise MsmaError(f"{out}: another run writes its predictions into it; wait until it has ended, or name another")
    unfinished = unfinished_of(out)
    direct = not out.stat().st_size and not (resume and unfinished.exists())
    try:
        yield out if direct else unfinished
        with writing(out):
            if not direct:
                shutil.copymode(out, unfinished)
                with unfinished.open("rb") as file:
                    os.fsync(file.fileno())
                unfinished.replace(out)
            unfinished.unlink(missing_ok=True)
    finally:
        for path in (*([out] if made else []), unfinished):
            if path.exists() and not path.stat().st_size:  # nothing came of it
                path.unlink()
        held.close()


def records_before(out: Path, format: str, settings: str, files: Sequence[str]) -> dict[str, Record]:
    """Predictions of an earlier run, in OUT or OUT.unfinished, for some of `files` and with the same `settings`.

    Not those that failed, nor those for files that have changed since: they are predicted again.
    """
    found: dict[str, Record] = {}
    wanted = {shown(file): file for file in files}
    alike = grouped(files, spelled)
    for path in (out, unfinished_of(Path(os.path.realpath(out)))):
        if path.exists():
            remedy = "leave out --resume, or name another --out"
            text = read_file(path, lambda content: content.decode("utf-8", "replace"), remedy, MAX_BYTES)
            for record in FORMATS[format].records(text):
                name = shown(str(record.get("path")))
                fits = [wanted[name]] if name in wanted else alike.get(spelled(name), [])
                ours = len(fits) == 1 and record.get("settings") == settings and record.get("status") != "failed"
                if ours and may_be(meant(name), fits[0]) and not newer(fits[0], path):
                    found[fits[0]] = record | {"path": shown(fits[0])}
    return found


def spelled(file: str) -> str:
    """A path for comparison, where another system may have written it."""
    return composed(shown(file)).replace("\\", "/")


def may_be(name: str, file: str) -> bool:
    """Whether the path of an earlier run can mean a file: it is the same one, or not there under that name."""
    try:
        return Path(name).samefile(file)
    except (OSError, ValueError):
        return not os.path.lexists(name)


def newer(file: str, than: Path) -> bool:
    """Was a file changed after another? Not where it is gone."""
    try:
        return Path(file).stat().st_mtime > than.stat().st_mtime
    except (OSError, ValueError):
        return False
