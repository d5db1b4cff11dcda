"""What an observer of a structured corpus can know at best: with everything, without a part, at few frames a second."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from msma.data.corpora.chalearn import find_chalearn
from msma.data.synthetic.corpus import render_corpus
from msma.data.synthetic.cues import CUES, scores, shift_of, show, trait_correlation
from msma.data.synthetic.oracle import AVAILABILITIES, ceilings, ceilings_without, oracle, realised
from msma.data.synthetic.structure import PARTS, STRUCTURE_NAMES, STRUCTURES, mixed, values_of
from msma.types import TRAITS, MsmaError


def population(people: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((people, 5)) @ np.linalg.cholesky(trait_correlation()).T
    return (
        z,
        show(z, rng.standard_normal((people, len(CUES)))),
        values_of(rng.standard_normal((people, len(STRUCTURES)))),
    )


POPULATION = population(60_000)


@pytest.mark.parametrize("available", AVAILABILITIES)
def test_the_ceilings_are_what_the_oracle_scores(available: str) -> None:
    z, cues, values = POPULATION
    found = realised(cues, scores(mixed(z, values)), structure=values)[available]
    expected = ceilings(structured=True)[available]
    for measure in ("ccc", "mean_accuracy"):
        assert found[measure] == pytest.approx(expected[measure], abs=0.01)


def test_the_ceiling_without_a_part_is_that_of_who_takes_its_structures_for_average() -> None:
    z, cues, values = POPULATION
    targets = scores(mixed(z, values))
    for part in ("pairs_2s", "spatial_scales", "cross_attention", "structure"):
        blind = np.where(np.isin(STRUCTURE_NAMES, PARTS[part]), 0.0, values)
        answers = oracle(cues, "both", structure=blind)
        found = np.abs(answers - targets).mean(axis=0)
        correlated = [np.corrcoef(*each)[0, 1] for each in zip(answers.T, targets.T, strict=True)]
        best = ceilings_without()[part]
        assert 1 - found == pytest.approx([best["mean_accuracy"][trait] for trait in TRAITS], abs=0.005)
        assert correlated == pytest.approx([best["ccc"][trait] for trait in TRAITS], abs=0.01)


def test_who_sees_too_few_frames_misses_motion_and_events() -> None:
    def best(fps: float, structured: bool) -> float:
        return ceilings(structured=structured, fps=fps)["visual"]["ccc"]["mean"]

    assert best(1.0, False) < best(3.0, False) < best(4.0, False) == best(np.inf, False)
    assert best(3.0, True) < best(4.0, True) < best(5.0, True) == best(np.inf, True)
    z, cues, values = POPULATION
    seen = realised(cues, scores(mixed(z, values)), structure=values, fps=2.0)["visual"]["ccc"]["mean"]
    assert seen == pytest.approx(best(2.0, True), abs=0.01)


def test_audio_does_not_depend_on_the_frames() -> None:
    for structured in (False, True):
        slow, fast = (ceilings(structured=structured, fps=fps)["audio"] for fps in (0.5, 30.0))
        assert slow == fast


def test_a_bias_of_labels_and_structure_go_together() -> None:
    z, cues, values = POPULATION
    shift, has = shift_of({"openness": 0.2}), np.random.default_rng(1).random(len(z)) < 0.5
    targets = scores(mixed(z, values), has[:, None] * shift)
    for available in AVAILABILITIES:
        found = realised(cues, targets, shift, has, values)[available]
        expected = ceilings(shift, structured=True)[available]
        assert found["ccc"] == pytest.approx(expected["ccc"], abs=0.015)
        assert found["mean_accuracy"] == pytest.approx(expected["mean_accuracy"], abs=0.01)


def test_the_page_has_the_ceilings() -> None:
    page = (Path(__file__).parents[2] / "docs" / "synthetic.md").read_text(encoding="utf-8")
    rows = [("both", ceilings(structured=True)["both"])]
    rows += [(rf"both, without .*`{part}`[^|]*", best) for part, best in ceilings_without().items()]
    for name, best in rows:
        cells = [f"{value:.3f}".lstrip("0") for value in best["ccc"].values()]
        cells.append(f"{best['mean_accuracy']['mean']:.4f}".lstrip("0"))
        assert re.search(rf"^\| {name} \| {re.escape(' | '.join(cells))} \|$", page, re.MULTILINE), name
    for fps in (1.0, 3.0, 4.0, 5.0):
        for structured in (False, True):
            for available, best in ceilings(structured=structured, fps=fps).items():
                means = best["ccc"]["mean"], best["mean_accuracy"]["mean"]
                pair = " / ".join(f"{mean:.{digits}f}".lstrip("0") for mean, digits in zip(means, (3, 4), strict=True))
                assert available == "audio" or f"| {pair} |" in page


# on disk


def test_a_structured_corpus_says_what_each_part_can_gain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msma.data.synthetic.render.render_clip", lambda folder, plan, _: (folder / plan.name).touch())
    corpus = render_corpus(tmp_path / "corpus", 3, 1, size=(64, 64), structured=True, workers=1)
    stored = json.loads((corpus.root / "oracle.json").read_text())
    assert stored["parameters"]["seconds"] == 8
    assert stored["parameters"]["structure"] is True
    assert stored["ceilings"] == ceilings(structured=True)
    found = find_chalearn(corpus.root, None).facts
    assert found["ceiling"] == stored["ceilings"]
    assert found["ceiling_without"] == stored["ceilings_without"] == ceilings_without()
    with (corpus.root / "cues.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, plan in zip(rows, corpus.plans, strict=True):
        assert [float(row[name]) for name in STRUCTURE_NAMES] == pytest.approx(plan.structure, abs=1e-6)


@pytest.mark.parametrize("short", [{"seconds": 4.0}, {"fps": 10}])
def test_a_structured_corpus_is_not_too_short_for_its_events(tmp_path: Path, short: dict) -> None:
    with pytest.raises(MsmaError, match="8 seconds or more at 12 fps or more"):
        render_corpus(tmp_path / "corpus", 6, 0, structured=True, **short)
    assert not (tmp_path / "corpus").exists()
