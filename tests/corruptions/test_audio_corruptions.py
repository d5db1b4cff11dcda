"""Each corruption of the audio is what its level says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate, correlation_lags
from specimens import specimen

from msma.corruptions import audio
from msma.corruptions.audio import rms
from msma.types import SAMPLE_RATE

NOISES = (
    audio.white_noise,
    audio.environment_noise,
    audio.mains_hum,
    audio.babble,
    audio.music,
)
every_noise = pytest.mark.parametrize("add", NOISES, ids=lambda add: add.__name__)
seeds = st.integers(0, 2**32 - 1)


def speech_like(seed: int, seconds: float = 4.0, level_db: float = -26.0) -> np.ndarray:
    """Buzz and breath in syllables and phrases, with pauses; without a constant offset."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = np.cumsum(rng.uniform(90, 240) * (1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0.3, 1) * time_s))) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * k * pitch + rng.uniform(0, 6)) / k for k in range(1, 15))
    syllables = np.sin(np.pi * rng.uniform(2.5, 5) * time_s) ** 2
    talking = np.sin(2 * np.pi * (rng.uniform(0.3, 0.6) * time_s + rng.uniform())) > rng.uniform(-0.6, 0.2)
    sound = talking * syllables * (buzz + 0.1 * rng.standard_normal(len(time_s)))
    sound += 0.001 * rng.standard_normal(len(time_s))
    sound *= 10 ** (level_db / 20) / rms(sound)
    return sound.clip(-1, 1).astype(np.float32)


def added(add, waveform: np.ndarray, seed: int, snr_db: float) -> np.ndarray:
    """What a corruption put on top of the voice."""
    return add(waveform, np.random.default_rng(seed), snr_db).astype(np.float64) - waveform


