"""Unpacking: every kind of zip gives its files once, a kill costs nothing, and hostile zips write nothing."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import Entry, Files, aes_zipped, encrypted, entry, locked_zipped, written, zeros, zipped

from msma.data.corpora import unpacking, zips
from msma.data.corpora.archives import gather
from msma.data.corpora.unpacking import Gathered
from msma.files.folders import LOCK
from msma.types import MsmaError

# pycryptodome warns of the key derivation of the format, which is as it is.
pytestmark = pytest.mark.filterwarnings("ignore:PBKDF2:DeprecationWarning")

KEY = "a key with spaces & ümläuts"
FILES: Files = {f"clip{index}.mp4": bytes([index]) * 100 * index + b"end" for index in range(1, 6)}


def wanted(name: str) -> bool:
    return name.endswith(".mp4")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "unpacked"


def contents(found: Gathered) -> Files:
    assert len({path.name for path in found.files}) == len(found.files)
    return {path.name: path.read_bytes() for path in found.files}


def everything_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.fixture
def unpacked(monkeypatch) -> list[str]:
    """Names of the members that are unpacked from now on."""
    names: list[str] = []

    def unpack_member(archive, member, out, keys):
        zips.unpack_member(archive, member, out, keys)
        names.append(member.name)

    monkeypatch.setattr(unpacking, "unpack_member", unpack_member)
    return names


# every kind of zip

PACKED = {
    "deflated": zipped(FILES),
    "stored": zipped(FILES, method=0),
    "in folders": zipped({f"train/80_00/{name}": content for name, content in FILES.items()}),
    "zip in zip": zipped({"inner.zip": zipped(FILES)}),
    "zip in zip in zip": zipped({"a.zip": zipped({"folder/b.ZIP": zipped(FILES)}, method=0)}),
    "ZipCrypto": locked_zipped(FILES, KEY),
    "ZipCrypto with the checksum behind": locked_zipped(FILES, KEY, streamed=True),
    "AES": aes_zipped(FILES, KEY),
    "encrypted zips in an encrypted zip": aes_zipped({"inner.zip": locked_zipped(FILES, KEY)}, KEY),
    "with much else in it": zipped(FILES | {"readme.txt": b"hello", "__MACOSX/._clip1.mp4": b"", "._clip2.mp4": b""}),
}


@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED)
def test_every_kind_of_zip_gives_the_wanted_files(place, root, packed):
    (place / "train-1.zip").write_bytes(packed)
    found = gather(place, wanted, root, keys=["another", KEY])
    assert contents(found) == FILES
    assert found.damaged == found.unused == []
    assert all(path.is_relative_to(root / "train-1.zip") for path in found.files)


def test_one_zip_may_be_named_instead_of_a_folder(place, root):
    (place / "all.zip").write_bytes(zipped(FILES))
    (place / "other.zip").write_bytes(zipped({"other.mp4": b""}))
    assert contents(gather(place / "all.zip", wanted, root)) == FILES


def test_archives_and_folders_may_be_mixed(place, root):
    names = list(FILES)
    (place / "loose").mkdir()
    (place / "loose" / names[0]).write_bytes(FILES[names[0]])
    (place / "a.zip").write_bytes(zipped({name: FILES[name] for name in names[1:3]}))
    (place / "b.zip").write_bytes(aes_zipped({name: FILES[name] for name in names[3:]}, KEY))
    assert contents(gather(place, wanted, root, keys=[KEY])) == FILES


def test_only_what_is_wanted_is_unpacked(place, root):
    (place / "a.zip").write_bytes(zipped({"inner.zip": zipped(FILES | {"x.txt": b""}), "y.txt": b""}))
    gather(place, wanted, root)
    left = {path.name for path in everything_below(root) if path.is_file()} - {".archive.json"}
    assert left == FILES.keys()


def test_archives_with_the_same_names_do_not_collide(place, root):
    for folder in ("train", "val"):
        (place / folder).mkdir()
        (place / folder / "1.zip").write_bytes(zipped({"clip.mp4": folder.encode()}))
    found = gather(place, wanted, root)
    assert sorted(path.read_bytes() for path in found.files) == [b"train", b"val"]


@pytest.mark.parametrize("packed", [PACKED["deflated"], PACKED["zip in zip"]], ids=["zip", "zip in zip"])
def test_what_lies_unpacked_beside_its_archive_is_not_unpacked(place, root, unpacked, packed):
    (place / "train-1").mkdir()
    for name, content in FILES.items():
        (place / "train-1" / name).write_bytes(content)
    (place / "train-1.zip").write_bytes(packed)
    for _ in range(2):  # the second call goes by the mark of the first
        found = gather(place, wanted, root)
        assert set(found.files) == set((place / "train-1").iterdir())
    assert set(unpacked) <= {"inner.zip"}


def test_a_file_that_differs_from_the_archived_one_is_found_beside_it(place, root):
    (place / "clip1.mp4").write_bytes(FILES["clip1.mp4"][::-1])
    (place / "train-1.zip").write_bytes(zipped(FILES))
    assert [path.name for path in gather(place, wanted, root).files].count("clip1.mp4") == 2


def test_a_clip_that_two_archives_hold_is_unpacked_once(place, root):
    (place / "a.zip").write_bytes(zipped(FILES))
    (place / "b.zip").write_bytes(zipped(FILES))
    assert contents(gather(place, wanted, root)) == FILES
    assert contents(gather(place, wanted, root)) == FILES


def test_the_folder_of_unpacked_files_may_lie_in_the_place(place):
    (place / "a.zip").write_bytes(zipped(FILES))
    for _ in range(2):
        assert contents(gather(place, wanted, place / "extracted")) == FILES


def test_a_relative_place_and_an_absolute_one_are_the_same(place, root, monkeypatch):
    (place / "clip1.mp4").write_bytes(FILES["clip1.mp4"])
    (place / "a.zip").write_bytes(zipped(FILES))
    first = contents(gather(place, wanted, root))
    monkeypatch.chdir(place.parent)
    assert contents(gather(Path("downloads"), wanted, Path("unpacked"))) == first == FILES


def test_progress_is_reported_in_bytes_and_ends_at_the_whole(place, root):
    (place / "a.zip").write_bytes(PACKED["zip in zip"])
    (place / "b.zip").write_bytes(zipped({"other.mp4": b"other"}))
    for _ in range(2):
        told: list[tuple[int, int]] = []
        gather(place, wanted, root, progress=lambda *state: told.append(state))  # noqa: B023
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[-1][0] == told[-1][1] > 0


# keys


@pytest.mark.parametrize("keys", [[], ["wrong"], ["wrong", "wrong too"]])
@pytest.mark.parametrize("lock", [locked_zipped, aes_zipped], ids=["ZipCrypto", "AES"])
def test_without_the_key_the_archive_is_named_with_the_remedy_and_the_rest_goes_on(place, root, lock, keys):
    (place / "test-1e.zip").write_bytes(lock(FILES, KEY))
    (place / "train-1.zip").write_bytes(zipped({"other.mp4": b"other"}))
    found = gather(place, wanted, root, keys=keys)
    assert contents(found) == {"other.mp4": b"other"}
    (line,) = found.unused
    assert str(place / "test-1e.zip") in line
    assert "5 of 5 members are encrypted" in line
    assert "--key" in line


def test_each_archive_is_tried_with_each_key(place, root):
    names = list(FILES)
    keys = ["key a", "key b", "key c"]
    for name, key in zip(names, keys, strict=False):
        (place / f"{name}.zip").write_bytes(locked_zipped({name: FILES[name]}, key))
    (place / "mixed.zip").write_bytes(
        written([encrypted(entry(names[3], FILES[names[3]]), "key a"), entry(names[4], FILES[names[4]])])
    )
    assert contents(gather(place, wanted, root, keys=keys)) == FILES


def test_a_wrong_key_that_passes_the_check_of_one_byte_is_found_out(place, root):
    # Of 600 keys about two pass the check byte of ZipCrypto.
    (place / "a.zip").write_bytes(locked_zipped({"clip.mp4": b"content"}, KEY))
    wrong = [f"wrong {number}" for number in range(600)]
    found = gather(place, wanted, root, keys=wrong)
    assert contents(found) == {}
    assert len(found.unused) + len(found.damaged) == 1
    assert contents(gather(place, wanted, root, keys=[*wrong, KEY])) == {"clip.mp4": b"content"}


def test_with_the_key_a_second_call_completes_the_first(place, root):
    (place / "a.zip").write_bytes(zipped({"inner.zip": locked_zipped(FILES, KEY), "other.mp4": b"other"}))
    assert contents(gather(place, wanted, root)) == {"other.mp4": b"other"}
    found = gather(place, wanted, root, keys=[KEY])
    assert contents(found) == FILES | {"other.mp4": b"other"}
    assert found.unused == []


@pytest.mark.parametrize("lock", [locked_zipped, aes_zipped], ids=["ZipCrypto", "AES"])
def test_the_key_is_written_nowhere(place, root, tmp_path, lock):
    (place / "a.zip").write_bytes(lock(FILES, KEY))
    (place / "b.zip").write_bytes(lock(FILES, "another"))
    found = gather(place, wanted, root, keys=[KEY])
    assert contents(found) == FILES
    assert KEY not in repr(found)
    assert not [path for path in everything_below(tmp_path) if path.is_file() and KEY.encode() in path.read_bytes()]


# what is not whole


def test_a_damaged_member_is_named_and_the_rest_goes_on(place, root):
    packed = bytearray(zipped(FILES, method=0))
    packed[packed.index(b"\x02" * 50)] ^= 1
    (place / "a.zip").write_bytes(packed)
    for _ in range(2):  # it is named again by a second call
        found = gather(place, wanted, root)
        assert contents(found) == {name: content for name, content in FILES.items() if name != "clip2.mp4"}
        (line,) = found.damaged
        assert str(place / "a.zip") in line
        assert "'clip2.mp4' is damaged" in line


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 and no more", zipped(FILES)[:-30], b"<html>404</html>"],
    ids=["empty", "begun", "cut off", "a web page"],
)
@pytest.mark.parametrize("inner", [False, True], ids=["outer", "inner"])
def test_what_is_no_zip_is_named_and_the_rest_goes_on(place, root, content, inner):
    (place / "a.zip").write_bytes(zipped({"b.zip": content}) if inner else content)
    (place / "c.zip").write_bytes(zipped(FILES))
    found = gather(place, wanted, root)
    assert contents(found) == FILES
    (line,) = found.unused
    assert line.startswith(f"{place / 'a.zip'}{'/b.zip' if inner else ''}: not a zip that can be read")


def test_archives_that_give_nothing_are_named(place, root):
    (place / "a.zip").write_bytes(zipped({"readme.txt": b""}))
    (place / "b.7z").touch()
    assert gather(place, wanted, root).unused == [
        f"{place / 'b.7z'}: an archive but no zip; unpack it by hand",
        f"{place / 'a.zip'}: holds no file of the corpus",
    ]


@pytest.mark.parametrize("name", ["missing", "a file.mp4"])
def test_a_place_that_is_neither_a_folder_nor_a_zip_is_named(place, root, name):
    (place / "a file.mp4").touch()
    with pytest.raises(MsmaError, match=f"{place / name}: not a folder and not a zip"):
        gather(place / name, wanted, root)


def test_a_disk_with_too_little_room_is_reported_before_anything_is_written(place, root, monkeypatch):
    (place / "a.zip").write_bytes(zipped(FILES))
    monkeypatch.setattr(unpacking, "SPARE_BYTES", 1 << 60)
    with pytest.raises(MsmaError, match=r"unpacked: the archives unpack to .* MiB are free; .* --extract"):
        gather(place, wanted, root)
    assert not root.exists()


def test_a_folder_that_cannot_be_written_is_one_line(place, root):
    (place / "a.zip").write_bytes(zipped(FILES))
    root.touch()
    with pytest.raises(MsmaError, match=r"unpacked: cannot be written"):
        gather(place, wanted, root)


# interruption

KILLED = """
    import os, signal, sys
    from pathlib import Path
    from msma.data.corpora import archives, unpacking, zips

    def unpack_member(archive, member, out, keys):
        if member.name == sys.argv[3]:
            out.write(b"the first half")
            out.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        zips.unpack_member(archive, member, out, keys)

    unpacking.unpack_member = unpack_member
    archives.gather(Path(sys.argv[1]), lambda name: name.endswith(".mp4"), Path(sys.argv[2]), keys=[sys.argv[4]])
