"""The quick checks find what is planted in a network's answers, weights and attention."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from msma.data.corpora.manifest import Row
from msma.evaluation.ablation import AblationRow, AblationTable, FromFull, Spread
from msma.metrics import Interval
from msma.training.ablation.checks import checks_of, quick_checks
from msma.training.ablation.table import StudiedNetwork
from msma.types import TRAITS

CLIPS = 30
RNG = np.random.default_rng(0)
SCORES = RNG.uniform(0.1, 0.9, (CLIPS, 5))
ROWS = [
    Row(f"{place:03d}", Path("clip.mp4"), f"source{place // 2}", "test", tuple(scores))
    for place, scores in enumerate(SCORES.tolist())
]
CONSTANT = np.full((CLIPS, 5), 0.5)
SEVERITY = np.arange(6) / 5


def towards_constant(shares: np.ndarray) -> np.ndarray:
    """Answers (clips, severities, 5) that are right at share 0 and the constant at share 1."""
    return SCORES[:, None] + shares[None, :, None] * (CONSTANT - SCORES)[:, None]


def planted(**other: np.ndarray) -> dict[str, np.ndarray]:
    """A network whose weight, quality and attention fall with noise, and whose answers go to the constant."""
    noise = RNG.normal(0, 0.01, (CLIPS, 6))
    graded = {
        f"{modality}_noise{measure}": values
        for modality in ("audio", "visual")
        for measure, values in {
            "": towards_constant(SEVERITY),
            "_weight": 0.5 - 0.4 * SEVERITY + noise,
            "_quality": 1 - 0.9 * SEVERITY + noise,
            "_evenness": 0.5 + 0.4 * SEVERITY + noise,
        }.items()
    }
    halves = {
        f"{modality}_half_{kind}": np.full((CLIPS, 2), value)
        for modality in ("audio", "visual")
        for kind, value in {"share": 0.5, "clean": 0.5, "noisy": 0.2}.items()
    }
    return {
        "rows": np.arange(CLIPS),
        "clean": SCORES,
        "audio_alone": 0.5 + 0.5 * (SCORES - 0.5),
        "visual_alone": CONSTANT,
        "both_worst": 0.5 + 0.1 * (SCORES - 0.5),
        "both_worst_quality": np.tile([0.1, 0.2], (CLIPS, 1)),
        "cka_audio_temporal": np.array([[1.0, 0.2, 0.4], [0.2, 1.0, 0.6], [0.4, 0.6, 1.0]]),
        **graded,
        **halves,
        **other,
    }


@pytest.fixture(scope="module")
def found() -> dict:
    return checks_of([planted(), planted()], ROWS, CONSTANT)


def test_weight_quality_and_attention_that_go_with_severity_are_found(found):
    for modality in ("audio", "visual"):
        moves = found.noise[modality]
        assert moves.weight.spearman.mean < -0.95
        assert moves.quality.spearman.mean < -0.95
        assert moves.evenness.spearman.mean > 0.95
        assert moves.quality.by_severity == pytest.approx(1 - 0.9 * SEVERITY, abs=0.02)
        assert len(moves.weight.spearman.by_seed) == 2


def test_weights_that_do_not_move_have_no_rank_correlation():
    fixed = checks_of([planted(audio_noise_weight=np.full((CLIPS, 6), 0.5))], ROWS, CONSTANT)
    assert math.isnan(fixed.noise["audio"].weight.spearman.mean)
    assert fixed.noise["audio"].weight.by_severity == [0.5] * 6


def test_the_skill_that_a_step_of_severity_costs_is_found(found):
    falls = found.severity["white_noise"]
    assert falls.skill == pytest.approx(1 - SEVERITY)
    slope = falls.slope
    assert slope.difference == pytest.approx(-0.2)
    assert slope.low <= slope.difference <= slope.high


def test_a_network_that_ignores_a_modality_is_seen(found):
    """Without sound it says nothing; without the picture it loses half."""
    traits = found.traits
    assert tuple(traits.audio_share) == TRAITS
    for trait in TRAITS:
        assert traits.without_audio[trait].mean == pytest.approx(2 * traits.without_visual[trait].mean)
        assert traits.audio_share[trait].mean == pytest.approx(2 / 3)
    deaf = checks_of([planted(visual_alone=SCORES)], ROWS, CONSTANT)
    assert {share.mean for share in deaf.traits.audio_share.values()} == {0}


def test_it_is_said_that_attention_cannot_know_the_trait(found):
    assert "the same for every trait by construction" in found.traits.attention


def test_attention_that_turns_away_from_noise_or_to_it_is_found(found):
    away = found.attention_on_noise["audio"]
    assert away.change.mean == pytest.approx(-0.3)
    assert (away.clean.mean, away.noisy.mean, away.share_of_tokens.mean) == pytest.approx((0.5, 0.2, 0.5))
    towards = checks_of([planted(visual_half_noisy=np.full((CLIPS, 2), 0.9))], ROWS, CONSTANT)
    assert towards.attention_on_noise["visual"].change.mean == pytest.approx(0.4)


def test_with_both_modalities_at_their_worst_skill_spread_and_quality_are_told(found):
    worst = found.both_worst
    assert worst.skill.mean == pytest.approx(0.1)
    assert worst.clean_skill.mean == pytest.approx(1)
    assert worst.spread_to_clean.mean == pytest.approx(0.1)
    assert (worst.quality["audio"].mean, worst.quality["visual"].mean) == pytest.approx((0.1, 0.2))


def test_how_alike_the_scales_are_is_the_mean_between_different_ones(found):
    scales = found.scales
    assert list(scales) == ["audio_temporal"]
    assert scales["audio_temporal"].between_scales.mean == pytest.approx(0.4)


def test_what_a_network_does_not_have_is_left_out():
    """A network of the sound alone."""
    kept = {name: values for name, values in planted().items() if "visual" not in name and "half" not in name}
    del kept["audio_alone"], kept["both_worst"], kept["audio_noise_evenness"]
    found = checks_of([kept], ROWS, CONSTANT)
    assert (found.traits, found.both_worst, found.attention_on_noise) == (None, None, None)
    assert list(found.noise) == ["audio"]
    assert found.noise["audio"].evenness is None


def test_clips_that_were_not_looked_at_do_not_count():
    some = {
        name: values if name.startswith("cka") else values[10:] for name, values in planted().items()
    }  # rows 10 to 29
    found = checks_of([some], ROWS, CONSTANT)
    assert found.clips == 20
    assert found.severity["white_noise"].skill[0] == pytest.approx(1)


def probed_network(probed: dict[str, np.ndarray]) -> StudiedNetwork:
    return StudiedNetwork(Path("run"), {}, 1, 8, 100, 0.0, probed)


def test_the_gain_of_the_scales_is_that_of_the_table():
    gap = FromFull(-0.1, -0.2, -0.05, all_low=-0.3, all_high=0.05, verdict="not told apart")
    names = ("mean_accuracy", "ccc", "skill", "scenarios", "retention")
    statistics = dict.fromkeys(names, Spread(0.5, 0.5, 0.5, (0.5,)))
    rows = {
        name: AblationRow(
            name=name,
            changes={},
            parameters=1,
            clips_per_step=8,
            clips_read=800,
            statistics=statistics,
            intervals=dict.fromkeys(names, Interval(0.4, 0.6)),
            last_quarter=Spread(0.0, 0.0, 0.0, (0.0,)),
            differences=dict.fromkeys(names, gap),
        )
        for name in ("no_multiscale", "concat")
    }
    counts = {"seeds": 1, "clips": CLIPS, "scenario_clips": CLIPS, "unpredicted": 0, "sources": 15}
    table = AblationTable(rows=rows, scenarios=(), constant_mean_accuracy=0.8, **counts)
    found = quick_checks(
        {"full": [probed_network(planted())], "nothing_to_look_at": [probed_network({})]}, ROWS, CONSTANT, table
    )
    assert found.scales == {"no_multiscale": {"skill": gap, "scenarios": gap}}
    assert list(found.networks) == ["full"]
