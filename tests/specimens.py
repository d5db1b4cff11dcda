"""Small made-up clips to be corrupted: a talking face, its track and a donor, and how far a corrupted clip is off."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import stft

from msma.corruptions.corruption import Corruption, corrupt
from msma.corruptions.table import CORRUPTIONS
from msma.data.synthetic.cues import behaviour
from msma.data.synthetic.face import HEAD_Y, film
from msma.data.synthetic.motion import move
from msma.data.synthetic.people import CLIPS_PER_SOURCE, cast
from msma.data.synthetic.voice import speak
from msma.types import SAMPLE_RATE, Clip, FaceTrack, MediaInfo

SECONDS, FPS, SIZE = 3.0, 4, (256, 192)
COUNT = 3
"""Specimens over which a distance is averaged; each is another person."""
LOOKS_PER_S = 40
"""How often two clips are compared with each other."""
PARTS = cast(CLIPS_PER_SOURCE * (COUNT + 1), seed=5)[::CLIPS_PER_SOURCE]


@dataclass(frozen=True)
class Specimen:
    """What a corruption may need; every array is read-only."""

    clip: Clip
    face: FaceTrack
    donor: Clip

    def corrupted(self, corruption: Corruption, severity: int) -> Clip:
        return corrupt(self.clip, corruption, severity, face=self.face, donor=self.donor)


@functools.cache
def specimen(index: int) -> Specimen:
    clip, face = filmed(index)
    return Specimen(clip, face, filmed((index + 1) % len(PARTS))[0])


@functools.cache
def filmed(index: int) -> tuple[Clip, FaceTrack]:
    """A person who moves and talks with pauses; where the head is is known."""
    part = PARTS[index]
    rng = np.random.default_rng(index)
    act = behaviour(part.cues)
    speech = speak(act, part.source, SECONDS, FPS, rng)
    motion = move(act, len(speech.mouth), FPS, rng)
    frames = np.stack(list(film(act, part.source, motion, speech.mouth, SIZE, rng)))
    unit = SIZE[0] / 320
    middle = np.array([0.5, HEAD_Y]) * SIZE + unit * motion.centre_px
    half = unit * act.head_px * np.array([0.35, 0.45])
    boxes = np.concatenate([middle - half, np.broadcast_to(2 * half, middle.shape)], axis=1).astype(np.float32)
    clip = Clip(
        name=part.name,
        frames=read_only(frames),
        frame_times_s=read_only(np.arange(len(frames)) / FPS),
        waveform=read_only(speech.waveform),
        start_s=0.0,
        end_s=SECONDS,
        media=MediaInfo("made up"),
    )
    return clip, FaceTrack(read_only(boxes), read_only(np.ones(len(boxes), bool)), "known")


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def renamed(clip: Clip, name: str) -> Clip:
    return replace(clip, name=name)


def distance(clean: Clip, other: Clip) -> float:
    """How much that is seen and heard differs at each moment, and how far picture and sound are displaced in time.

    The sum of the difference of the sounds and of the pictures, and of the seconds by which the sound is late or early,
    and the very same pictures are shown late or early.
    """
    return audio_distance(clean, other) + frame_distance(clean, other) + audio_lag_s(clean, other)


def audio_distance(clean: Clip, other: Clip) -> float:
    """Root mean square of the difference of the short-time spectra.

    Of magnitudes, for phases are not heard (the waveforms of long reverberation and of a low bit rate are as good as
    unrelated to the clean one at any severity), and of their roots, so that what is faint counts too.
    """
    length = max(len(clean.waveform), len(other.waveform))
    return float(np.sqrt(np.mean(np.square(loudness(clean, length) - loudness(other, length))))) if length else 0.0


def loudness(clip: Clip, length: int) -> np.ndarray:
    spectra = stft(np.pad(clip.waveform, (0, length - len(clip.waveform))), nperseg=512)[2]
    return np.sqrt(np.abs(spectra) * np.sqrt(512))


def audio_lag_s(clean: Clip, other: Clip) -> float:
    """By the phases of the cross-spectrum (GCC-PHAT), which noise and reverberation hardly mislead."""
    if not clean.waveform.any() or not other.waveform.any():
        return 0.0
    size = len(clean.waveform) + len(other.waveform)
    cross = np.fft.rfft(other.waveform, size) * np.conj(np.fft.rfft(clean.waveform, size))
    lag = int(np.fft.irfft(cross / np.maximum(np.abs(cross), 1e-20), size).argmax())
    return min(lag, size - lag) / SAMPLE_RATE


def frame_distance(clean: Clip, other: Clip) -> float:
    """Mean absolute difference, full scale 1, and displacement in s.

    Every picture stands until the next; a clip without pictures is black.
    """
    looks_s = np.arange(clean.start_s, clean.end_s, 1 / LOOKS_PER_S)
    if not len(clean.frames):
        return 0.0
    first_shown = {frame.tobytes(): time_s for frame, time_s in zip(clean.frames, clean.frame_times_s, strict=True)}
    pairs, looks = np.unique(np.stack([shown(clean, looks_s), shown(other, looks_s)]), axis=1, return_counts=True)
    total = 0.0
    for (here, there), count in zip(pairs.T, looks, strict=True):
        frame = other.frames[there] if there >= 0 else np.zeros_like(clean.frames[here])
        difference = np.abs(clean.frames[here].astype(np.int16) - frame).mean() / 255
        time_s = clean.frame_times_s[here]
        total += count * (difference + abs(time_s - first_shown.get(frame.tobytes(), time_s)))
    return total / len(looks_s)


def shown(clip: Clip, times_s: np.ndarray) -> np.ndarray:
    """Index of the frame that stands at each time; -1 where there is none at all."""
    if not len(clip.frames):
        return np.full(len(times_s), -1)
    return np.maximum(np.searchsorted(clip.frame_times_s, times_s + 1e-6, side="right") - 1, 0)


def digest(clip: Clip) -> str:
    arrays = (clip.frames, clip.frame_times_s, clip.waveform)
    parts = (f"{array.dtype}{array.shape}".encode() + array.tobytes() for array in arrays)
    return hashlib.sha256(b"|".join([*parts, f"{clip.start_s} {clip.end_s}".encode()])).hexdigest()


def all_digests() -> dict[str, str]:
    """Of the first specimen with every corruption at every severity."""
    return {
        f"{row.name} {severity}": digest(specimen(0).corrupted(row, severity))
        for row in CORRUPTIONS.values()
        for severity in row.severities
    }


if __name__ == "__main__":
    json.dump(all_digests(), sys.stdout)
