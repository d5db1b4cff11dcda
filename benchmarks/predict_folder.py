"""Files a second of a folder read by one process per core, as a ratio to one process that reads and predicts in turn.

    .venv/bin/python benchmarks/predict_folder.py

The folder holds FILES rendered clips of 8 s. Starting processes and loading weights count for neither side. The two
take turns, the ratio is that of the medians, and the predictions are the same. Torch has the threads that
`msma predict` gives it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

FILES = 40
ROUNDS = 3


def main() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch

    import msma
    from msma.data.synthetic.corpus import render_corpus
    from msma.media.isolated import MediaProcesses
    from msma.prediction.batch import predict_each

    model, cores = msma.load(), os.cpu_count() or 1
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    with tempfile.TemporaryDirectory() as folder, MediaProcesses(cores) as media:
        render_corpus(Path(folder) / "corpus", FILES, seed=1, seconds=8.0)
        files = [str(path) for path in sorted(Path(folder).rglob("*.mp4"))]
        assert len(files) == FILES
        rates: dict[str, list[float]] = {"serial": [], "processes": []}
        for _ in range(ROUNDS):
            began = time.perf_counter()
            serial = [asdict(found) for found in predict_each(model, files)]
            rates["serial"].append(FILES / (time.perf_counter() - began))
            began = time.perf_counter()
            found = [asdict(found) for found in predict_each(model, files, media=media)]
            rates["processes"].append(FILES / (time.perf_counter() - began))
            np.testing.assert_equal(found, serial)
        one, many = (statistics.median(rates[side]) for side in ("serial", "processes"))
        print(f"{FILES} files, {cores} processes: {many / one:.2f} times the files a second of one")


if __name__ == "__main__":
    main()
