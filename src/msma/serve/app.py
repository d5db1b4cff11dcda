"""The page and the endpoint, in gradio's terms."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from msma.config import Limits
from msma.predict import Progress
from msma.serve import views
from msma.serve.answers import OFFERED, Answers, spoiling
from msma.serve.uploads import Uploads
from msma.types import MsmaError

ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model"}
SESSIONS = 256
"""Open pages that gradio remembers the settings of."""
HEAD = f"<style>{views.STYLE}</style>\n<script>{Path(__file__).with_name('clip.js').read_text(encoding='utf-8')}</script>"
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
"""Fonts that are there already: none is fetched."""
FIRST_CORRUPTION = "white_noise"
PROGRAMS = """
```python
from gradio_client import Client, handle_file

Client("{address}").predict(handle_file("clip.mp4"), api_name="/predict")
```
gives the JSON text that `msma predict clip.mp4 --format json` writes. docs/serve.md has the same with curl.
"""


def page(answers: Answers, uploads: Uploads, *, waiting: int) -> gr.Blocks:
    """The page, with the endpoint `/predict`.

    Args:
        waiting: how many questions may wait; one more is refused.
    """

    def keep(sent: Any) -> tuple[Any, ...]:
        """The browser has the clip now: it goes, and what was said of another one with it."""
        if sent is None:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip()
        with uploads.claimed(sent):
            return "", "", 0, False, False

    def ask(sent: Any, progress: gr.Progress = gr.Progress()) -> tuple[str, str]:  # noqa: B008  as gradio has it
        try:
            with uploads.claimed(sent) as path:
                told = answers.predict(path, keep_media=True, progress=reported(progress))
        except MsmaError as error:
            return views.problem(str(error)), ""
        return views.answer(told), ""

    def spoil(sent: Any, corruption: str, severity: int, mute: bool, black_out: bool) -> str:
        try:
            cell = spoiling(corruption, int(severity), mute=mute, black_out=black_out)
            with uploads.claimed(sent) as path:
                return views.comparison(answers.compare(path, cell)) if cell.steps else ""
        except MsmaError as error:
            return views.problem(str(error))

    def predict(clip: dict[str, Any]) -> str:
        """The JSON text that `msma predict --format json` writes about a clip."""
        # As text, since gradio's clients take whatever has a `path` for a file to be fetched.
        try:
            with uploads.claimed(clip) as path:
                return json.dumps([asdict(answers.predict(path))], allow_nan=False)
        except MsmaError as error:
            raise gr.Error(str(error), print_exception=False) from error

    with gr.Blocks(title="msma: apparent personality of a clip", analytics_enabled=False) as blocks:
        gr.Markdown("# Apparent personality of a clip")
        gr.HTML(views.notice(answers.model.weights.config.notice))
        gr.Markdown(f"## Clip\n{limits(answers.model.limits)} Nothing is kept: it is deleted with the answer.")
        with gr.Tabs():
            with gr.Tab("Upload"):
                upload = gr.File(label="Video or sound file", elem_id="upload")
            with gr.Tab("Record"):
                record = gr.Video(
                    label="Record yourself",
                    sources=["webcam"],
                    include_audio=True,
                    webcam_options=gr.WebcamOptions(mirror=False),
                    elem_id="record",
                )
        button = gr.Button("Answer", variant="primary", elem_id="ask")
        answer = gr.HTML(elem_id="answer")
        gr.Markdown("## Spoil the clip\nSee how the answer and its intervals move when something is wrong with it.")
        with gr.Row():
            corruption = gr.Dropdown(
                [(f"{row.name}: {row.about}", row.name) for row in OFFERED],
                value=FIRST_CORRUPTION,
                label="What is wrong",
                elem_id="corruption",
            )
            severity = gr.Slider(
                0, 5, 0, step=1, label="Severity", info="0: nothing, 5: nearly useless", elem_id="severity"
            )
        with gr.Row():
            mute = gr.Checkbox(label="Mute: no sound track", elem_id="mute")
            black_out = gr.Checkbox(label="Black out: every picture is black", elem_id="black_out")
        comparison = gr.HTML(elem_id="comparison")
        gr.Markdown("## For programs\n" + PROGRAMS.format(address="http://127.0.0.1:7860"))

        said = [answer, comparison, severity, mute, black_out]
        kept: dict[str, Any] = {"preprocess": False, "api_visibility": "private", "show_progress": "hidden"}
        sent: dict[str, Any] = {"preprocess": False, "api_visibility": "private", **ONE_AT_A_TIME}
        upload.upload(keep, upload, said, js="file => msma.keep(file)", **kept)
        record.change(keep, record, said, js="file => msma.keep(file)", **kept)
        gr.on([upload.clear, record.clear], js="() => msma.forget()", api_visibility="private")
        button.click(ask, upload, [answer, comparison], js="async () => [await msma.send()]", **sent)
        gr.on(
            [corruption.input, severity.input, mute.input, black_out.input],
            spoil,
            [upload, corruption, severity, mute, black_out],
            comparison,
            js="async (file, ...choices) => [await msma.send(), ...choices]",
            trigger_mode="always_last",
            **sent,
        )
        gr.api(predict, api_name="predict", **ONE_AT_A_TIME)
    blocks.state_session_capacity = SESSIONS
    return blocks.queue(max_size=waiting, api_open=False)


def reported(progress: gr.Progress) -> Progress:
    def report(done: int, total: int) -> None:
        progress((done, total), desc="reading and answering", unit="windows")

    return report


def limits(of: Limits) -> str:
    return f"At most {of.max_bytes / 1e6:.0f} MB and {of.max_seconds / 60:.0f} minutes."
