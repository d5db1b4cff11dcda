"""One file of the clip cache: all that is kept of a clip, window by window.

    a magic line, the SHA-256 of all that follows, a safetensors payload

Pictures are kept as JPEG, sound as 16-bit integers with a step of its own for each window. Both are what corruptions
and augmentation act on: nothing is cropped, filtered or normalised yet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, Int16, Int64, UInt8
from safetensors import SafetensorError
from safetensors.numpy import load, save

from msma.config import first_line
from msma.files import written_whole
from msma.media.encode import to_jpeg
from msma.media.prepare import degradations
from msma.types import MODALITIES, Clip, FaceTrack, MediaInfo, MsmaError, RawWindow

MAGIC = b"msma clip 2\n"
DIGEST_BYTES = 32
JPEG = (
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)
DECODED_STEP = 1 / 32768
"""Step of the samples that decoding gives (16 bits): these are kept exactly."""
TENSORS_OF = {"audio": ("waveform",), "visual": ("jpeg", "jpeg_bytes", "frame_times_s", "boxes", "valid")}
TENSORS = tuple(name for names in TENSORS_OF.values() for name in names)
READ_ERRORS = (OSError, SafetensorError, KeyError, IndexError, TypeError, ValueError, cv2.error)


def write_entry(path: Path, windows: Iterable[RawWindow]) -> None:
    """Write the windows of one clip; the file appears whole or not at all. The same windows give the same bytes.

    Raises:
        MsmaError: sound that is not finite.
    """
    tensors: dict[str, np.ndarray] = {}
    notes: list[dict[str, Any]] = []
    for index, window in enumerate(windows):
        clip, face = window.clip, window.face
        if not np.isfinite(clip.waveform).all():
            raise MsmaError(f"{clip.name}: its sound is not finite; replace NaN and infinite samples")
        pictures = [to_jpeg(picture, JPEG) for picture in clip.frames]
        sound, step = to_int16(clip.waveform)
        stored = {
            "jpeg": np.concatenate(pictures) if pictures else np.zeros(0, np.uint8),
            "jpeg_bytes": np.array([len(picture) for picture in pictures], np.int64),
            "frame_times_s": clip.frame_times_s,
            "waveform": sound,
            "boxes": face.boxes,
            "valid": face.valid,
        }
        tensors |= {f"{index}.{name}": np.ascontiguousarray(tensor) for name, tensor in stored.items()}
        notes.append(
            {
                "name": clip.name,
                "start_s": clip.start_s,
                "end_s": clip.end_s,
                "picture": clip.frames.shape[1:],
                "step": step,
                "media": asdict(clip.media),
                "reasons": clip.reasons,
                "detector": face.detector,
                "face_reasons": face.reasons,
                "degradations": degradations(clip, face),
            }
        )
    payload = save(tensors, metadata={"windows": json.dumps(notes)})
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        file.write(MAGIC + digest(payload))
        file.write(payload)


def cached_windows(
    path: Path,
    indices: Iterable[int] | None = None,
    modalities: tuple[str, ...] = MODALITIES,
    *,
    name: str | None = None,
) -> Iterator[RawWindow]:
    """The windows of one clip, or some of them, one after another: frames are decoded as they are asked for.

    Args:
        modalities: of others nothing is read, and they are missing from the windows.
        name: what a manifest calls the clip, which seeds its corruptions; the entry only knows how the file was called
            when it was decoded.

    Raises:
        MsmaError: the entry is missing or damaged.
    """
    try:
        with path.open("rb") as file:
            seal, payload = file.read(len(MAGIC) + DIGEST_BYTES), file.read()
        if seal != MAGIC + digest(payload):
            raise ValueError("its digest does not fit its content")
        notes, tensors = notes_of(payload), load(payload)
        for index in range(len(notes)) if indices is None else indices:
            kept = {name: tensors[f"{index}.{name}"] for name in TENSORS}
            for modality, names in TENSORS_OF.items():
                if modality not in modalities:
                    kept |= {name: kept[name][:0] for name in names}
            yield window_from(notes[index], kept, name)
    except READ_ERRORS as error:
        raise damaged(path, error) from error


def read_notes(path: Path) -> list[dict[str, Any]]:
    """What is to be told of each window, with a look at the head and the size of the file only.

    Raises:
        MsmaError: the entry is missing, foreign or cut off.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2) - len(MAGIC) - DIGEST_BYTES
            file.seek(0)
            if not file.read(len(MAGIC) + DIGEST_BYTES).startswith(MAGIC):
                raise ValueError("it is of another format")
            length = file.read(8)
            head = length + file.read(min(int.from_bytes(length, "little"), size))
        ends = [tensor["data_offsets"][1] for name, tensor in header_of(head).items() if name != "__metadata__"]
        if size != len(head) + max(ends, default=0):
            raise ValueError("it is cut off")
        return notes_of(head)
    except READ_ERRORS as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> MsmaError:
    return MsmaError(f"{path}: damaged cache entry ({first_line(error)}); delete it, it will be made again")


def digest(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()


def header_of(payload: bytes) -> dict[str, Any]:
    """The JSON header of a safetensors payload, which may end behind it."""
    return json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])


def notes_of(payload: bytes) -> list[dict[str, Any]]:
    return json.loads(header_of(payload)["__metadata__"]["windows"])


def window_from(notes: dict[str, Any], tensors: dict[str, np.ndarray], name: str | None) -> RawWindow:
    """Decode one window."""
    clip = Clip(
        name=notes["name"] if name is None else name,
        frames=from_jpeg(tensors["jpeg"], tensors["jpeg_bytes"], tuple(notes["picture"])),
        frame_times_s=tensors["frame_times_s"],
        waveform=(tensors["waveform"] * notes["step"]).astype(np.float32),
        start_s=notes["start_s"],
        end_s=notes["end_s"],
        media=MediaInfo(**notes["media"]),
        reasons=tuple(notes["reasons"]),
    )
    face = FaceTrack(tensors["boxes"], tensors["valid"], notes["detector"], tuple(notes["face_reasons"]))
    return RawWindow(clip, face)


def from_jpeg(
    jpeg: UInt8[np.ndarray, " _"], lengths: Int64[np.ndarray, " t"], shape: tuple[int, ...]
) -> UInt8[np.ndarray, "t h w 3"]:
    """Pictures that lie one behind the other in `jpeg`."""
    frames = np.zeros((len(lengths), *shape), np.uint8)
    for frame, encoded in zip(frames, np.split(jpeg, np.cumsum(lengths)), strict=False):
        frame[:] = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    return frames


def to_int16(waveform: Float32[np.ndarray, " n"]) -> tuple[Int16[np.ndarray, " n"], float]:
    """Integers and the step that each counts for: exact for decoded sound, else as fine as the loudest one allows."""
    samples = waveform.astype(np.float64)
    steps = samples / DECODED_STEP
    if (steps == np.rint(steps)).all() and (steps >= -32768).all() and (steps <= 32767).all():
        return steps.astype(np.int16), DECODED_STEP
    step = float(np.abs(samples).max()) / 32767
    return np.rint(samples / step).astype(np.int16), step
