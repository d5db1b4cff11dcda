"""Scores as people write them: the numbers in a column of text, by the marks that the whole column shows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from msma.data.corpora.table_file import Table
from msma.types import MsmaError

MISSING = ("", "nan", "na", "n/a", "none", "null", "-")
BETWEEN_THOUSANDS = re.compile(r"(?<=\d)[ \u00a0\u2009\u202f'\u2019](?=\d{3})")
"""Blanks and apostrophes, in French and Swiss numbers."""
MONTH = r"(?:jan|feb|f[eé]v|m[aä]r|mrz|a[bpv]r|ma[iy]|ju[iln]|aug|ao[uû]|ago|sep|o[ck]t|nov|d[eéi][cz])[^\W\d]{0,6}\.?"
DATE = re.compile(
    rf"\d{{4}}-\d\d?-\d\d?.*|\d\d?([./-])\d\d?\1(\d\d){{0,2}}"
    rf"|\d\d?[ .-]*{MONTH}[ .-]*(\d\d){{0,2}}|{MONTH}[ .-]*\d{{1,4}}",
    re.IGNORECASE,
)
"""What spreadsheets make of numbers such as 3.5 (English, German, French and Spanish)."""
WHOLE = 100
"""Percent."""


def number_with(mark: str, other: str) -> re.Pattern[str]:
    """A number with this decimal mark, and the other one, if any, between all thousands."""
    mark, other = re.escape(mark), re.escape(other)
    digits = rf"\d+(?:{mark}\d*)?|{mark}\d+|[1-9]\d{{0,2}}(?:{other}\d{{3}})+(?:{mark}\d*)?"
    return re.compile(rf"[+-]?(?:(?:{digits})(?:e[+-]?\d+)?|inf(?:inity)?)", re.IGNORECASE)


PLAIN = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?")
"""As programs write numbers; a column of these has but one reading, and is read quickly."""
MARKS = {".": number_with(".", ","), ",": number_with(",", ".")}
"""Decimal mark to the numbers that have it, or none."""


@dataclass(frozen=True)
class Scores:
    values: list[float]
    """One for each row; NaN where it has no number."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Column:
    """The cells of one column that are not missing, by row, for errors that count and show."""

    table: Table
    name: str
    cells: dict[int, str]

    def problem(self, what: str, rows: Sequence[int], remedy: str) -> MsmaError:
        count = f"{len(rows)} of {len(self.table.rows)} rows"
        shown = f"{self.cells[rows[0]][:40]!r} ({self.table.where(rows[0])})"
        return MsmaError(f"{self.table.path}: column {self.name!r} has {what} in {count}, such as {shown}; {remedy}")


def read_scores(table: Table, place: int, low: float = 0.0, high: float = 1.0) -> Scores:
    """The numbers in a column of scores from `low` to `high`; they may lie beyond these ends.

    Decimal commas, groups of thousands and percent are read where that is the only reading of all numbers in the
    column, or the only one on the scale. MsmaError, which counts the rows and shows one, where it is not, and where the
    column has dates, or cells but no number.
    """
    cells = [texts[place].strip() for texts in table.rows]
    if all(not cell or PLAIN.fullmatch(cell) for cell in cells):
        return Scores([float(cell or "nan") for cell in cells])
    column = Column(table, table.columns[place], {row: cell for row, cell in enumerate(cells) if not is_missing(cell)})
    written = {row: BETWEEN_THOUSANDS.sub("", cell).replace("\u2212", "-") for row, cell in column.cells.items()}
    numbers = {row: text.removesuffix("%").rstrip() for row, text in written.items()}
    numbers = {row: text for row, text in numbers.items() if any(form.fullmatch(text) for form in MARKS.values())}
    if dates := [row for row in written if row not in numbers and DATE.fullmatch(written[row])]:
        remedy = "where a spreadsheet made dates of numbers, format the column as text and enter them again"
        raise column.problem("dates", dates, remedy)
    if written and not numbers:
        raise column.problem("no number", list(written), "name a column of scores")
    mark = decimal_mark(column, numbers, low, high)
    values = {row: value_of(text, mark) for row, text in numbers.items()}
    notes: list[str] = []
    if percent := [row for row in numbers if written[row].endswith("%")]:
        values, notes = of_percent(column, values, percent, low, high)
    if grouped := [row for row, text in numbers.items() if mark_of_thousands(mark) in text]:
        shown, where = column.cells[grouped[0]], table.where(grouped[0])
        notes.append(f"column {column.name!r}: {shown!r} ({where}) was read as {values[grouped[0]]:.15g}")
    return Scores([values.get(row, math.nan) for row in range(len(table.rows))], notes)


def is_missing(cell: str) -> bool:
    return cell.casefold() in MISSING


def decimal_mark(column: Column, numbers: dict[int, str], low: float, high: float) -> str:
    """The decimal mark that all numbers allow; MsmaError where there is none, or two that give scores on the scale."""
    unfit = {mark: [row for row, text in numbers.items() if not form.fullmatch(text)] for mark, form in MARKS.items()}
    if unfit["."] and unfit[","]:
        row = unfit[","][0]
        other = f"with points, such as {column.cells[row][:40]!r} ({column.table.where(row)}), and commas"
        raise column.problem(f"numbers {other}", unfit["."], "write all of them with one decimal mark")
    if unfit["."] or unfit[","]:
        return "," if unfit["."] else "."
    with_comma = [row for row, text in numbers.items() if "," in text]
    if not with_comma:
        return "."
    on_scale = [mark for mark in MARKS if all(low <= value_of(text, mark) <= high for text in numbers.values())]
    if len(on_scale) == len(MARKS):
        raise column.problem(
            "numbers that may have decimal commas or thousands", with_comma, "write them without commas"
        )
    return on_scale[0] if on_scale else ","


def mark_of_thousands(decimal: str) -> str:
    return "." if decimal == "," else ","


def value_of(text: str, mark: str) -> float:
    return float(text.replace(mark_of_thousands(mark), "").replace(mark, "."))


def of_percent(
    column: Column, values: dict[int, float], percent: Sequence[int], low: float, high: float
) -> tuple[dict[int, float], list[str]]:
    """Numbers with a percent sign on the scale, 0 to 1 or 0 to 100, and a note; MsmaError for another, or where some
    numbers of the column have no sign."""
    if len(percent) < len(values):
        bare = [row for row in values if row not in {*percent}]
        raise column.problem("numbers without a percent sign beside such with one", bare, "write all of them alike")
    if (low, high) not in ((0, 1), (0, WHOLE)):
        raise column.problem(
            "percent", percent, f"that is no score from {low:g} to {high:g}; write numbers, or use --range 0,100"
        )
    values = {row: value * high / WHOLE for row, value in values.items()}
    return values, [f"column {column.name!r} is in percent; {WHOLE}% was read as {high:g}"]
