"""A page of HTML taken apart."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "path"}


class Page(HTMLParser):
    """Every tag with its attributes; unbalanced tags are an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def policy(self) -> str:
        """What the page may load, as the browser is told."""
        (policy,) = (meta["content"] for meta in self.all("meta") if "http-equiv" in meta)
        assert policy is not None
        return policy

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
