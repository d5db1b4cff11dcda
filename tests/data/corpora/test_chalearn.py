"""First Impressions V2 as it lies on disk, and label files that are not what they claim."""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import Files, aes_zipped, locked_zipped, zipped

from msma.data.corpora.chalearn import ANNOTATIONS, TRANSCRIPTIONS, find_chalearn, read_annotation, read_transcription
from msma.data.corpora.label_pickle import read_label_pickle
from msma.types import TRAITS, MsmaError

STORED = ("extraversion", "neuroticism", "agreeableness", "conscientiousness", "interview", "openness")
CLIPS = ("J4GQm9j0JZ0.003.mp4", "zEyRyTnIw5I.005.mp4", "-nwJ2R8.x-0.001.mp4")
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def labels(number=float, clips=CLIPS) -> dict[str, dict[str, object]]:
    """As stored: trait, clip, score; every score different."""
    return {
        trait: {clip: number((1 + 10 * place + row) / 128) for row, clip in enumerate(clips)}
        for place, trait in enumerate(STORED)
    }


def in_ocean_order(stored) -> dict[str, tuple[float, ...]]:
    return {clip: tuple(float(stored[trait][clip]) for trait in TRAITS) for clip in stored["openness"]}


def write(folder: Path, split: str, data: object, protocol: int = 2) -> Path:
    path = folder / ANNOTATIONS[split]
    path.write_bytes(data if isinstance(data, bytes) else pickle.dumps(data, protocol=protocol))
    return path


def python2_pickle(stored) -> bytes:
    """Protocol 2 as Python 2 writes it: text and raw numpy data are byte strings without an encoding."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def scalar(value: np.float64) -> bytes:
        state = b"(K\x03" + text(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
        dtype = b"cnumpy\ndtype\n" + text(b"f8") + b"K\x00K\x01\x87R" + state + b"b"
        return b"cnumpy.core.multiarray\nscalar\n" + dtype + text(value.tobytes()) + b"\x86R"

    traits = b""
    for trait, scores in stored.items():
        clips = b"".join(text(clip.encode()) + scalar(value) + b"s" for clip, value in scores.items())
        traits += text(trait.encode()) + b"}" + clips + b"s"
    return b"\x80\x02}" + traits + b"."


# label files that are what they claim


@pytest.mark.parametrize("number", [float, np.float64, np.float32, np.float16], ids=lambda n: n.__name__)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_labels_of_every_protocol_are_read_in_ocean_order_without_interview(tmp_path, protocol, number):
    stored = labels(number)
    assert read_annotation(write(tmp_path, "train", stored, protocol)) == in_ocean_order(stored)


def test_labels_written_by_python_2_are_read(tmp_path):
    stored = labels(np.float64)
    assert read_annotation(write(tmp_path, "train", python2_pickle(stored))) == in_ocean_order(stored)


def test_labels_that_name_numpy_core_as_before_numpy_2_are_read(tmp_path):
    stored = labels(np.float64)
    old = pickle.dumps(stored, protocol=2).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert b"numpy.core.multiarray" in old
    assert read_annotation(write(tmp_path, "train", old)) == in_ocean_order(stored)


def test_scalars_in_the_other_byte_order_are_read(tmp_path):
    stored = labels(np.float64)
    swapped = np.dtype(">f8")
    data = python2_pickle(stored).replace(b"U\x01<", b"U\x01>")
    for scores in stored.values():
        for value in scores.values():
            data = data.replace(value.tobytes(), np.array(value, swapped).tobytes())
    assert read_annotation(write(tmp_path, "train", data)) == in_ocean_order(stored)


@given(
    value=st.dictionaries(
        st.text(), st.one_of(st.floats(), st.integers(-(2**31), 2**31 - 1), st.none(), st.text()), max_size=5
    ),
    protocol=st.sampled_from(PROTOCOLS),
)
@settings(deadline=None, max_examples=60)
def test_what_a_pickler_writes_comes_back(value, protocol):
    assert repr(read_label_pickle(pickle.dumps(value, protocol=protocol))) == repr(value)


def test_a_dictionary_larger_than_a_batch_of_the_pickler_comes_back():
    value = {f"clip {index}": index / 3000 for index in range(3000)}
    assert read_label_pickle(pickle.dumps(value)) == value


# label files that are not


class Call:
    """Pickled as a call, which Python's own unpickler would run."""

    def __init__(self, function, *arguments) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "argument", "named"),
    [
        (os.system, "touch {}", "system"),
        (builtins.eval, "open({!r}, 'w')", "eval"),
        (builtins.exec, "open({!r}, 'w')", "exec"),
        (Path.touch, "{}", "refused"),
    ],
    ids=["os.system", "eval", "exec", "Path.touch"],
)
def test_a_pickle_that_calls_something_is_refused_and_nothing_runs(tmp_path, protocol, function, argument, named):
    marker = tmp_path / "ran"
    attack = Call(function, Path(marker) if function is Path.touch else argument.format(str(marker)))
    path = write(tmp_path, "train", labels() | {"openness": {CLIPS[0]: attack}}, protocol)
    with pytest.raises(MsmaError, match=named) as caught:
        read_annotation(path)
    assert str(path) in str(caught.value)
    assert not marker.exists()
    pickle.loads(path.read_bytes())  # noqa: S301  the attack is real:
    assert marker.exists()


