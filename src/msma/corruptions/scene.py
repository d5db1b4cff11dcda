"""One cause about the speaker that strikes both streams at once: a crowd, wind, darkness, an unsteady hand.

One number, the level, sets the damage of both streams, and what happens at a moment happens in both at that moment.
How loud goes with how visible is ours; a stream that is missing stays so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float64

from msma.config import ClipConfig
from msma.corruptions.audio import Waveform, coloured, several_voices, with_noise
from msma.corruptions.corruption import BOTH, row
from msma.corruptions.stream import donor_level_db, moved, sway
from msma.corruptions.visual import Frame, Frames, low_light, outline, smeared
from msma.media.faces import default_detector, track_face
from msma.types import SAMPLE_RATE, Clip, FaceTrack

STEP_S = 0.01
"""Step of what goes on in both streams."""
EXPOSURE_S = 1 / 30
"""Time for which a frame sees the light: what moves meanwhile is smeared."""

BYSTANDER_SIDES = (-1, 1)
"""One to the left of the speaker and one to the right."""
BESIDE = 1.4
"""From the middle of the speaker to that of a bystander, in widths of both faces together."""
WALK, WALK_PACE = 0.12, 0.2
"""Widths of its face by which a bystander goes to and fro, and its pace as a share of that of an unsteady hand."""

STEADY_M_S, STEADY_DB = 2.0, 20.0
"""A wind whose noise is STEADY_DB below the voice. Turbulence at a microphone has a pressure that grows with the square
of the speed: 12 dB for twice the wind."""
WIND_SLOPE_DB = -7.0
"""Per octave above 50 Hz."""
WIND_SHARE, STORM_M_S = 0.2, 14.0
"""Share of the frame's height by which a wind of STORM_M_S moves the camera; it grows with the square of the speed."""
FLUTTER = 0.35
"""Share of the camera's movement that flutters, beside what leans with the gusts."""

LIT_SNR_DB, DARK_DB = 23.0, 20.0
"""Ratio of the voice and the fan at full light, and how much lower it is at a tenth of it: rooms in which there is
less light are those in which people speak lower."""
FAN_SLOPE_DB, BLADES_HZ, BLADE_TONES = -4.0, (90.0, 160.0), 4
"""A fan: noise that falls by so much per octave, and the tone of its blades with harmonics."""

JOLTS_A_SECOND = 0.8
JOLT_S, THUMP_S, RUSTLE_S = 0.3, 0.07, 0.2
"""Times in which the movement, the thump and the rustle of a jolt decay to 1 / e."""
JOLT_HZ = (3.0, 6.0)
JOLT_DEGREES = 40.0
"""A jolt by a tenth of the height also turns the camera by up to 4 degrees."""
DRIFT = 0.2
"""Share of the movement between jolts."""
THUMP_SLOPE_DB, RUSTLE_SHARE = -9.0, 0.15
HELD_SNR_DB, HELD_DB, HELD_SHARE = 20.0, 30.0, 0.02
"""The noise of handling is HELD_SNR_DB below the voice for jolts by HELD_SHARE, and louder by HELD_DB for ten times as
much."""


def both(clip: Clip, see: Callable[[Frames], Frames], hear: Callable[[Waveform], Waveform]) -> Clip:
    """Frames and waveform changed, where they are there."""
    frames = see(clip.frames) if len(clip.frames) else clip.frames
    return replace(clip, frames=frames, waveform=hear(clip.waveform) if len(clip.waveform) else clip.waveform)


def steps_s(clip: Clip) -> Float64[np.ndarray, " steps"]:
    """Times from the start of the clip, STEP_S apart, to beyond its end."""
    return np.arange(0.0, clip.duration_s + 2 * STEP_S, STEP_S)


def seen(clip: Clip, values: Float64[np.ndarray, " steps"]) -> Float64[np.ndarray, " t"]:
    """Values of `steps_s` at the frames."""
    return np.interp(clip.frame_times_s - clip.start_s, steps_s(clip), values)


