"""What `msma predict --resume` takes over of an earlier file."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from answered import prediction

from msma.cli.show.place import records_before
from msma.cli.show.predictions import FORMATS, writer_of
from msma.types import Prediction

in_every_format = pytest.mark.parametrize("format", FORMATS)


def written(path: Path, format: str, *predictions: Prediction) -> Path:
    """A file of an earlier run."""
    with writer_of(format, path) as write:
        for one in predictions:
            write(replace(one, settings="same"))
    return path


@in_every_format
def test_predictions_of_the_same_settings_are_taken_over(tmp_path, format):
    out = written(tmp_path / "out", format, prediction(path="a.mp4"))
    assert [*records_before(out, format, "same", ["a.mp4", "b.mp4"])] == ["a.mp4"]
    assert records_before(out, format, "others", ["a.mp4", "b.mp4"]) == {}


@in_every_format
def test_a_file_that_failed_is_tried_again(tmp_path, format):
    out = written(tmp_path / "out", format, prediction("failed", "a.mp4"), prediction(path="b.mp4"))
    assert [*records_before(out, format, "same", ["a.mp4", "b.mp4"])] == ["b.mp4"]


@in_every_format
def test_a_file_that_has_changed_is_predicted_again(tmp_path, format):
    old, changed = str(tmp_path / "old"), str(tmp_path / "changed")
    Path(old).touch()
    Path(changed).touch()
    out = written(tmp_path / "out", format, prediction(path=old), prediction(path=changed))
    os.utime(changed, (time.time() + 5, time.time() + 5))
    assert [*records_before(out, format, "same", [old, changed])] == [old]


@in_every_format
@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("P1\\a.mp4", "P1/a.mp4"),
        ("caf\u00e9.mp4", "cafe\u0301.mp4"),
        (os.fsdecode(b"\xff.mp4"), os.fsdecode(b"\xff.mp4")),
    ],
    ids=["Windows", "NFD", "no text"],
)
def test_a_name_is_known_again_however_it_is_written(tmp_path, format, before, now):
    out = written(tmp_path / "out", format, prediction(path=before))
    ((file, record),) = records_before(out, format, "same", [now]).items()
    assert (file, record["path"]) == (now, now.encode("utf-8", "backslashreplace").decode())


@in_every_format
def test_another_file_of_almost_that_name_is_not_taken_for_it(tmp_path, format):
    (tmp_path / "P1").mkdir()
    for name in ("P1\\a.mp4", "P1/a.mp4"):
        (tmp_path / name).touch()
    out = written(tmp_path / "out", format, prediction(path=str(tmp_path / "P1\\a.mp4")))
    assert records_before(out, format, "same", [str(tmp_path / "P1/a.mp4")]) == {}
