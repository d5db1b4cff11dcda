"""Looking into one trained network: how weights, attention and answers move when its clips get worse.

Everything is read off `return_intermediates` for the first window of each clip, one clip at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor

from msma.config import ClipConfig, first_line
from msma.corruptions.corruption import SEVERITIES, WORST, corrupt
from msma.corruptions.scenarios import Cell, cells_of, corrupt_window
from msma.corruptions.table import find_corruption
from msma.data.cache_entry import cached_windows
from msma.data.corpus import Corpus
from msma.files import written_whole
from msma.media.prepare import frame_slots, prepare
from msma.model.fusion import ATTENTION_TO
from msma.model.tensors import ModelOutput
from msma.prediction.model import Model
from msma.training.ablation.measures import evenness, linear_cka, mass_on
from msma.types import MODALITIES, Clip, InputArrays, MsmaError, RawWindow

NOISES = {"audio": "white_noise", "visual": "gaussian_noise"}
"""The noise that is turned up in each modality."""
SCALES = tuple(f"{modality}_{axis}" for modality in MODALITIES for axis in ("spatial", "temporal"))
PROBED_CLIPS = 100
"""Of a split, the first so many."""
PLACES = 16
"""Of a clip, at which the outputs of the scales are compared."""

Probed = dict[str, np.ndarray]
"""By name, what was measured in one network. m: audio or visual.

    rows                (clips,)        which clips of the split
    clean               (clips, 5)      answers to clean clips
    m_alone             (clips, 5)      answers from m alone; where the network reads both
    m_noise             (clips, 6, 5)   answers with noise in m, by severity from 0
    m_noise_quality     (clips, 6)      predicted quality of m
    m_noise_weight      (clips, 6)      weight of m
    m_noise_evenness    (clips, 6)      evenness of the attention to m; where the network has cross-attention
    m_half_clean        (clips, 2)      attention mass on the first and the second half of m, as it is
    m_half_noisy        (clips, 2)      the same where that very half is noise
    m_half_share        (clips, 2)      share of the tokens that are in it
    both_worst          (clips, 5)      answers with both modalities at severity 5; where the network reads both
    both_worst_quality  (clips, 2)
    cka_GROUP           (s, s)          CKA between the scales of one of SCALES, where it has several
"""


@dataclass(frozen=True)
class Seen:
    """A network's answer for one clip, and what it was given."""

    inputs: InputArrays
    output: ModelOutput

    @property
    def named(self) -> dict[str, Tensor]:
        assert self.output.intermediates is not None
        return self.output.intermediates

    @property
    def traits(self) -> Float[np.ndarray, " 5"]:
        return array(self.output.traits[0])

    def attention_to(self, modality: str) -> Float[np.ndarray, "heads queries keys"]:
        return array(self.named[ATTENTION_TO[modality]][0])

    def evenness(self, modality: str) -> float:
        return evenness(self.attention_to(modality), self.queries(modality))

    def queries(self, modality: str) -> np.ndarray:
        """Which tokens of the other modality ask for this one: all of sound, of pictures those that are kept."""
        count = self.named[ATTENTION_TO[modality]].shape[2]
        return self.inputs.frame_mask if modality == "audio" else np.ones(count, dtype=bool)


def probe(model: Model, corpus: Corpus, split: str) -> Probed:
    """Look into a network with the first PROBED_CLIPS of a split that hold what it reads; empty where none does.

    Raises:
        MsmaError: an entry is damaged.
    """
    measured: dict[str, list[np.ndarray]] = {}
    scales: dict[str, list[list[np.ndarray]]] = {}
    for index, row in enumerate(corpus.split(split)):
        (window,) = cached_windows(corpus.entry(row), [0], name=row.clip)
        clean = look(model, window)
        if not all(clean.inputs.present[MODALITIES.index(modality)] for modality in model.weights.network.reads):
            continue
        for name, value in {"rows": np.array(index), **measures(model, window, clean)}.items():
            measured.setdefault(name, []).append(value)
        for group, outputs in scale_outputs(clean).items():
            scales.setdefault(group, []).append(outputs)
        if len(measured["rows"]) == PROBED_CLIPS:
            break
    found = {name: np.stack(values) for name, values in measured.items()}
    return found | {f"cka_{group}": cka_matrix(outputs) for group, outputs in scales.items()}


def look(model: Model, window: RawWindow) -> Seen:
    inputs = prepare(window, model.clip).inputs
    return Seen(inputs, model.weights.output(inputs, return_intermediates=True))


def look_under(model: Model, window: RawWindow, cell: Cell) -> Seen:
    return look(model, corrupt_window(window, cell, model.clip, model.detector))


def noise(severity: int, *modalities: str) -> Cell:
    (cell,) = cells_of("noise", [(NOISES[modality], None) for modality in modalities], [severity])
    return cell


