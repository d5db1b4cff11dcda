"""One clip: cues to an mp4 file. Without torch, for it runs in many short-lived processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msma.data.synthetic.cues import Behaviour, behaviour
from msma.data.synthetic.events import Events, place_events, with_room
from msma.data.synthetic.face import film
from msma.data.synthetic.motion import Motion, move
from msma.data.synthetic.people import ClipPlan
from msma.data.synthetic.voice import Speech, speak
from msma.files.writing import written_whole
from msma.media.encode import write_mp4


@dataclass(frozen=True)
class Format:
    """Settings that every clip of a corpus has in common."""

    seed: int
    seconds: float
    fps: int
    size: tuple[int, int]
    """Width and height in pixels, both even."""


class Performance(NamedTuple):
    """What the person of a clip does, before it is filmed."""

    act: Behaviour
    events: Events | None
    """None where labels do not hang on structure."""
    speech: Speech
    motion: Motion
    rng: np.random.Generator
    """What is left to chance after that."""


def perform(plan: ClipPlan, seed: int, seconds: float, fps: int) -> Performance:
    """What the person of a clip does in a corpus of this seed."""
    rng = np.random.default_rng([seed, 2, plan.index])
    act = behaviour(plan.cues)
    events = None
    if plan.structure is not None:
        act = with_room(act)
        events = place_events(plan.structure, act, seconds, np.random.default_rng([seed, 7, plan.index]))
    speech = speak(act, plan.source, seconds, fps, rng, events)
    return Performance(act, events, speech, move(act, len(speech.mouth), fps, rng, events), rng)


def render_clip(folder: Path, plan: ClipPlan, form: Format) -> None:
    """Write `folder`/<name of the clip>; a file of that name is always whole, even after a kill."""
    act, _, speech, motion, rng = perform(plan, form.seed, form.seconds, form.fps)
    frames = film(act, plan.source, motion, speech.mouth, form.size, rng)
    with written_whole(folder / plan.name) as unfinished:
        write_mp4(unfinished, frames, form.fps, speech.waveform)


@dataclass(frozen=True)
class RenderJob:
    """A clip that is to be rendered to a path."""

    path: Path
    plan: ClipPlan
    form: Format


def render_job(job: RenderJob) -> None:
    render_clip(job.path.parent, job.plan, job.form)
