"""Tables and notes of the reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msma.reports.page import text


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    about: str,
    *,
    strong: Iterable[int] = (),
    apart: Iterable[int] = (),
    words: Iterable[int] = (),
    links: Sequence[str] = (),
) -> str:
    """Plain text in cells, what is behind a line break smaller; the first of each row names it.

    It scrolls by itself where it is wider than the page.

    Args:
        about: stands above it.
        strong, apart: rows in bold, and rows with a line above them, counted from 0.
        words: columns of text that may be broken.
        links: for each row, the place on the page that its name leads to.
    """
    strong, apart, words = set(strong), set(apart), set(words)
    head = "".join(
        f'<th scope="col" class="words">{text(name)}</th>' if column in words else f'<th scope="col">{text(name)}</th>'
        for column, name in enumerate(heads)
    )
    body = ""
    for place, (name, *cells) in enumerate(rows):
        kinds = [kind for kind, places in (("strong", strong), ("rule", apart)) if place in places]
        kind = f' class="{" ".join(kinds)}"' if kinds else ""
        values = "".join(
            f'<td class="words">{text(value)}</td>' if column in words else f"<td>{two_lines(value)}</td>"
            for column, value in enumerate(cells, start=1)
        )
        named = f'<a href="#{text(links[place])}">{text(name)}</a>' if links else text(name)
        body += f'<tr{kind}><th scope="row">{named}</th>{values}</tr>\n'
    return (
        f'<p class="about">{text(about)}</p>\n'
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(about)}"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    )


def two_lines(cell: str) -> str:
    first, _, second = cell.partition("\n")
    return f"{text(first)}<br><small>{text(second)}</small>" if second else f"{text(first)}"


def facts(pairs: Mapping[str, str]) -> str:
    """Names with what they are; empty ones are left out."""
    inside = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>\n" for name, value in pairs.items() if value)
    return f"<dl>\n{inside}</dl>\n"


def missing(what: str, command: str) -> str:
    """One line: what is not there, and the command that makes it."""
    return f'<p class="missing">{text(what)} <code>{text(command)}</code></p>\n'


def notice(lines: Iterable[str]) -> str:
    paragraphs = "".join(f"<p>{text(line)}</p>\n" for line in lines)
    return f'<aside class="notice" aria-label="What these scores are">\n{paragraphs}</aside>\n'
