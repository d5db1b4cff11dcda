"""The clip cache: what makes a new entry, what is found again, and what no interruption or damage can corrupt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import msma
from msma.config import ClipConfig, Limits
from msma.data import cache
from msma.data.cache import CacheReport, fill_cache
from msma.data.cache_entry import cached_windows
from msma.data.corpora.manifest import Row
from msma.data.synthetic.people import cast
from msma.data.synthetic.render import Format, render_clip
from msma.files.folders import LOCK
from msma.files.locks import hold
from msma.media import processes
from msma.media.faces import default_detector
from msma.media.prepare import prepare, raw_windows
from msma.types import MsmaError, WriteError

CONFIG = ClipConfig(fps=2.0, crop_size=16, mels=16)
KEEPING = [{"fps": 4.0}, {"window_s": 5.0}, {"min_window_s": 1.0}, {"frame_side": 32}, {"face": "whole"}, {"phases": 3}]
PREPARING = [
    *({"crop_size": 32}, {"scene_size": 32}, {"mels": 32}, {"mel_hop_s": 0.01}, {"mel_window_s": 0.03}),
    {"face_margin": 2.0},
]
CACHE_MEDIA = cache.cache_media


def rows_of(*paths: Path) -> list[Row]:
    return [Row(path.name, path, path.stem, "train", (0.5,) * 5) for path in paths]


def tone(rate: float, seconds: np.ndarray) -> np.ndarray:
    return 0.1 * np.sin(rate * seconds)


def entries_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.clip")}


@pytest.fixture
def here(monkeypatch):
    """Media is read in this process; gives the clips that were."""
    read = []

    def in_this_process(work, jobs, workers, begun) -> Iterator:
        for job in jobs:
            read.append(job.clip)
            done: Future = Future()
            try:
                done.set_result(work(job))
            except Exception as error:  # noqa: BLE001
                done.set_exception(error)
            yield job, done

    monkeypatch.setattr(cache, "in_processes", in_this_process)
    monkeypatch.setattr(cache, "SETTLED_S", -1e9)
    return read


@pytest.fixture
def fill(tmp_path, here):
    """Fill the cache with some media files."""

    def fill(*paths: Path, config: ClipConfig = CONFIG, **options) -> CacheReport:
        return fill_cache(rows_of(*paths), config, Limits(), tmp_path / "cache", **options)

    return fill


# what is kept


def test_an_entry_is_prepared_as_its_media_file_is_but_for_the_loss_of_jpeg(fill, make_media):
    path = make_media(seconds=6.0)
    config = CONFIG.model_copy(update={"window_s": 2.0})
    entry = fill(path, config=config).entries[path.name]
    raw = raw_windows(path, config, Limits(), default_detector())
    direct, kept = ([prepare(window, config) for window in windows] for windows in (raw, cached_windows(entry)))
    assert len(kept) == len(direct) == 3
    for one, other in zip(kept, direct, strict=True):
        assert np.array_equal(one.inputs.waveform, other.inputs.waveform)
        assert np.array_equal(one.inputs.log_mel, other.inputs.log_mel)
        assert np.array_equal(one.inputs.boxes, other.inputs.boxes)
        assert np.abs(one.inputs.frames.astype(int) - other.inputs.frames).max() <= 3
        told = ("start_s", "end_s", "reasons", "used", "face_detector", "media")
        assert [getattr(one, name) for name in told] == [getattr(other, name) for name in told]


def test_a_clip_whose_name_is_no_text_is_kept_and_found_again(fill, here, make_media, tmp_path):
    path = Path(make_media(seconds=1.0)).rename(tmp_path / "\udcff.mp4")
    for _ in range(2):
        assert list(fill(path).entries) == [path.name]
    assert here == [path.name]


def test_the_prediction_for_a_kept_clip_is_that_for_its_file_within_a_hundredth(fill, tmp_path):
    part = cast(6, seed=3)[0]
    render_clip(tmp_path, part, Format(3, 2.0, 12, (320, 240)))
    path = tmp_path / part.name
    model = msma.load()
    (raw,) = cached_windows(fill(path, config=model.clip).entries[path.name])
    window = prepare(raw, model.clip)
    kept, direct = model.read([window]), model.predict(path)
    assert window.face_detector == direct.face_detector != "whole frame"
    assert kept.traits == pytest.approx(direct.traits, abs=0.01)
    assert kept.traits != direct.traits


def test_the_report_says_what_is_ok_degraded_and_failed_in_the_order_of_the_manifest(fill, make_media, tmp_path):
    broken, gone = tmp_path / "broken.mp4", tmp_path / "gone.mp4"
    broken.write_bytes(b"not a video at all")
    silent = make_media("silent.mp4", rate=None)
    config = CONFIG.model_copy(update={"face": "whole"})
    report = fill(broken, silent, gone, make_media("good.mp4"), config=config)
    assert list(report.entries) == ["silent.mp4", "good.mp4"]
    assert report.degraded == {"silent.mp4": ["no audio track"]}
    assert list(report.failed) == ["broken.mp4", "gone.mp4"]
    assert all(str(tmp_path / clip) in reason for clip, reason in report.failed.items())
    assert report.total_bytes == sum(len(content) for content in entries_in(tmp_path / "cache").values())


def test_the_same_is_reported_of_clips_that_were_there_already(fill, make_media):
    paths = make_media("silent.mp4", rate=None), make_media("good.mp4")
    assert fill(*paths) == fill(*paths)


def test_progress_counts_what_is_there_at_once_and_then_every_clip(fill, make_media, tmp_path):
    calls = []
    fill(make_media("a.mp4"))
    fill(tmp_path / "a.mp4", make_media("b.mp4", fps=5), tmp_path / "no.mp4", progress=lambda *at: calls.append(at))
    assert calls == [(1, 3), (2, 3), (3, 3)]


# what makes a new entry


@pytest.mark.parametrize("change", PREPARING, ids=lambda change: next(iter(change)))
def test_a_configuration_that_only_prepares_in_another_way_finds_the_same_entry(fill, here, make_media, change):
    path = make_media()
    before = fill(path)
    assert fill(path, config=CONFIG.model_copy(update=change)) == before
    assert here == [path.name]


@pytest.mark.parametrize("change", KEEPING, ids=lambda change: next(iter(change)))
def test_a_configuration_that_keeps_something_else_makes_a_new_entry(fill, make_media, change):
    path = make_media()
    one, other = fill(path), fill(path, config=CONFIG.model_copy(update=change))
    assert one.entries != other.entries
    assert all(report.entries[path.name].exists() for report in (one, other))


def test_of_every_field_of_the_configuration_it_is_known_whether_it_decides_what_is_kept():
    assert {name for change in (*KEEPING, *PREPARING) for name in change} == set(ClipConfig.model_fields)


def test_another_detector_makes_a_new_entry(fill, make_media, monkeypatch):
    path = make_media()
    before = fill(path).entries
    monkeypatch.setattr(cache, "default_detector", lambda: None)
    assert fill(path).entries != before


def test_a_renamed_file_finds_its_entry(fill, make_media, tmp_path):
    before = fill(make_media("a.mp4")).entries["a.mp4"]
    (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
    assert fill(tmp_path / "b.mp4").entries["b.mp4"] == before


def test_a_file_that_changed_makes_a_new_entry_even_with_the_same_name_size_and_time(fill, make_media):
    path = make_media("clip.mp4", seconds=1.0)
    before, status = fill(path).entries[path.name], path.stat()
    other = make_media("other.mp4", seconds=1.0, sound=partial(tone, 2000)).read_bytes()
    size = max(len(other), status.st_size)
    for content in (path.read_bytes(), other):  # mp4 may be followed by anything: two files of one size
        path.write_bytes(content + b"\0" * (size - len(content)))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        now = fill(path).entries[path.name]
        assert now != before
        before = now
    assert np.abs(next(cached_windows(now)).clip.waveform).max() < 0.2  # the tone of the other file


def test_a_file_that_changes_while_it_is_read_is_not_kept(fill, make_media, tmp_path, monkeypatch):
    path, raw_windows = make_media(), cache.raw_windows

    def changing(*arguments):
        yield from raw_windows(*arguments)
        path.write_bytes(path.read_bytes() + b"\0")

    monkeypatch.setattr(cache, "raw_windows", changing)
    assert "changed while it was read" in fill(path).failed[path.name]
    assert entries_in(tmp_path / "cache") == {}


# what is not opened


@pytest.fixture(scope="session")
def opened() -> list[str]:
    """Every path that this process opens in Python from now on; PyAV is given files that are open."""
    paths: list[str] = []
    sys.addaudithook(lambda event, details: paths.append(str(details[0])) if event == "open" else None)
    return paths


def test_a_start_on_a_corpus_that_has_not_changed_opens_no_media(fill, here, make_media, opened, monkeypatch):
    paths = make_media("a.mp4"), make_media("b.mp4", fps=5)
    opened.clear()
    fill(*paths)
    assert {str(path) for path in paths} <= set(opened)  # it would be seen
    opened.clear()
    monkeypatch.setattr(cache, "in_processes", processes.in_processes)
    monkeypatch.setattr(processes, "new_process", lambda: pytest.fail("a process is started"))
    assert len(fill(*paths).entries) == 2
    assert not {str(path) for path in paths} & set(opened)


def test_reading_an_entry_needs_no_media(fill, make_media):
    path = make_media()
    entry = fill(path).entries[path.name]
    path.unlink()
    assert len(list(cached_windows(entry))) == 1


def test_a_file_that_was_written_a_moment_ago_is_not_taken_for_unchanged(fill, here, make_media, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED_S", 3600.0)
    path = make_media()
    assert fill(path).entries == fill(path).entries
    assert here == [path.name, path.name]


def test_lines_of_the_index_that_are_no_record_are_passed_over(fill, here, make_media, tmp_path):
    path = make_media("a.mp4")
    before = fill(path).entries
    index = tmp_path / "cache" / cache.INDEX
    record = index.read_text()
    index.write_bytes(
        b"\xff\xfe\n[]\n5\n{}\nnull\n[[1], 2, 3, 4, 5]\n" + record.encode() + record.strip().encode()[:40]
    )
    assert fill(path, make_media("b.mp4", fps=5)).entries["a.mp4"] == before["a.mp4"]
    assert fill(path, tmp_path / "b.mp4").failed == {}
    assert here == ["a.mp4", "b.mp4"]  # each once: b's record stands on a line of its own


def test_an_index_that_names_content_of_which_nothing_is_kept_makes_no_entry_of_that_name(fill, make_media, tmp_path):
    path = make_media()
    before = fill(path).entries
    index = tmp_path / "cache" / cache.INDEX
    *record, content = json.loads(index.read_text())
    index.write_text(json.dumps([*record, content[::-1]]) + "\n")
    assert fill(path).entries == before
    assert len(entries_in(tmp_path / "cache")) == 1


# what is damaged, broken off or killed


def test_an_entry_that_is_cut_off_is_recreated(fill, make_media):
    path = make_media()
    entry = fill(path).entries[path.name]
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-7])
    fill(path)
    assert entry.read_bytes() == whole


def test_an_entry_with_a_flipped_bit_is_refused_and_once_deleted_recreated(fill, make_media):
    path = make_media()
    entry = fill(path).entries[path.name]
    whole = bytearray(entry.read_bytes())
    whole[-100] ^= 1
    entry.write_bytes(whole)
    with pytest.raises(MsmaError, match="delete it"):
        list(cached_windows(fill(path).entries[path.name]))
    entry.unlink()
    assert len(list(cached_windows(fill(path).entries[path.name]))) == 1


def test_a_cache_that_cannot_be_written_to_ends_the_run(fill, make_media):
    path = make_media()
    entry = fill(path).entries[path.name]
    entry.unlink()
    entry.mkdir()
    with pytest.raises(WriteError, match=entry.name):
        fill(path)


def test_a_defect_of_ours_loses_one_clip_only(fill, make_media, monkeypatch):
    def defective(row, **options):
        if row.clip == "a.mp4":
            raise ZeroDivisionError("no frames")
        return CACHE_MEDIA(row, **options)

    monkeypatch.setattr(cache, "cache_media", defective)
    report = fill(make_media("a.mp4"), make_media("b.mp4"))
    assert list(report.entries) == ["b.mp4"]
    assert "unexpected ZeroDivisionError (no frames)" in report.failed["a.mp4"]


def test_unfinished_files_of_killed_runs_are_removed_and_those_of_living_ones_are_left(fill, make_media, tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    old, new = folder / ".x.clip.1.part", folder / ".x.clip.2.part"
    old.touch()
    with closing(hold(new)):
        fill(make_media())
        assert (old.exists(), new.exists()) == (False, True)


def test_a_run_that_fills_the_same_cache_is_waited_for_and_its_entries_are_taken(fill, here, make_media, tmp_path):
    path, lines = make_media(), []

    def another_run_ends(line):
        lines.append(line)
        held.close()

    (tmp_path / "cache").mkdir()
    held = hold(tmp_path / "cache" / LOCK)
    report = fill_cache(rows_of(path), CONFIG, Limits(), tmp_path / "cache", workers=1, waiting=another_run_ends)
    assert list(report.entries) == [path.name]
    assert len(lines) == 1
    assert "another run writes into it; waiting until it has ended" in lines[0]


def deadly(row, **options):
    """Dies as a decoder does that crashes."""
    if row.clip == "killer.mp4":
        os.kill(os.getpid(), signal.SIGSEGV)
    return CACHE_MEDIA(row, **options)


def test_a_clip_that_kills_the_process_that_reads_it_fails_alone(make_media, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "cache_media", deadly)
    good = [make_media(f"{index}.mp4", fps=5 + index) for index in range(3)]
    rows = rows_of(good[0], make_media("killer.mp4"), *good[1:])
    report = fill_cache(rows, CONFIG, Limits(), tmp_path / "cache", workers=2)
    assert list(report.entries) == ["0.mp4", "1.mp4", "2.mp4"]
    assert list(report.failed) == ["killer.mp4"]
    assert "killer.mp4: the process that read it died" in report.failed["killer.mp4"]


FILL = """
import multiprocessing, resource, sys, time
from pathlib import Path
from msma.config import ClipConfig, Limits
from msma.data.cache import fill_cache
from msma.data.dataset import ClipDataset
from msma.data.corpora.manifest import Row

