"""A CSV file as spreadsheets, statistics programs and scripts write it: its encoding, separator and lines."""

from __future__ import annotations

import csv
import io
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msma.data.corpora.table_limits import check_size
from msma.types import MsmaError

Record = tuple[int, list[str]]
"""The line of the file that it begins on, and its cells."""
SEPARATORS = (";", "\t", "|", ",")
"""Of two that fit as well the first: a comma may also be a decimal mark."""
BLANK = " "
"""R's `write.table` separates by it; taken only where no other separator fits."""
DECLARED = re.compile(r'"?sep=(.)"?\1*\s*', re.IGNORECASE)
"""Excel's own first line."""
BROKEN = {
    "end of data": "a quotation mark is not closed",
    "expected after": "text follows a closing quotation mark",
    "field limit": "a cell is longer than any of a table",
}
"""What the parser says, and what that means."""
SAMPLE_CHARACTERS, SAMPLE_RECORDS = 65_536, 100
"""Start of a file that its separator is found in."""


@dataclass(frozen=True)
class Form:
    """How the records of a file are to be read."""

    encoding: str
    separator: str
    declared: bool = False
    """Whether the first line is Excel's `sep=;`."""
    blanks_before_quotes: bool = False


@dataclass(frozen=True)
class CsvRows:
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    lines: list[int]
    """The line of the file that each row begins on."""


def read_csv(path: Path) -> CsvRows:
    """Read a CSV file: UTF-8 or UTF-16; comma, semicolon, tab, `|` or blank; records without content are passed over.

    Columns with neither a name nor content are left out; others without a name (pandas writes its index so, R the names
    of its rows) are called by their place. MsmaError where the text is in another encoding, a quotation mark is not
    closed, rows have other numbers of cells than the header, or it is too large.
    """
    form = form_of(path)
    records = read_records(path, form)
    if outside := quotes_after_blanks(records):
        within = read_records(path, replace(form, blanks_before_quotes=True))
        # A cell that is quoted as a whole may begin so, too, and stays as it is.
        records = within if quotes_after_blanks(within) < outside else records
    if not records:
        return CsvRows((), [], [])
    (_, header), *records = records
    check_size(path, columns=len(header))
    if have_names_of_rows(form.separator, header, [cells for _, cells in records]):
        header = ["", *header]
    named = max(place for place, name in enumerate(header, start=1) if name.strip())
    if ragged := [one for one in records if len(one[1]) < named or "".join(one[1][len(header) :]).strip()]:
        raise ragged_rows(path, form, named, ragged, len(records))
    rows = [tuple(cells[: len(header)] + [""] * (len(header) - len(cells))) for _, cells in records]
    kept = [place for place, name in enumerate(header) if name.strip() or any(row[place].strip() for row in rows)]
    if len(kept) < len(header):
        rows = [tuple(row[place] for place in kept) for row in rows]
    names = tuple(header[place].strip() or f"column {place + 1}" for place in kept)
    return CsvRows(names, rows, [line for line, _ in records])


def form_of(path: Path) -> Form:
    """The encoding by the first bytes; the separator by which most of the first rows have as many cells as the header,
    and of several of these the one that makes most cells."""
    with path.open("rb") as file:
        head = file.read(2)
    unmarked = "utf-16-le" if head[1:] == b"\0" else "utf-16-be" if head[:1] == b"\0" else "utf-8-sig"
    encoding = "utf-16" if head in (BOM_UTF16_LE, BOM_UTF16_BE) else unmarked
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        sample = file.read(SAMPLE_CHARACTERS)
    if found := DECLARED.fullmatch(sample.partition("\n")[0]):
        return Form(encoding, found[1], declared=True)
    if len(sample) == SAMPLE_CHARACTERS:
        sample = sample.rpartition("\n")[0] or sample
    shares = {separator: share_that_fits(sample, separator) for separator in SEPARATORS}
    if not any(cells > 1 for _, cells in shares.values()):
        return Form(encoding, BLANK if share_that_fits(sample, BLANK)[0] == 1 else ",")
    return Form(encoding, max(shares, key=lambda separator: shares[separator]))


def share_that_fits(sample: str, separator: str) -> tuple[float, int]:
    """The share of the first rows with as many cells as the header, and how many that are; 0 where it has but one."""
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=separator, skipinitialspace=True)
    records = [cells for cells, _ in zip(reader, range(SAMPLE_RECORDS), strict=False) if "".join(cells).strip()]
    if not records or len(records[0]) < 2:
        return -1.0, 0
    header, *rows = records
    width = len(header) + have_names_of_rows(separator, header, rows)
    return sum(len(cells) == width for cells in rows) / max(len(rows), 1), width


def read_records(path: Path, form: Form) -> list[Record]:
    """All records with content, the header first; MsmaError, which names the line, where one is broken."""
    records: list[Record] = []
    line = 1 + form.declared
    try:
        with path.open(encoding=form.encoding, newline="") as file:
            if form.declared:
                file.readline()
            reader = csv.reader(file, delimiter=form.separator, skipinitialspace=form.blanks_before_quotes, strict=True)
            for cells in reader:
                if "".join(cells).strip():
                    records.append((line, cells))
                    check_size(path, rows=len(records) - 1)
                line = 1 + form.declared + reader.line_num
    except csv.Error as error:  # csv limits its cells by itself
        reason = next((ours for theirs, ours in BROKEN.items() if theirs in str(error)), str(error))
        raise MsmaError(f"{path}, line {line}: {reason}; close quotation marks, and double those in a cell") from error
    except UnicodeDecodeError as error:
        raise other_encoding(path, form) from error
    return records


def quotes_after_blanks(records: Sequence[Record]) -> int:
    """The cells that begin with blanks and a quotation mark."""
    return sum(cell[:1] == " " and cell.lstrip(" ")[:1] == '"' for _, cells in records for cell in cells)


def have_names_of_rows(separator: str, header: Sequence[str], rows: Sequence[list[str]]) -> bool:
    """Whether every row has one cell more than the header, its number, as R writes the names of rows.

    Not with commas, where the further cell may be what follows a decimal comma.
    """
    own = all(len(cells) == len(header) + 1 and cells[0] == str(number) for number, cells in enumerate(rows, start=1))
    return separator != "," and own and any(cells[-1].strip() for cells in rows)


def ragged_rows(path: Path, form: Form, columns: int, ragged: Sequence[Record], rows: int) -> MsmaError:
    line, cells = ragged[0]
    if len(cells) <= columns:
        remedy = "fix them"
    elif columns == 1:
        remedy = "the first line must name the columns"
    elif form.separator == ",":
        remedy = "quote cells with commas (decimal commas, too), or separate by semicolons"
    else:
        remedy = "quote cells with the separator"
    return MsmaError(
        f"{path}, line {line}: has {len(cells)} cells, the header has {columns}; "
        f"so {len(ragged)} of {rows} rows do not fit; {remedy}"
    )


def other_encoding(path: Path, form: Form) -> MsmaError:
    """The error for a text in another encoding, with the first such line as Windows would show it."""
    remedy = "save the table as CSV in UTF-8"
    if form.encoding != "utf-8-sig":
        return MsmaError(f"{path}: begins as UTF-16 but is not; {remedy}")
    with path.open("rb") as file:
        bad = [(number, line) for number, line in enumerate(file, start=1) if not is_utf8(line)]
    number, line = bad[0]
    shown = line.decode("cp1252", "replace").strip()[:60]
    return MsmaError(f"{path}, line {number}: is not UTF-8, one of {len(bad)} such lines ({shown!r}); {remedy}")


def is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