def heard(clip: Clip, values: Float64[np.ndarray, " steps"]) -> Float64[np.ndarray, " n"]:
    """Values of `steps_s` at the samples."""
    return np.interp(np.arange(len(clip.waveform)) / SAMPLE_RATE, steps_s(clip), values)


def crowd(clip: Clip, rng: np.random.Generator, face_ratio: float, face: FaceTrack, donor: Clip) -> Clip:
    """Bystanders, and the voices of a crowd that are as loud as these are near: as the speaker where they are as large.

    Both are of `donor`, whom one sees speak while one hears it. Who is smaller stands behind the speaker.
    """
    begins_s = rng.uniform(0, max(donor.duration_s, STEP_S))

    def see(frames: Frames) -> Frames:
        if not len(donor.frames):
            return frames
        found = np.median(track_face(donor, ClipConfig(), default_detector()).boxes, axis=0)
        shown_s = (clip.frame_times_s - clip.start_s + begins_s) % max(donor.duration_s, STEP_S)
        nearest = np.abs(shown_s[:, None] - (donor.frame_times_s - donor.start_s)).argmin(axis=1)
        speaker = np.median(face.boxes, axis=0)
        crowded = frames.copy()
        for side in BYSTANDER_SIDES:
            size = face_ratio * rng.uniform(0.85, 1.15)
            across = side * BESIDE / 2 * (1 + size) + WALK * size * sway(WALK_PACE * clip.frame_times_s, rng)
            mirrored, above = rng.random() < 0.5, rng.uniform(-0.3, 0.3)
            for index, out in enumerate(crowded):
                middle = speaker[:2] + speaker[2:] * (0.5 + across[index], 0.5 + above)
                other = donor.frames[nearest[index]]
                stands(out, other, found, middle, size * float(speaker[3]), bool(mirrored))
        if face_ratio < 1:
            for out, own, box in zip(crowded, frames, face.boxes, strict=True):
                person = outline(box, *frames.shape[1:3])
                out[:] = cv2.blendLinear(own, out, person, 1 - person)
        return crowded

    def hear(waveform: Waveform) -> Waveform:
        donor_level_db(donor, clip)
        own = np.resize(np.roll(donor.waveform, -round(begins_s * SAMPLE_RATE)), len(waveform))
        return with_noise(waveform, own + several_voices(own, rng), -20 * np.log10(face_ratio))

    return both(clip, see, hear)