def test_the_error_names_the_global_that_was_refused(tmp_path):
    path = write(tmp_path, "train", Call(builtins.eval, "1"))
    with pytest.raises(MsmaError, match=r"refused to load '(__builtin__|builtins)\.eval'"):
        read_annotation(path)


HOSTILE = {
    **{
        f"{amount} of {kind}": b"\x80\x04" + code + struct.pack("<Q", size) + b"x."
        for kind, code in (("bytes", b"\x8e"), ("text", b"\x8d"))
        for amount, size in (("1 TiB", 1 << 40), ("8 EiB", 1 << 63), ("the most bytes", (1 << 64) - 1))
    },
    "1 TiB of bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
    "a frame of 1 TiB": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"}.",
    "a memo of 2**31 places": b"\x80\x02}r\xff\xff\xff\x7f.",
    "nested lists": b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b".",
    "nested dictionaries": b"\x80\x02" + b"}U\x00" * 1_000_000 + b"}" + b"s" * 1_000_000 + b".",
    "nested tuples as a key": b"\x80\x02}N" + b"\x85" * 150_000 + b"K\x01s.",
    "nested tuples as a dtype": b"\x80\x02cnumpy\ndtype\nN" + b"\x85" * 20_000 + b"R.",
    "nested tuples as a global": b"\x80\x04N" + b"\x85" * 20_000 + b"N\x93.",
    "an object dtype": b"\x80\x02cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R.",
    "a change of a known function": b"\x80\x02c_codecs\nencode\n}U\x08__name__U\x01xsb.",
    "no memo place": b"\x80\x02h\x05.",
    "an empty stack": b"\x80\x02s.",
    "no mark": b"\x80\x02Nu.",
    "an unknown instruction": b"\x80\x02\xff.",
    "not a pickle": b"RIFF....",
    "nothing": b"",
    "only a stop": b".",
    "a list": pickle.dumps([1, 2]),
    "a number": pickle.dumps(1),
    "text": pickle.dumps("openness"),
    "a trait missing": pickle.dumps({trait: s for trait, s in labels().items() if trait != "openness"}),
    "a trait that is a list": pickle.dumps(labels() | {"openness": None}),
    "traits of different clips": pickle.dumps(labels() | {"openness": {CLIPS[0]: 0.5}}),
    "a score that is text": pickle.dumps(labels() | {"openness": dict.fromkeys(CLIPS, "0.5")}),
    "a score that is not a number": pickle.dumps(labels(lambda _: float("nan"))),
    "a score over 1": pickle.dumps(labels(lambda _: 1.01)),
    "a score under 0": pickle.dumps(labels(lambda _: -0.01)),
    "larger than any label file": b"\x80\x02" + b"N0" * (9 * 1024**2) + b".",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_label_file_is_refused_in_one_line(tmp_path, content):
    path = write(tmp_path, "train", content)
    with pytest.raises(MsmaError) as caught:
        read_annotation(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < len(str(path)) + 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_truncated_pickle_is_refused_wherever_it_ends(protocol):
    whole = pickle.dumps({"openness": {CLIPS[0]: np.float64(0.3), CLIPS[1]: 0.4}}, protocol=protocol)
    for size in range(len(whole)):
        with pytest.raises(ValueError, match=r"\w"):
            read_label_pickle(whole[:size])


@given(place=st.integers(0, 10_000), value=st.integers(0, 255), protocol=st.sampled_from(PROTOCOLS))
@settings(deadline=None, max_examples=100)
def test_a_flipped_byte_gives_labels_or_a_value_error(place, value, protocol):
    data = bytearray(pickle.dumps(labels(np.float64, CLIPS[:1]), protocol=protocol))
    data[place % len(data)] = value
    with contextlib.suppress(ValueError):
        read_label_pickle(bytes(data))


# transcripts


def python2_texts(texts: dict[str, str]) -> bytes:
    """Protocol 2 as Python 2 writes it: text is a byte string without an encoding."""
    pairs = [(key.encode("latin1"), value.encode("latin1")) for key, value in texts.items()]
    items = b"".join(
        b"U" + bytes([len(key)]) + key + b"T" + struct.pack("<I", len(value)) + value for key, value in pairs
    )
    return b"\x80\x02}(" + items + b"u."


TEXTS = {CLIPS[0]: 'caf\xe9, "so they say"\nand more', CLIPS[1]: "", CLIPS[2]: "hello"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_transcripts_of_every_protocol_are_read(tmp_path, protocol):
    path = tmp_path / "transcription_training.pkl"
    path.write_bytes(pickle.dumps(TEXTS, protocol=protocol))
    assert read_transcription(path) == TEXTS


def test_transcripts_written_by_python_2_are_read_as_latin1(tmp_path):
    path = tmp_path / "transcription_training.pkl"
    path.write_bytes(python2_texts(TEXTS))
    assert read_transcription(path) == TEXTS


NO_TEXTS = HOSTILE | {
    "a number for a text": pickle.dumps({CLIPS[0]: 1.0}),
    "an endless text": pickle.dumps({CLIPS[0]: "x" * 100_000}),
    "a path for a clip": pickle.dumps({"../" + CLIPS[0]: "text"}),
    "a line break": pickle.dumps({CLIPS[0] + "\n": "text"}),
    "half a character": b"\x80\x02}(X\x01\x00\x00\x00aV\\ud800\nu.",
}
del NO_TEXTS["nested tuples as a key"]  # takes seconds, and labels have it


@pytest.mark.timeout(20)
@pytest.mark.parametrize("content", NO_TEXTS.values(), ids=NO_TEXTS)
def test_what_is_no_transcription_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "transcription_training.pkl"
    path.write_bytes(content)
    with pytest.raises(MsmaError) as caught:
        read_transcription(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("clip", ["../../x.mp4", "/x.mp4", "..\\x.mp4", "\\x.mp4", "..", "", "a\x1b[2J.mp4", "x" * 300])
def test_labels_of_what_is_no_file_name_are_refused(tmp_path, clip):
    with pytest.raises(MsmaError, match="is not the name of a file"):
        read_annotation(write(tmp_path, "train", labels(clips=[clip])))


@pytest.mark.parametrize("folder", ["train\\", "train/80_00/", "C:\\data\\train\\"])
def test_folders_before_the_names_of_labels_are_left_out(tmp_path, folder):
    path = write(tmp_path, "train", labels(clips=[f"{folder}{clip}" for clip in CLIPS]))
    assert read_annotation(path) == in_ocean_order(labels())


def test_two_labels_of_one_file_name_are_refused_with_both(tmp_path):
    path = write(tmp_path, "train", labels(clips=["P1\\intro.mp4", "P2/intro.mp4"]))
    with pytest.raises(MsmaError, match=r"P1\\intro.mp4 and P2/intro.mp4 are of one name"):
        read_annotation(path)


@pytest.mark.parametrize("pack", ["folder", "zip", "zip in zip"])
@pytest.mark.parametrize("name", ["annotation_validation.pkl", "transcription_validation.pkl"])
@pytest.mark.parametrize(
    "attack",
    [
        lambda marker: pickle.dumps({CLIPS[0]: Call(os.system, f"touch {marker}")}),
        lambda marker: pickle.dumps({CLIPS[0]: Call(builtins.eval, f"open({str(marker)!r}, 'w')")}),
        lambda marker: pickle.dumps(Call(os.system, f"touch {marker}")),
        lambda _: HOSTILE["1 TiB of bytes"],
        lambda _: HOSTILE["1 TiB of text"],
        lambda _: HOSTILE["nested dictionaries"],
    ],
    ids=["os.system", "eval", "os.system at the top", "1 TiB of bytes", "1 TiB of text", "dictionaries"],
)
def test_a_hostile_pickle_is_refused_wherever_it_lies_and_nothing_runs(tmp_path, pack, name, attack):
    marker = tmp_path / "ran"
    files = {ANNOTATIONS["train"]: pickle.dumps(labels()), name: attack(marker)}
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    if pack == "folder":
        for file, content in files.items():
            (corpus / file).write_bytes(content)
    else:
        (corpus / "a.zip").write_bytes(zipped(files, 0) if pack == "zip" else zipped({"b.zip": zipped(files, 0)}, 0))
    with pytest.raises(MsmaError, match=rf"{name}: not a label pickle"):
        find_chalearn(corpus, None)
    assert not marker.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"corpus"}


# folders


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """One clip in each split, in folders as users have them."""
    for split, clip in zip(ANNOTATIONS, CLIPS, strict=True):
        media = tmp_path / f"{split}-1" / "80_00"
        media.mkdir(parents=True)
        (media / clip).write_bytes(b"not looked into")
        write(tmp_path, split, labels(clips=[clip]))
    return tmp_path


def readable(_: Sequence[Path]) -> dict[Path, str]:
    """A check that every file passes."""
    return {}


def test_clips_are_matched_with_their_labels_wherever_they_lie(corpus):
    found = find_chalearn(corpus, check=None)
    assert {(row.clip, row.split, row.path.relative_to(corpus).parts[0]) for row in found.rows} == {
        (clip, split, f"{split}-1") for split, clip in zip(ANNOTATIONS, CLIPS, strict=True)
    }
    assert not any(found.problems.values())


def test_targets_are_in_ocean_order(corpus):
    targets = {row.clip: row.target for row in find_chalearn(corpus, check=None).rows}
    assert targets == {clip: in_ocean_order(labels(clips=[clip]))[clip] for clip in CLIPS}


def test_the_source_is_the_youtube_id(corpus):
    sources = {row.clip: row.source for row in find_chalearn(corpus, check=None).rows}
    assert sources == dict(zip(CLIPS, ("J4GQm9j0JZ0", "zEyRyTnIw5I", "-nwJ2R8.x-0"), strict=True))


def test_the_folder_says_what_its_neuroticism_is(corpus):
    found = find_chalearn(corpus, check=None)
    assert found.corpus == "first-impressions-v2"
    assert any("emotional stability" in note for note in found.facts["notes"])


def test_a_clip_without_a_label_is_reported(corpus):
    (corpus / "extra.001.mp4").touch()
    found = find_chalearn(corpus, readable)
    assert found.problems["clips without labels"] == ["extra.001.mp4"]
    assert len(found.rows) == 3


@pytest.mark.parametrize(
    ("clip", "file"),
    [
        ("caf\u00e9.001.mp4", "cafe\u0301.001.mp4"),
        ("cafe\u0301.001.mp4", "caf\u00e9.001.mp4"),
        ("clip.001.mp4", "clip.001.MP4"),
        ("CLIP.001.mp4", "clip.001.mp4"),
    ],
)
def test_a_clip_is_matched_as_its_name_is_read(tmp_path, clip, file):
    (tmp_path / file).touch()
    write(tmp_path, "train", labels(clips=[clip]))
    found = find_chalearn(tmp_path, readable)
    assert [row.path for row in found.rows] == [tmp_path / file]
    assert not any(found.problems.values())


def test_case_that_tells_clips_apart_counts(tmp_path):
    for file in ("abc.001.mp4", "ABC.001.mp4"):
        (tmp_path / file).touch()
    write(tmp_path, "train", labels(clips=["ABC.001.mp4", "Abc.001.mp4"]))
    found = find_chalearn(tmp_path, readable)
    assert [(row.clip, row.path.name) for row in found.rows] == [("ABC.001.mp4", "ABC.001.mp4")]
    assert found.problems["labels without clips"] == ["Abc.001.mp4"]


def test_label_files_may_be_written_in_any_case(tmp_path):
    write(tmp_path, "train", labels()).rename(tmp_path / "Annotation_Training.PKL")
    assert len(find_chalearn(tmp_path, None).rows) == len(CLIPS)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda at: (at / f"._{CLIPS[0]}").touch(), "1 that are notes of macOS"),
        (lambda at: (at / "clip.avi").touch(), "1 that are no clips"),
        (lambda at: os.mkfifo(at / "pipe.mp4"), "1 that are pipes"),
        (lambda at: (at / "gone.mp4").symlink_to(at / "nowhere"), "1 that are pipes, devices or links to nothing"),
        (lambda at: (at / "more").symlink_to(at.parent), "1 that are linked folders; --follow-links"),
    ],
    ids=["note", "other", "pipe", "link to nothing", "linked folder"],
)
def test_what_is_passed_over_in_a_folder_is_counted(corpus, make, told):
    make(corpus)
    found = find_chalearn(corpus, readable)
    assert any(f"passed over: {told}" in note for note in found.facts["notes"])
    assert len(found.rows) == 3


