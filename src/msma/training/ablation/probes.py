"""Probes of trained networks: how weights, attention and predictions move when their clips are corrupted.

All is read from the intermediates for the first window of each clip, one clip at a time, which is corrupted and
prepared once for all networks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float
from safetensors.numpy import load, save
from torch import Tensor

from msma.config import ClipConfig
from msma.corruptions.corruption import SEVERITIES, WORST, corrupt
from msma.corruptions.scenarios import cells_of, corrupt_window
from msma.corruptions.table import find_corruption
from msma.data.cache_entry import cached_windows
from msma.data.corpus import Corpus
from msma.evaluation.result_file import MAX_BYTES
from msma.evaluation.robustness.shared_window import SharedWindow, shared_window
from msma.files.reading import read_file
from msma.files.writing import write_whole
from msma.media.faces import Detector
from msma.media.prepare import frame_slots, prepare
from msma.model.fusion import ATTENTION_TO
from msma.model.tensors import ModelOutput
from msma.prediction.model import Model
from msma.training.ablation.statistics import evenness, linear_cka, mass_on
from msma.types import MODALITIES, Clip, InputArrays, RawWindow

NOISES = {"audio": "white_noise", "visual": "gaussian_noise"}
"""The noise that is turned up in each modality."""
SCALES = tuple(f"{modality}_{axis}" for modality in MODALITIES for axis in ("spatial", "temporal"))
PROBED_CLIPS = 100
"""Clips of a split, from its start."""
PLACES = 16
"""Places of a clip at which the outputs of the scales are compared."""

Probed = dict[str, np.ndarray]
"""The measures of one network by name. m: audio or visual.

    rows                (clips,)        which clips of the split
    clean               (clips, 5)      predictions for clean clips
    m_alone             (clips, 5)      predictions from m alone; where the network reads both
    m_noise             (clips, 6, 5)   predictions with noise in m, by severity from 0
    m_noise_quality     (clips, 6)      predicted quality of m
    m_noise_weight      (clips, 6)      weight of m
    m_noise_evenness    (clips, 6)      evenness of the attention to m; where the network has cross-attention
    m_half_clean        (clips, 2)      attention mass on the first and the second half of m, as it is
    m_half_noisy        (clips, 2)      the same where that very half is noise
    m_half_share        (clips, 2)      share of the tokens that are in it
    both_worst          (clips, 5)      predictions with both modalities at severity 5; where the network reads both
    both_worst_quality  (clips, 2)
    cka_GROUP           (s, s)          CKA between the scales of one of SCALES, where it has several
