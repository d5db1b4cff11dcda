"""Labels that hang on structure: their shares, their schedules, and what is seen and heard of them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from msma.data.synthetic.cues import CUES, behaviour, trait_correlation
from msma.data.synthetic.events import APART_S, EVENT_S, OFF_S, Events, bumps, place_events, with_room
from msma.data.synthetic.face import film
from msma.data.synthetic.motion import move
from msma.data.synthetic.people import CLIPS_PER_SOURCE, cast, draw_structure
from msma.data.synthetic.structure import STRUCTURES, count_of, label_mix, values_of
from msma.data.synthetic.voice import speak
from msma.media.faces import default_detector, find_faces
from msma.types import SAMPLE_RATE

SECONDS, FPS = 8.0, 12
PLANS = cast(160, 21, structured=True)
VALUES = draw_structure(len(PLANS), CLIPS_PER_SOURCE, 21)
MIDDLE = with_room(behaviour(np.zeros(len(CUES))))
WHEN = ("bursts", "smiles", "nods", "pauses", "raises", "tilts", "frowns")


def schedule(index: int) -> Events:
    plan = PLANS[index]
    act = with_room(behaviour(plan.cues))
    return place_events(VALUES[index], act, SECONDS, np.random.default_rng([21, 7, index]))


SCHEDULES = [schedule(index) for index in range(len(PLANS))]


# labels


def test_nine_tenths_of_every_label_hang_on_structures_and_labels_correlate_as_before() -> None:
    of_z, of_values = label_mix()
    assert np.sum(of_values**2, axis=1) == pytest.approx(np.full(5, 0.9))
    assert of_z**2 * trait_correlation() + of_values @ of_values.T == pytest.approx(trait_correlation())


def test_values_are_standardised_and_independent() -> None:
    values = values_of(np.random.default_rng(0).standard_normal((60_000, len(STRUCTURES))))
    assert values.mean(axis=0) == pytest.approx(np.zeros(len(STRUCTURES)), abs=0.02)
    assert np.cov(values.T) == pytest.approx(np.eye(len(STRUCTURES)), abs=0.02)


def test_structure_leaves_people_cues_and_splits_alone() -> None:
    for plain, plan in zip(cast(40, 21), PLANS[:40], strict=True):
        assert (plain.name, plain.split, plain.source) == (plan.name, plan.split, plan.source)
        assert (plain.cues == plan.cues).all()
        assert plain.structure is None
    assert (np.array([plan.structure for plan in PLANS]) == VALUES).all()


def test_clips_of_a_source_have_values_in_common() -> None:
    values = draw_structure(800, CLIPS_PER_SOURCE, 2).reshape(-1, CLIPS_PER_SOURCE, 7)
    assert np.mean(values[:, 0] * values[:, 1], axis=0) == pytest.approx(np.full(7, 0.47), abs=0.2)


# schedules


def test_every_clip_has_as_many_events_of_each_kind() -> None:
    for events in SCHEDULES:
        counts = {kind: len(getattr(events, kind)) for kind in WHEN}
        assert {counts.pop("nods")} <= {4, 5}
        assert {*counts.values()} == {4}
        for kind in WHEN:
            assert np.min(getattr(events, kind)) >= 0
            assert np.max(getattr(events, kind)) <= SECONDS - EVENT_S * (kind != "pauses")


def test_as_many_bursts_meet_a_smile_as_the_value_says() -> None:
    for values, events in zip(VALUES, SCHEDULES, strict=True):
        apart = np.abs(events.bursts[:, None] - events.smiles).min(axis=1)
        assert (apart < 0.1).sum() == count_of("coincidence", values)
        assert ((apart < 0.1) | (apart > EVENT_S)).all()


def test_as_many_pauses_follow_a_nod_as_the_value_says() -> None:
    for values, events in zip(VALUES, SCHEDULES, strict=True):
        off = events.nods + EVENT_S / 2 - events.pauses.mean(axis=1)[:, None]
        nearest = off[np.arange(4), np.abs(off).argmin(axis=1)]
        assert (nearest < 0).sum() == count_of("order", values)
        assert np.abs(nearest) == pytest.approx(np.full(4, 0.42), abs=0.05)


@pytest.mark.parametrize(("name", "kind"), [("0.5s", "raises"), ("1s", "tilts"), ("2s", "frowns")])
def test_as_many_events_are_a_pair_as_the_value_says(name: str, kind: str) -> None:
    for values, events in zip(VALUES, SCHEDULES, strict=True):
        onsets = getattr(events, kind)
        apart = np.abs(onsets[:, None] - onsets)[np.triu_indices(4, 1)]
        off = np.abs(apart - float(name[:-1]))
        assert (off < 1e-9).sum() == count_of(f"pairs_{name}", values)
        assert ((off < 1e-9) | (off >= OFF_S[0])).all()
        assert apart.min() >= APART_S


def test_pauses_and_bursts_never_meet_nor_do_movements_of_the_brows() -> None:
    for events in SCHEDULES:
        middles = events.bursts + EVENT_S / 2
        assert all(((middles < start) | (middles > end)).all() for start, end in events.pauses)
        assert np.abs(events.raises[:, None] - events.frowns).min() >= APART_S


def test_one_modality_alone_knows_nothing_of_coincidence_and_order() -> None:
    """The best linear prediction from when the events of one modality come, tested on other clips."""
    rng = np.random.default_rng(5)
    values = values_of(rng.standard_normal((600, len(STRUCTURES))))
    events = [place_events(each, MIDDLE, SECONDS, rng) for each in values]
    for kinds in (("bursts", "pauses"), ("smiles", "nods")):
        when = [
            np.concatenate([np.histogram(getattr(each, kind), np.arange(9.0))[0] for kind in kinds]) for each in events
        ]
        design = np.concatenate([when, np.ones((len(events), 1))], axis=1)
        weights = np.linalg.lstsq(design[:300], values[:300, :2], rcond=None)[0]
        left = values[300:, :2] - design[300:] @ weights
        assert (1 - left.var(axis=0) / values[300:, :2].var(axis=0) < 0.05).all()


# what is seen and heard


def face_of(index: int, **changed: object) -> tuple[Events, list[np.ndarray]]:
    """Frames of the clip's schedule, on a face that does nothing else."""
    plan, events = PLANS[index], SCHEDULES[index]
    rng = np.random.default_rng(0)
    act = replace(MIDDLE, nod_px=0.0, sway_px=0.0, gaze_aversion=0.0)
    motion = move(act, round(SECONDS * FPS), FPS, rng, events)
    still = {"lids": np.ones(len(motion.lids)), "centre_px": np.zeros_like(motion.centre_px), **changed}
    frames = film(act, plan.source, replace(motion, **still), np.zeros(len(motion.lids)), (320, 240), rng)
    return events, list(frames)


