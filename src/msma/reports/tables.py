"""Tables and notes of the reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msma.reports.page import text

STYLE = """
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
.wide:focus-visible { outline: 2px solid #0072B2; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
.about { margin: .75rem 0 .25rem; font-weight: 600; font-size: .875rem; }
td small { color: #404040; font-weight: normal; }
@media (max-width: 40rem) { th:first-child { white-space: normal; min-width: 6rem; } th, td { padding: .2rem .4rem; } }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #d0d0d0; text-align: right; white-space: nowrap;
  vertical-align: top; }
thead th { border-bottom: 2px solid #1a1a1a; vertical-align: bottom; white-space: normal; }
th:first-child, .words { text-align: left; }
td.words { white-space: normal; overflow-wrap: break-word; }
td.words:last-child { min-width: 14rem; }
tr.strong { font-weight: 600; }
tr.apart > * { border-top: 2px solid #8a8a8a; }
.missing { padding: .5rem .75rem; border: 1px dashed #8a8a8a; color: #404040; }
.notice { padding: .5rem .75rem; border-left: 4px solid #1a1a1a; background: #f3f3f3; max-width: 46rem; }
.notice p { margin: .25rem 0; }
code { overflow-wrap: anywhere; font-size: .875em; }
pre { margin: .5rem 0; padding: .5rem .75rem; background: #f3f3f3; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .8125rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0; max-width: 46rem; }
dt { color: #404040; } dd { margin: 0; overflow-wrap: anywhere; }
nav ul { columns: 14rem; padding-left: 1.25rem; margin: .5rem 0; }
@media print { .wide { overflow: visible; } table { font-size: .6875rem; } th, td { padding: .1rem .3rem; }
  td small { font-size: .625rem; } h3, .about { break-after: avoid; }
  .missing, .notice { break-inside: avoid; } tr { break-inside: avoid; } }
"""


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
        kinds = [kind for kind, places in (("strong", strong), ("apart", apart)) if place in places]
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
    return text(first) + (f"<br><small>{text(second)}</small>" if second else "")


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
