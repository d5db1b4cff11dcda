"""Frames of any light and colour as SDR RGB with the primaries of BT.709, as the weights know them.

PQ and HLG are those of ITU-R BT.2100, the level of white is that of BT.2408, the display that of BT.1886.
"""

from __future__ import annotations

import functools

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc
from jaxtyping import Float32, UInt8, UInt16

HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
WHITE_NITS = 203.0
"""Luminance of diffuse white in HDR, which becomes nearly the white of SDR."""
HLG_NITS, HLG_GAMMA = 1000.0, 1.2
"""Peak luminance and system gamma of the display for which HLG is rendered."""
KNEE = 0.6
"""Light, as a share of diffuse white, from which highlights are compressed; below it nothing changes."""
DISPLAY_GAMMA = 2.4
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
UNSPECIFIED = 2
"""Matrix, primaries or transfer that the file does not tell."""
MATRICES = (0, 1, 4, 5, 6, 7, 9, 10)
"""Matrices from which FFmpeg converts to RGB, by their numbers in ITU-T H.273: RGB, BT.709 … BT.2020."""
DOLBY_VISION = ("DOVI_RPU_BUFFER", "DOVI_METADATA")
"""Side data of Dolby Vision; without a transfer of its own, such a frame is no picture for other displays."""
HD_SIDES = (720, 1280)
"""An untagged frame whose shorter or longer side is at least this is BT.709, a smaller one BT.601."""


def rgb_pixels(frame: VideoFrame, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    """The frame in another size. FFmpegError or ValueError for pixels that FFmpeg does not convert."""
    hdr = frame.color_trc in HDR
    wide = frame.color_primaries == ColorPrimaries.BT2020 or (hdr and frame.color_primaries == UNSPECIFIED)
    matrix = frame.colorspace
    if matrix not in MATRICES:
        matrix = Colorspace.BT2020 if wide else Colorspace.ITU709 if is_hd(frame) else Colorspace.ITU601
    if not hdr and not wide:
        return frame.to_ndarray(**of_size(width, height), format="rgb24", src_colorspace=int(matrix))
    signal = frame.to_ndarray(**of_size(width, height), format="rgb48le", src_colorspace=int(matrix))
    light = light_of(signal, frame.color_trc)
    if wide:
        light = np.maximum(light @ BT2020_TO_BT709.T, 0)
    if hdr:
        light = compressed(light)
    return np.rint(255 * np.power(np.minimum(light, 1), np.float32(1 / DISPLAY_GAMMA))).astype(np.uint8)


def of_size(width: int, height: int) -> dict:
    return {"width": width, "height": height, "interpolation": "AREA", "threads": 1}


def is_hd(frame: VideoFrame) -> bool:
    return any(side >= hd for side, hd in zip(sorted((frame.width, frame.height)), HD_SIDES, strict=True))


def colour_problem(frame: VideoFrame) -> str | None:
    """Reason why the colours of a frame are not shown as they were meant; None where they can be converted."""
    known = frame.colorspace in MATRICES or frame.colorspace == UNSPECIFIED
    dolby = frame.color_trc == UNSPECIFIED and any(frame.side_data.get(name) is not None for name in DOLBY_VISION)
    if known and not dolby:
        return None
    kind = "Dolby Vision" if dolby else f"matrix {frame.colorspace} of H.273"
    return f"video colours cannot be converted ({kind}); they are wrong"


def light_of(signal: UInt16[np.ndarray, "h w 3"], transfer: int) -> Float32[np.ndarray, "h w 3"]:
    """Linear light of a display, 1 where diffuse white is."""
    light = light_table(transfer)[signal]
    if transfer != ColorTrc.ARIB_STD_B67:
        return light
    # HLG holds the light of the scene; a display adds its system gamma.
    scene = np.maximum(light @ BT2020_LUMA, np.float32(1e-6))[..., None]
    return light * np.power(scene, np.float32(HLG_GAMMA - 1)) * np.float32(HLG_NITS / WHITE_NITS)


@functools.lru_cache(maxsize=4)
def light_table(transfer: int) -> Float32[np.ndarray, "65536"]:
    """Light for each 16-bit value of a signal: of the scene, up to 1, for HLG, else of a display by diffuse white."""
    signal = np.arange(65536) / 65535
    if transfer == ColorTrc.SMPTE2084:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = signal ** (1 / m2)
        light = 10_000 / WHITE_NITS * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    elif transfer == ColorTrc.ARIB_STD_B67:
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    else:
        light = signal**DISPLAY_GAMMA
    return light.astype(np.float32)


def compressed(light: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Highlights brought below 1 without a step, all channels by the same factor, so that no hue changes."""
    peak = np.maximum(light.max(axis=-1, keepdims=True), np.float32(1e-6))
    over = np.maximum(peak - KNEE, 0) / (1 - KNEE)
    mapped = np.where(peak <= KNEE, peak, KNEE + (1 - KNEE) * (1 - np.exp(-over)))
    return light * (mapped / peak).astype(np.float32)
