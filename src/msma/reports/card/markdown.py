"""Markdown of what files say: whatever a name holds, it stays a name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from msma.evaluation.gaps import Difference
from msma.metrics import Interval
from msma.reports.numbers import number

LONGEST = 300
LONGEST_PROSE = 4000


def clean(text: str, longest: int = LONGEST) -> str:
    """One line of printable characters, no longer than `longest`."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def quoted(name: str) -> str:
    """A name as code, in which nothing is markdown, HTML, a link or a mention; in a cell of a table too."""
    inside = clean(name).replace("`", "'").replace("|", "¦").strip()
    return f"`{inside}`" if inside else "(none)"


def prose(text: str) -> str:
    """A sentence with nothing in it that is markdown, HTML, a link or a mention."""
    escaped = re.sub(r"[&<>\[\]\\`*_|~@#$!]", lambda found: f"&#{ord(found[0])};", clean(text, LONGEST_PROSE))
    return re.sub(r"(?i)://|www\.", lambda found: found[0].replace(":", "&#58;").replace(".", "&#46;"), escaped)


def with_ends(value: float, ends: Interval | Difference, digits: int = 3, sign: bool = False) -> str:
    """A value with its interval, where it has one."""
    if math.isnan(ends.low):
        return number(value, digits, sign)
    return f"{number(value, digits, sign)} [{number(ends.low, digits, sign)}, {number(ends.high, digits, sign)}]"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of cells that are markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
