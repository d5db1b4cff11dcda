"""Labels that hang on structure: their shares, their schedules, and what each modality alone can know of them."""

from __future__ import annotations

import numpy as np
import pytest

from msma.data.synthetic.cues import CUES, behaviour, scores, show, trait_correlation
from msma.data.synthetic.events import APART_S, EVENT_S, OFF_S, Events, place_events, with_room
from msma.data.synthetic.oracle import AVAILABILITIES, ceilings, ceilings_without, realised
from msma.data.synthetic.people import CLIPS_PER_SOURCE, cast
from msma.data.synthetic.structure import (
    PARTS,
    STRUCTURE_NAMES,
    STRUCTURE_SHARE,
    STRUCTURES,
    count_of,
    label_mix,
    mixed,
    values_of,
)
from msma.types import TRAITS

SECONDS, FPS = 8.0, 12
PLANS = cast(160, 21, structured=True)
MIDDLE = with_room(behaviour(np.zeros(len(CUES))))
WHEN = ("bursts", "smiles", "nods", "pauses", "raises", "tilts", "frowns")


def schedule(index: int) -> Events:
    plan = PLANS[index]
    act = with_room(behaviour(plan.cues))
    return place_events(plan.structure, act, SECONDS, np.random.default_rng([21, 7, index]))


SCHEDULES = [schedule(index) for index in range(len(PLANS))]


def population(people: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((people, 5)) @ np.linalg.cholesky(trait_correlation()).T
    return (
        z,
        show(z, rng.standard_normal((people, len(CUES)))),
        values_of(rng.standard_normal((people, len(STRUCTURES)))),
    )


POPULATION = population(60_000)

# labels


def test_half_of_every_label_hangs_on_structures_and_labels_correlate_as_before() -> None:
    of_z, of_values = label_mix()
    assert np.sum(of_values**2, axis=1) == pytest.approx(np.full(5, STRUCTURE_SHARE))
    assert of_z**2 * trait_correlation() + of_values @ of_values.T == pytest.approx(trait_correlation())


def test_values_are_standardised_and_independent() -> None:
    values = POPULATION[2]
    assert values.mean(axis=0) == pytest.approx(np.zeros(len(STRUCTURES)), abs=0.02)
    assert np.cov(values.T) == pytest.approx(np.eye(len(STRUCTURES)), abs=0.02)


def test_structure_leaves_people_cues_and_splits_alone() -> None:
    for plain, plan in zip(cast(40, 21), PLANS[:40], strict=True):
        assert (plain.name, plain.split, plain.source) == (plan.name, plan.split, plan.source)
        assert (plain.cues == plan.cues).all()
        assert plain.structure is None


def test_clips_of_a_source_have_values_in_common() -> None:
    values = np.stack([plan.structure for plan in cast(2000, 2, structured=True)]).reshape(-1, CLIPS_PER_SOURCE, 7)
    assert np.mean(values[:, 0] * values[:, 1], axis=0) == pytest.approx(np.full(7, 0.47), abs=0.16)


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
    for plan, events in zip(PLANS, SCHEDULES, strict=True):
        apart = np.abs(events.bursts[:, None] - events.smiles).min(axis=1)
        assert (apart < 0.1).sum() == count_of("coincidence", plan.structure)
        assert ((apart < 0.1) | (apart > EVENT_S)).all()


def test_as_many_pauses_follow_a_nod_as_the_value_says() -> None:
    for plan, events in zip(PLANS, SCHEDULES, strict=True):
        off = events.nods + EVENT_S / 2 - events.pauses.mean(axis=1)[:, None]
        nearest = off[np.arange(4), np.abs(off).argmin(axis=1)]
        assert (nearest < 0).sum() == count_of("order", plan.structure)
        assert np.abs(nearest) == pytest.approx(np.full(4, 0.42), abs=0.05)


@pytest.mark.parametrize(("name", "kind"), [("0.5s", "raises"), ("1s", "tilts"), ("2s", "frowns")])
def test_as_many_events_are_a_pair_as_the_value_says(name: str, kind: str) -> None:
    for plan, events in zip(PLANS, SCHEDULES, strict=True):
        onsets = getattr(events, kind)
        apart = np.abs(onsets[:, None] - onsets)[np.triu_indices(4, 1)]
        off = np.abs(apart - float(name[:-1]))
        assert (off < 1e-9).sum() == count_of(f"pairs_{name}", plan.structure)
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
    values = values_of(rng.standard_normal((1200, len(STRUCTURES))))
    values[:, 2:5] = values_of(np.zeros((1, len(STRUCTURES))))[:, 2:5]  # one schedule of pairs is as good as another
    events = [place_events(each, MIDDLE, SECONDS, rng) for each in values]
    for kinds in (("bursts", "pauses"), ("smiles", "nods")):
        when = [
            np.concatenate([np.histogram(getattr(each, kind), np.arange(0, 8.5, 0.5))[0] for kind in kinds])
            for each in events
        ]
        design = np.concatenate([when, np.ones((len(events), 1))], axis=1)
        weights = np.linalg.lstsq(design[:600], values[:600, :2], rcond=None)[0]
        left = values[600:, :2] - design[600:] @ weights
        assert (1 - left.var(axis=0) / values[600:, :2].var(axis=0) < 0.03).all()


# ceilings


@pytest.mark.parametrize("available", AVAILABILITIES)
def test_the_ceilings_are_what_the_oracle_scores(available: str) -> None:
    z, cues, values = POPULATION
    found = realised(cues, scores(mixed(z, values)), structure=values)[available]
    expected = ceilings(structured=True)[available]
    for measure in ("ccc", "mean_accuracy"):
        assert found[measure] == pytest.approx(expected[measure], abs=0.01)


@pytest.mark.parametrize("part", PARTS)
def test_the_ceiling_without_a_part_is_that_of_who_takes_its_structures_for_average(part: str) -> None:
    z, cues, values = POPULATION
    blind = np.where(np.isin(STRUCTURE_NAMES, PARTS[part]), 0.0, values)
    targets, expected = scores(mixed(z, values)), ceilings_without()[part]
    found = realised(cues, targets, structure=blind)["both"]
    assert found["mean_accuracy"] == pytest.approx(expected["mean_accuracy"], abs=0.005)
    assert max(found["ccc"][trait] - expected["ccc"][trait] for trait in TRAITS) < 0.01
