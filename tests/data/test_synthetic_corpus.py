"""The corpus on disk: layout, labels, determinism, resumption."""

import csv
import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from msma.data.synthetic.corpus import RenderedCorpus, render_corpus
from msma.data.synthetic.cues import CUE_NAMES
from msma.data.synthetic.people import cast
from msma.data.synthetic.render import Format, render_clip
from msma.types import TRAITS, MsmaError

CLIPS, SEED, SECONDS = 6, 3, 1.0


def content(root: Path) -> dict[str, str]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def render(out: Path, clips: int = CLIPS, seed: int = SEED, **options) -> RenderedCorpus:
    return render_corpus(out, clips, seed, seconds=SECONDS, **{"workers": 1, **options})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> RenderedCorpus:
    return render(tmp_path_factory.mktemp("synthetic") / "corpus")


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(corpus: RenderedCorpus, tmp_path: Path) -> None:
    assert content(render(tmp_path / "again", workers=2).root) == content(corpus.root)


def test_another_seed_gives_other_clips(corpus: RenderedCorpus, tmp_path: Path) -> None:
    other = render(tmp_path / "other", clips=3, seed=SEED + 1)
    assert not set(content(corpus.root).values()) & set(content(other.root).values())


def test_a_clip_can_be_rendered_alone(corpus: RenderedCorpus, tmp_path: Path) -> None:
    part = cast(CLIPS, SEED)[4]
    render_clip(tmp_path, part, Format(SEED, SECONDS, 12, (320, 240)))
    assert (tmp_path / part.name).read_bytes() == (corpus.root / part.split / part.name).read_bytes()


def test_labels_have_the_layout_of_first_impressions(corpus: RenderedCorpus) -> None:
    for split, name in [("train", "training"), ("val", "validation"), ("test", "test")]:
        with (corpus.root / "annotation" / f"annotation_{name}.pkl").open("rb") as file:
            labels = pickle.load(file, encoding="latin1")  # noqa: S301
        assert " ".join(labels) == "extraversion neuroticism agreeableness conscientiousness interview openness"
        clips = {path.name for path in (corpus.root / split).iterdir()}
        assert all(set(values) == clips for values in labels.values())
        kind = np.float64 if split == "train" else float
        assert all(type(score) is kind and 0 <= score <= 1 for values in labels.values() for score in values.values())


def test_training_labels_need_numpy_scalars_to_unpickle(corpus: RenderedCorpus) -> None:
    raw = (corpus.root / "annotation" / "annotation_training.pkl").read_bytes()
    assert raw[:2] == b"\x80\x02"
    assert all(name in raw for name in (b"multiarray\nscalar", b"numpy\ndtype", b"_codecs\nencode"))


def test_clip_names_are_source_and_number(corpus: RenderedCorpus) -> None:
    for part in corpus.plans:
        source, number, suffix = part.name.split(".")
        assert (len(source), source, suffix) == (11, part.source.name, "mp4")
        assert number in ("000", "001")


def test_cues_and_scores_are_listed(corpus: RenderedCorpus) -> None:
    with (corpus.root / "cues.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["clip"] for row in rows] == [part.name for part in corpus.plans]
    for row, part in zip(rows, corpus.plans, strict=True):
        assert [float(row[name]) for name in CUE_NAMES] == pytest.approx(part.cues, abs=1e-6)
        assert [float(row[name]) for name in TRAITS] == pytest.approx(part.traits, abs=1e-6)


def test_the_oracle_is_written(corpus: RenderedCorpus) -> None:
    oracle = json.loads((corpus.root / "oracle.json").read_text())
    assert oracle == corpus.oracle
    for key in ("ceilings", "oracle_on_test"):
        assert list(oracle[key]) == ["audio", "visual", "both"]
        assert list(oracle[key]["both"]["ccc"]) == [*TRAITS, "mean"]


def test_an_interrupted_corpus_is_finished(
    corpus: RenderedCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = []

    def dies_at_the_third(folder: Path, part, form) -> None:
        if len(rendered) == 2:
            (folder / f".{part.name}.part").write_bytes(b"half a clip")
            raise KeyboardInterrupt
        rendered.append(part.name)
        render_clip(folder, part, form)

    with monkeypatch.context() as patch:
        patch.setattr("msma.data.synthetic.render.render_clip", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            render(tmp_path / "corpus")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "corpus").rglob("*.mp4")}
    seen: list[tuple[int, int]] = []
    render(tmp_path / "corpus", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, CLIPS) for done in range(2, CLIPS + 1)]
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert content(tmp_path / "corpus") == content(corpus.root)


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(MsmaError, match="not empty"):
        render(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_corpus_of_other_parameters_is_left_alone(corpus: RenderedCorpus) -> None:
    before = content(corpus.root)
    with pytest.raises(MsmaError, match="not empty"):
        render(corpus.root, seed=SEED + 1)
    assert content(corpus.root) == before


@pytest.mark.parametrize("wrong", [{"clips": 0}, {"seed": -1}, {"size": (321, 240)}, {"fps": 1}])
def test_impossible_parameters_are_refused(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(MsmaError):
        render(tmp_path / "corpus", **wrong)
    assert not (tmp_path / "corpus").exists()


def test_rendering_processes_do_without_torch() -> None:
    code = "import sys, msma.data.synthetic.render; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
