"""One cause on the way to the viewer that strikes both streams at once: distance, a bad connection, a recorded call, a
recording of a screen and a loudspeaker.

One number, the level, sets the damage of both streams, and what is lost at a moment is lost in both at that moment.
"""

from __future__ import annotations

import cv2
import numpy as np

from msma.corruptions.audio import Waveform, band_limit, in_a_room, muted, opus, rms
from msma.corruptions.corruption import BOTH, in_stretches, row
from msma.corruptions.scene import both, heard, seen, steps_s
from msma.corruptions.stream import frame_rate_drop
from msma.corruptions.visual import Frame, Frames
from msma.media.encode import recode_frames
from msma.media.frames import resize
from msma.types import Clip

ROOM_RT60_S, CRITICAL_M = 0.6, 1.5
"""Reverberation time of the room, and the distance at which its reverberation has as much energy as the voice: those of
a classroom of some 200 m³, for a voice that is sent forward."""
FLOOR_DB = -32.0
"""Noise of room and microphone relative to the level of the voice at a metre."""
WALL_BLUR, WALL_FADE = 0.05, 0.3
"""Blur of what is seen about a distant scene, over the height of the frame, and how far into the scene that reaches,
over half of its sides."""

SECONDS_AN_OUTAGE = 2.0
"""So much clip to every outage, at least."""
LINK_KBIT_S, LINK_CRF = (16.0, 4.0), (34.0, 48.0)
"""Opus and H.264 where hardly anything is lost, and where all is: who sends notices losses, and sends less."""

CALL_KBIT_S, CALL_HZ, CALL_CRF = 24.0, 7500.0, (30.0, 46.0)
"""Opus and the upper end of its band for a window that fills the screen; both shrink with it. H.264 for one that fills
the screen, and for one of no size."""
WINDOW, BAR, BUTTON, END_CALL, AVATARS = (
    (32, 33, 36),
    (24, 25, 28),
    (60, 64, 67),
    (217, 48, 37),
    (
        (92, 107, 192),
        (38, 166, 154),
        (255, 167, 38),
    ),
)
"""Colours of a program for calls."""
BAR_SHARE = 0.11
"""Height of its bar over that of the screen."""

SCREEN_DISTANCE = 1.8
"""From the camera to the screen, in widths of the screen."""
SCREEN_SHARE = 0.94
"""Share of the frame's width that a screen takes that is seen from straight ahead."""
ROOM, BEZEL = (34, 30, 27), (12, 12, 13)
BEZEL_SHARE = 0.025
MOIRE, FLICKER, GLARE = 0.16, 0.3, 0.35
"""Depths of moiré and flicker, and the light of the room on the screen, at a glancing angle."""
BANDS, ROLL_HZ = 1.5, (0.5, 3.0)
"""Dark bands in the height of the frame, and how often a second they roll past."""
FRINGES = (9.0, 16.0)
"""Moiré fringes across the width."""
SPEAKER_HZ, SPEAKER_RT60_S, STRAIGHT = 7000.0, 0.6, 0.25
"""Upper end of the band of a loudspeaker that one stands in front of; reverberation time of its room, and energy of
the reverberation over that of the direct sound there. Beside its axis the treble goes first, and the direct sound."""


def far_away(clip: Clip, rng: np.random.Generator, distance_m: float) -> Clip:
    """Camera and microphone stand `distance_m` away instead of a metre: the person is small, the voice faint, and what
    the room and the microphone add is as loud as before."""

    def hear(waveform: Waveform) -> Waveform:
        # What there is of the room at a metre is in the clip.
        there = in_a_room(waveform, rng, ROOM_RT60_S, (distance_m**2 - 1) / CRITICAL_M**2)
        floor = 10 ** (FLOOR_DB / 20) * rms(waveform) * rng.standard_normal(len(waveform))
        # Direct sound falls with the distance, the reverberation does not.
        level = np.hypot(1 / distance_m, 1 / CRITICAL_M) / np.hypot(1, 1 / CRITICAL_M)
        return (level * there + floor).clip(-1, 1).astype(np.float32)

    return both(clip, lambda frames: distant(frames, distance_m), hear)


