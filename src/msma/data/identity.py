"""The identity of a run or a cross-validation, so that none is resumed on other clips, labels or weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from msma.data.corpora.manifest import Row
from msma.data.corpus import Corpus
from msma.files.reading import MAX_SETTINGS_BYTES, read_text
from msma.files.writing import write_whole
from msma.types import MsmaError

FORMAT = 8
"""Raised where the same recipe on the same clips would train differently."""


def training_identity(corpus: Corpus, pretrained: dict[str, dict[str, str]]) -> dict[str, Any]:
    """All that the weights depend on beside the recipe: the corpus and the pretrained weights."""
    return {"format": FORMAT, **corpus_identity(corpus, corpus.rows), "pretrained": pretrained}


def corpus_identity(corpus: Corpus, rows: Sequence[Row]) -> dict[str, str]:
    """Digests of the manifest's labels, splits and sources, and of what `rows` contain (which names cache entries)."""
    labels = [(row.clip, row.source, row.split, row.target) for row in corpus.manifest.rows]
    content = [(row.clip, corpus.entry(row).name) for row in rows]
    return {"labels_sha256": digest(labels), "clips_sha256": digest(content)}


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def record_identity(path: Path, identity: dict[str, Any], otherwise: str) -> None:
    """Write the identity of a folder to a YAML file in it, or check that it is the same.

    MsmaError where it is not; `otherwise` says what the folder is then.
    """
    text = yaml.safe_dump(identity, sort_keys=False)
    if not path.exists():
        write_whole(path, text)
    elif read_text(path, "name another --out", MAX_SETTINGS_BYTES) != text:
        raise MsmaError(f"{path.parent}: is {otherwise}; name another --out")
