"""Pages from templates: whatever a name or a file holds is escaped where it is filled in."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from msma.reports import charts
from msma.reports.table import Block


def render(template: str, **values: Any) -> str:
    """A whole page from a template of this package; only `Markup` among the values is HTML, all else is text."""
    return environment().get_template(template).render(**values)


def part(template: str, macro: str, *values: Any) -> Markup:
    """The HTML of one macro of a template."""
    return Markup(getattr(environment().get_template(template).module, macro)(*values))


@cache
def environment(package: str = "msma.reports") -> Environment:
    """The templates of a package, with their filters."""
    found = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=encodable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "grouped": grouped,
        "clock": charts.clock,
        "percent": "{:.2%}".format,
        "whole_percent": lambda share: f"{100 * share:.0f} %",
    }
    found.globals["drawn"] = charts
    return found


def grouped(blocks: Iterable[Block]) -> Iterator[Block | tuple[str, ...]]:
    """The blocks of a report, with lines of text that follow each other together."""
    for is_line, together in groupby(blocks, key=lambda block: type(block) is str):
        if is_line:
            yield tuple(str(line) for line in together)
        else:
            yield from together


def encodable(value: Any) -> Any:
    """Text with the bytes of a file name that are no characters written as escapes; anything else as it is."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def text(value: str) -> Markup:
    """Text as it stands in a page and in its attributes."""
    return escape(encodable(value))


def data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"
