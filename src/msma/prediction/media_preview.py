"""A preview of the inputs of the network from a video: as much for an hour as for a minute."""

from __future__ import annotations

from base64 import b64encode

import numpy as np

from msma.media.encode import shrunk, to_jpeg
from msma.types import SAMPLE_RATE, MediaPreview, PreparedWindow, PreviewFace

MAX_FACES = 8
FACE_SIDE = 128
"""Longest side in pixels of a face crop."""
MAX_STEPS = 320
"""Steps of the outline of the waveform. A power of two times the finest fills them; longer audio has coarser ones."""
FINEST_STEP = SAMPLE_RATE // 100


class PreviewBuilder:
    """Takes window after window; what it holds does not grow with their number."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.faces: list[tuple[float, np.ndarray]] = []
        self.seen, self.stride = 0, 1
        self.low, self.high = np.zeros(MAX_STEPS), np.zeros(MAX_STEPS)
        self.step, self.heard = FINEST_STEP, False
        self.start_s: float | None = None
        self.end_s = 0.0

    def add(self, window: PreparedWindow) -> None:
        """The next window of the same video."""
        self.start_s = window.start_s if self.start_s is None else self.start_s
        self.end_s = window.end_s
        inputs = window.inputs
        for slot in np.flatnonzero(inputs.frame_mask).tolist():
            if self.seen % self.stride == 0:
                crop = inputs.frames[slot].transpose(1, 2, 0)
                self.faces.append((window.start_s + (slot + 0.5) / self.fps, shrunk(crop, FACE_SIDE).copy()))
            self.seen += 1
            if len(self.faces) == 2 * MAX_FACES:
                self.faces, self.stride = self.faces[::2], 2 * self.stride
        start = round((window.start_s - self.start_s) * SAMPLE_RATE)
        length = round((window.end_s - window.start_s) * SAMPLE_RATE)
        while start + length > MAX_STEPS * self.step:
            half = np.zeros(MAX_STEPS // 2)
            self.low = np.concatenate([self.low.reshape(-1, 2).min(axis=1), half])
            self.high = np.concatenate([self.high.reshape(-1, 2).max(axis=1), half])
            self.step *= 2
        if inputs.present[0]:
            waveform = inputs.waveform[:length]
            steps = (start + np.arange(len(waveform))) // self.step
            np.minimum.at(self.low, steps, waveform)
            np.maximum.at(self.high, steps, waveform)
            self.heard = True

    def preview(self) -> MediaPreview:
        """The preview of all windows so far, of which there must be one at least."""
        start_s = self.start_s or 0.0
        places = np.unique(np.linspace(0, len(self.faces) - 1, MAX_FACES).round().astype(int)) if self.faces else []
        count = -(-round((self.end_s - start_s) * SAMPLE_RATE) // self.step) if self.heard else 0
        return MediaPreview(
            start_s=round(start_s, 3),
            end_s=round(start_s + count * self.step / SAMPLE_RATE if self.heard else self.end_s, 3),
            faces=[
                PreviewFace(round(time_s, 3), b64encode(to_jpeg(crop).tobytes()).decode("ascii"))
                for time_s, crop in (self.faces[place] for place in places)
            ],
            low=self.low[:count].round(3).tolist(),
            high=self.high[:count].round(3).tolist(),
        )
