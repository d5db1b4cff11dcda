"""GE2E: Resemblyzer's speaker encoder, proven against readings of the same weights that share no code with ours."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from msma.media.clip import load_clip
from msma.model.backbones.ge2e import EMBEDDING_SCALE, TARGET_DBFS, Ge2e, mel_power, normalise_volume
from msma.weights.pretrained import load_backbone
from msma.weights.wheels import PACKAGED

CLIPS = Path(__file__).parents[4] / "shared" / "data" / "clips"
HOP, RATE = 256, 16000

RESEMBLYZER = {
    113: (0.1898872, 0.2347085, 0.1879382),
    246: (0.2616573, 0.2335377, 0.2715262),
    127: (0.1567630, 0.2057824, 0.1873268),
    168: (0.1827700, 0.1861209, 0.1650360),
    120: (0.1773046, 0.1850949, 0.1829403),
    163: (0.1565155, 0.1824751, 0.1471251),
    243: (0.1663782, 0.1733040, 0.1303774),
    158: (0.1713360, 0.1711141, 0.1676390),
}
"""Channels of the three partial embeddings of `voice()` that Resemblyzer 0.1.4 with librosa 0.11.0 itself gives:

w = normalize_volume(voice(), -30, increase_only=True).astype("float32")
VoiceEncoder("cpu").embed_utterance(w, return_partials=True, rate=1.25)[1]
"""


def voice(pitch_hz: float = 120.0, seconds: float = 3.2, tilt: float = 1.0, seed: int = 0) -> np.ndarray:
    """A hum with 19 harmonics, whose pitch glides and whose loudness swings three times a second."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch_hz + 30 * np.sin(2 * np.pi * 0.7 * t + seed)) / RATE
    harmonics = sum(np.sin(k * phase) / k**tilt for k in range(1, 20))
    return harmonics * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t + seed)) * 0.01


@pytest.fixture
def network(real_weights: Path) -> Ge2e:
    network = Ge2e()
    load_backbone(network, "ge2e")
    return network.eval()


