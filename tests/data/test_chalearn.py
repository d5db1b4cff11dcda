"""First Impressions V2 as it lies on disk, and label files that are not what they claim."""

from __future__ import annotations

import builtins
import contextlib
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.data.chalearn import ANNOTATIONS, find_chalearn, read_annotation
from msma.data.label_pickle import read_label_pickle
from msma.traits import TRAITS
from msma.types import MsmaError

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
    "1 TiB of bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
    "1 TiB of text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"x.",
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


def test_clips_are_matched_with_their_labels_wherever_they_lie(corpus):
    found = find_chalearn(corpus, check=None)
    assert {(row.clip, row.split, row.path.relative_to(corpus).parts[0]) for row in found.rows} == {
        (clip, split, f"{split}-1") for split, clip in zip(ANNOTATIONS, CLIPS, strict=True)
    }
    assert found.clips_without_labels == found.labels_without_clips == found.unreadable == []


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


def test_a_clip_without_a_label_is_told(corpus):
    (corpus / "extra.001.mp4").touch()
    found = find_chalearn(corpus, check=None)
    assert found.clips_without_labels == ["extra.001.mp4"]
    assert len(found.rows) == 3


def test_a_label_without_a_clip_is_told(corpus):
    next(corpus.rglob(CLIPS[1])).unlink()
    found = find_chalearn(corpus, check=None)
    assert found.labels_without_clips == [CLIPS[1]]
    assert len(found.rows) == 2


def test_a_clip_that_cannot_be_read_is_told_and_left_out(corpus):
    def check(path: Path) -> None:
        if path.name == CLIPS[2]:
            raise MsmaError(f"{path}: broken")

    found = find_chalearn(corpus, check)
    assert found.unreadable == [f"{next(corpus.rglob(CLIPS[2]))}: broken"]
    assert sorted(row.clip for row in found.rows) == sorted(CLIPS[:2])


def test_media_without_labels_is_not_opened(corpus):
    (corpus / "extra.001.mp4").touch()
    opened: list[str] = []
    find_chalearn(corpus, lambda path: opened.append(path.name))
    assert sorted(opened) == sorted(CLIPS)


def test_one_split_alone_is_enough(corpus):
    for split in ("val", "test"):
        (corpus / ANNOTATIONS[split]).unlink()
    assert [row.split for row in find_chalearn(corpus, check=None).rows] == ["train"]


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
