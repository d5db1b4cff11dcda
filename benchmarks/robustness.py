"""Cells of a robustness suite per minute, and what a cell costs beside the clean one in the same run.

    .venv/bin/python benchmarks/robustness.py [CLIPS]

Clips are 4 s of the synthetic corpus, decoded already; the network is the bundled one; cells run side by side in two
processes of one thread each. The reference is the clean cell, which reads, prepares and answers the same clips without
corrupting them or seeking faces again; it takes turns with a share of the full suite, every corruption at severity 3 or
as it is. One cell is run first and does not count.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

PROCESSES = 2
ROUNDS = 3
COPIES = 8
"""Clean cells of a round."""
CLIPS = 12
OF_INTEREST = 100
"""Clips for which the full suite's time is told."""


def main(clips: int) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from msma.config import Limits
    from msma.corruptions.scenarios import CLEAN, Cell, full
    from msma.data.cache import fill_cache
    from msma.data.corpora.chalearn import find_chalearn
    from msma.data.corpora.manifest import Manifest
    from msma.data.corpus import Corpus
    from msma.data.synthetic.corpus import render_corpus
    from msma.evaluation.robustness.suite import run_suite
    from msma.prediction.model import load

    model = load()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        render_corpus(corpus, clips, 0, seconds=4.0, workers=PROCESSES)
        found = find_chalearn(corpus, None)
        manifest = Manifest(found.corpus, tuple(found.rows), found.facts)
        cache = fill_cache(manifest.rows, model.clip, Limits(), Path(folder) / "cache", workers=PROCESSES)
        ready = Corpus(manifest, cache)

        def seconds(cells: list[Cell], name: str) -> float:
            """For the cells alone: from the first that is told as done, the uncounted ones, to the last."""
            told: list[float] = []
            warm = [replace(CLEAN, scenario=f"warm_{number}") for number in range(2 * PROCESSES)]
            run_suite(
                model,
                ready,
                "all",
                [*warm, *cells],
                Path(folder) / name,
                workers=PROCESSES,
                progress=lambda *_: told.append(time.perf_counter()),
            )
            return told[-1] - told[len(warm) + 1]

        suite = full((3,))
        copies = [replace(CLEAN, scenario=f"clean_{number}") for number in range(COPIES)]
        clean: list[float] = []
        corrupted: list[float] = []
        for number in range(ROUNDS):
            clean.append(seconds(copies, f"clean_{number}") / len(copies))
            corrupted.append(seconds(suite, f"suite_{number}") / len(suite))
    ratios = [one / other for one, other in zip(corrupted, clean, strict=True)]
    cell = statistics.median(corrupted)
    cells = len(full()) + 1
    print(f"{clips} clips of 4 s; {len(suite)} cells of the full suite; {PROCESSES} processes; {ROUNDS} rounds")
    print(f"a cell: {cell:.2f} s ({60 / cell:.1f} cells a minute); the clean cell: {statistics.median(clean):.2f} s")
    print(f"ratio: {cell / statistics.median(clean):.2f} (rounds: {min(ratios):.2f} to {max(ratios):.2f})")
    whole = cells * cell / clips * OF_INTEREST / 60
    print(f"the full suite of {cells} cells on {OF_INTEREST} clips: {whole:.0f} minutes at this rate")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CLIPS)
