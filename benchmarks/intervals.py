"""How often prediction intervals hold on a test split, how wide they are, and what the widest fifth is worth.

    .venv/bin/msma robustness --model RUN --manifest M --split test --suite six --out OUT
    .venv/bin/python benchmarks/intervals.py OUT M [RUN]

Reads the predictions of the six scenarios, clean ones too; the network does not run again. The references: the exact
99 % band of coverage that split conformal prediction leaves to chance, for as many independent clips (beta-binomial);
and the constant prediction with intervals made in the same way from the same calibration split.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

WIDEST = 0.2


def main(out: Path, manifest_path: Path, run: Path | None) -> None:
    from scipy.stats import betabinom

    from msma.corruptions.scenarios import CLEAN, six
    from msma.data.corpora.manifest import mean_target, read_manifest, targets
    from msma.evaluation.coverage import coverage_of
    from msma.evaluation.evaluate import predictions_of
    from msma.evaluation.predictions import Bounds
    from msma.evaluation.result_file import read_result
    from msma.evaluation.robustness.cell_result import CellResult
    from msma.evaluation.robustness.suite import cell_path
    from msma.prediction.model import load
    from msma.weights.calibration import conformal_quantiles

    model, manifest = load(run), read_manifest(manifest_path)
    assert model.weights.calibration is not None, "these weights have no intervals"
    rows = {row.clip: row for row in manifest.rows}
    calibrated, nominal = model.weights.calibration.about, model.coverage

    def line(name: str, bounds: Bounds, target: np.ndarray) -> None:
        found = coverage_of(bounds, target)
        least, most = min(found.coverage.values()), max(found.coverage.values())
        print(f"| {name} | {found.coverage['mean']:.3f} ({least:.3f} to {most:.3f}) | {found.width['mean']:.3f} |")

    print("| predictions | coverage (range over traits) | mean width |\n|---|---|---|")
    widths, errors = [], []
    for cell in (CLEAN, *six()):
        found = read_result(cell_path(out, cell), CellResult, "run the suite again").predictions
        given = predictions_of(model, [rows[clip] for clip in found], found)
        target, bounds = given.target, given.bounds
        line(cell.scenario, bounds, target)
        widths.append(bounds.high - bounds.low)
        errors.append(np.abs(given.predicted - target))
    prior, held_out = mean_target(list(manifest.split("train"))), list(manifest.split(calibrated.split))
    apart = np.abs(targets(held_out) - prior)
    half = [conformal_quantiles(column, [row.source for row in held_out], [nominal])[0] for column in apart.T]
    low, high = (np.tile(end, (len(target), 1)) for end in (np.clip(prior - half, 0, 1), np.clip(prior + half, 0, 1)))
    line("constant", Bounds(nominal, low, high, ["both"] * len(target)), target)
    place = math.ceil((calibrated.clips + 1) * nominal)
    clips = len(target)
    lowest, highest = (count / clips for count in betabinom.interval(0.99, clips, place, calibrated.clips + 1 - place))
    print(f"\n99 % band of {clips} clips after {calibrated.clips}: {lowest:.3f} to {highest:.3f}")
    width, error = np.concatenate(widths).ravel(), np.concatenate(errors).ravel()
    kept = np.argsort(width, kind="stable")[: round((1 - WIDEST) * len(width))]
    rest = error[kept].mean()
    print(
        f"MAE {error.mean():.4f}, without the widest fifth of the intervals {rest:.4f}: ratio {rest / error.mean():.3f}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