def fill_and_read(paths, folder, pause_s):
    config = ClipConfig(fps=2.0, crop_size=16, mels=16)
    rows = [Row(path.name, path, path.stem, "train", (0.5,) * 5) for path in paths]
    report = fill_cache(rows, config, Limits(), folder, workers=1, progress=lambda done, total: time.sleep(pause_s))
    assert len(report.entries) == len(rows), report.failed
    dataset = ClipDataset(rows, report.entries, config)
    for index in range(len(rows)):
        dataset[0, index]

if __name__ == "__main__":
    media, folder, pause_s, *counts = sys.argv[1:]
    for count in counts:
        fill_and_read(sorted(Path(media).glob("*.mp4"))[: int(count)], Path(folder), float(pause_s))
        while multiprocessing.active_children():
            time.sleep(0.05)
        print(*(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""


@pytest.fixture
def filling(tmp_path):
    """Start a process that fills a cache with the first media files, and reads it; `pause_s` after each clip."""
    script = tmp_path / "fill.py"
    script.write_text(FILL)

    def start(folder: Path, *counts: int, pause_s: float = 0.0) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(tmp_path), str(folder), str(pause_s), *map(str, counts)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)

    return start


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_equals_an_unbroken_one_byte_for_byte(make_media, filling, tmp_path):
    clips = 30
    sounds = [partial(tone, 200 + 10 * index) for index in range(clips)]
    media = [make_media(f"{index:02d}.mp4", seconds=1.0, sound=sound) for index, sound in enumerate(sounds)]
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    run = filling(broken, clips, pause_s=0.05)
    while len(entries_in(broken)) < clips // 3:
        assert run.poll() is None
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    there = entries_in(broken)
    assert len(there) < clips
    runs = [filling(broken, clips), filling(broken, clips), filling(unbroken, clips)]  # two go on with it at once
    for run in runs:
        run.communicate()
        assert run.returncode == 0
    assert entries_in(broken) == entries_in(unbroken)
    assert there.items() <= entries_in(broken).items()
    assert {Path(path).name for path in cache.read_index(broken / cache.INDEX)} == {path.name for path in media}


@pytest.mark.slow
def test_memory_is_flat_from_20_to_200_clips(make_media, filling, tmp_path):
    for index in range(200):
        sound = partial(tone, 200 + 10 * index)
        make_media(f"{index:03d}.mp4", size=(320, 240), fps=4, sound=sound)
    output, _ = filling(tmp_path / "cache", 20, 200).communicate()
    few, many = ([int(kib) for kib in line.split()] for line in output.splitlines())
    # 180 clips more hold 160 MB of frames.
    assert many[0] - few[0] < 50_000  # the process that waits and reads
    assert many[1] - few[1] < 50_000  # the one that decodes