def distant(frames: Frames, times: float) -> Frames:
    """Everything smaller by `times` in the middle of the frame; around it goes on what is at its edge, out of focus."""
    height, width = frames.shape[1:3]
    move = np.array([[1 / times, 0, width / 2 * (1 - 1 / times)], [0, 1 / times, height / 2 * (1 - 1 / times)]])
    down, right = (1 - np.abs(np.linspace(-1, 1, side)) for side in (height, width))
    inside = np.clip(np.minimum(down[:, None], right) / WALL_FADE, 0, 1).astype(np.float32)
    inner = cv2.warpAffine(inside, move, (width, height))
    result = np.empty_like(frames)
    for frame, out in zip(frames, result, strict=True):
        soft = cv2.GaussianBlur(frame, (0, 0), times / 2) if times > 1 else frame  # nothing is skipped on the way down
        small = cv2.warpAffine(soft, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
        wall = cv2.GaussianBlur(small, (0, 0), WALL_BLUR * height, borderType=cv2.BORDER_REPLICATE)
        out[:] = cv2.blendLinear(small, wall, inner, 1 - inner)
    return result


def bad_connection(clip: Clip, rng: np.random.Generator, loss_share: float) -> Clip:
    """Both streams are coded at a low rate, and in outages the frame stands still and nothing is heard."""
    steps = steps_s(clip)
    lost = in_stretches(rng, len(steps), loss_share, max(1, round(clip.duration_s / SECONDS_AN_OUTAGE))).astype(float)
    kbit_s, crf = (np.interp(loss_share, (0, 1), ends) for ends in (LINK_KBIT_S, LINK_CRF))

    def see(frames: Frames) -> Frames:
        stands = seen(clip, lost) > 0.5
        stands[0] = False
        shown = np.maximum.accumulate(np.where(stands, 0, np.arange(len(frames))))
        return recode_frames(frames, float(crf))[shown]

    return both(clip, see, lambda waveform: muted(opus(waveform, rng, float(kbit_s)), heard(clip, lost) > 0.5))


def recorded_call(clip: Clip, rng: np.random.Generator, window_share: float) -> Clip:
    """The screen of somebody in a call with this person, recorded: the smaller the window, the less was sent for it."""
    crf = float(np.interp(window_share, (0, 1), CALL_CRF[::-1]))
    kbit_s, upper_hz = window_share * CALL_KBIT_S, window_share * CALL_HZ

    def see(frames: Frames) -> Frames:
        sent = recode_frames(frame_rate_drop(frames, rng, window_share), crf)
        return np.stack([on_screen(frame, window_share) for frame in sent])

    return both(clip, see, lambda waveform: band_limit(opus(waveform, rng, kbit_s), rng, upper_hz))


def on_screen(frame: Frame, share: float) -> Frame:
    """The frame in a window of the program, with those who have no camera beside it and a bar of buttons below, which
    lies over a large window."""
    height, width = frame.shape[:2]
    screen = np.full_like(frame, WINDOW)
    bar = round(BAR_SHARE * height)
    rows, columns = max(1, round(share * height)), max(1, round(share * width))
    top, left = max(0, (height - bar - rows) // 2), round(0.3 * (width - columns))
    screen[top : top + rows, left : left + columns] = resize(frame, rows, columns)
    beside = width - left - columns
    tile = (height - bar) // len(AVATARS)
    for place, colour in enumerate(AVATARS):
        middle, radius = (width - beside // 2, round((place + 0.5) * tile)), round(0.3 * min(beside, tile))
        cv2.circle(screen, middle, radius, colour, -1, cv2.LINE_AA)
    screen[height - bar :] = BAR
    for place in range(-2, 3):
        middle = width // 2 + place * round(1.2 * bar), height - bar // 2
        cv2.circle(screen, middle, round(0.36 * bar), END_CALL if place == 2 else BUTTON, -1, cv2.LINE_AA)
    return screen


def rerecorded(clip: Clip, rng: np.random.Generator, angle_deg: float) -> Clip:
    """Recorded anew from a screen and its loudspeaker, from beside by an angle: in perspective, with moiré, flicker and
    the light of the room; with less treble, and more of the room."""
    along = float(np.cos(np.radians(angle_deg)))
    glancing = 1 - along
    side = rng.choice([-1.0, 1.0])
    roll = rng.uniform() + rng.uniform(*ROLL_HZ) * steps_s(clip)

    def see(frames: Frames) -> Frames:
        height, width = frames.shape[1:3]
        shine = moire(height, width, rng, MOIRE * np.sqrt(glancing))
        move = perspective(height, width, side * angle_deg)
        bezel = cv2.warpPerspective(np.ones((height, width), np.float32), widened(move, height, width), (width, height))
        screen = cv2.warpPerspective(np.ones((height, width), np.float32), move, (width, height))
        room = np.where(bezel[..., None] > 0.5, BEZEL, ROOM).astype(np.float32)
        recorded = np.empty_like(frames)
        bands = 2 * np.pi * BANDS * np.arange(height)[:, None, None] / height
        for frame, phase, out in zip(frames, seen(clip, roll), recorded, strict=True):
            flicker = 1 - FLICKER * np.sqrt(glancing) * (0.5 + 0.5 * np.sin(bands - 2 * np.pi * phase))
            lit = frame.astype(np.float32) * (along * flicker * shine).astype(np.float32) + 255 * GLARE * glancing
            there = cv2.warpPerspective(lit, move, (width, height))
            out[:] = np.clip(np.rint(there + room * (1 - screen[..., None])), 0, 255)
        return recorded

    return both(
        clip,
        see,
        lambda waveform: band_limit(
            in_a_room(waveform, rng, SPEAKER_RT60_S, STRAIGHT / along**6), rng, SPEAKER_HZ * along**2
        ),
    )


def moire(height: int, width: int, rng: np.random.Generator, depth: float) -> np.ndarray:
    """Gains (h, w, 3) about 1: curved fringes, which do not meet in the three colours."""
    down, right = np.mgrid[0:height, 0:width] / (height, width)[0]
    turn, bend = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5)
    across = np.cos(turn) * right + np.sin(turn) * down
    fringes = rng.uniform(*FRINGES) * (across + bend * np.square(across - 0.5) / 2)
    return 1 + depth * np.sin(2 * np.pi * (fringes[..., None] + np.arange(3) / 3))


def perspective(height: int, width: int, angle_deg: float) -> np.ndarray:
    """From a frame to how it is seen on a screen that is turned about its upright middle line."""
    angle = np.radians(angle_deg)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (0.5, 0.5 * height / width)
    away = 1 + corners[:, 0] * np.sin(angle) / SCREEN_DISTANCE
    there = np.stack([corners[:, 0] * np.cos(angle), corners[:, 1]], axis=1) / away[:, None]
    middle = (there.max(axis=0) + there.min(axis=0)) / 2
    scale = SCREEN_SHARE * width / (1 + np.sin(abs(angle)) / (2 * SCREEN_DISTANCE))
    target = (there - middle) * scale + (width / 2, height / 2)
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    return cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))


def widened(move: np.ndarray, height: int, width: int) -> np.ndarray:
    """The same for a screen with its bezel."""
    rim = BEZEL_SHARE * width
    outer = np.array(
        [[(width + 2 * rim) / width, 0, -rim], [0, (height + 2 * rim) / height, -rim], [0, 0, 1]], np.float64
    )
    return move @ outer


ROWS = (
    row(far_away, "joint", (1.1, 1.3, 1.8, 3.2, 8.0), "far from camera and microphone in a room", BOTH),
    row(bad_connection, "joint", (0.05, 0.12, 0.25, 0.45, 0.7), "outages of both streams, coded at a low rate", BOTH),
    row(recorded_call, "joint", (0.95, 0.8, 0.6, 0.42, 0.25), "a call recorded from the screen, in a window", BOTH),
    row(rerecorded, "joint", (8.0, 18.0, 30.0, 45.0, 60.0), "recorded from a screen and its loudspeaker", BOTH),
)
