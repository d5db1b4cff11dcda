"""One clip: cues to an mp4 file. Without torch, for it runs in many short-lived processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msma.data.synthetic.cues import behaviour
from msma.data.synthetic.events import place_events, with_room
from msma.data.synthetic.face import film
from msma.data.synthetic.motion import move
from msma.data.synthetic.people import ClipPlan
from msma.data.synthetic.voice import speak
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


def render_clip(folder: Path, plan: ClipPlan, form: Format) -> None:
    """Write `folder`/<name of the clip>; a file of that name is always whole, even after a kill."""
    rng = np.random.default_rng([form.seed, 2, plan.index])
    act = behaviour(plan.cues)
    events = None
    if plan.structure is not None:
        act = with_room(act)
        events = place_events(plan.structure, act, form.seconds, np.random.default_rng([form.seed, 7, plan.index]))
    speech = speak(act, plan.source, form.seconds, form.fps, rng, events)
    motion = move(act, len(speech.mouth), form.fps, rng, events)
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
