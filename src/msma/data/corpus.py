"""A corpus that is ready to be read: the clips of a manifest, and where each one is in the clip cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msma.data.cache import CacheReport
from msma.data.corpora.manifest import Manifest, Row
from msma.types import MsmaError


@dataclass(frozen=True)
class Corpus:
    """A manifest joined with the clip cache that was filled from it, or from some of its splits."""

    manifest: Manifest
    cache: CacheReport

    @property
    def rows(self) -> tuple[Row, ...]:
        """The clips that can be read, in the order of the manifest."""
        return tuple(row for row in self.manifest.rows if row.clip in self.cache.entries)

    def split(self, name: str) -> tuple[Row, ...]:
        """The clips of a split (or of `all`) that can be read; MsmaError where there is none."""
        rows = tuple(row for row in self.manifest.split(name) if row.clip in self.cache.entries)
        if not rows:
            raise MsmaError(f"{self.manifest.corpus}: no clip of split {name!r} can be read; see the table above")
        return rows

    def entry(self, row: Row) -> Path:
        """The cache entry of a clip that can be read."""
        return self.cache.entries[row.clip]