def test_a_linked_folder_can_be_followed(corpus, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    clip = next(corpus.rglob(CLIPS[1]))
    clip.rename(outside / clip.name)
    (corpus / "linked").symlink_to(outside)
    assert find_chalearn(corpus, readable).problems["labels without clips"] == [CLIPS[1]]
    found = find_chalearn(corpus, readable, follow_links=True)
    assert found.problems["labels without clips"] == []


def test_a_folder_that_may_not_be_read_is_counted(corpus, monkeypatch):
    scandir = os.scandir

    def forbidding(path):
        if Path(path).name == "val-1":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    found = find_chalearn(corpus, readable)
    assert found.problems["labels without clips"] == [CLIPS[1]]
    assert any("1 that may not be read; check their permissions" in note for note in found.facts["notes"])


def test_a_label_without_a_clip_is_reported_and_left_out(corpus):
    next(corpus.rglob(CLIPS[1])).unlink()
    found = find_chalearn(corpus, readable)
    assert found.problems["labels without clips"] == [CLIPS[1]]
    assert len(found.rows) == 2


def test_without_a_check_labels_alone_are_enough(corpus):
    for clip in CLIPS[1:]:
        next(corpus.rglob(clip)).unlink()
    found = find_chalearn(corpus, check=None)
    assert found.problems["labels without clips"] == sorted(CLIPS[1:])
    assert {row.clip: row.path for row in found.rows} == {
        CLIPS[0]: corpus / "train-1" / "80_00" / CLIPS[0],
        CLIPS[1]: corpus / "val" / CLIPS[1],
        CLIPS[2]: corpus / "test" / CLIPS[2],
    }
    assert "2 of 3 clips have no file; their path is where it is expected" in found.facts["notes"]


def test_a_clip_that_cannot_be_read_is_reported_and_left_out(corpus):
    def check(paths: Sequence[Path]) -> dict[Path, str]:
        return {path: f"{path}: broken" for path in paths if path.name == CLIPS[2]}

    found = find_chalearn(corpus, check)
    assert found.problems["unreadable"] == [f"{next(corpus.rglob(CLIPS[2]))}: broken"]
    assert sorted(row.clip for row in found.rows) == sorted(CLIPS[:2])


def test_transcripts_become_a_column(corpus):
    (corpus / TRANSCRIPTIONS[0]).write_bytes(pickle.dumps(TEXTS))
    found = find_chalearn(corpus, check=None)
    assert {row.clip: row.columns for row in found.rows} == {clip: {"transcript": text} for clip, text in TEXTS.items()}


def test_empty_missing_and_superfluous_transcripts_are_reported(corpus):
    (corpus / TRANSCRIPTIONS[1]).write_bytes(pickle.dumps({CLIPS[0]: " \n", CLIPS[1]: "text", "extra.mp4": "text"}))
    found = find_chalearn(corpus, check=None)
    assert found.problems["empty transcripts"] == [CLIPS[0]]
    assert found.problems["clips without a transcript"] == [CLIPS[2]]
    assert found.problems["transcripts without labels"] == ["extra.mp4"]
    assert {row.clip: row.columns["transcript"] for row in found.rows}[CLIPS[2]] == ""


def test_without_transcription_files_there_is_no_column(corpus):
    found = find_chalearn(corpus, check=None)
    assert all(row.columns == {} for row in found.rows)
    assert "empty transcripts" not in found.problems


def test_two_transcripts_of_one_clip_are_refused(corpus):
    for name, text in zip(TRANSCRIPTIONS, ("one", "two"), strict=False):
        (corpus / name).write_bytes(pickle.dumps({CLIPS[0]: text}))
    with pytest.raises(MsmaError, match=f"{CLIPS[0]} has another transcript in another file"):
        find_chalearn(corpus, check=None)


def test_media_without_labels_is_not_opened(corpus):
    (corpus / "extra.001.mp4").touch()
    checked: list[str] = []

    def check(paths: Sequence[Path]) -> dict[Path, str]:
        checked.extend(path.name for path in paths)
        return {}

    find_chalearn(corpus, check)
    assert sorted(checked) == sorted(CLIPS)


def test_one_split_alone_is_enough(corpus):
    for split in ("val", "test"):
        (corpus / ANNOTATIONS[split]).unlink()
    assert [row.split for row in find_chalearn(corpus, readable).rows] == ["train"]


def test_a_clip_that_is_there_twice_is_refused(corpus):
    copy = corpus / "copy" / CLIPS[0]
    copy.parent.mkdir()
    copy.touch()
    with pytest.raises(MsmaError, match=f"{CLIPS[0]}: the clip is also at"):
        find_chalearn(corpus, check=None)


def test_a_clip_that_is_labelled_in_two_splits_is_refused(corpus):
    write(corpus, "test", labels(clips=[CLIPS[0]]))
    with pytest.raises(MsmaError, match=f"{CLIPS[0]} is labelled in two splits"):
        find_chalearn(corpus, check=None)


def test_a_label_file_that_is_there_twice_is_refused(corpus):
    (corpus / "old").mkdir()
    write(corpus / "old", "val", labels(clips=[CLIPS[1]]))
    with pytest.raises(MsmaError, match=r"annotation_validation\.pkl: also at"):
        find_chalearn(corpus, check=None)


def test_a_folder_without_label_files_says_which_are_expected(tmp_path):
    with pytest.raises(MsmaError, match=r"annotation_training\.pkl, annotation_validation\.pkl, annotation_test\.pkl"):
        find_chalearn(tmp_path, check=None)


@pytest.mark.parametrize("name", ["missing", "a file"])
def test_what_is_no_folder_is_named(tmp_path, name):
    (tmp_path / "a file").touch()
    with pytest.raises(MsmaError, match=f"{tmp_path / name}: not a folder"):
        find_chalearn(tmp_path / name, check=None)


# layouts

KEY = "the key"
ORACLE = {"ceilings": {"both": {"ccc": {"mean": 0.9}, "mean_accuracy": {"mean": 0.95}}}}


def files_of(split: str) -> Files:
    """What the archives of one split hold: clips, labels, transcripts."""
    names = [f"{split}Clip_{source}-x.00{number}.mp4" for source in "ab" for number in (1, 2)]
    place = list(ANNOTATIONS).index(split)
    return {name: f"media of {name}".encode() for name in names} | {
        ANNOTATIONS[split]: pickle.dumps(labels(np.float64 if split == "train" else float, names), protocol=2),
        TRANSCRIPTIONS[place]: pickle.dumps({name: f"what {name} says" for name in names}, protocol=2),
    }


CORPUS = {split: files_of(split) for split in ANNOTATIONS}


def clips_of(split: str) -> Files:
    return {name: content for name, content in CORPUS[split].items() if name.endswith(".mp4")}


def pickle_of(kind: str, split: str) -> Files:
    return {name: content for name, content in CORPUS[split].items() if name.startswith(kind)}


def in_80s(files: Files, name: str, pack=zipped) -> Files:
    """Inner zips of two clips each, as the older archives have them."""
    pairs = list(files.items())
    return {f"{name}80_0{n}.zip": pack(dict(pairs[2 * n : 2 * n + 2])) for n in range(2)}


def locked(files: Files) -> bytes:
    return locked_zipped(files, KEY)


def aes(files: Files) -> bytes:
    return aes_zipped(files, KEY)


def official(lock, nested: bool) -> Files:
    """The names under which the corpus is given out; `lock` packs those with an e."""
    archives: Files = {}
    for split, long, test in (("train", "training", ""), ("val", "validation", "-e"), ("test", "test", "-e")):
        last = lock if split == "test" else zipped
        clips = in_80s(clips_of(split), long, last) if nested else clips_of(split)
        archives[f"{split}-1{'e' if split == 'test' else ''}.zip"] = last(clips)
        archives[f"{split}-annotation{test}.zip"] = (lock if test else zipped)(pickle_of("annotation", split))
        archives[f"{split}-transcription{'-e' if split == 'test' else ''}.zip"] = last(
            pickle_of("transcription", split)
        )
    return archives


FOLDERS: Files = {f"{split}-1/80_00/{name}": content for split in CORPUS for name, content in CORPUS[split].items()}
TRAIN_UNPACKED: Files = {f"train-1/{name}": content for name, content in CORPUS["train"].items()}
LAYOUTS: dict[str, Files] = {
    "folders": FOLDERS,
    "zips": official(zipped, nested=False),
    "zips of zips": official(zipped, nested=True),
    "zips with ZipCrypto": official(locked, nested=False),
    "zips of zips with ZipCrypto": official(locked, nested=True),
    "zips with AES": official(aes, nested=False),
    "zips of zips with AES": official(aes, nested=True),
    "train unpacked and its zips kept": official(locked, nested=True) | TRAIN_UNPACKED,
    "train unpacked and its zips removed": TRAIN_UNPACKED
    | {name: content for name, content in official(aes, nested=False).items() if not name.startswith("train")},
    "one zip of folders": {"corpus.zip": zipped(FOLDERS)},
    "one zip of all zips": {"corpus.zip": zipped({f"FI V2/{n}": c for n, c in official(locked, True).items()})},
}


def lay_out(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def essence(found) -> dict[str, tuple]:
    """The rows, with the content of the files for their paths."""
    return {
        row.clip: (row.path.read_bytes(), row.source, row.split, row.target, row.columns, row.path.name)
        for row in found.rows
    }


@pytest.mark.filterwarnings("ignore:PBKDF2:DeprecationWarning")
@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_rows(tmp_path, files):
    found = find_chalearn(
        lay_out(tmp_path / "corpus", files), readable, extract=tmp_path / "unpacked", keys=["no", KEY]
    )
    plain = find_chalearn(lay_out(tmp_path / "plain", FOLDERS), readable)
    assert len(found.rows) == 12
    assert essence(found) == essence(plain)
    assert found.facts == plain.facts
    assert not any(found.problems.values())


def test_one_zip_alone_can_be_the_corpus(tmp_path):
    lay_out(tmp_path, LAYOUTS["one zip of all zips"])
    found = find_chalearn(tmp_path / "corpus.zip", readable, keys=[KEY])
    assert len(found.rows) == 12
    assert all(row.path.is_relative_to(tmp_path / "extracted") for row in found.rows)


def test_a_rendered_corpus_in_a_zip_keeps_its_ceiling_and_notice(tmp_path):
    files = FOLDERS | {"corpus/oracle.json": json.dumps(ORACLE).encode()}
    lay_out(tmp_path, {"corpus.zip": zipped(files)})
    found = find_chalearn(tmp_path, readable)
    assert found.corpus == "synthetic"
    assert found.facts["ceiling"] == ORACLE["ceilings"]
    assert "no validity" in found.facts["notice"]


def test_without_the_key_the_rest_is_there_and_the_archives_are_named(tmp_path):
    found = find_chalearn(lay_out(tmp_path, LAYOUTS["zips with ZipCrypto"]), readable, keys=["wrong"])
    assert {row.split for row in found.rows} == {"train"}
    named = {line.split(":")[0] for line in found.problems["archives not used"]}
    locked_ones = ("test-1e", "test-annotation-e", "test-transcription-e", "val-annotation-e")
    assert named == {str(tmp_path / f"{name}.zip") for name in locked_ones}
    assert all("--key" in line for line in found.problems["archives not used"])
    assert found.problems["clips without labels"] == sorted(clips_of("val"))


def test_locked_labels_alone_are_an_error_that_asks_for_the_key(tmp_path):
    lay_out(tmp_path, {"val-annotation-e.zip": locked(pickle_of("annotation", "val"))})
    with pytest.raises(MsmaError, match=r"no annotation pickle there.*val-annotation-e\.zip.*--key"):
        find_chalearn(tmp_path, None)


def test_a_clip_that_is_damaged_in_its_archive_is_reported(tmp_path):
    packed = zipped(CORPUS["train"], method=0).replace(b"media of trainClip_a-x.001", b"MEDIA of trainClip_a-x.001", 1)
    lay_out(tmp_path, {"train.zip": packed})
    found = find_chalearn(tmp_path, readable)
    assert len(found.rows) == 3
    assert "'trainClip_a-x.001.mp4' is damaged" in found.problems["damaged in an archive"][0]
    assert found.problems["labels without clips"] == ["trainClip_a-x.001.mp4"]
