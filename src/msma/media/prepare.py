"""The one way from a source to what the network sees: training, evaluation and prediction all go through `prepare`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from msma.config import ClipConfig, Limits
from msma.media.audio import SILENT_DB, hop_samples, level_db, level_reason, log_mel, mel_steps
from msma.media.clip import Source, load_windows
from msma.media.container import open_media
from msma.media.coverage import missing_reasons, missing_stretches
from msma.media.faces import Detector
from msma.media.frames import STILL, Jitter, face_crops, recoloured, whole_frames
from msma.media.phases import VIEWS, at_phase, held_window, middles
from msma.media.quality_statistics import SCENE_SIDE, audio_statistics, visual_statistics
from msma.media.reasons import by_weight
from msma.media.segments import lengthened, segment_cuts, segments_in
from msma.types import (
    AUDIO_STATISTICS,
    MODALITIES,
    SAMPLE_RATE,
    VISUAL_STATISTICS,
    Clip,
    FaceTrack,
    InputArrays,
    MsmaError,
    PreparedWindow,
    RawWindow,
)


def raw_windows(
    source: Source, config: ClipConfig, limits: Limits, detector: Detector | None, phases: int = 1
) -> Iterator[RawWindow]:
    """Read a source, with up to `phases` frames of each step, and detect its face, window by window; memory does not
    grow with the length.

    MsmaError where the source cannot be read or is refused.
    """
    for clip in load_windows(source, config, limits, phases=phases):
        yield held_window(clip, config, detector)


def prepare(window: RawWindow, config: ClipConfig, jitter: Jitter = STILL) -> PreparedWindow:
    """A window as the network sees it, with what is to be reported of it; of frames that were kept for training, only
    those at the middle of a step.

    MsmaError for frames that come faster than `config.fps`.
    """
    window = middles(window)
    clip, face = window.clip, window.face
    inputs = input_arrays(clip, face, config, jitter)
    return PreparedWindow(
        inputs,
        clip.start_s,
        clip.end_s,
        degradations(clip, face),
        used_shares(clip, inputs, config),
        face.detector,
        clip.media,
    )


def prepare_views(window: RawWindow, config: ClipConfig) -> PreparedWindow:
    """The same, with its further views."""
    views = tuple(prepare(at_phase(window, config, share), config).inputs for share in VIEWS)
    return replace(prepare(window, config), views=views)


def input_arrays(clip: Clip, face: FaceTrack, config: ClipConfig, jitter: Jitter = STILL) -> InputArrays:
    """Face crops, log-mel and waveform of one window, as long as what it holds; the waveform is filled to whole hops.

    A modality that is missing or silent has length 1, is masked and not `present`.
    """
    crops, boxes = face_crops(clip.frames, face, config, jitter)
    has_frames, has_audio = len(crops) > 0, level_db(clip.waveform) >= SILENT_DB
    slots = frame_slots(clip, config)
    frames, boxes, frame_mask = (placed(values, slots) for values in (crops, boxes, face.valid))
    steps = mel_steps(len(clip.waveform), config) if has_audio else 1
    waveform = np.zeros(steps * hop_samples(config), np.float32)
    if has_audio:
        waveform[: len(clip.waveform)] = clip.waveform
    mel = log_mel(waveform, config)
    heard, seen = segment_cuts_of(clip, config)
    small_frames = whole_frames(clip.frames, SCENE_SIDE)
    audio_share, visual_share = (
        coverage(clip, seconds) for seconds in (len(clip.waveform) / SAMPLE_RATE, len(frames) / config.fps)
    )
    of_audio = audio_statistics(mel, waveform, heard, audio_share) if has_audio else mel[:0]
    of_visual = visual_statistics(frames, boxes, frame_mask, small_frames, slots, seen, visual_share)
    segments = segments_in(clip.duration_s)
    judged, size = np.zeros((segments, len(MODALITIES)), bool), config.scene_size
    judged[: len(of_audio), 0] = True
    judged[: len(of_visual), 1] = [piece.any() for piece in np.split(frame_mask, seen)]
    return InputArrays(
        frames=frames,
        boxes=boxes,
        frame_mask=frame_mask,
        log_mel=mel,
        mel_mask=np.full(steps, has_audio),
        waveform=waveform,
        present=np.array([has_audio, has_frames]),
        audio_statistics=lengthened(of_audio, segments, AUDIO_STATISTICS),
        visual_statistics=lengthened(of_visual, segments, VISUAL_STATISTICS),
        segment_mask=judged,
        scene=None if size is None else placed(recoloured(whole_frames(clip.frames, size), jitter), slots),
    )


def segment_cuts_of(clip: Clip, config: ClipConfig) -> tuple[Int[np.ndarray, " r1"], Int[np.ndarray, " r2"]]:
    """Where the log-mel steps of a clip, and the steps of 1 / fps that its frames are in, are cut into segments."""
    steps, slots = mel_steps(len(clip.waveform), config), 1 + int(max(frame_slots(clip, config), default=0))
    of_window = segments_in(clip.duration_s)
    heard = min(segments_in(len(clip.waveform) / SAMPLE_RATE), of_window)
    seen = min(segments_in(slots / config.fps), of_window)
    return segment_cuts(steps, config.mel_hop_s, heard), segment_cuts(slots, 1 / config.fps, seen)


def coverage(clip: Clip, seconds: float) -> float:
    """Share of the window that so many seconds are."""
    return min(1.0, seconds / clip.duration_s) if clip.duration_s > 0 else 0.0


def frame_slots(clip: Clip, config: ClipConfig) -> np.ndarray:
    """The step of 1 / fps that each frame is in, so that the place of a token is its time; MsmaError for two in one."""
    slots = np.floor((clip.frame_times_s - clip.start_s) * config.fps + 1e-6).astype(int)
    if (np.diff(slots) < 1).any():
        raise MsmaError(f"{clip.name}: more than {config.fps:g} frames a second; cut it with cut_windows first")
    return slots


def placed(values: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Values at their slots, zeros (masked) elsewhere; one zero without any."""
    steps = np.zeros((max(slots, default=0) + 1, *values.shape[1:]), values.dtype)
    steps[slots] = values
    return steps


def degradations(clip: Clip, face: FaceTrack) -> tuple[str, ...]:
    """Every reason why this window is less than perfect, the one that matters most first."""
    level = level_reason(clip.waveform)
    reasons = [*clip.reasons, *([level] if level else [])]
    return tuple(by_weight([*reasons, *missing_reasons(clip, reasons), *face.reasons]))


def used_shares(clip: Clip, inputs: InputArrays, config: ClipConfig) -> dict[str, float]:
    """Share of the window's time in which audio and frames could be used, by modality, in [0, 1]."""
    audio_s = min(len(clip.waveform) / SAMPLE_RATE, clip.duration_s)
    until_s = clip.start_s + audio_s
    silent_s = sum(max(0.0, min(end_s, until_s) - begin_s) for begin_s, end_s in missing_stretches(clip)["audio"])
    audio_s = (audio_s - silent_s) * float(inputs.mel_mask.mean())
    frames = max(1, round(clip.duration_s * config.fps))
    seen = float(inputs.frame_mask.sum()) / max(frames, len(clip.frames))
    return dict(zip(MODALITIES, (coverage(clip, audio_s), min(1.0, seen)), strict=True))


def check_media(path: Path, limits: Limits) -> None:
    """Open a file and read its headers; MsmaError where it cannot be read or is refused."""
    with open_media(path, limits, str(path)):
        pass
