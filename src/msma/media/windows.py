"""From a source to windows that are ready for the network: what training, evaluation and prediction all call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msma.config import ClipConfig, Limits
from msma.media.clip import load_windows
from msma.media.container import open_media
from msma.media.faces import Detector, track_face
from msma.media.inputs import degradations, prepare, used_shares
from msma.types import Clip, FaceTrack, Prepared


def prepare_windows(
    source: str | Path | bytes | Clip, config: ClipConfig, limits: Limits, detector: Detector | None
) -> Iterator[Prepared]:
    """Read, find the face and prepare, window by window; memory does not grow with the length.

    Raises:
        MsmaError: the source cannot be read or is refused.
    """
    for clip in load_windows(source, config, limits):
        yield prepared(clip, track_face(clip, config, detector), config)


def prepared(clip: Clip, face: FaceTrack, config: ClipConfig) -> Prepared:
    """One window whose face is known, from a file or from the cache.

    Raises:
        MsmaError: pictures that come faster than `config.fps`.
    """
    inputs = prepare(clip, config, face)
    return Prepared(
        inputs=inputs,
        start_s=clip.start_s,
        end_s=clip.end_s,
        reasons=degradations(clip, face),
        used=used_shares(clip, inputs, config),
        face_detector=face.detector,
        media=clip.media,
    )


def check_media(path: Path, limits: Limits) -> None:
    """Open a file and read its headers.

    Raises:
        MsmaError: it cannot be read or is refused.
    """
    with open_media(path, limits, str(path)):
        pass
