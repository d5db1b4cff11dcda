"""Sound through Opus and MP3: really encoded, back in time, and as long as before."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from scipy.signal import correlate, correlation_lags
from specimens import specimen

from msma.media.encode import decode, encode, recode_waveform
from msma.types import MsmaError

every_codec = pytest.mark.parametrize("codec", ["opus", "mp3"])


def hiss(samples: int = 32_000, level: float = 0.1) -> np.ndarray:
    """Noise that swells and ebbs."""
    noise = np.random.default_rng(3).standard_normal(samples)
    return (level * noise * np.sin(np.arange(samples) / 3000) ** 2).clip(-1, 1).astype(np.float32)


def lag(late: np.ndarray, early: np.ndarray) -> int:
    """Samples by which `late` is behind."""
    return int(correlation_lags(len(late), len(early))[correlate(late, early, method="fft").argmax()])


@every_codec
@pytest.mark.parametrize("kbit_s", [16.0, 32.0, 64.0])
def test_the_delay_of_the_codec_is_taken_back(codec, kbit_s):
    assert lag(recode_waveform(hiss(), codec, kbit_s), hiss()) == 0


@pytest.mark.parametrize(("codec", "kbit_s"), [("opus", 3.5), ("opus", 6.0), ("mp3", 8.0)])
def test_a_voice_stays_in_time_at_the_lowest_rates(codec, kbit_s):
    voice = specimen(0).clip.waveform
    assert abs(lag(recode_waveform(voice, codec, kbit_s), voice)) <= 4


@every_codec
@pytest.mark.parametrize("samples", [0, 1, 7, 319, 320, 321, 1152, 16_001])
def test_the_audio_is_as_long_as_before(codec, samples):
    recoded = recode_waveform(hiss()[:samples], codec, 16.0)
    assert (recoded.shape, recoded.dtype) == ((samples,), np.float32)


@pytest.mark.parametrize("seconds", [0.5, 2.0, 7.3])
@every_codec
def test_the_end_is_not_cut_off(codec, seconds):
    sound = hiss(round(16_000 * seconds))
    assert len(decode(encode(sound, codec, 24.0))) == pytest.approx(len(sound), abs=1)


@every_codec
def test_what_is_written_is_of_that_codec(codec):
    with av.open(io.BytesIO(encode(hiss(), codec, 16.0)), "r") as container:
        assert container.streams.audio[0].codec_context.name.startswith(codec)


@pytest.mark.parametrize(
    ("codec", "kbit_s"), [("opus", 6.0), ("opus", 12.0), ("opus", 32.0), ("mp3", 8.0), ("mp3", 24.0), ("mp3", 64.0)]
)
def test_a_second_of_it_takes_the_bits_that_were_asked_for(codec, kbit_s):
    short, long = (len(encode(hiss(16_000 * seconds), codec, kbit_s)) for seconds in (2, 6))
    # The difference is free of headers; Ogg adds a byte or so to a packet of 20 ms.
    assert 8 * (long - short) / 4 / 1000 == pytest.approx(kbit_s, rel=0.02, abs=1.2)


@every_codec
def test_a_high_rate_leaves_the_audio_as_it_was_and_a_low_one_does_not(codec):
    good, bad = (recode_waveform(hiss(), codec, kbit_s) for kbit_s in (64.0, 8.0))
    assert np.corrcoef(good, hiss())[0, 1] > 0.93
    assert np.corrcoef(bad, hiss())[0, 1] < 0.5
    assert not np.array_equal(good, hiss())


@every_codec
def test_full_scale_audio_stays_in_range(codec):
    loud = hiss(level=3.0)
    loud.flags.writeable = False
    assert np.abs(recode_waveform(loud, codec, 16.0)).max() <= 1


@pytest.mark.parametrize(("codec", "kbit_s"), [("opus", 0.1), ("opus", 300.0), ("mp3", 4.0), ("mp3", float("nan"))])
def test_a_rate_that_the_codec_does_not_have_is_refused(codec, kbit_s):
    with pytest.raises(MsmaError, match=f"{codec}: no rate of"):
        recode_waveform(hiss(), codec, kbit_s)