def strip(frames: list[np.ndarray], rows: tuple[float, float]) -> np.ndarray:
    """Grey levels of the rows of the face (head heights below its middle), by frame."""
    top, bottom = (round(0.47 * 240 + row * MIDDLE.head_px) for row in rows)
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[top:bottom, 110:210] for frame in frames]).astype(float)


@pytest.mark.parametrize(
    ("kinds", "rows"),
    [
        (("smiles",), (0.2, 0.4)),
        (("raises", "frowns"), (-0.3, -0.1)),
        (("nods",), (0.05, 0.16)),
        (("tilts",), (0.4, 0.5)),
    ],
)
def test_frames_change_where_the_schedule_says_and_nowhere_else(
    kinds: tuple[str, ...], rows: tuple[float, float]
) -> None:
    """The other events are left out, to see each part of the face on its own."""
    index = 3
    plain = move(MIDDLE, round(SECONDS * FPS), FPS, np.random.default_rng(0))
    others = {
        "smiles": {"smile": plain.smile},
        "raises": {"brows": plain.brows},
        "nods": {"turn": np.zeros_like(plain.turn)},
        "tilts": {"roll_deg": np.zeros_like(plain.roll_deg)},
    }
    changed = {name: value for kind, of in others.items() if kind not in kinds for name, value in of.items()}
    events, frames = face_of(index, **changed)
    when = np.arange(len(frames)) / FPS
    shown = sum(bumps(when, getattr(events, kind)) for kind in kinds)
    part = strip(frames, rows)
    resting = np.median(part[shown == 0], axis=0)
    moved = np.abs(part - resting).mean(axis=(1, 2))
    assert moved[shown > 0.9].min() > 1.5 * moved[shown == 0].max()


