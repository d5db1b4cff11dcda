"""The frame of every page, and what is written into it safely."""

from __future__ import annotations

from base64 import b64encode
from html import escape

# The policy keeps the promise that the page asks nobody for anything, whatever a name might smuggle in.
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
STYLE = """
body { margin: 0 auto; padding: 1rem; max-width: 90rem; font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a;
  background: #fff; }
h1, h2, h3 { line-height: 1.25; }
h1 { margin-top: 0; }
h2 { margin: 2.5rem 0 0; padding-top: .75rem; border-top: 2px solid #1a1a1a; }
h2 small { font-weight: normal; font-size: 1rem; }
h3 { margin: 1.5rem 0 0; }
p { max-width: 46rem; margin: .25rem 0 .75rem; overflow-wrap: anywhere; }
a { color: #0b4a8f; }
figure { margin: 0; padding: .5rem; border: 1px solid #b5b5b5; border-radius: .25rem; break-inside: avoid; }
figcaption { margin-bottom: .25rem; }
.none { display: grid; place-items: center; min-height: 3rem; color: #595959; border: 1px dashed #8a8a8a; }
.waveform { display: block; width: 100%; height: 3rem; margin-top: .5rem; background: #f3f3f3; }
audio { display: block; width: 100%; height: 2.5rem; margin-top: .25rem; }
video { display: block; width: 100%; height: auto; margin-top: .5rem; }
@media print { audio, video, nav { display: none; } body { max-width: none; padding: 0; font-size: .75rem; }
  h2 { break-after: avoid; } section { break-inside: avoid; } }
"""


def page(title: str, body: str, style: str = "") -> str:
    """A whole page; `title` is any text, `body` is HTML, `style` comes after that of all pages."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def text(value: str) -> str:
    """Safe in the text and in the attributes of a page, whatever bytes a file name has."""
    return escape(value.encode("utf-8", "backslashreplace").decode("utf-8"))


def data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"
