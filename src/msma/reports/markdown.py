"""Markdown of what files hold: whatever a name holds, it stays a name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from msma.metrics import mean_of_known
from msma.reports import page
from msma.reports.numbers import number, one_line
from msma.reports.table import Table

MAX_NAME = 300
MAX_PROSE = 4000
MAX_NAMES = 12


@cache
def environment() -> Environment:
    """The templates, for Markdown: what they fill in is prose unless a filter made it Markdown."""
    found = page.environment().overlay(
        autoescape=False,
        finalize=lambda value: value if isinstance(value, Markup) else prose(str(value)),
        keep_trailing_newline=True,
    )
    found.filters = {
        **found.filters,
        "as_markdown": as_markdown,
        "code": lambda name: Markup(quoted(name)),
        "count": "{:,}".format,
        "listed": listed,
        "mean": mean_of_known,
        "number": number,
        "ranged": lambda *value, **style: Markup(one_line(*value, **style)),
        "severities": lambda groups: sorted({severity for group in groups.values() for severity in group.retention}),
    }
    return found


def clean(text: str, longest: int = MAX_NAME) -> str:
    """One line of printable characters, no longer than `longest`."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def quoted(name: str) -> str:
    """A name as code, in which nothing is markdown, HTML, a link or a mention; in a cell of a table too."""
    inside = clean(name).replace("`", "'").replace("|", "¦").strip()
    return f"`{inside}`" if inside else "(none)"


def prose(text: str) -> str:
    """A sentence with nothing in it that is markdown, HTML, a link or a mention."""
    escaped = re.sub(r"[&<>\[\]\\`*_|~@#$!]", lambda found: f"&#{ord(found[0])};", clean(text, MAX_PROSE))
    return re.sub(r"(?i)://|www\.", lambda found: found[0].replace(":", "&#58;").replace(".", "&#46;"), escaped)


def listed(names: Sequence[str]) -> Markup:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return Markup((", ".join(map(quoted, names[:MAX_NAMES])) or "none") + more)


def as_markdown(table: Table) -> Markup:
    """A table in Markdown: names of rows as code, a detail behind its value, strong rows in bold."""
    lines = [[prose(head) for head in table.heads], ["---"] * len(table.heads)]
    for row in table.rows:
        cells = [quoted(row.cells[0]), *map(cell_text, row.cells[1:])]
        lines.append([f"**{cell}**" if row.strong and cell else cell for cell in cells])
    return Markup("".join(f"| {' | '.join(line)} |\n" for line in lines))


def cell_text(cell: str) -> str:
    """A cell as prose; one that is a single identifier, such as `snr_db`, has nothing to escape."""
    return cell if re.fullmatch(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*", cell) else prose(cell)
