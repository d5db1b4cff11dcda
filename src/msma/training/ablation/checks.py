"""The quick checks that the paper's summary proposes, as numbers, from what was measured inside the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from msma.corruptions.corruption import SEVERITIES
from msma.data.corpora.manifest import Row, targets
from msma.evaluation.ablation import (
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
from msma.evaluation.predictions import Predictions
from msma.evaluation.robustness.cell_result import spearman
from msma.metrics import all_metrics, draw_sources, labelled_traits, mean_of_known, names_of
from msma.training.ablation.probes import ATTENTION_TO, NOISES, SCALES, Probed
from msma.training.ablation.statistics import estimate, slope, spread
from msma.training.ablation.table import StudiedNetwork, cell_statistics
from msma.types import MODALITIES

SEVERITY = np.arange(len(SEVERITIES) + 1, dtype=np.float64)
BY_CONSTRUCTION = (
    "Attention, quality and weights come before the one head of all traits: they are the same for every trait by "
    "construction. What can differ is how far each trait's prediction depends on a modality."
)


def quick_checks(
    networks: Mapping[str, Sequence[StudiedNetwork]],
    rows: Sequence[Row],
    constant: Float[np.ndarray, "clips 5"],
    table: AblationTable,
) -> QuickChecks:
    """The checks by ablation, from the probes of its networks with clips of `rows`; and the gain of the scales."""
    probed = {name: [one.probed for one in of_seeds if one.probed] for name, of_seeds in networks.items()}
    gains = {name: row.differences for name, row in table.rows.items() if "scale" in name}
    return QuickChecks(
        networks={name: checks_of(of_seeds, rows, constant) for name, of_seeds in probed.items() if of_seeds},
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
    clips, sources, target = [row.clip for row in rows], [row.source for row in rows], targets(rows)
    draws = draw_sources(sources)
    skills = [
        [
            cell_statistics(Predictions(clips, sources, predicted, target), constant, draws)["skill"]
            for predicted in one[f"{modality}_noise"].swapaxes(0, 1)
        ]
        for one in networks
    ]
    return SeverityCheck(
        skill=np.array(skills)[..., 0].mean(axis=0).tolist(),
        slope=estimate(np.stack([slope(np.array(of_severities)) for of_severities in skills])),
    )


def alike(networks: Sequence[Probed], group: str) -> ScaleCheck:
    matrices = np.array([one[f"cka_{group}"] for one in networks])
    above = np.triu_indices(matrices.shape[1], k=1)
    return ScaleCheck(
        cka=matrices.mean(axis=0).tolist(),
        between_scales=spread([float(matrix[above].mean()) for matrix in matrices]),
    )


def leans(networks: Sequence[Probed], target: Float[np.ndarray, "clips 5"]) -> TraitCheck:
    """How far the prediction of each trait moves when a modality is removed, and the share of audio in that."""
    labelled = labelled_traits(target)

    def moved(without: str) -> Float[np.ndarray, "seeds traits"]:
        return np.array([np.abs(one["clean"] - one[without]).mean(axis=0)[labelled] for one in networks])

    def by_trait(values: Float[np.ndarray, "seeds traits"]) -> dict[str, Spread]:
        return {trait: spread(column.tolist()) for trait, column in zip(names_of(labelled), values.T, strict=True)}

    without_audio, without_visual = moved("visual_alone"), moved("audio_alone")
    total = without_audio + without_visual
    return TraitCheck(
        attention=BY_CONSTRUCTION,
        without_audio=by_trait(without_audio),
        without_visual=by_trait(without_visual),
        audio_share=by_trait(without_audio / np.where(total > 0, total, np.nan)),
    )


def overweighted(networks: Sequence[Probed], modality: str) -> AttentionCheck:
    """Does attention turn to the half of a modality that is noise? Mass on that half with the noise and without it."""
    share, clean, noisy = ([one[f"{modality}_half_{name}"] for one in networks] for name in ("share", "clean", "noisy"))
    change = [after - before for after, before in zip(noisy, clean, strict=True)]
    measures = {"share_of_tokens": share, "clean": clean, "noisy": noisy, "change": change}
    return AttentionCheck(
        attention=ATTENTION_TO[modality],
        **{name: spread([mean_of_known(one.ravel()) for one in of_seeds]) for name, of_seeds in measures.items()},
    )


def both_worst(networks: Sequence[Probed], rows: Sequence[Row], constant: Float[np.ndarray, "clips 5"]) -> WorstCheck:
    """Skill, spread of the predictions and predicted quality with both modalities at their worst."""
    target = targets(rows)
    labelled = labelled_traits(target)

    def skills(name: str) -> Spread:
        return spread([all_metrics(one[name], target, constant)["skill"]["mean"] for one in networks])

    def deviation(one: Probed, name: str) -> float:
        return float(one[name][:, labelled].std(axis=0).mean())

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
