"""What a run or a cross-validation is of, so that none is gone on with on other clips, labels or weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msma.data.manifest import Row

FORMAT = 3
"""Counts up where the same recipe on the same clips would train differently."""


def identity(rows: Sequence[Row], entries: dict[str, Path], pretrained: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Digests of labels, splits and sources, of the clips' content (which names their entries in the clip cache), and
    the pretrained weights."""
    labels = [(row.clip, row.source, row.split, row.target) for row in rows]
    content = [(row.clip, entries[row.clip].name) for row in rows if row.clip in entries]
    return {
        "format": FORMAT,
        "labels_sha256": digest(labels),
        "clips_sha256": digest(content),
        "pretrained": pretrained,
    }


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
