"""Files a second of a folder read by one process per core, as a ratio to one process that reads and predicts in turn.

    .venv/bin/python benchmarks/predict_folder.py

The folder holds FILES rendered clips of 8 s, and one more that crashes FFmpeg for the processes, which costs that file
alone. Starting processes and loading weights count for neither side. The two take turns, the ratio is that of the
medians, and the predictions are the same.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np

FILES = 40
ROUNDS = 3


def crashing(path: Path) -> None:
    """7.1 PCM with a channel layout that makes FFmpeg (8.0) overrun a buffer and abort."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="7.1")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8 * 48000), np.int16), format="s16", layout="7.1")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    content = path.read_bytes()
    tag = content.index(b"chan") + 8
    path.write_bytes(content[:tag] + (128 << 16 | 8).to_bytes(4, "big") + content[tag + 4 :])


def main() -> None:
    import msma
    from msma.data.synthetic.corpus import render_corpus
    from msma.media.isolated import MediaProcesses
    from msma.prediction.batch import predict_each

    model, cores = msma.load(), os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder, MediaProcesses(cores) as media:
        render_corpus(Path(folder) / "corpus", FILES, seed=1, seconds=8.0)
        files = [str(path) for path in sorted(Path(folder).rglob("*.mp4"))]
        assert len(files) == FILES
        bad = Path(folder) / "bad.mov"
        crashing(bad)
        rates: dict[str, list[float]] = {"serial": [], "processes": []}
        for _ in range(ROUNDS):
            began = time.perf_counter()
            serial = [asdict(found) for found in predict_each(model, files)]
            rates["serial"].append(FILES / (time.perf_counter() - began))
            began = time.perf_counter()
            found = [asdict(found) for found in predict_each(model, [*files[:7], str(bad), *files[7:]], media=media)]
            rates["processes"].append(FILES / (time.perf_counter() - began))
            assert found.pop(7)["status"] == "failed"
            np.testing.assert_equal(found, serial)
        one, many = (statistics.median(rates[side]) for side in ("serial", "processes"))
        print(
            f"{FILES} files and one that crashes, {cores} processes: {many / one:.2f} times the files a second of one"
        )


if __name__ == "__main__":
    main()