"""


@dataclass(frozen=True)
class Seen:
    """The output of a network for one clip, and its inputs."""

    inputs: InputArrays
    output: ModelOutput

    @property
    def traits(self) -> Float[np.ndarray, " 5"]:
        return array(self.output.traits[0])

    def attention_to(self, modality: str) -> Float[np.ndarray, "heads queries keys"]:
        return array(self.output.named[ATTENTION_TO[modality]][0])

    def queries(self, modality: str) -> np.ndarray:
        """Which tokens of the other modality attend to this one: all of audio, of visual those that are kept."""
        count = self.output.named[ATTENTION_TO[modality]].shape[2]
        return self.inputs.frame_mask if modality == "audio" else np.ones(count, dtype=bool)


@dataclass(frozen=True)
class Views:
    """One window, as it is and with noise: each is prepared once, for the network that asks first."""

    window: RawWindow
    config: ClipConfig
    detector: Detector | None
    prepared: dict[Hashable, SharedWindow] = field(default_factory=dict)

    def seen(self, model: Model, name: Hashable, view: Callable[[], RawWindow]) -> Seen:
        """What a network makes of the view of that name."""
        if name not in self.prepared:
            self.prepared[name] = shared_window(prepare(view(), self.config).inputs, model)
        shared = self.prepared[name]
        return Seen(shared.arrays, shared.output(model))

    def clean(self, model: Model) -> Seen:
        return self.seen(model, "clean", lambda: self.window)

    def under_noise(self, model: Model, severity: int, *modalities: str) -> Seen:
        (cell,) = cells_of("noise", [(NOISES[modality], None) for modality in modalities], [severity])
        return self.seen(model, cell, lambda: corrupt_window(self.window, cell, self.config, self.detector))

    def with_noise_in(self, model: Model, modality: str, tokens: Bool[np.ndarray, " l"]) -> Seen:
        def view() -> RawWindow:
            return replace(self.window, clip=with_noise_in(self.window.clip, modality, tokens, self.config))

        return self.seen(model, (modality, tokens.tobytes()), view)


@dataclass(frozen=True)
class Measured:
    """What was measured of a network, clip by clip."""

    model: Model
    by_name: dict[str, list[np.ndarray]] = field(default_factory=dict)
    scales: dict[str, list[list[np.ndarray]]] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return len(self.by_name.get("rows", ())) == PROBED_CLIPS

    def add(self, index: int, views: Views) -> None:
        """Measure the clip at this place of the split, if it holds what the network reads."""
        clean = views.clean(self.model)
        reads = self.model.weights.network.reads
        if self.done or not all(clean.inputs.present[MODALITIES.index(modality)] for modality in reads):
            return
        for name, value in {"rows": np.array(index), **measures(self.model, views, clean)}.items():
            self.by_name.setdefault(name, []).append(value)
        for group, outputs in scale_outputs(clean.output.named).items():
            self.scales.setdefault(group, []).append(outputs)

    def probed(self) -> Probed:
        found = {name: np.stack(values) for name, values in self.by_name.items()}
        for group, outputs in self.scales.items():
            of_scales = [np.concatenate(of_clips) for of_clips in zip(*outputs, strict=True)]
            found[f"cka_{group}"] = np.array([[linear_cka(one, other) for other in of_scales] for one in of_scales])
        return found


def probe(models: Sequence[Model], corpus: Corpus, split: str) -> list[Probed]:
    """Probe each network with the first PROBED_CLIPS of a split that hold what it reads; empty where none does. The
    models read clips in the same way (`clip` and detector)."""
    measured = [Measured(model) for model in models]
    for index, row in enumerate(corpus.split(split)):
        if all(one.done for one in measured):
            break
        (window,) = cached_windows(corpus.entry(row), [0], name=row.clip)
        views = Views(window, models[0].clip, models[0].detector)
        for one in measured:
            one.add(index, views)
    return [one.probed() for one in measured]


def measures(model: Model, views: Views, clean: Seen) -> Probed:
    """The measures of Probed for one clip; its severities come first."""
    reads = model.weights.network.reads
    found: Probed = {"clean": clean.traits}
    for modality in reads:
        place = MODALITIES.index(modality)
        graded = [clean, *(views.under_noise(model, severity, modality) for severity in SEVERITIES)]
        found[f"{modality}_noise"] = np.stack([seen.traits for seen in graded])
        found[f"{modality}_noise_quality"] = np.stack([array(seen.output.quality[0, place]) for seen in graded])
        found[f"{modality}_noise_weight"] = np.stack([array(seen.output.weights[0, place]) for seen in graded])
        if ATTENTION_TO[modality] in clean.output.named:
            even = [evenness(seen.attention_to(modality), seen.queries(modality)) for seen in graded]
            found[f"{modality}_noise_evenness"] = np.array(even)
            found |= half_masses(model, views, clean, modality)
    if reads == MODALITIES:
        worst = views.under_noise(model, WORST, *MODALITIES)
        found |= {"both_worst": worst.traits, "both_worst_quality": array(worst.output.quality[0])}
        found |= {f"{modality}_alone": array(clean.output.named[f"{modality}_traits"][0]) for modality in MODALITIES}
    return found


def half_masses(model: Model, views: Views, clean: Seen, modality: str) -> Probed:
    """The attention to each half of a modality, as it is and where that half alone is noise. The face is where it is in
    the clean clip: a frame whose face is lost would be masked, which is no attention."""
    attention, queries = clean.attention_to(modality), clean.queries(modality)
    kept, first = (attention > 0).any(axis=(0, 1)), np.arange(attention.shape[-1]) < attention.shape[-1] // 2
    masses: dict[str, list[float]] = {"clean": [], "noisy": [], "share": []}
    for half in (first, ~first):
        noisy = views.with_noise_in(model, modality, half)
        masses["clean"].append(mass_on(attention, queries, half))
        masses["noisy"].append(mass_on(noisy.attention_to(modality), queries, half))
        masses["share"].append(np.sum(kept & half) / np.sum(kept))
    return {f"{modality}_half_{name}": np.array(values) for name, values in masses.items()}


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


def scale_outputs(named: Mapping[str, Tensor]) -> dict[str, list[np.ndarray]]:
    """The outputs `(places, channels)` of the scales of each group that has several, at the same PLACES of the clip."""
    found = {}
    for group in SCALES:
        outputs = [named[name] for name in named if name.startswith(f"{group}_scale_")]
        if len(outputs) > 1:
            axes = "b l d -> (b l) d" if group.endswith("temporal") else "b c h w -> (b h w) c"
            flat = [array(rearrange(output, axes)) for output in outputs]
            places = np.unique(np.linspace(0, len(flat[0]) - 1, PLACES).round().astype(int))
            found[group] = [output[places] for output in flat]
    return found


def array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().double().numpy()


def write_probed(path: Path, probed: Probed) -> None:
    write_whole(path, save({name: np.ascontiguousarray(values) for name, values in probed.items()}))


def read_probed(path: Path) -> Probed:
    """The measures that `write_probed` wrote; MsmaError where the file is damaged."""
    return read_file(path, load, "delete it, the network will be probed again", MAX_BYTES, "damaged")