def test_bursts_are_louder_and_pauses_are_silent() -> None:
    for index in range(0, 40, 8):
        plan, events = PLANS[index], SCHEDULES[index]
        act = with_room(behaviour(plan.cues))
        sound = speak(act, plan.source, SECONDS, FPS, np.random.default_rng(index), events).waveform

        def level_db(start: float, end: float, sound: np.ndarray = sound) -> float:
            return 10 * np.log10(np.mean(sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] ** 2))

        bursts = [level_db(onset + 0.05, onset + EVENT_S - 0.05) for onset in events.bursts]
        pauses = [level_db(start + 0.05, end - 0.02) for start, end in events.pauses]
        assert np.mean(bursts) == pytest.approx(act.level_db + 7, abs=2)
        assert max(pauses) < act.level_db - 6
        assert np.abs(sound).max() < 0.99


def test_lips_do_not_tell_when_the_voice_pauses() -> None:
    plan = PLANS[0]
    lips = [
        speak(MIDDLE, plan.source, SECONDS, FPS, np.random.default_rng(0), events).mouth
        for events in (None, *SCHEDULES[:2])
    ]
    assert (lips[0] == lips[1]).all()
    assert (lips[0] == lips[2]).all()


def test_an_uneven_mouth_and_brow_show_in_small_regions_only() -> None:
    events = SCHEDULES[3]
    plain = move(MIDDLE, round(SECONDS * FPS), FPS, np.random.default_rng(0))
    still = {
        "smile": plain.smile,
        "brows": plain.brows,
        "turn": np.zeros_like(plain.turn),
        "roll_deg": plain.roll_deg * 0,
    }
    even = face_of(3, **still, corners=0.0, inner_brows=(0.0, 0.0))[1][0].astype(int)
    uneven = face_of(3, **still, corners=0.05, inner_brows=(0.06, 0.0))[1][0].astype(int)
    rows = np.abs(uneven - even).max(axis=(1, 2)) > 12
    y = (np.flatnonzero(rows) - 0.47 * 240) / MIDDLE.head_px
    assert ((y > -0.3) & (y < -0.08) | (y > 0.1) & (y < 0.35)).all()
    assert 0 < np.mean(np.abs(uneven - even).max(axis=2) > 12) < 0.01
    assert abs(events.corners) <= 0.05


@pytest.mark.slow
def test_the_detector_finds_the_faces_of_structured_clips() -> None:
    """In single nods, tilts, smiles and movements of the brows."""
    detector = default_detector()
    if detector is None:
        pytest.skip("no face detector")
    found = []
    for index in range(0, 160, 16):
        act = with_room(behaviour(PLANS[index].cues))
        rng, events = np.random.default_rng(index), SCHEDULES[index]
        motion = move(act, round(SECONDS * FPS), FPS, rng, events)
        frames = list(film(act, PLANS[index].source, motion, np.full(len(motion.lids), 0.4), (320, 240), rng))
        for kind in ("nods", "tilts", "smiles", "raises", "frowns"):
            found.append(len(find_faces(frames[round((getattr(events, kind)[0] + EVENT_S / 2) * FPS)], detector)) > 0)
    assert np.mean(found) >= 0.98
