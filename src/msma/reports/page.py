"""Pages from templates: whatever a name or a file holds is escaped where it is filled in."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


def render(template: str, **values: Any) -> str:
    """A whole page from a template of this package; only `Markup` among the values is HTML, all else is text."""
    return environment().get_template(template).render(**values)


def stylesheet(name: str) -> str:
    """The source of one of the style sheets."""
    return environment().get_template(name).render()


@cache
def environment(package: str = "msma.reports") -> Environment:
    """Where the templates of a package are found."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=encodable,
        trim_blocks=True,
        lstrip_blocks=True,
    )


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
