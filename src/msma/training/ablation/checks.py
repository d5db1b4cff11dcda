"""The quick checks that the paper's summary proposes, as numbers, from what was seen inside the networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from msma.corruptions.corruption import SEVERITIES
from msma.data.corpora.manifest import Row, targets
from msma.evaluation.results import (
    AblationTable,
    AttentionCheck,
    Graded,
    NetworkChecks,
    NoiseCheck,
    QuickChecks,
    ScaleCheck,
    SeverityCheck,
    Spread,
    TraitCheck,
    WorstCheck,
)
from msma.metrics import (
    all_metrics,
    draw_sources,
    labelled_traits,
    names_of,
    resampled_metrics,
)
from msma.training.ablation.intervals import estimate, spread
from msma.training.ablation.measures import mean_of_known, slope, spearman
from msma.training.ablation.probes import ATTENTION_TO, NOISES, SCALES, Probed
from msma.types import MODALITIES

SEVERITY = np.arange(len(SEVERITIES) + 1, dtype=np.float64)
BY_CONSTRUCTION = (
    "Attention, quality and weights come before the one head of all traits: they are the same for every trait by "
    "construction. What can differ is how far each trait's answer depends on a modality."
)
SCALE_ABLATIONS = (
    "no_multiscale",
    "no_spatial_scales",
    "no_temporal_scales",
    "one_spatial_scale",
    "one_temporal_scale",
    "wide_temporal_scales",
)


def quick_checks(
    probed: Mapping[str, Sequence[Probed]],
    rows: Sequence[Row],
    constant: Float[np.ndarray, "clips 5"],
    table: AblationTable,
) -> QuickChecks:
    """By ablation, whose networks (one a seed) are `probed` with clips of `rows`; and what scales give, by `table`."""
    gains = {name: row.differences for name, row in table.rows.items() if name in SCALE_ABLATIONS}
    return QuickChecks(
        networks={name: checks_of(networks, rows, constant) for name, networks in probed.items() if networks[0]},
        scales={name: {key: differences[key] for key in ("skill", "scenarios")} for name, differences in gains.items()},
    )


def checks_of(networks: Sequence[Probed], rows: Sequence[Row], constant: Float[np.ndarray, "clips 5"]) -> NetworkChecks:
    """The checks on the networks of one ablation."""
    places = networks[0]["rows"]
    some, base = [rows[place] for place in places], constant[places]
    modalities = [modality for modality in MODALITIES if f"{modality}_noise" in networks[0]]
    both, halves = "audio_alone" in networks[0], "audio_half_clean" in networks[0]
    return NetworkChecks(
        clips=len(some),
        noise={modality: moves(networks, modality) for modality in modalities},
        severity={NOISES[modality]: falls(networks, modality, some, base) for modality in modalities},
        scales={group: alike(networks, group) for group in SCALES if f"cka_{group}" in networks[0]},
        traits=leans(networks, targets(some)) if both else None,
        both_worst=both_worst(networks, some, base) if both else None,
        attention_on_noise={modality: overweighted(networks, modality) for modality in modalities} if halves else None,
    )


def moves(networks: Sequence[Probed], modality: str) -> NoiseCheck:
    """How weight, predicted quality and attention of a modality go with the severity of its noise."""

    def graded(measure: str) -> Graded:
        of_seeds = [one[f"{modality}_noise_{measure}"] for one in networks]
        return Graded(
            by_severity=[mean_of_known(values) for values in np.concatenate(of_seeds).T],
            spearman=spread([spearman(np.broadcast_to(SEVERITY, values.shape), values) for values in of_seeds]),
        )

    measures = [name for name in ("weight", "quality", "evenness") if f"{modality}_noise_{name}" in networks[0]]
    return NoiseCheck(corruption=NOISES[modality], **{measure: graded(measure) for measure in measures})


def falls(
    networks: Sequence[Probed], modality: str, rows: Sequence[Row], constant: Float[np.ndarray, "clips 5"]
) -> SeverityCheck:
    """Skill at severity 0 to 5 of a modality's noise, and how much a step of severity costs, over seeds and sources."""
    target, draws = targets(rows), draw_sources([row.source for row in rows])
    everything = np.ones(len(rows), dtype=bool)
    values, drawn = [], []
    for one in networks:
        by_severity = one[f"{modality}_noise"].swapaxes(0, 1)
        values.append([all_metrics(answer, target, constant)["skill"]["mean"] for answer in by_severity])
        drawn.append(
            [
                resampled_metrics(answer, target, constant, draws, everything)["skill"].mean(axis=1)
                for answer in by_severity
            ]
        )
    slopes = slope(np.array(values).T).tolist()
    return SeverityCheck(
        skill=np.mean(values, axis=0).tolist(),
        slope=estimate(slopes, np.stack([slope(np.array(of_seed)) for of_seed in drawn])),
    )