def loudness_db(sound: np.ndarray, piece_s: float = 0.1) -> np.ndarray:
    size = round(piece_s * SAMPLE_RATE)
    return 10 * np.log10(np.mean(np.square(sound[: len(sound) // size * size].reshape(-1, size)), axis=1) + 1e-20)


@every_noise
@settings(max_examples=15, deadline=None)
@given(
    voice=seeds, seed=seeds, seconds=st.floats(0.5, 5), level_db=st.floats(-60, -45), snr_db=st.floats(-14, 30)
)  # fmt: skip
def test_the_ratio_of_voice_and_noise_is_the_one_asked_for(add, voice, seed, seconds, level_db, snr_db):
    """At levels where the sum is not turned down, so that the noise can be taken out of it again."""
    waveform = speech_like(voice, seconds, level_db)
    noise = added(add, waveform, seed, snr_db)
    assert 20 * np.log10(rms(waveform) / rms(noise)) == pytest.approx(snr_db, abs=0.05)


@every_noise
@settings(max_examples=10, deadline=None)
@given(voice=seeds, seed=seeds, snr_db=st.floats(-14, 10))
def test_loud_audio_is_turned_down_and_not_clipped_so_that_the_ratio_stays(add, voice, seed, snr_db):
    quiet = speech_like(voice, 2.0, -50.0)
    loud = quiet * np.float32(0.99 / np.abs(quiet).max())
    of_quiet, of_loud = (add(waveform, np.random.default_rng(seed), snr_db) for waveform in (quiet, loud))
    assert np.abs(of_loud).max() <= 1
    np.testing.assert_allclose(of_loud / rms(of_loud), of_quiet / rms(of_quiet), atol=1e-4)


def test_white_noise_is_as_strong_at_all_frequencies_and_times():
    noise = added(audio.white_noise, speech_like(1), 1, 0.0)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert np.mean(power[: len(power) // 2]) == pytest.approx(np.mean(power[len(power) // 2 :]), rel=0.05)
    assert loudness_db(noise).std() < 0.5


@pytest.mark.parametrize("seed", range(5))
def test_environment_noise_is_a_rumble_whose_loudness_changes(seed):
    noise = added(audio.environment_noise, speech_like(1), seed, 0.0)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert power[: len(power) // 8].sum() > 0.4 * power.sum(), "an eighth of the frequencies"
    assert loudness_db(noise).std() > 1.5


@pytest.mark.parametrize("seed", range(5))
def test_mains_hum_is_50_or_60_hz_and_harmonics(seed):
    power = np.abs(np.fft.rfft(added(audio.mains_hum, speech_like(1), seed, 0.0))) ** 2
    hz = np.fft.rfftfreq(4 * SAMPLE_RATE, 1 / SAMPLE_RATE)
    shares = [power[hz % mains == 0].sum() / power.sum() for mains in (50, 60)]
    assert max(shares) == pytest.approx(1, abs=1e-3)
    assert power[hz < 70].sum() / power.sum() > 0.1


@pytest.mark.parametrize("seed", range(5))
def test_babble_has_the_spectrum_of_voices_but_does_not_repeat_the_clip(seed):
    waveform = speech_like(seed)
    noise = added(audio.babble, waveform, seed, 0.0)
    for others in (noise, noise[::-1]):
        likeness = correlate(others, waveform.astype(np.float64), method="fft")
        assert np.abs(likeness).max() < 0.5 * len(waveform) * rms(waveform) * rms(noise)
    below_4_khz = np.abs(np.fft.rfft(noise))[: len(noise) // 4] ** 2
    assert below_4_khz.sum() > 0.9 * np.sum(np.abs(np.fft.rfft(noise)) ** 2)


def test_babble_talks_on_in_the_pauses_of_the_clip():
    waveform = speech_like(2)
    pauses = loudness_db(waveform) < loudness_db(waveform).max() - 40
    assert pauses.any()
    noise_db = loudness_db(added(audio.babble, waveform, 2, 0.0))
    assert np.median(noise_db[pauses]) > np.median(noise_db[~pauses]) - 10


@pytest.mark.parametrize("seed", range(5))
def test_music_has_notes_and_a_beat(seed):
    noise = added(audio.music, speech_like(1, 8.0), seed, 0.0)
    power = np.sort(np.abs(np.fft.rfft(noise)) ** 2)[::-1]
    assert power[: len(power) // 50].sum() > 0.6 * power.sum(), "a fiftieth of the frequencies has most of the power"
    beats = loudness_db(noise, 0.02) - loudness_db(noise, 0.02).mean()
    period = correlate(beats, beats)[len(beats) - 1 :]
    between = period[round(60 / 145 / 0.02) : round(60 / 75 / 0.02)]  # 145 to 75 beats a minute
    assert between.max() > 0.3 * period[0]


@settings(max_examples=30, deadline=None)
@given(seed=seeds, rt60_s=st.floats(0.2, 3.5))
def test_reverberation_dies_away_in_the_time_asked_for(seed, rt60_s):
    click = np.zeros(4 * SAMPLE_RATE, np.float32)
    click[100] = 1
    response = audio.reverberation(click, np.random.default_rng(seed), rt60_s)
    assert np.abs(response).argmax() == 100, "the direct sound comes first, and in time"
    assert not np.abs(response[:100]).max() > 1e-6
    assert measured_rt60_s(response[100:]) == pytest.approx(rt60_s, rel=0.15)


def measured_rt60_s(response: np.ndarray) -> float:
    """By Schroeder's backward integration: the line through the decay from -5 to -30 dB, extended to -60 dB."""
    energy = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    decay_db = 10 * np.log10(energy[energy > 0] / energy[0])
    between = np.flatnonzero((decay_db <= -5) & (decay_db >= -30))
    slope_db, _ = np.polyfit(between / SAMPLE_RATE, decay_db[between], 1)
    return -60 / slope_db


@pytest.mark.parametrize("level_db", [-40.0, -16.0])
def test_reverberation_keeps_the_level(level_db):
    waveform = speech_like(1, level_db=level_db)
    wet = audio.reverberation(waveform, np.random.default_rng(1), 1.5)
    assert rms(wet) == pytest.approx(rms(waveform), rel=1e-3)


@pytest.mark.parametrize(
    ("hz", "passes"), [(1000, True), (1500, True), (4000, False), (8000 / 1.05, False), (250, False), (60, False)]
)
def test_a_band_limit_of_2_khz_lets_a_band_around_1_khz_pass(hz, passes):
    tone = (0.1 * np.sin(2 * np.pi * hz * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)
    through_db = 20 * np.log10(rms(audio.band_limit(tone, np.random.default_rng(0), 2000.0)) / rms(tone))
    assert through_db > -2 if passes else through_db < -15


def test_a_band_limit_does_not_delay():
    noise = (0.1 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    likeness = correlate(audio.band_limit(noise, np.random.default_rng(0), 3000.0), noise)
    assert correlation_lags(8000, 8000)[likeness.argmax()] == 0


@pytest.mark.parametrize("loss_share", [0.05, 0.2, 0.6])
def test_packets_are_lost_at_the_rate_asked_for_and_in_bursts(loss_share):
    lost = audio.lost_packets(200_000, np.random.default_rng(4), loss_share)
    bursts = np.count_nonzero(np.diff(lost.astype(int)) == 1)
    assert lost.mean() == pytest.approx(loss_share, rel=0.05)
    assert lost.sum() / bursts == pytest.approx(audio.BURST_PACKETS, rel=0.05)


def test_a_lost_packet_is_silent_and_the_others_are_as_before():
    waveform = speech_like(1)
    heard = audio.packet_loss(waveform, np.random.default_rng(5), 0.2).reshape(-1, 320)
    sent = waveform.reshape(-1, 320)
    lost = ~heard.any(axis=1)
    assert 0.05 < lost.mean() < 0.4
    edge = round(audio.FADE_S * SAMPLE_RATE)
    np.testing.assert_array_equal(heard[~lost][:, edge:-edge], sent[~lost][:, edge:-edge])


@pytest.mark.parametrize("seed", range(20))
def test_at_least_one_packet_is_lost(seed):
    assert audio.lost_packets(10, np.random.default_rng(seed), 0.001).sum() == 1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("muted_share", [0.1, 0.35, 0.8])
def test_muted_gaps_take_their_share_of_the_time_and_last_a_while(seed, muted_share):
    heard = audio.muted_gaps(np.full(15 * SAMPLE_RATE, 0.5, np.float32), np.random.default_rng(seed), muted_share)
    silent = np.concatenate([[0], heard == 0, [0]])
    lengths_s = (np.flatnonzero(np.diff(silent) < 0) - np.flatnonzero(np.diff(silent) > 0)) / SAMPLE_RATE
    assert silent.mean() == pytest.approx(muted_share, abs=1e-3)
    assert 0.2 < lengths_s.min() <= lengths_s.max() < 1.01


@pytest.mark.parametrize("missing_share", [0.1, 0.85])
def test_a_truncated_track_is_the_beginning_of_the_whole(missing_share):
    waveform = speech_like(1)
    left = audio.audio_truncation(waveform, np.random.default_rng(0), missing_share)
    assert len(left) == round((1 - missing_share) * len(waveform))
    np.testing.assert_array_equal(left, waveform[: len(left)])


@pytest.mark.parametrize(("threshold_db", "least"), [(6.0, 0.02), (-2.0, 0.2), (-14.0, 0.35)])
@pytest.mark.parametrize("level_db", [-50.0, -20.0])
def test_speech_of_any_loudness_is_clipped_and_as_loud_as_before(threshold_db, least, level_db):
    waveform = speech_like(3, level_db=level_db)
    cut = audio.clipping(waveform, np.random.default_rng(0), threshold_db)
    assert rms(cut) == pytest.approx(rms(waveform), rel=1e-3)
    assert np.mean(np.abs(cut) > 0.999 * np.abs(cut).max()) > least


@pytest.mark.parametrize("gain_db", [-6.0, -30.0])
def test_gain_lowers_the_level_and_loses_what_is_below_16_bit(gain_db):
    waveform = speech_like(1)
    faint = audio.gain(waveform, np.random.default_rng(0), gain_db)
    assert 20 * np.log10(rms(faint) / rms(waveform)) == pytest.approx(gain_db, abs=0.1)
    np.testing.assert_allclose(faint * 32767, np.rint(faint * 32767), atol=1e-2)
    assert not np.allclose(faint / 10 ** (gain_db / 20), waveform, atol=1e-6)


@pytest.mark.parametrize(("recode", "rates_kbit_s"), [(audio.opus, (24.0, 4.0)), (audio.mp3, (64.0, 8.0))])
def test_a_codec_leaves_other_audio_that_is_still_the_voice(recode, rates_kbit_s):
    voice = specimen(1).clip.waveform
    good, bad = (recode(voice, np.random.default_rng(0), kbit_s) for kbit_s in rates_kbit_s)
    likeness = [np.corrcoef(heard, voice)[0, 1] for heard in (good, bad)]
    assert 0.4 < likeness[1] < likeness[0] < 1