def embeddings(network: Ge2e, waveform: np.ndarray) -> Tensor:
    """The partial embeddings of a clip: (l, 256), each of length 1."""
    steps = -(-len(waveform) // HOP)
    padded = np.pad(waveform, (0, steps * HOP - len(waveform))).astype(np.float32)
    inputs = torch.zeros(1, 64, steps), torch.from_numpy(padded)[None], torch.ones(1, steps, dtype=torch.bool)
    with torch.inference_mode():
        (maps,), mask = network(*inputs)
    return maps[0, :, 0, mask[0]].T / EMBEDDING_SCALE


def lstm_by_formula(mel: np.ndarray, state: dict[str, Tensor]) -> np.ndarray:
    """One embedding from a mel spectrogram (steps, 40), by the equations of Wan et al. 2018."""

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    layer_input = mel.astype(np.float64)
    for layer in range(3):
        w_in, w_h, b_in, b_h = (
            state[f"lstm.{part}_l{layer}"].numpy().astype(np.float64)
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        hidden, cell, outputs = np.zeros(256), np.zeros(256), []
        for step in layer_input:
            i, f, g, o = np.split(w_in @ step + b_in + w_h @ hidden + b_h, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
            outputs.append(hidden)
        layer_input = np.array(outputs)
    raw = np.maximum(state["linear.weight"].numpy() @ layer_input[-1] + state["linear.bias"].numpy(), 0)
    return raw / np.linalg.norm(raw)


def mel_by_transformers(waveform: np.ndarray) -> np.ndarray:
    """librosa's melspectrogram as Hugging Face re-implements it: (steps, 40)."""
    bank = mel_filter_bank(201, 40, 0.0, 8000.0, RATE, norm="slaney", mel_scale="slaney")
    hann = window_function(400, "hann")
    return spectrogram(waveform, hann, 400, 160, power=2.0, pad_mode="constant", mel_filters=bank).T


# the port


def test_the_mel_spectrogram_is_that_of_librosa():
    rng = np.random.default_rng(0)
    waveform = (0.1 * rng.standard_normal(RATE * 4) * np.linspace(0, 1, RATE * 4)).astype(np.float32)
    mel = mel_power(torch.from_numpy(waveform)[None], Ge2e().filters)[0].numpy().T
    expected = mel_by_transformers(waveform)[:400]
    np.testing.assert_allclose(mel[:400], expected, atol=1e-5 * expected.max(), rtol=1e-4)


def test_embeddings_are_those_of_resemblyzer(network):
    found = embeddings(network, voice())
    assert found.shape == (3, 256)
    np.testing.assert_allclose(found[:, list(RESEMBLYZER)].T, np.array(list(RESEMBLYZER.values())), atol=1e-5)


def test_embeddings_follow_from_the_published_weights_by_formula(network, wheels):
    with zipfile.ZipFile(wheels["ge2e"]) as archive:
        content = io.BytesIO(archive.read(PACKAGED["ge2e"].member))
    state = torch.load(content, map_location="cpu", weights_only=True)["model_state"]
    waveform = voice(pitch_hz=190.0, tilt=1.5)
    loud = waveform * 10 ** (-30 / 20) / np.sqrt(np.mean(waveform**2))
    mel = mel_by_transformers(np.pad(loud, (0, 1600)))
    for found, start in zip(embeddings(network, waveform), (0, 80, 160), strict=True):
        np.testing.assert_allclose(found, lstm_by_formula(mel[start : start + 160], state), atol=1e-5)


# volume


@pytest.mark.parametrize(("level_db", "expected_db"), [(-60, -30), (-31, -30), (-30, -30), (-12, -12)])
def test_quiet_audio_is_raised_to_the_target_and_loud_audio_left(level_db, expected_db):
    assert TARGET_DBFS == -30
    waveform = torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))
    waveform *= 10 ** (level_db / 20) / waveform.square().mean().sqrt()
    levelled = normalise_volume(waveform, torch.ones_like(waveform, dtype=torch.bool))
    assert 20 * levelled.square().mean().sqrt().log10() == pytest.approx(expected_db, abs=1e-3)


def test_the_volume_is_that_of_what_is_kept():
    waveform = 0.001 * torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))
    kept = torch.arange(32000)[None] < 16000
    levelled = normalise_volume(torch.where(kept, waveform, 1.0), kept)
    assert 20 * levelled[:, :16000].square().mean().sqrt().log10() == pytest.approx(-30, abs=1e-3)
    assert (levelled[:, 16000:] == 0).all()


# voices


def test_voices_of_one_pitch_are_closer_than_voices_of_two(network):
    low, low_again, high, high_again = (
        embeddings(network, voice(pitch_hz, seed=seed)).mean(dim=0) for pitch_hz in (110.0, 220.0) for seed in (0, 2)
    )
    same = min(float(low @ low_again), float(high @ high_again))
    different = max(float(one @ other) for one in (low, low_again) for other in (high, high_again))
    assert same > different + 0.1


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the real clips are not part of the project")
def test_the_beginning_and_the_end_of_a_clip_are_closer_than_clips_of_others(network):
    """Six people, 3 s each: the first 1.6 s of each and the last 1.4 s."""
    of_clips = [embeddings(network, load_clip(path).waveform) for path in sorted(CLIPS.glob("grid_*.mpg"))]
    begins, ends = torch.stack([e[0] for e in of_clips]), torch.stack([e[-1] for e in of_clips])
    alike = begins @ ends.T
    assert alike.shape == (6, 6)
    own, others = alike.diagonal(), alike[~torch.eye(6, dtype=torch.bool)].reshape(6, 5)
    assert (own > others.mean(dim=1)).all()
    assert own.mean() > others.mean() + 0.1
    assert (own > others.max(dim=1).values).sum() >= 5
