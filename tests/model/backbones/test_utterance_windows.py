"""The grid of partial utterances: 1.6 s every 0.8 s."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msma.model.backbones.backbone import STEP, WINDOW, sample_mask, valid_windows, window_count

SECOND = 16000


@pytest.mark.parametrize(
    ("seconds", "windows"), [(0.0, 1), (0.3, 1), (1.6, 1), (1.7, 2), (2.4, 2), (2.5, 3), (2.98, 3), (15.0, 18)]
)
def test_there_are_as_many_windows_as_cover_the_clip(seconds, windows):
    assert window_count(round(seconds * SECOND)) == windows


@given(st.integers(1, 40 * SECOND))
def test_the_last_window_ends_after_the_clip_and_the_one_before_does_not(samples):
    windows = window_count(samples)
    assert (windows - 1) * STEP + WINDOW >= samples
    assert windows == 1 or (windows - 2) * STEP + WINDOW < samples


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [
        (0.1, [True]),
        (1.0, [True]),
        (1.6, [True]),
        (1.99, [True, False]),
        (2.0, [True, True]),
        (2.79, [True, True, False]),
        (2.8, [True, True, True]),
    ],
)
def test_the_last_window_counts_from_three_quarters_on(seconds, kept):
    assert valid_windows(torch.ones(1, round(seconds * SECOND), dtype=torch.bool))[0].tolist() == kept


def test_a_window_counts_if_three_quarters_of_it_are_kept_wherever_they_lie():
    kept = torch.ones(2, 3 * SECOND, dtype=torch.bool)
    kept[0, : round(0.4 * SECOND)] = False
    kept[1, : round(0.4 * SECOND) + 1] = False
    assert valid_windows(kept)[:, 0].tolist() == [True, False]


def test_where_no_window_has_enough_the_one_with_most_counts():
    kept = torch.zeros(1, 4 * SECOND, dtype=torch.bool)
    kept[0, round(2.5 * SECOND) : round(3.1 * SECOND)] = True
    assert valid_windows(kept)[0].tolist() == [False, False, True, False]


def test_where_nothing_is_kept_no_window_counts():
    assert not valid_windows(torch.zeros(1, 4 * SECOND, dtype=torch.bool)).any()


@pytest.mark.parametrize("clips", [(), (2,)], ids=["a clip", "a batch"])
def test_the_mask_of_steps_holds_for_each_of_their_samples(clips):
    mask = torch.tensor([True, False, True]).expand(*clips, 3)
    kept = sample_mask(mask, torch.zeros(*clips, 6))
    assert kept.tolist() == torch.tensor([True, True, False, False, True, True]).expand(*clips, 6).tolist()
