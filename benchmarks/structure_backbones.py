"""Small backbones that read off each moment what the renderer of a structured corpus drew, to be frozen for ablations.

    .venv/bin/python benchmarks/structure_backbones.py --corpus structured --seed 21 --start RUN --out runs/moments

Labels of a clip alone hardly teach a network to see a nod in a frame; real faces and voices have pretrained encoders
for that. These begin as those of a network that was trained on an additive corpus, and learn from frames and tokens of
the training clips, in part corrupted, what is lasting and what is brief in them, and from the finest map alone what is
uneven in a face; nothing of two moments, and nothing of two modalities. Printed are correlations on the validation
clips, which choose nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from msma.cli.steps import cached_corpus
from msma.config import Recipe, load_recipe
from msma.data.augment import degraded_inputs
from msma.data.corpora.manifest import Row, read_manifest
from msma.data.corpus import Corpus
from msma.data.dataset import mixed_seed
from msma.data.draw import drawn_window
from msma.data.synthetic.events import bumps
from msma.data.synthetic.people import ClipPlan, cast
from msma.data.synthetic.render import perform
from msma.data.synthetic.voice import outside
from msma.model.msma_net import MsMANet
from msma.model.tensors import Inputs, collate
from msma.weights.checkpoint import save_weights
from msma.weights.config import WeightsConfig
from msma.weights.pretrained import load_backbone

SEEN = {
    **{"smiles": (0.15, 0.34), "nods": (0.17, 0.35), "tilts": (0.15, 0.34), "flashes": (0.15, 0.34)},
    **{"frowns": (0.15, 0.34), "smile": (0.25, 0.41), "brows": (0.131, 0.025), "roll": (0.0, 4.9)},
    **{"turn_x": (0.0, 0.017), "turn_y": (0.015, 0.033), "lids": (0.035, 0.015), "gaze_x": (0.0, 0.46)},
    **{"gaze_y": (0.285, 0.1), "mouth": (0.57, 0.39), "head": (4.87, 0.09)},
}
UNEVEN = {"corners": (0.0, 0.026), "left_brow": (0.016, 0.018), "right_brow": (0.016, 0.018)}
HEARD = {
    **{"burst": (0.15, 0.34), "talking": (0.82, 0.38), "level": (-38.6, 3.7), "pitch": (5.03, 0.16)},
    **{"rate": (4.53, 0.72), "tilt": (-10.4, 1.75)},
}
"""What is seen at a moment, seen in the finest map, and heard, with mean and standard deviation over some clips, which
only scale the losses."""
HEARD_S = 0.02
VERSIONS, CORRUPTION = 2, 0.2
"""Versions of each training clip, of its own phase and jitter, and the chance that a modality of one is corrupted."""
FRAMES, CLIPS = 256, 16
"""Frames of a step, each of another clip where there are enough, and clips whose audio a step hears."""
GRID = 4
"""Cells per side of the finest map, as the recipe of the ablations has them."""
SECONDS, FPS = 8.0, 12
"""What `msma synth --structure` renders by default."""
NOTICE = "Backbones alone: the rest of this network learned nothing of traits."
RATE, RISE = 1e-3, 0.05
"""Highest learning rate of the one-cycle schedule, and the share of its steps in which it rises."""

Moments = tuple[Inputs, Float[np.ndarray, "t 18"], Float[np.ndarray, "l 6"]]
"""A clip, what is seen at each of its frames, and heard at each token of its audio."""


def moments_of(
    rows: Sequence[Row], corpus: Corpus, plans: dict[str, ClipPlan], seed: int, recipe: Recipe, token_s: float
) -> list[Moments]:
    """VERSIONS of each clip, as training draws them."""
    config, found = recipe.train, []
    for index, row in enumerate(rows):
        seen, heard = shown(plans[row.clip], seed)
        for version in range(VERSIONS):
            generator = torch.Generator().manual_seed(mixed_seed(config.seed, version, index))
            window = drawn_window(corpus.entry(row), 0, config, recipe.clip, generator)
            inputs, _ = degraded_inputs(window, config, recipe.clip, generator)
            times_s = window.clip.start_s + (np.arange(round(SECONDS / token_s)) + 0.5) * token_s
            frames = np.clip(np.round(window.clip.frame_times_s * FPS).astype(int), 0, len(seen) - 1)
            tokens = np.clip(np.round(times_s / HEARD_S).astype(int), 0, len(heard) - 1)
            found.append((inputs, seen[frames], heard[tokens]))
    return found


def shown(plan: ClipPlan, seed: int) -> tuple[Float[np.ndarray, "t 18"], Float[np.ndarray, "l 6"]]:
    """What a clip shows at each frame, and every HEARD_S of its audio."""
    act, events, speech, motion, _ = perform(plan, seed, SECONDS, FPS)
    assert events is not None
    times_s = np.arange(len(speech.mouth)) / FPS
    seen = [bumps(times_s, one) for one in (events.smiles, events.nods, events.tilts, events.raises, events.frowns)]
    seen += [act.smile + motion.smile, act.brow_height + motion.brows, motion.roll_deg, *motion.turn.T]
    seen += [motion.lids * act.eye_opening, *motion.gaze.T, speech.mouth, np.full(len(times_s), np.log(act.head_px))]
    seen += [events.corners, *events.inner_brows]
    times_s = np.arange(0, SECONDS, HEARD_S)
    heard = [bumps(times_s, events.bursts), outside(times_s, events.pauses)]
    heard += [act.level_db, np.log(act.pitch_hz), act.syllables_per_s, act.tilt_db]
    return scaled(seen, SEEN | UNEVEN), scaled(heard, HEARD)


def scaled(values: list[Any], scales: dict[str, tuple[float, float]]) -> Float[np.ndarray, "n k"]:
    """Values over time, one a column, each minus its middle and over its spread."""
    together = zip(np.broadcast_arrays(*values), scales.values(), strict=True)
    return np.stack([(one - middle) / spread for one, (middle, spread) in together], axis=1).astype(np.float32)


class Reader(nn.Module):
    """A network without temporal scales, and linear readings of its tokens, and of its finest map for what is small."""

    def __init__(self, network: MsMANet) -> None:
        super().__init__()
        self.network = network
        assert network.visual_encoder is not None
        assert network.visual_encoder.backbone is not None
        cells = network.visual_encoder.backbone.channels[0] * GRID**2
        self.uneven = nn.Sequential(nn.LayerNorm(cells), nn.Linear(cells, len(UNEVEN)))
        self.seen = nn.Sequential(nn.LayerNorm(network.width), nn.Linear(network.width, len(SEEN)))
        self.heard = nn.Sequential(nn.LayerNorm(network.width), nn.Linear(network.width, len(HEARD)))

    def look(self, frames: Tensor, boxes: Tensor) -> Float[Tensor, "n 18"]:
        """What is read of single frames."""
        encoder: Any = self.network.visual_encoder
        mask = torch.ones(len(frames), 1, dtype=torch.bool)
        maps = encoder.maps(SimpleNamespace(frames=frames[:, None]))
        tokens, *_ = encoder(SimpleNamespace(visual=maps, frame_mask=mask, boxes=boxes[:, None], scene=None))
        finest = F.adaptive_avg_pool2d(maps[0][:, 0], (GRID, GRID)).flatten(1)
        return torch.cat([self.seen(tokens[:, 0]), self.uneven(finest)], dim=1)

    def listen(self, inputs: Inputs) -> tuple[Float[Tensor, "b l 6"], Tensor]:
        """What is read of each token of audio, and which of them are valid."""
        encoder: Any = self.network.audio_encoder
        maps, mask = encoder.maps(inputs)
        tokens, *_ = encoder(SimpleNamespace(audio=maps, audio_mask=mask))
        return self.heard(tokens), mask


def looked(reader: Reader, clips: Sequence[Moments], places: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """What is read and what is true of frames, each given by its clip and its place in it."""
    frames = torch.stack([clips[clip][0].frames[place] for clip, place in places])
    boxes = torch.stack([clips[clip][0].boxes[place] for clip, place in places])
    return reader.look(frames, boxes), torch.from_numpy(np.stack([clips[clip][1][place] for clip, place in places]))


def listened(reader: Reader, clips: Sequence[Moments]) -> tuple[Tensor, Tensor]:
    """What is read and what is true of the valid tokens of some clips' audio."""
    read, mask = reader.listen(collate([inputs for inputs, _, _ in clips]))
    true = torch.zeros(*mask.shape, len(HEARD))
    for place, (_, _, heard) in enumerate(clips):
        length = min(len(heard), mask.shape[1])
        true[place, :length] = torch.from_numpy(heard[:length])
    return read[mask], true[mask]


