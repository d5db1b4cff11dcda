"""Send pictures through H.264 in memory."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import av
import cv2
import numpy as np
from av.codec.context import CodecContext
from jaxtyping import UInt8

CODED_FPS = 25
"""A constant rate factor means less quality the more pictures there are a second. Pictures are coded as those of a
stream of this rate, whatever time lies between them, so that a factor always means the same."""
PARAMETERS = "bframes=0:keyint=infinite:scenecut=0:cpu-independent=1"
"""One key picture, all others coded from what stood before. The last is for the same bytes in every call."""


def recode_pictures(frames: UInt8[np.ndarray, "t h w 3"], crf: float) -> UInt8[np.ndarray, "t h w 3"]:
    """RGB pictures as they come out of H.264 (4:2:0) at the constant rate factor `crf`: 0 is best, 51 worst.

    A factor and not a bit rate: few pictures a second are sampled, so that the rate of the stream that they stand for
    cannot be known from them, nor can a rate controller settle on so few. The factor fixes how coarse the picture is.
    Odd sizes are padded by repeating the edge, and cut back. As many pictures come out as go in.
    """
    if not len(frames):
        return frames
    height, width = frames.shape[1:3]
    recoded = np.stack(decode_pictures(encode_pictures(frames, crf)))
    return np.ascontiguousarray(recoded[:, :height, :width])


def encode_pictures(frames: UInt8[np.ndarray, "t h w 3"], crf: float) -> list[av.Packet]:
    """One packet for each of the pictures, of which there must be one at least."""
    height, width = frames.shape[1:3]
    encoder = CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(CODED_FPS), Fraction(1, CODED_FPS)
    encoder.thread_count = 1
    encoder.options = {"crf": f"{crf:g}", "preset": "fast", "x264-params": PARAMETERS}
    packets: list[av.Packet] = []
    for index, pixels in enumerate(frames):
        even = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        frame.pts = index
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)


def decode_pictures(packets: Iterable[av.Packet]) -> list[np.ndarray]:
    """RGB pictures `(h, w, 3)`."""
    decoder = CodecContext.create("h264", "r")
    decoder.thread_count = 1
    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    return [np.asarray(frame.to_ndarray(format="rgb24")) for frame in frames + decoder.decode(None)]
