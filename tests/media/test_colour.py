"""Light and colour of frames: HDR and wide gamuts as SDR, untagged HD as BT.709."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc

from msma.media.clip import load_clip
from msma.media.colour import colour_problem, rgb_pixels

SKIN = (190, 140, 120)
PATCHES = [SKIN, (30, 30, 30), (110, 110, 110), (180, 60, 50), (60, 90, 170)]
BT709_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def light(colour: tuple[int, int, int]) -> np.ndarray:
    """Linear light in BT.2020 of an SDR colour, 1 for white."""
    return BT709_TO_BT2020 @ (np.array(colour) / 255) ** 2.4


def pq(shares: np.ndarray) -> np.ndarray:
    """Inverse EOTF of SMPTE ST 2084 for shares of 203 nits."""
    power = (203 * shares / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(shares: np.ndarray) -> np.ndarray:
    """Inverse OOTF of a display of 1000 nits, and the OETF, of BT.2100."""
    shown = 203 * shares / 1000
    luma = float(np.array([0.2627, 0.6780, 0.0593]) @ shown)
    scene = shown * luma ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def frame_of(signal: np.ndarray, transfer: int, size: tuple[int, int] = (64, 48)) -> av.VideoFrame:
    """One colour in 10 bits, tagged as BT.2020."""
    rgb = np.tile(np.rint(65535 * signal).astype(np.uint16), (size[1], size[0], 1))
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb48le")
    frame = frame.reformat(format="yuv444p10le", dst_colorspace=Colorspace.BT2020)
    frame.colorspace, frame.color_primaries, frame.color_trc = int(Colorspace.BT2020), ColorPrimaries.BT2020, transfer
    return frame


def middle(frame: av.VideoFrame) -> list[int]:
    return rgb_pixels(frame, frame.width // 2, frame.height // 2)[10, 10].tolist()


@pytest.mark.parametrize("colour", PATCHES)
@pytest.mark.parametrize(("encode", "transfer"), [(pq, ColorTrc.SMPTE2084), (hlg, ColorTrc.ARIB_STD_B67)])
def test_hdr_shows_the_colours_of_sdr(colour, encode, transfer):
    assert middle(frame_of(encode(light(colour)), transfer)) == pytest.approx(colour, abs=4)


@pytest.mark.parametrize("colour", PATCHES)
def test_a_wide_gamut_shows_the_colours_of_bt709(colour):
    signal = light(colour) ** (1 / 2.4)
    assert middle(frame_of(signal, ColorTrc.BT2020_10)) == pytest.approx(colour, abs=4)


def test_highlights_are_compressed_in_order():
    levels = [middle(frame_of(pq(np.full(3, share)), ColorTrc.SMPTE2084))[0] for share in (0.5, 1.0, 2.0, 4.0)]
    assert levels == sorted(set(levels))
    assert levels[1] == pytest.approx(239, abs=3)
    assert levels[-1] <= 255


def sdr(size: tuple[int, int], matrix: Colorspace) -> av.VideoFrame:
    """Untagged, made with `matrix`."""
    frame = av.VideoFrame.from_ndarray(np.tile(np.array(SKIN, np.uint8), (size[1], size[0], 1)), format="rgb24")
    frame = frame.reformat(format="yuv444p", dst_colorspace=matrix)
    frame.colorspace = 2
    return frame


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (1280, 534), (960, 720)])
def test_untagged_hd_is_bt709(size):
    assert middle(sdr(size, Colorspace.ITU709)) == pytest.approx(SKIN, abs=3)


@pytest.mark.parametrize("size", [(720, 576), (640, 480), (64, 48)])
def test_untagged_sd_is_bt601(size):
    assert middle(sdr(size, Colorspace.ITU601)) == pytest.approx(SKIN, abs=3)


def test_a_tag_counts_more_than_the_size():
    frame = sdr((64, 48), Colorspace.ITU709)
    frame.colorspace = 1
    assert middle(frame) == pytest.approx(SKIN, abs=3)


def test_a_matrix_that_cannot_be_converted_is_reported():
    frame = sdr((64, 48), Colorspace.ITU601)
    frame.colorspace = 15  # IPT-C2, of Dolby Vision
    assert colour_problem(frame) == "video colours cannot be converted (matrix 15 of H.273); they are wrong"
    assert rgb_pixels(frame, 64, 48).shape == (48, 64, 3)


def test_plain_colours_are_no_problem():
    assert colour_problem(sdr((64, 48), Colorspace.ITU601)) is None


def test_a_file_with_hdr_is_tone_mapped(tmp_path):
    path = tmp_path / "hdr.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = 9, 9, 16
        for index in range(20):
            frame = frame_of(pq(light(SKIN)), ColorTrc.SMPTE2084)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = load_clip(path)
    assert clip.reasons == ("no audio track",)
    assert clip.frames[0][20, 20].tolist() == pytest.approx(SKIN, abs=4)
