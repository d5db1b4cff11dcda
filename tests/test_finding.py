"""Names of files: found on the disk as people and other systems write them, and never by a guess."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from msma.files.finding import find_files
from msma.files.names import meant, parts_of, shown
from msma.types import MsmaError

NFC, NFD = "caf\u00e9.mp4", "cafe\u0301.mp4"


@pytest.fixture
def found(tmp_path: Path):
    """Finds a name among files that are made; gives the path below the folder."""

    def find(name: str, *files: str) -> str:
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        return str(find_files(tmp_path, [name])[0].relative_to(tmp_path))

    return find


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("P1/intro.mp4", "P1/intro.mp4"),
        ("P1\\intro.mp4", "P1/intro.mp4"),
        ("P1\\intro.mp4", "P1\\intro.mp4"),
        (".\\P1/x\\..\\intro.mp4", "P1/intro.mp4"),
        ("p1\\Intro.MP4", "P1/intro.mp4"),
        (NFC, NFD),
        (NFD, NFC),
        ("CAFE\u0301.mp4", NFC),
        (f"caf\u00e9\\{NFC}", f"cafe\u0301/{NFD}"),
        ("stra\u00dfe.mp4", "STRASSE.MP4"),
        ("caf\\udce9.mp4", "caf\udce9.mp4"),
        ("P\\udcff\\a.mp4", "P\udcff/a.mp4"),
    ],
)
def test_a_file_is_found_under_the_name_that_it_has(found, name, file):
    assert found(name, file) == file


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("P1\\intro.mp4", ["P1\\intro.mp4", "P1/intro.mp4"]),
        ("a.mp4", ["a.mp4", "A.mp4"]),
        ("A.mp4", ["A.mp4", "a.mp4"]),
        (NFC, [NFC, NFD]),
        (NFD, [NFD, NFC]),
        ("caf\\udce9.mp4", ["caf\\udce9.mp4", "caf\udce9.mp4"]),
    ],
)
def test_the_file_that_is_called_exactly_so_comes_first(found, name, files):
    assert found(name, *files) == files[0]


def test_case_that_fits_two_files_is_an_error_that_names_both(found):
    with pytest.raises(MsmaError, match=r"a\.MP4: may be 'A\.mp4' or 'a\.mp4'; write the name as the folder has it"):
        found("a.MP4", "a.mp4", "A.mp4")


@pytest.mark.parametrize(
    "name", ["P2/intro.mp4", "intro.mp4", "P1/intro", "P1/intro.mp4/x", "../intro.mp4", "\0", "x" * 999]
)
def test_nothing_else_is_found(tmp_path, name):
    (tmp_path / "here" / "P1").mkdir(parents=True)
    (tmp_path / "here" / "P1" / "intro.mp4").touch()
    assert find_files(tmp_path / "here", [name]) == [tmp_path / "here" / name]


def test_a_windows_path_of_a_file_that_is_not_there_is_a_path(tmp_path):
    assert find_files(tmp_path, ["P1\\gone.mp4"]) == [tmp_path / "P1" / "gone.mp4"]


def test_a_folder_that_may_be_entered_but_not_listed_is_entered(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").touch()
    monkeypatch.setattr(os, "listdir", lambda folder: (_ for _ in ()).throw(PermissionError(folder)))
    assert find_files(tmp_path, ["a.mp4"]) == [tmp_path / "a.mp4"]


@pytest.mark.parametrize("root", ["C:\\Users\\ann\\data", "/home/ann/data", "\\\\server\\share\\data"])
def test_absolute_paths_of_another_machine_are_found_by_their_ends(tmp_path, root):
    mark = "/" if root.startswith("/") else "\\"
    for who in ("P1", "P2"):
        (tmp_path / who).mkdir()
        (tmp_path / who / "intro.mp4").touch()
    names = [mark.join([root, "P1", "intro.mp4"]), mark.join([root.upper(), "p2", "Intro.MP4"])]
    assert find_files(tmp_path, names) == [tmp_path / "P1" / "intro.mp4", tmp_path / "P2" / "intro.mp4"]


def test_a_folder_that_tells_absolute_paths_apart_is_never_dropped(tmp_path):
    (tmp_path / "intro.mp4").touch()
    names = ["/data/P1/intro.mp4", "/data/P2/intro.mp4"]
    assert find_files(tmp_path, names) == [Path(name) for name in names]


@pytest.mark.parametrize("name", ["caf\udce9.mp4", "\udcff", "plain.mp4", NFD])
def test_a_name_is_shown_as_text_and_meant_by_it(name):
    assert shown(name).encode("utf-8")
    assert meant(shown(name)) == name


@pytest.mark.parametrize("path", ["a/b.mp4", "a\\b.mp4", "./a//b.mp4", "a/x/../b.mp4", "a\\.\\b.mp4"])
def test_the_parts_of_a_path_are_the_same_on_any_system(path):
    assert parts_of(path) == ("a", "b.mp4")
