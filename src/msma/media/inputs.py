"""The one way from a Clip to what the network sees: training, evaluation and prediction all go through `prepare`."""

from __future__ import annotations

import numpy as np
import torch

from msma.config import ClipConfig
from msma.media.audio import SILENT_DB, hop_samples, level_db, level_reason, log_mel, mel_steps
from msma.media.faces import Detector, default_detector, track_face
from msma.media.frames import face_crops, whole_pictures
from msma.media.signal_statistics import SCENE_SIDE, picture_statistics, sound_statistics
from msma.types import AUDIO_STATISTICS, MODALITIES, SAMPLE_RATE, Clip, FaceTrack, Features, Inputs, MsmaError

SILENCE = -1.0
"""Value of log-mel steps that stand for nothing: padding, and a missing sound."""


def prepare(clip: Clip, config: ClipConfig, face: FaceTrack | None = None, detector: Detector | None = None) -> Inputs:
    """Face crops, log-mel and waveform of one window, as long as what it holds; the waveform is filled to whole hops.

    The face is sought in `clip` (with `default_detector()` where no other is given), unless `face` is known already.
    A modality that is missing or silent has length 1, is masked and not `present`.

    Raises:
        MsmaError: pictures that come faster than `config.fps`.
    """
    if face is None:
        face = track_face(clip, config, detector or default_detector())
    crops, boxes = face_crops(clip.frames, face, config)
    seen = len(crops) > 0
    heard = level_db(clip.waveform) >= SILENT_DB
    size = config.crop_size
    slots = frame_slots(clip, config)
    steps = mel_steps(len(clip.waveform), config) if heard else 1
    waveform = torch.zeros(steps * hop_samples(config))
    if heard:
        waveform[: len(clip.waveform)] = torch.from_numpy(clip.waveform)
    frames = placed(torch.from_numpy(crops), slots) if seen else torch.zeros(1, 3, size, size, dtype=torch.uint8)
    places = placed(torch.from_numpy(boxes), slots) if seen else torch.zeros(1, 4)
    frame_mask = placed(torch.from_numpy(face.valid), slots) if seen else torch.zeros(1, dtype=torch.bool)
    scene = torch.from_numpy(whole_pictures(clip.frames, SCENE_SIDE))
    mel = log_mel(waveform, config)
    heard_share, seen_share = coverage(clip, len(clip.waveform) / SAMPLE_RATE), coverage(clip, len(frames) / config.fps)
    return Inputs(
        frames=frames,
        boxes=places,
        frame_mask=frame_mask,
        log_mel=mel,
        mel_mask=torch.full((steps,), heard),
        waveform=waveform,
        present=torch.tensor([heard, seen]),
        audio_statistics=sound_statistics(mel, waveform, heard_share) if heard else torch.zeros(AUDIO_STATISTICS),
        visual_statistics=picture_statistics(frames, places, frame_mask, scene, seen_share),
    )


def coverage(clip: Clip, seconds: float) -> float:
    """Share of the window that so many seconds are."""
    return min(1.0, seconds / clip.duration_s) if clip.duration_s > 0 else 0.0


def frame_slots(clip: Clip, config: ClipConfig) -> np.ndarray:
    """Which step of 1 / fps each picture is of, so that the place of a token is its time.

    Raises:
        MsmaError: two pictures in one step.
    """
    slots = np.floor((clip.frame_times_s - clip.start_s) * config.fps + 1e-6).astype(int)
    if (np.diff(slots) < 1).any():
        raise MsmaError(f"{clip.name}: more than {config.fps:g} frames a second; cut it with cut_windows first")
    return slots


def placed(values: torch.Tensor, slots: np.ndarray) -> torch.Tensor:
    """Values at their slots, zeros (masked) elsewhere."""
    steps = torch.zeros(int(slots[-1]) + 1, *values.shape[1:], dtype=values.dtype)
    steps[torch.from_numpy(slots)] = values
    return steps


def degradations(clip: Clip, face: FaceTrack) -> tuple[str, ...]:
    """Every reason why this window is less than perfect: reading, then sound, then face."""
    level = level_reason(clip.waveform)
    return (*clip.reasons, *([level] if level else []), *face.reasons)


def used_shares(clip: Clip, inputs: Inputs, config: ClipConfig) -> dict[str, float]:
    """Share of the window's time in which sound and picture could be used, by modality, in [0, 1]."""
    sound_s = min(len(clip.waveform) / SAMPLE_RATE, clip.duration_s) * float(inputs.mel_mask.float().mean())
    frames = max(1, round(clip.duration_s * config.fps))
    seen = float(inputs.frame_mask.sum()) / max(frames, len(clip.frames))
    return dict(zip(MODALITIES, (coverage(clip, sound_s), min(1.0, seen)), strict=True))


def collate(windows: list[Inputs]) -> Inputs:
    """Stack windows into a batch; shorter ones are padded at the end, and the padding is masked."""
    frames = max(len(window.frames) for window in windows)
    steps = max(window.log_mel.shape[-1] for window in windows)
    samples = max(window.waveform.shape[-1] for window in windows)
    return Inputs(
        frames=torch.stack([pad(window.frames, 0, frames) for window in windows]),
        boxes=torch.stack([pad(window.boxes, 0, frames) for window in windows]),
        frame_mask=torch.stack([pad(window.frame_mask, 0, frames) for window in windows]),
        log_mel=torch.stack([pad(window.log_mel, 1, steps, SILENCE) for window in windows]),
        mel_mask=torch.stack([pad(window.mel_mask, 0, steps) for window in windows]),
        waveform=torch.stack([pad(window.waveform, 0, samples) for window in windows]),
        present=torch.stack([window.present for window in windows]),
        audio_statistics=torch.stack([window.audio_statistics for window in windows]),
        visual_statistics=torch.stack([window.visual_statistics for window in windows]),
    )


def collate_features(windows: list[Features]) -> Features:
    """Stack windows into a batch; shorter ones are padded at the end, and the padding is masked."""
    frames = max(len(window.frame_mask) for window in windows)
    tokens = max(len(window.audio_mask) for window in windows)
    linear = [window.linear for window in windows if window.linear is not None]
    return Features(
        visual=torch.stack([pad(window.visual, 0, frames) for window in windows]),
        boxes=torch.stack([pad(window.boxes, 0, frames) for window in windows]),
        frame_mask=torch.stack([pad(window.frame_mask, 0, frames) for window in windows]),
        audio=torch.stack([pad(window.audio, 2, tokens) for window in windows]),
        audio_mask=torch.stack([pad(window.audio_mask, 0, tokens) for window in windows]),
        present=torch.stack([window.present for window in windows]),
        audio_statistics=torch.stack([window.audio_statistics for window in windows]),
        visual_statistics=torch.stack([window.visual_statistics for window in windows]),
        linear=torch.stack(linear) if len(linear) == len(windows) else None,
    )


def pad(tensor: torch.Tensor, axis: int, length: int, value: float = 0) -> torch.Tensor:
    """Lengthen `axis` to `length` with `value`."""
    shape = list(tensor.shape)
    shape[axis] = length - shape[axis]
    return torch.cat([tensor, tensor.new_full(shape, value)], dim=axis)
