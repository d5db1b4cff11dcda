"""One file of the clip cache: all of a clip, window by window.

A safetensors file whose metadata has the SHA-256 of everything else. Frames are stored as JPEG, waveforms as 16-bit
integers with a step of its own for each window. Both are what corruptions and augmentation act on: nothing is cropped,
filtered or normalised yet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int, Int16, Int64, UInt8
from pydantic import Field, TypeAdapter
from safetensors import safe_open
from safetensors.numpy import save

from msma.config import Frozen
from msma.files.names import shown
from msma.files.reading import path_in_text, reading
from msma.files.writing import write_whole
from msma.media.encode import to_jpeg
from msma.media.phases import middles
from msma.media.prepare import degradations
from msma.types import MODALITIES, Clip, FaceTrack, MediaInfo, MsmaError, RawWindow

FORMAT = "msma clip 5"
JPEG = (*(cv2.IMWRITE_JPEG_QUALITY, 95), *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444))
DECODED_STEP = 1 / 32768
"""Step of the samples that decoding gives (16 bits), which are stored exactly."""
TENSORS_OF = {"audio": ("waveform",), "visual": ("jpeg", "jpeg_bytes", "frame_times_s", "middle", "boxes", "valid")}
MAX_BYTES = 64 * 1024**3

Choice = Callable[[Float64[np.ndarray, " t"]], Int[np.ndarray, " t2"]]
"""Times from the start of a window → places of the frames that are wanted."""


class WindowNotes(Frozen):
    """The description of a window in an entry."""

    name: str
    start_s: float
    end_s: float
    frame_shape: tuple[int, int, int]
    step: float
    media: dict[str, Any]
    reasons: list[str]
    detector: str
    face_reasons: list[str]
    degradations: list[str]


NOTES = TypeAdapter(Annotated[list[WindowNotes], Field(min_length=1)])


def write_entry(path: Path, windows: Iterable[RawWindow]) -> None:
    """Write the windows of one clip; the file appears whole or not at all. The same windows give the same bytes.

    MsmaError for a waveform that is not finite.
    """
    tensors: dict[str, np.ndarray] = {}
    notes: list[dict[str, Any]] = []
    for index, window in enumerate(windows):
        clip, face, read = window.clip, window.face, middles(window)
        if not np.isfinite(clip.waveform).all():
            raise MsmaError(f"{clip.name}: its waveform is not finite; replace NaN and infinite samples")
        jpegs = [to_jpeg(frame, JPEG) for frame in clip.frames]
        samples, step = to_int16(clip.waveform)
        stored = {
            "jpeg": np.concatenate(jpegs) if jpegs else np.zeros(0, np.uint8),
            "jpeg_bytes": np.array([len(jpeg) for jpeg in jpegs], np.int64),
            "frame_times_s": clip.frame_times_s,
            "middle": np.ones(len(jpegs), bool) if window.middle is None else window.middle,
            "waveform": samples,
            "boxes": face.boxes,
            "valid": face.valid,
        }
        tensors |= {f"{index}.{name}": np.ascontiguousarray(tensor) for name, tensor in stored.items()}
        notes.append(
            {
                "name": shown(clip.name),
                "start_s": clip.start_s,
                "end_s": clip.end_s,
                "frame_shape": clip.frames.shape[1:],
                "step": step,
                "media": asdict(clip.media),
                "reasons": clip.reasons,
                "detector": face.detector,
                "face_reasons": face.reasons,
                "degradations": degradations(read.clip, read.face),
            }
        )
    # In one value: the order of several is not fixed.
    entry = json.dumps({"format": FORMAT, "sha256": digest(notes, tensors), "windows": notes})
    write_whole(path, save(tensors, metadata={"entry": entry}))


def cached_windows(
    path: Path,
    indices: Iterable[int] | None = None,
    modalities: tuple[str, ...] = MODALITIES,
    *,
    name: str | None = None,
    choose: Choice | None = None,
) -> Iterator[RawWindow]:
    """The windows of one clip, or some of them, one after another: frames are decoded as they are asked for.

    Args:
        modalities: of others nothing is read, and they are missing from the windows.
        choose: the places of the frames to decode, of their times from the start of the window; None: the middles.
        name: the clip's name in a manifest, which seeds its corruptions; the entry only knows how the file was called
            when it was decoded.

    MsmaError where the entry is missing or damaged.
    """
    with opened(path, "numpy") as file:
        entry = entry_in(file)
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        notes = entry["windows"]
        if entry["sha256"] != digest(notes, tensors):
            raise ValueError("its digest does not fit its content")
        for index in range(len(notes)) if indices is None else indices:
            window = {
                key: tensors[f"{index}.{key}"][: None if modality in modalities else 0]
                for modality, keys in TENSORS_OF.items()
                for key in keys
            }
            yield window_from(notes[index], window, name, choose)


def read_notes(path: Path) -> list[dict[str, Any]]:
    """The description of each window, with a look at the header and the size of the file only.

    MsmaError where the entry is missing, foreign or cut off.
    """
    with opened(path, "numpy") as file:
        return entry_in(file)["windows"]


@contextmanager
def opened(path: Path, framework: Literal["numpy", "pt"]) -> Iterator[Any]:
    """A safetensors file of the cache; MsmaError where it, or what the block reads of it, is missing or damaged."""
    with (
        reading(path, "delete it, it will be recreated", MAX_BYTES, "damaged cache entry"),
        path_in_text(path) as readable,
        safe_open(readable, framework=framework) as file,
    ):
        yield file


def entry_in(file: Any) -> dict[str, Any]:
    """Format, digest and notes in an open file."""
    written = file.metadata()["entry"]
    entry = json.loads(written)
    if json.dumps(entry) != written:  # a damaged byte may leave its meaning: 1E-05 for 1e-05
        raise ValueError("it is not as it was written")
    if entry["format"] != FORMAT:
        raise ValueError("it is of another format")
    NOTES.validate_python(entry["windows"])
    return entry


def digest(notes: list[dict[str, Any]], tensors: Mapping[str, np.ndarray]) -> str:
    sha256 = hashlib.sha256(json.dumps(notes).encode())
    for name in sorted(tensors):
        sha256.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        sha256.update(tensors[name].tobytes())
    return sha256.hexdigest()


def window_from(
    notes: dict[str, Any], tensors: dict[str, np.ndarray], name: str | None, choose: Choice | None
) -> RawWindow:
    """Decode one window."""
    times_s, middle = tensors["frame_times_s"], tensors["middle"]
    places = np.flatnonzero(middle) if choose is None else choose(times_s - notes["start_s"])
    clip = Clip(
        name=notes["name"] if name is None else name,
        frames=from_jpeg(tensors["jpeg"], tensors["jpeg_bytes"], places, tuple(notes["frame_shape"])),
        frame_times_s=times_s[places],
        waveform=(tensors["waveform"] * notes["step"]).astype(np.float32),
        start_s=notes["start_s"],
        end_s=notes["end_s"],
        media=MediaInfo(**notes["media"]),
        reasons=tuple(notes["reasons"]),
    )
    boxes, valid = tensors["boxes"][places], tensors["valid"][places]
    face = FaceTrack(boxes, valid, notes["detector"], tuple(notes["face_reasons"]))
    return RawWindow(clip, face, None if middle[places].all() else middle[places])


def from_jpeg(
    jpeg: UInt8[np.ndarray, " _"], lengths: Int64[np.ndarray, " t"], places: Int[np.ndarray, " t2"], shape: tuple
) -> UInt8[np.ndarray, "t2 h w 3"]:
    """Those at some places of the frames that lie one behind the other in `jpeg`."""
    frames: Any = np.zeros((len(places), *shape), np.uint8)
    ends = np.cumsum(lengths)
    for frame, place in zip(frames, places, strict=True):
        frame[:] = cv2.imdecode(jpeg[ends[place] - lengths[place] : ends[place]], cv2.IMREAD_COLOR_RGB)
    return frames


def to_int16(waveform: Float32[np.ndarray, " n"]) -> tuple[Int16[np.ndarray, " n"], float]:
    """Integers and the step that each counts for: exact for decoded audio, else as fine as the loudest one allows."""
    samples = waveform.astype(np.float64)
    steps = samples / DECODED_STEP
    if (steps == np.rint(steps)).all() and (steps >= -32768).all() and (steps <= 32767).all():
        return steps.astype(np.int16), DECODED_STEP
    step = float(np.abs(samples).max()) / 32767
    return np.rint(samples / step).astype(np.int16), step
