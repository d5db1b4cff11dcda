"""Lines for the terminal."""

from __future__ import annotations

import typer


def printable(text: str) -> str:
    """Control characters of a file name do not reach the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def tell(text: str) -> None:
    """One line on stderr."""
    typer.echo(printable(text), err=True)