"""


@pytest.mark.parametrize("lock", [lambda files, _: zipped(files), locked_zipped, aes_zipped], ids=["", "Crypto", "AES"])
def test_a_killed_call_resumes(place, root, unpacked, lock):
    halves = [dict(list(FILES.items())[:2]), dict(list(FILES.items())[2:])]
    (place / "a.zip").write_bytes(lock({"1.zip": lock(halves[0], KEY), "2.zip": lock(halves[1], KEY)}, KEY))
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(place), str(root), "clip4.mp4", KEY]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    left = {path for path in everything_below(root) if path.is_file() and path.name not in (".archive.json", LOCK)}
    assert {path.name for path in left if path.suffix == ".mp4"} == {"clip1.mp4", "clip2.mp4", "clip3.mp4"}
    assert [path.read_bytes() for path in left if path.suffix != ".mp4"] == [b"the first half"]
    assert contents(gather(place, wanted, root, keys=[KEY])) == FILES
    assert unpacked == ["2.zip", "clip4.mp4", "clip5.mp4"]
    assert not [path for path in everything_below(root) if path.suffix == ".part"]


def test_a_second_call_unpacks_nothing(place, root, unpacked):
    (place / "a.zip").write_bytes(zipped({"inner.zip": zipped(FILES)}))
    gather(place, wanted, root)
    unpacked.clear()
    assert contents(gather(place, wanted, root)) == FILES
    assert unpacked == []


def test_a_file_that_was_cut_off_is_unpacked_again(place, root, unpacked):
    (place / "a.zip").write_bytes(zipped(FILES))
    gather(place, wanted, root)
    unpacked.clear()
    os.truncate(root / "a.zip" / "clip3.mp4", 10)
    assert contents(gather(place, wanted, root)) == FILES
    assert unpacked == ["clip3.mp4"]


def test_a_file_that_was_changed_in_an_unfinished_archive_is_unpacked_again(place, root, unpacked):
    (place / "a.zip").write_bytes(zipped(FILES))
    gather(place, wanted, root)
    (root / "a.zip" / ".archive.json").unlink()
    unpacked.clear()
    changed = root / "a.zip" / "clip3.mp4"
    changed.write_bytes(changed.read_bytes()[::-1])
    assert contents(gather(place, wanted, root)) == FILES
    assert unpacked == ["clip3.mp4"]


def test_another_archive_of_the_same_name_is_not_mixed_with_the_first(place, root):
    (place / "a.zip").write_bytes(zipped(FILES))
    gather(place, wanted, root)
    (place / "a.zip").write_bytes(zipped({"clip1.mp4": b"another"}))
    with pytest.raises(MsmaError, match=r"a\.zip: holds what came out of another archive of that name; .* --extract"):
        gather(place, wanted, root)
    assert (root / "a.zip" / "clip1.mp4").read_bytes() == FILES["clip1.mp4"]


@pytest.mark.parametrize("mark", ["{", "[]", "{}", "[" * 100_000, "\udcff"])
def test_a_mark_that_cannot_be_read_is_recreated(place, root, mark):
    (place / "a.zip").write_bytes(zipped(FILES))
    (root / "a.zip").mkdir(parents=True)
    (root / "a.zip" / ".archive.json").write_bytes(mark.encode(errors="surrogateescape"))
    assert contents(gather(place, wanted, root)) == FILES


@pytest.mark.parametrize(
    "files", [{"../../outside.mp4": 7}, {"/etc/passwd": 1}, {"a.zip/clip1.mp4": None}, ["a.zip/clip1.mp4"], None, 3]
)
def test_a_mark_that_lists_what_it_should_not_is_recreated(place, root, tmp_path, files):
    (tmp_path / "outside.mp4").write_bytes(b"outside")
    (place / "a.zip").write_bytes(zipped(FILES))
    gather(place, wanted, root)
    path = root / "a.zip" / ".archive.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": files}))
    assert contents(gather(place, wanted, root)) == FILES


@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "upwards"])
def test_a_mark_names_nothing_outside_of_the_folder(place, root, tmp_path, absolute):
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(b"outside")
    (place / "a.zip").write_bytes(zipped(FILES))
    gather(place, wanted, root)
    path = root / "a.zip" / ".archive.json"
    named = str(outside) if absolute else "../outside.mp4"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": {named: 7}}))
    assert (root / named).stat().st_size == 7  # so that only its place speaks against it
    assert contents(gather(place, wanted, root)) == FILES


# hostile zips


def link(name: str) -> Entry:
    return entry(name, b"/etc/passwd", mode=stat.S_IFLNK | 0o777)


def overlapping() -> list[Entry]:
    """Two members that are the same bytes."""
    return [entry("clip1.mp4", zlib_noise()), entry("clip2.mp4", zlib_noise(), offset=0)]


def zlib_noise() -> bytes:
    return bytes(range(256)) * 4


def quoted() -> list[Entry]:
    """The first member's data begins with the second member whole (a quoted-overlap bomb)."""
    second = entry("clip2.mp4", zlib_noise())
    inside = written([second])
    first = entry("clip1.mp4", inside, method=0)
    return [first, Entry(second.name, b"", second.size, second.crc, offset=30 + len(first.name), claims={"packed": 9})]