def stands(frame: Frame, other: Frame, box: np.ndarray, middle: np.ndarray, high: float, mirrored: bool) -> None:
    """Put the person of `other`, whose face is `box`, into `frame`: its face at `middle` and `high` rows high."""
    height, width = frame.shape[:2]
    scale = high / max(float(box[3]), 1.0)
    across = -scale if mirrored else scale
    centre = box[:2] + box[2:] / 2
    move = np.array([[across, 0, middle[0] - across * centre[0]], [0, scale, middle[1] - scale * centre[1]]])
    mask = cv2.warpAffine(outline(box, *other.shape[:2]), move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    person = cv2.warpAffine(other, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    frame[:] = cv2.blendLinear(person, frame, mask, 1 - mask)


def wind(clip: Clip, rng: np.random.Generator, wind_m_s: float) -> Clip:
    """Gusts rumble in the microphone and push the camera as they come."""
    steps = steps_s(clip)
    gusts = np.square(np.clip(1 + sway(steps, rng) / 3, 0.1, None))
    lean = rng.choice([-1.0, 1.0]) * gusts + FLUTTER * np.abs(gusts) * sway(3 * steps, rng)
    dip = FLUTTER * gusts * sway(3 * steps, rng)
    share = WIND_SHARE * (wind_m_s / STORM_M_S) ** 2 / max(float(np.hypot(lean, dip).max()), 1e-9)
    snr_db = STEADY_DB - 40 * np.log10(wind_m_s / STEADY_M_S)
    return both(
        clip,
        lambda _: shaken(clip, share * lean, share * dip, share * JOLT_DEGREES * dip),
        lambda waveform: with_noise(waveform, heard(clip, gusts) * coloured(len(waveform), rng, WIND_SLOPE_DB), snr_db),
    )


def shaken(clip: Clip, right: np.ndarray, down: np.ndarray, degrees: np.ndarray) -> Frames:
    """The frames as a camera sees them that moves and turns with `steps_s`, in shares of the height, and is exposed for
    EXPOSURE_S."""
    height = clip.frames.shape[1]
    speed = [seen(clip, np.gradient(way, STEP_S)) * EXPOSURE_S * height for way in (down, right)]
    frames = moved(clip.frames, height * seen(clip, right), height * seen(clip, down), seen(clip, degrees))
    for frame, rows, columns in zip(frames, *speed, strict=True):
        if np.hypot(rows, columns) >= 1:
            frame[:] = smeared(frame, float(rows), float(columns))
    return frames


def dark_room(clip: Clip, rng: np.random.Generator, light_share: float) -> Clip:
    """Little light with the noise of the sensor, and a fan that is louder beside a voice that is kept down."""
    snr_db = LIT_SNR_DB + DARK_DB * np.log10(light_share)
    return both(
        clip,
        lambda frames: low_light(frames, rng, light_share),
        lambda waveform: with_noise(waveform, fan(len(waveform), rng), snr_db),
    )


def fan(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise, and the tone of the blades with its harmonics, whose loudness wavers."""
    time_s = np.arange(samples) / SAMPLE_RATE
    turns = 2 * np.pi * rng.uniform(*BLADES_HZ) * time_s
    tones = sum((np.sin(tone * turns) / tone for tone in range(1, BLADE_TONES + 1)), np.zeros(samples))
    wavering = 1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0.5, 2.0) * time_s)
    return (coloured(samples, rng, FAN_SLOPE_DB) + 0.4 * tones) * wavering


def handheld(clip: Clip, rng: np.random.Generator, height_share: float) -> Clip:
    """A hand jolts the camera now and then: at that moment the frame jumps and the microphone thumps and rustles."""
    steps = steps_s(clip)
    count = max(1, round(JOLTS_A_SECOND * clip.duration_s))
    begins_s, strengths = rng.uniform(0, 0.9 * clip.duration_s, count), rng.uniform(0.5, 1.0, count)
    since_s = np.maximum(steps[:, None] - begins_s, 0)
    started = steps[:, None] >= begins_s

    def after(decay_s: float) -> np.ndarray:
        return strengths * started * np.exp(-since_s / decay_s)

    swing = (after(JOLT_S) * np.sin(2 * np.pi * rng.uniform(*JOLT_HZ, count) * since_s)) @ np.exp(
        1j * rng.uniform(0, 2 * np.pi, count)
    )
    drift = sway(steps, rng) + 1j * sway(steps, rng)
    way = swing / max(float(np.abs(swing).max()), 1e-9) + DRIFT * drift / max(float(np.abs(drift).max()), 1e-9)
    way *= height_share / max(float(np.abs(way).max()), 1e-9)
    snr_db = HELD_SNR_DB - HELD_DB * np.log10(height_share / HELD_SHARE)

    def hear(waveform: Waveform) -> Waveform:
        thump, rustle = (heard(clip, after(decay_s).sum(axis=1)) for decay_s in (THUMP_S, RUSTLE_S))
        low, high = coloured(len(waveform), rng, THUMP_SLOPE_DB), coloured(len(waveform), rng, 0.0)
        return with_noise(waveform, thump * low + RUSTLE_SHARE * rustle * high, snr_db)

    return both(clip, lambda _: shaken(clip, way.real, way.imag, JOLT_DEGREES * way.real), hear)


ROWS = (
    row(
        crowd,
        "joint",
        (0.2, 0.35, 0.6, 1.0, 1.6),
        "bystanders and babble: their faces over the speaker's",
        BOTH,
    ),
    row(wind, "joint", (2.0, 3.5, 6.0, 9.0, 14.0), "gusts in the microphone that push the camera", BOTH),
    row(dark_room, "joint", (0.5, 0.25, 0.12, 0.06, 0.025), "a share of the light is left, and a fan is heard", BOTH),
    row(handheld, "joint", (0.02, 0.04, 0.08, 0.14, 0.22), "jolts of the camera, which thump and rustle", BOTH),
)
