"""Media that is read in processes of their own."""

from __future__ import annotations

import multiprocessing
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from msma.config import ClipConfig, Limits
from msma.media import isolated
from msma.media.bounded import (
    MEMORY_BYTES,
    Reading,
    begin_media,
    granted,
    media_problems,
    why_failed,
    windows_of,
)
from msma.media.clip import clip_from_arrays
from msma.media.isolated import MediaProcesses
from msma.media.processes import in_processes
from msma.types import MsmaError

SHORT = ClipConfig(window_s=2.0, face="whole")


@pytest.fixture(scope="module")
def media():
    with MediaProcesses(2) as processes:
        yield processes


def reading(path: Path, **changes) -> Reading:
    return replace(Reading(path, SHORT, Limits()), **changes)


def outcome(windows) -> list[float] | str:
    """Where each window starts, or why there are none."""
    try:
        return [window.start_s for window in windows]
    except MsmaError as error:
        return str(error)


def test_windows_are_those_of_one_process_in_order(media, make_media):
    readings = [reading(make_media(f"{index}.mp4", seconds=5.0 - index)) for index in range(4)]
    for windows, expected in zip(media.read(readings), map(windows_of, readings), strict=True):
        np.testing.assert_equal([*map(asdict, windows)], [*map(asdict, expected)])


def test_a_file_that_crashes_its_reader_fails_and_loses_no_other(media, make_media, crashing_media):
    good = make_media("good.mp4", seconds=5.0)
    before, crashed, after = (outcome(windows) for windows in media.read(map(reading, (good, crashing_media, good))))
    assert before == after == [0.0, 2.0]
    assert crashed.startswith(f"{crashing_media}: its reader crashed or ran out of memory (SIG")
    assert crashed.endswith("; convert it (ffmpeg -i IN OUT.mp4) or leave it out")


def test_files_that_crash_side_by_side_each_say_what_of(media, crashing_media):
    found = [outcome(windows) for windows in media.read([reading(crashing_media)] * 12)]
    assert all("its reader crashed or ran out of memory (SIG" in crashed for crashed in found)


def test_a_file_that_cannot_be_read_says_what_it_says_in_one_process(media, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for path in (tmp_path / "text.mp4", tmp_path / "missing.mp4"):
        (found,) = (outcome(windows) for windows in media.read([reading(path)]))
        assert found == outcome(windows_of(reading(path)))
        assert str(path) in found


def test_a_reader_that_gives_nothing_is_killed_and_replaced(media, make_media, monkeypatch):
    path = make_media(seconds=4.0)
    with monkeypatch.context() as patched:
        patched.setattr(isolated, "HANG_S", 0.0)
        (hung,) = (outcome(windows) for windows in media.read([reading(path)]))
    assert "its reader gave nothing for 0 s" in hung
    assert [outcome(windows) for windows in media.read([reading(path)])] == [[0.0, 2.0]]


def test_a_reader_that_died_while_it_waited_is_replaced(media, make_media):
    path = make_media(seconds=4.0)
    for process in media.processes:
        process.start()[0].kill()
        process.start()[0].join()
    assert [outcome(windows) for windows in media.read([reading(path)] * 3)] == [[0.0, 2.0]] * 3


def test_a_reader_that_nobody_listens_to_ends_without_a_word(make_media):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=isolated.answer, args=(theirs,))
    process.start()
    theirs.close()
    ours.send(reading(make_media(seconds=20.0)))
    assert ours.recv().start_s == 0.0
    ours.close()
    process.join(30)
    assert process.exitcode == 0


def test_windows_that_nobody_asks_for_are_passed_over(media, make_media):
    long = reading(make_media("long.mp4", seconds=30.0))
    with closing(media.read([long, long])) as sources:
        assert next(next(sources)).start_s == 0.0
        assert next(next(sources)).start_s == 0.0
    with closing(media.windows(long)) as windows:
        assert next(windows).start_s == 0.0
    assert [len(outcome(windows)) for windows in media.read([long])] == [15]


def test_raw_windows_come_where_they_are_wanted(media, make_media):
    (windows,) = ([*windows] for windows in media.read([reading(make_media(seconds=2.0), prepared=False)]))
    assert windows[0].clip.frames.dtype == np.uint8
    assert len(windows) == 1


def test_a_reader_may_not_take_more_memory_than_decoding_needs():
    ((_, done),) = in_processes(np.ones, [MEMORY_BYTES // 4], 1, begin_media)  # eight bytes each
    assert why_failed("a.mp4", done.exception()) == (
        "a.mp4: takes more memory than a reader may have; scale it down or leave it out"
    )


LARGE_WINDOWS = ClipConfig(window_s=600.0, fps=4.0, phases=1, face="whole")
LARGE_FRAMES = Limits(max_pixels=2 * Limits().max_pixels)


@pytest.mark.parametrize(("clip", "limits"), [(LARGE_WINDOWS, Limits()), (SHORT, LARGE_FRAMES)])
def test_a_reader_may_take_what_its_windows_and_frames_need(make_media, clip, limits):
    jobs = [Reading(make_media(), clip, limits)]
    ((_, done),) = in_processes(windows_beside_more, jobs, 1, begin_media)
    assert done.result() == 1


def windows_beside_more(reading: Reading) -> int:
    """Take what decoding may take, beside each window; gives how many windows there are."""
    windows = granted(windows_of(reading), reading.limits, reading.clip)
    return sum(np.empty(MEMORY_BYTES, np.uint8).ndim for _ in windows)


def test_a_reader_that_takes_too_long_fails_its_file(media):
    many = clip_from_arrays(np.random.default_rng(0).integers(0, 255, (900, 240, 320, 3), np.uint8), None, fps=60.0)
    slow = Reading(many, ClipConfig(window_s=15.0, fps=60.0), Limits(max_cpu_s=1))
    (first,) = (outcome(windows) for windows in media.read([slow]))
    assert first.startswith("arrays: its reader took more than max_cpu_s, 1 processor seconds, for a window; ")


def test_files_that_cannot_be_opened_are_found_without_harm(make_media, crashing_media, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    good = make_media("good.mp4")
    found = media_problems([good, crashing_media, tmp_path / "text.mp4"])
    assert good not in found
    assert (
        found[tmp_path / "text.mp4"]
        == f"{tmp_path / 'text.mp4'}: is not a known video or audio file; convert it to mp4 (ffmpeg -i IN OUT.mp4)"
    )
