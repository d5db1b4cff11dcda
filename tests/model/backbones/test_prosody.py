"""Prosody: against tones, noises and rendered voices of which it is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msma.data.synthetic.cues import CUES, behaviour
from msma.data.synthetic.people import CLIPS_PER_SOURCE, cast
from msma.data.synthetic.voice import speak
from msma.model.backbones.prosody import NAMES, Prosody
from msma.types import SAMPLE_RATE

HOP = 256
TIME_S = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE


def features(waveform: np.ndarray) -> dict[str, np.ndarray]:
    """Each by name, in its unit, for the valid tokens."""
    steps = len(waveform) // HOP
    network, samples = Prosody(), torch.from_numpy(waveform[: steps * HOP].astype(np.float32))[None]
    (maps,), mask = network(torch.zeros(1, 64, steps), samples, torch.ones(1, steps, dtype=torch.bool))
    values = maps[0, :, 0] * network.scale[:, None] + network.centre[:, None]
    return dict(zip(NAMES, values[:, mask[0]].numpy(), strict=True))


def voice(hz: float | np.ndarray, overtones: int = 12) -> np.ndarray:
    """A buzz of a pitch, which may change with time."""
    turns = np.cumsum(np.broadcast_to(hz, TIME_S.shape)) / SAMPLE_RATE
    return 0.1 * np.sum([np.sin(2 * np.pi * k * turns) / k for k in range(1, overtones + 1)], axis=0)


def pitch_hz(found: dict[str, np.ndarray]) -> np.ndarray:
    return 150 * 2 ** found["pitch"]


@pytest.mark.parametrize("hz", [70.0, 110.0, 155.5, 220.0, 333.3, 440.0])
def test_the_pitch_of_a_voice_is_found_without_octave_errors(hz):
    found = features(voice(hz))
    assert pitch_hz(found) == pytest.approx(hz, rel=0.01)
    assert found["voiced"] == pytest.approx(1.0, abs=0.02)
    assert found["pitch_spread"].max() < 0.01


def test_the_pitch_is_found_without_its_fundamental_and_in_noise():
    low = voice(120.0) - 0.1 * np.sin(2 * np.pi * 120.0 * TIME_S)
    noisy = low + 0.02 * np.random.default_rng(0).standard_normal(len(low))
    assert pitch_hz(features(noisy)) == pytest.approx(120.0, rel=0.02)


def test_noise_is_not_voiced_and_has_no_pitch_of_its_own():
    found = features(0.05 * np.random.default_rng(0).standard_normal(len(TIME_S)))
    assert found["voiced"].max() < 0.05
    assert found["pause"].max() == 0


def test_a_gliding_pitch_has_its_spread_and_speed():
    found = features(voice(150 * 2 ** (0.25 * np.sin(2 * np.pi * 2 * TIME_S))))
    assert found["pitch_spread"][0] == pytest.approx(0.25 / np.sqrt(2), rel=0.15)
    assert found["pitch_speed"][0] == pytest.approx(0.25 * 2 * np.pi * 2 / np.sqrt(2), rel=0.15)


def test_a_noisy_voice_is_less_harmonic():
    noise = np.random.default_rng(0).standard_normal(len(TIME_S))
    clear, hoarse = (features(voice(130.0) + share * noise)["harmonicity_db"].mean() for share in (0.005, 0.05))
    assert clear > hoarse + 5


def test_an_unsteady_voice_has_jitter_and_shimmer():
    rng = np.random.default_rng(0)
    periods = np.repeat(rng.standard_normal(3 * 100 + 1), SAMPLE_RATE // 100)[: len(TIME_S)]
    steady, rough = features(voice(130.0)), features(voice(130.0 * (1 + 0.04 * periods)) * (1 + 0.2 * periods))
    assert rough["jitter"].mean() > 5 * steady["jitter"].mean()
    assert rough["shimmer_db"].mean() > 5 * steady["shimmer_db"].mean()


def test_fewer_overtones_tilt_the_spectrum():
    bright, dull = features(voice(150.0, 30))["tilt_db"], features(voice(150.0, 8))["tilt_db"]
    assert dull.mean() > bright.mean() + 5


def test_pauses_have_their_share_and_number_and_syllables_their_pace():
    found = features(voice(130.0) * (TIME_S % 0.8 < 0.5))
    assert found["pause"][0] == pytest.approx(0.375, abs=0.08)
    assert found["pauses_per_s"][0] == pytest.approx(1.25, abs=0.01)
    beats = features(voice(130.0) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * TIME_S)))["peaks_per_s"]
    assert beats == pytest.approx(4.0, abs=0.8)


def test_how_loud_a_clip_is_does_not_matter():
    loud, quiet = features(0.3 * voice(180.0)), features(0.01 * voice(180.0))
    for name in NAMES:
        np.testing.assert_allclose(loud[name], quiet[name], rtol=0.01, atol=0.05)


def test_silence_is_a_pause_with_all_that_voices_have_at_its_centre():
    network = Prosody()
    (maps,), _ = network(torch.zeros(1, 64, 150), torch.zeros(1, 150 * HOP), torch.ones(1, 150, dtype=torch.bool))
    values = dict(zip(NAMES, maps[0, :, 0, 0].tolist(), strict=True))
    assert values["pause"] > 0
    assert {name for name, value in values.items() if value == 0} >= {"pitch", "jitter", "tilt_db", "level_db"}


def test_it_follows_the_pitch_and_the_pauses_of_rendered_voices():
    parts = cast(12 * CLIPS_PER_SOURCE, seed=3)[::CLIPS_PER_SOURCE]
    voices = [speak(behaviour(p.cues), p.source, 4.0, 12, np.random.default_rng(i)) for i, p in enumerate(parts)]
    found = [features(one.waveform) for one in voices]
    for name, cue in (("pitch", "pitch"), ("pause", "pauses")):
        given = [part.cues[[one.name for one in CUES].index(cue)] for part in parts]
        assert np.corrcoef([one[name].mean() for one in found], given)[0, 1] > 0.8, name
