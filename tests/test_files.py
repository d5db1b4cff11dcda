"""How files are called where several are listed."""

from __future__ import annotations

import pytest

from msma.files import distinct_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/clip.mp4", "b/other.mp4"], ["clip.mp4", "other.mp4"]),
        (["x/a/clip.mp4", "x/b/clip.mp4", "x/b/other.mp4"], ["a/clip.mp4", "b/clip.mp4", "other.mp4"]),
        (["run/1/clip.mp4", "run/2/1/clip.mp4"], ["run/1/clip.mp4", "2/1/clip.mp4"]),
        (["clip.mp4", "a/clip.mp4"], ["clip.mp4", "a/clip.mp4"]),
        (["a/clip.mp4", "a/clip.mp4"], ["clip.mp4", "clip.mp4"]),
        (["/clip.mp4", "", "bytes"], ["clip.mp4", ".", "bytes"]),
    ],
)
def test_a_path_is_called_by_the_shortest_end_that_no_other_has(paths, names):
    assert distinct_names(paths) == names