GIANT = Entry(b"clip.mp4", zeros(10 << 30), 10 << 30 & 0xFFFFFFFF, 0)  # 10 GB, of which zip's 32 bits hold 2

HOSTILE = {
    "a path that leads up": ([entry("../clip.mp4")], "leads out"),
    "a path that leads up in the middle": ([entry("a/../../clip.mp4")], "leads out"),
    "an unwanted file that leads up": ([entry("../../.bashrc")], "leads out"),
    "a folder that leads up": ([entry("../", b"", method=0)], "leads out"),
    "an absolute path": ([entry("/tmp/msma hostile clip.mp4")], "absolute"),
    "backslashes": ([entry("..\\clip.mp4")], "backslash"),
    "a drive": ([entry("C:/clip.mp4")], "colon"),
    "a stream of a file": ([entry("clip.mp4:hidden")], "colon"),
    "a zero": ([entry("clip.mp4\0.txt")], "control character"),
    "a line break": ([entry("clip\n.mp4")], "control character"),
    "a link": ([link("clip.mp4")], "link or a device"),
    "an unwanted link": ([link("folder")], "link or a device"),
    "a device": ([entry("clip.mp4", mode=stat.S_IFCHR | 0o666)], "link or a device"),
    "a pipe": ([entry("clip.mp4", mode=stat.S_IFIFO | 0o666)], "link or a device"),
    "a name of 5,000 bytes": ([entry("a" * 5000 + ".mp4")], "too long"),
    "the same name twice": ([entry("a.mp4"), entry("a.mp4", b"other")], "twice"),
    "the same name in other words": ([entry("a/b.mp4"), entry("a//./b.mp4", b"other")], "twice"),
    "the same name in upper case": ([entry("a.mp4"), entry("A.MP4", b"other")], "twice"),
    "a file that is a folder": ([entry("a.mp4"), entry("a.mp4/b.mp4")], "twice"),
    "10 GB of zeros": ([GIANT], "claims to unpack"),
    "10 GB of unwanted zeros": ([Entry(b"zeros.bin", GIANT.packed, GIANT.size, 0)], "claims to unpack"),
    "10 GB of zeros, encrypted": ([Entry(b"clip.mp4", GIANT.packed, GIANT.size, 0, flags=1)], "claims to unpack"),
    "two members of the same bytes": (overlapping(), "overlaps"),
    "a member in a member": (quoted(), "overlaps"),
    "a member that reaches into the directory": ([entry("clip.mp4", claims={"packed": 400})], "overlaps"),
    "too many members": ([entry(f"{number}.txt", b"", 0) for number in range(zips.MAX_MEMBERS + 1)], "members, more"),
    "a directory without end": ([entry(f"{number:0>1000}", b"", 0) for number in range(9000)], "directory of more"),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("nested", [False, True], ids=["zip", "zip in zip"])
@pytest.mark.parametrize(("members", "why"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_zip_is_refused_before_any_of_its_members_is_written(place, root, tmp_path, members, why, nested):
    packed = written([entry("good.mp4"), *members] if why != "overlaps" else members)
    name = "hostile.zip/inner.zip" if nested else "hostile.zip"
    (place / "a good one.zip").write_bytes(zipped(FILES))
    (place / "hostile.zip").write_bytes(zipped({"inner.zip": packed}, method=0) if nested else packed)
    before = everything_below(tmp_path)
    with pytest.raises(MsmaError, match=why) as caught:
        gather(place, wanted, root, keys=["key"])
    message = str(caught.value)
    assert message.startswith(f"{place / name}: ")
    assert "\n" not in message
    assert len(message) < len(str(place)) + 400
    if nested:  # the good archive, which came first, and nothing else
        new = {path for path in everything_below(tmp_path) - before if path.suffix == ".mp4"}
        assert new == {root / "a good one.zip" / name for name in FILES}
    else:
        assert everything_below(tmp_path) == before
    assert not Path("/tmp/msma hostile clip.mp4").exists()


@pytest.mark.parametrize("lock", [lambda item: item, lambda item: encrypted(item, KEY)], ids=["", "encrypted"])
def test_a_member_that_holds_more_than_it_says_is_refused_at_that_size(place, root, lock, monkeypatch):
    liar = entry("clip.mp4", bytes(range(256)) * 8000)
    (place / "a.zip").write_bytes(written([Entry(**{**vars(lock(liar)), "size": 1000})]))
    monkeypatch.setattr(zips, "CHUNK_BYTES", 4096)
    with pytest.raises(MsmaError, match=r"a\.zip: member 'clip.mp4' holds more than it says"):
        gather(place, wanted, root, keys=[KEY])
    assert not [path for path in everything_below(root) if "clip.mp4" in path.name]


@pytest.mark.timeout(20)
def test_10_gb_of_zeros_that_say_they_are_1_mb_stop_there(place, root):
    (place / "a.zip").write_bytes(written([Entry(b"clip.mp4", GIANT.packed, 1 << 20, 0)]))
    with pytest.raises(MsmaError, match="holds more than it says"):
        gather(place, wanted, root)
    assert not list(root.rglob("*clip*"))


def test_a_member_that_holds_less_than_it_says_is_damaged(place, root):
    (place / "a.zip").write_bytes(written([Entry(**{**vars(entry("clip.mp4")), "size": 1000})]))
    found = gather(place, wanted, root)
    assert found.files == []
    assert "'clip.mp4' is damaged" in found.damaged[0]


def test_local_headers_are_not_believed(place, root):
    packed = written([entry("clip.mp4", b"content")])
    (place / "a.zip").write_bytes(packed.replace(b"clip.mp4", b"../x.mp4", 1))
    assert contents(gather(place, wanted, root)) == {"clip.mp4": b"content"}


def test_zips_nested_too_deep_are_refused(place, root):
    packed = zipped(FILES)
    for depth in range(3):
        packed = zipped({f"{depth}.zip": packed, f"{depth}.mp4": b""})
    (place / "a.zip").write_bytes(packed)
    with pytest.raises(MsmaError, match=r"a\.zip/2\.zip/1\.zip: member '0\.zip' is a zip in 3 zips"):
        gather(place, wanted, root)
    assert not list(root.rglob("0.mp4"))  # lies beside the zip that is too deep


@pytest.mark.parametrize(("limit", "value"), [("MAX_TOTAL_MEMBERS", 9), ("MAX_TOTAL_BYTES", 3000)])
def test_all_archives_together_have_limits(place, root, monkeypatch, limit, value):
    (place / "a.zip").write_bytes(zipped(FILES))
    (place / "b.zip").write_bytes(zipped({f"b{name}": content for name, content in FILES.items()}))
    monkeypatch.setattr(unpacking, limit, value)
    with pytest.raises(MsmaError, match=r"b\.zip: is one of archives"):
        gather(place, wanted, root)


def test_an_encryption_that_is_not_known_is_named(place, root):
    (place / "a.zip").write_bytes(written([entry("clip.mp4", flags=0x41)]))
    assert "encrypted in a way that is not known" in gather(place, wanted, root, keys=[KEY]).damaged[0]


@given(place_=st.integers(0, 10_000), value=st.integers(0, 255), kind=st.sampled_from(list(PACKED)))
@settings(deadline=None, max_examples=150)
def test_a_changed_byte_gives_the_content_or_one_error(place_, value, kind):
    packed = bytearray(PACKED[kind])
    packed[place_ % len(packed)] = value
    try:
        with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as out:
            file.write(packed)
            archive = zips.open_zip(file, "a.zip")
            for member in archive.members:
                zips.unpack_member(archive, member, out, [KEY.encode()])
                assert out.tell() == member.info.file_size
    except MsmaError as error:
        assert str(error).startswith("a.zip: ")  # noqa: PT017
