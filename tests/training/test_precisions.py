"""The fit of the adaptive weighting: found where it helps, and nothing where it does not."""

from __future__ import annotations

import torch

from msma.training.precisions import Readings, fit_precisions
from msma.weights.checkpoint import weighting_of

PRIOR = torch.full((5,), 0.5, dtype=torch.float64)


def readings(clips: int, seed: int, *, useful: bool) -> Readings:
    """Clips in four conditions. If `useful`, the fused output is lost where audio is bad, and visual is not."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    truth = 0.8 * normal(clips, 1, 5).expand(-1, 4, -1)
    quality = torch.rand(clips, 4, 2, generator=generator, dtype=torch.float64)
    noise = 2 * (1 - quality[..., :1]) * normal(clips, 4, 5) if useful else 0.3 * normal(clips, 4, 5)
    alone = torch.stack([truth + noise, truth + (0.4 if useful else 2.0) * normal(clips, 4, 5)], dim=2)
    names = [str(clip) for clip in range(clips) for _ in range(4)]
    return Readings(
        fused=(truth + noise).sigmoid().flatten(0, 1),
        alone=alone.sigmoid().flatten(0, 1),
        quality=quality.flatten(0, 1),
        present=torch.ones(4 * clips, 2, dtype=torch.bool),
        target=truth.sigmoid().flatten(0, 1),
        clean=truth.sigmoid().flatten(0, 1),
        clips=names,
        sources=names,
    )


def test_outputs_that_are_left_are_found_and_used():
    found = fit_precisions(readings(80, 0, useful=True), PRIOR)
    assert found is not None
    assert min(found.alone["visual"].values()) > 0.1
    assert found.fused_slopes["audio"] > 0.3
    fresh, weighting = readings(80, 1, useful=True), weighting_of(found).double()
    before, after = ((one - fresh.target).abs().mean() for one in (fresh.fused, fresh.weighed(weighting, PRIOR)))
    assert after < 0.8 * before


def test_it_is_the_same_every_time():
    given = readings(30, 2, useful=True)
    assert fit_precisions(given, PRIOR) == fit_precisions(given, PRIOR)


def test_what_gains_nothing_on_other_sources_is_not_used():
    assert fit_precisions(readings(10, 3, useful=False), PRIOR) is None
    few = readings(4, 4, useful=True)
    assert fit_precisions(few, PRIOR) is None