def fit(reader: Reader, clips: Sequence[Moments], steps: int) -> None:
    optimizer = torch.optim.AdamW(reader.parameters(), lr=RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=RISE)
    rng, run = np.random.default_rng(0), []
    reader.train()
    for step in range(steps):
        some = rng.choice(len(clips), FRAMES, replace=len(clips) < FRAMES)
        places = [(clip, int(rng.integers(len(clips[clip][0].frames)))) for clip in some]
        pairs = looked(reader, clips, places), listened(reader, [clips[clip] for clip in some[:CLIPS]])
        losses = torch.stack([((read - true) ** 2).mean() for read, true in pairs])
        optimizer.zero_grad()
        losses.sum().backward()
        nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        run.append(losses.detach().numpy())
        if step % 50 == 49:
            print(f"step {step + 1} of {steps}: {np.mean(run[-50:], axis=0).round(3)}", file=sys.stderr, flush=True)


def correlations(reader: Reader, clips: Sequence[Moments]) -> dict[str, float]:
    reader.eval()
    pairs: list[list[tuple[Tensor, Tensor]]] = [[], []]
    with torch.inference_mode():
        for first in range(0, len(clips), CLIPS):
            some = clips[first : first + CLIPS]
            every = [(clip, place) for clip, (inputs, *_) in enumerate(some) for place in range(len(inputs.frames))]
            pairs[0].append(looked(reader, some, every))
            pairs[1].append(listened(reader, some))
    found: dict[str, float] = {}
    for names, of_modality in zip((SEEN | UNEVEN, HEARD), pairs, strict=True):
        read, true = (torch.cat(side).numpy() for side in zip(*of_modality, strict=True))
        found |= {name: float(np.corrcoef(read[:, k], true[:, k])[0, 1]) for k, name in enumerate(names)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", type=Path, required=True, help="rendered with --structure, and prepared")
    parser.add_argument("--seed", type=int, required=True, help="that of the corpus")
    parser.add_argument("--start", type=Path, required=True, help="a run whose backbones they begin as")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/synthetic.yaml"))
    parser.add_argument("--steps", type=int, default=1500)
    asked = parser.parse_args()
    recipe = load_recipe(
        asked.recipe, ["model.temporal_scales_s=[]", "train.flip=false", f"train.corruption={CORRUPTION}"]
    )
    manifest_path = asked.corpus / "manifest.csv"
    manifest = read_manifest(manifest_path)
    corpus = cached_corpus(manifest, ("train", "val"), recipe.clip, manifest_path, None, None)
    plans = {plan.name: plan for plan in cast(len([*asked.corpus.glob("*/*.mp4")]), asked.seed, structured=True)}
    torch.manual_seed(recipe.train.seed)
    reader = Reader(MsMANet(recipe.model, recipe.clip))
    encoders = reader.network.encoders
    for encoder in encoders.values():
        assert encoder.backbone is not None
        load_backbone(encoder.backbone, f"small:{asked.start}")
    training, validation = (
        moments_of(corpus.split(split), corpus, plans, asked.seed, recipe, encoders["audio"].token_s)
        for split in ("train", "val")
    )
    fit(reader, training, asked.steps)
    for name, value in correlations(reader, validation).items():
        print(f"{name}: {value:.3f}")
    about = WeightsConfig(
        name=asked.out.name, corpus=manifest.corpus, notice=NOTICE, clip=recipe.clip, model=recipe.model
    )
    save_weights(asked.out, about, reader.network.state_dict())


if __name__ == "__main__":
    main()