def measures(model: Model, window: RawWindow, clean: Seen) -> Probed:
    """What Probed says, for one clip; its severities come first."""
    reads = model.weights.network.reads
    found: Probed = {"clean": clean.traits}
    for modality in reads:
        place = MODALITIES.index(modality)
        graded = [clean, *(look_under(model, window, noise(severity, modality)) for severity in SEVERITIES)]
        found[f"{modality}_noise"] = np.stack([seen.traits for seen in graded])
        found[f"{modality}_noise_quality"] = np.stack([array(seen.output.quality[0, place]) for seen in graded])
        found[f"{modality}_noise_weight"] = np.stack([array(seen.output.weights[0, place]) for seen in graded])
        if ATTENTION_TO[modality] in clean.named:
            found[f"{modality}_noise_evenness"] = np.array([seen.evenness(modality) for seen in graded])
            found |= half_masses(model, window, clean, modality)
    if reads == MODALITIES:
        worst = look_under(model, window, noise(WORST, *MODALITIES))
        found |= {"both_worst": worst.traits, "both_worst_quality": array(worst.output.quality[0])}
        found |= {f"{modality}_alone": array(clean.named[f"{modality}_traits"][0]) for modality in MODALITIES}
    return found


def half_masses(model: Model, window: RawWindow, clean: Seen, modality: str) -> Probed:
    """The attention to each half of a modality, as it is and where that half alone is noise.

    The face is where it is in the clean clip: a picture whose face is lost would be masked, which is no attention.
    """
    attention = clean.attention_to(modality)
    keys = attention.shape[-1]
    kept = (attention > 0).any(axis=(0, 1))
    first = np.arange(keys) < keys // 2
    halves = first, np.logical_not(first)
    spoiled = [
        look(model, replace(window, clip=with_noise_in(window.clip, modality, half, model.clip))).attention_to(modality)
        for half in halves
    ]
    queries = clean.queries(modality)
    return {
        f"{modality}_half_clean": np.array([mass_on(attention, queries, half) for half in halves]),
        f"{modality}_half_noisy": np.array(
            [mass_on(noisy, queries, half) for noisy, half in zip(spoiled, halves, strict=True)]
        ),
        f"{modality}_half_share": np.array([np.sum(kept & half) / np.sum(kept) for half in halves]),
    }


def with_noise_in(clip: Clip, modality: str, tokens: Bool[np.ndarray, " l"], config: ClipConfig) -> Clip:
    """The clip with the worst noise in that part of a modality that `tokens`, spread over its time, stand for."""
    row = find_corruption(NOISES[modality])
    if modality == "audio":
        part = tokens[np.arange(len(clip.waveform)) * len(tokens) // len(clip.waveform)]
        waveform = clip.waveform.copy()
        waveform[part] = corrupt(replace(clip, waveform=waveform[part]), row, WORST).waveform
        return replace(clip, waveform=waveform)
    part = tokens[frame_slots(clip, config)]
    frames = clip.frames.copy()
    frames[part] = corrupt(
        replace(clip, frames=frames[part], frame_times_s=clip.frame_times_s[part]), row, WORST
    ).frames
    return replace(clip, frames=frames)


def scale_outputs(seen: Seen) -> dict[str, list[np.ndarray]]:
    """By group, the outputs `(places, channels)` of its scales at the same PLACES of the clip, where it has several."""
    found = {}
    for group in SCALES:
        outputs = [seen.named[name] for name in seen.named if name.startswith(f"{group}_scale_")]
        if len(outputs) > 1:
            axes = "b l d -> (b l) d" if group.endswith("temporal") else "b c h w -> (b h w) c"
            flat = [array(rearrange(output, axes)) for output in outputs]
            places = np.unique(np.linspace(0, len(flat[0]) - 1, PLACES).round().astype(int))
            found[group] = [output[places] for output in flat]
    return found


def cka_matrix(outputs: list[list[np.ndarray]]) -> Float[np.ndarray, "scales scales"]:
    """Of the outputs of each scale over all clips; `outputs` has a list for each clip."""
    scales = [np.concatenate(of_clips) for of_clips in zip(*outputs, strict=True)]
    return np.array([[linear_cka(one, other) for other in scales] for one in scales])


def array(tensor: Tensor) -> np.ndarray:
    values = tensor.cpu()
    return values.double().numpy() if values.is_floating_point() else values.numpy()


def write_probed(path: Path, probed: Probed) -> None:
    with written_whole(path) as unfinished:
        unfinished.write_bytes(save({name: np.ascontiguousarray(values) for name, values in probed.items()}))


def read_probed(path: Path) -> Probed:
    """Raises:
    MsmaError: it is damaged.
    """
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise MsmaError(
            f"{path}: damaged ({first_line(error)}); delete it, the network will be looked into again"
        ) from error