def alike(networks: Sequence[Probed], group: str) -> ScaleCheck:
    matrices = [one[f"cka_{group}"] for one in networks]
    above = np.triu_indices(len(matrices[0]), k=1)
    return ScaleCheck(
        cka=np.mean(matrices, axis=0).tolist(),
        between_scales=spread([float(matrix[above].mean()) for matrix in matrices]),
    )


def leans(networks: Sequence[Probed], target: Float[np.ndarray, "clips 5"]) -> TraitCheck:
    """By trait, how far the answer moves when a modality is taken away; and the share of the sound in that."""
    labelled = labelled_traits(target)

    def moved(without: str) -> Float[np.ndarray, "seeds traits"]:
        return np.array([np.abs(one["clean"] - one[without]).mean(axis=0)[labelled] for one in networks])

    without_audio, without_visual = moved("visual_alone"), moved("audio_alone")
    total = without_audio + without_visual
    share = np.where(total > 0, without_audio / np.where(total > 0, total, 1.0), np.nan)

    def by_trait(values: Float[np.ndarray, "seeds traits"]) -> dict[str, Spread]:
        return {trait: spread(column.tolist()) for trait, column in zip(names_of(labelled), values.T, strict=True)}

    return TraitCheck(
        attention=BY_CONSTRUCTION,
        without_audio=by_trait(without_audio),
        without_visual=by_trait(without_visual),
        audio_share=by_trait(share),
    )


def overweighted(networks: Sequence[Probed], modality: str) -> AttentionCheck:
    """Does attention turn to the half of a modality that is noise? Mass on that half with the noise and without it."""

    def of_seeds(mass: Callable[[Probed], np.ndarray]) -> Spread:
        return spread([mean_of_known(mass(one)) for one in networks])

    name = f"{modality}_half"
    return AttentionCheck(
        attention=ATTENTION_TO[modality],
        share_of_tokens=of_seeds(lambda one: one[f"{name}_share"]),
        clean=of_seeds(lambda one: one[f"{name}_clean"]),
        noisy=of_seeds(lambda one: one[f"{name}_noisy"]),
        change=of_seeds(lambda one: one[f"{name}_noisy"] - one[f"{name}_clean"]),
    )


def both_worst(networks: Sequence[Probed], rows: Sequence[Row], constant: Float[np.ndarray, "clips 5"]) -> WorstCheck:
    """Both modalities at their worst: what skill and what spread of the answers is left, and what quality is told."""
    target = targets(rows)
    labelled = labelled_traits(target)

    def skills(answers: str) -> Spread:
        return spread([all_metrics(one[answers], target, constant)["skill"]["mean"] for one in networks])

    def deviation(one: Probed, answers: str) -> float:
        return float(one[answers][:, labelled].std(axis=0).mean())

    return WorstCheck(
        corruptions=list(NOISES.values()),
        skill=skills("both_worst"),
        clean_skill=skills("clean"),
        spread_to_clean=spread(
            [deviation(one, "both_worst") / max(deviation(one, "clean"), 1e-12) for one in networks]
        ),
        quality={
            modality: spread([float(one["both_worst_quality"][:, place].mean()) for one in networks])
            for place, modality in enumerate(MODALITIES)
        },
    )
