"""The page and the endpoint, in gradio's terms."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api
from gradio.themes import Default, colors

from msma.prediction.model import Progress
from msma.reports.page import render
from msma.serve.predictions import OFFERED, Predictor, chosen_cell
from msma.serve.uploads import Uploads
from msma.serve.views import megabytes, view
from msma.types import MsmaError

ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model"}
SESSIONS = 256
"""Open pages that gradio remembers the settings of."""
HERE = Path(__file__).parent
HEAD = (
    f"<style>{(HERE / 'page.css').read_text(encoding='utf-8')}\n.msma {{ {render('charts.css')} }}</style>\n"
    f"<script>{(HERE / 'clip.js').read_text(encoding='utf-8')}</script>"
)
THEME = Default(primary_hue=colors.blue, font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_800",
    color_accent="*primary_700",
    slider_color="*primary_700",
    block_info_text_color="*neutral_600",
    block_label_text_color="*neutral_600",
    block_title_text_color="*neutral_700",
    body_text_color_subdued="*neutral_600",
)
"""Fonts that are there already, as none is fetched; and colours that stand out enough from white."""
FIRST_CORRUPTION = "white_noise"
html = partial(gr.HTML, apply_default_css=False)


def page(predictor: Predictor, uploads: Uploads, *, waiting: int, address: str) -> gr.Blocks:
    """The page, with the endpoint `/predict`, whose `address` it shows; of the requests, only `waiting` may wait."""
    calibration = predictor.model.weights.calibration

    def viewed(sent: Any, view_of: Callable[[Path], str]) -> str:
        """A view of the clip that was sent, or of the problem with it."""
        try:
            with uploads.claimed(sent) as path:
                return view_of(path)
        except MsmaError as error:
            return view("problem", str(error))

    def ask(sent: Any, progress: gr.Progress = gr.Progress()) -> tuple[str, str, str]:  # noqa: B008  as gradio has it
        asked: dict[str, Any] = {"media_preview": True, "progress": reported(progress, "reading", "windows")}
        return viewed(sent, lambda path: view("prediction", predictor.predict(path, **asked), calibration)), "", ""

    def why(sent: Any, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        report = reported(progress, "explaining", "seconds")
        return viewed(sent, lambda path: view("explanation", predictor.explain(path, report), calibration))

    def corrupt(sent: Any, corruption: str | None, severity: int, mute: bool, black_out: bool) -> Any:
        if corruption is None:
            return gr.skip()  # a later choice has overtaken this one

        def comparison_of(path: Path) -> str:
            cell = chosen_cell(corruption, int(severity), mute=mute, black_out=black_out)
            return view("comparison", predictor.compare(path, cell)) if cell.steps else ""

        return viewed(sent, comparison_of)

    def predict(clip: dict[str, Any]) -> str:
        """The JSON text that `msma predict --format json` writes for a clip."""
        # As text, since gradio's clients take whatever has a `path` for a file to be fetched.
        try:
            with uploads.claimed(clip) as path:
                return json.dumps([asdict(predictor.predict(path))], allow_nan=False)
        except MsmaError as error:
            raise gr.Error(str(error), print_exception=False) from error

    with gr.Blocks(title="msma: apparent personality of a clip", analytics_enabled=False) as blocks:
        gr.Markdown("# Apparent personality of a clip")
        html(view("notice", predictor.model.weights.config.notice))
        limits = predictor.model.limits
        gr.Markdown(
            f"## Clip\nAt most {megabytes(limits)} and {limits.max_seconds / 60:.0f} minutes. Nothing is stored: "
            "it is deleted with the prediction."
        )
        with gr.Tabs():
            with gr.Tab("Upload"):
                listening = "msma.listen(element, trigger)"
                chooser = html(view("chooser", limits), js_on_load=listening, elem_id="chooser")
            with gr.Tab("Record"):
                record = gr.Video(
                    label="Record yourself",
                    sources=["webcam"],
                    include_audio=True,
                    webcam_options=gr.WebcamOptions(mirror=False),
                    buttons=[],
                    height=360,
                    elem_id="record",
                )
        button = gr.Button("Predict", variant="primary", elem_id="predict")
        prediction = html(elem_id="prediction")
        gr.Markdown(
            "## Explanation\nWhich modality and which seconds carried the prediction. This takes longer: the network "
            "predicts once more for each second."
        )
        explain = gr.Button("Explain", elem_id="explain")
        explanation = html(elem_id="explanation")
        gr.Markdown(
            "## Corrupt the clip\nSee how the prediction and its intervals change when something is wrong with it."
        )
        with gr.Row():
            corruption = gr.Dropdown(
                [(f"{row.name}: {row.about}", row.name) for row in OFFERED],
                value=FIRST_CORRUPTION,
                label="What is wrong",
                min_width=300,
                elem_id="corruption",
            )
            about: dict[str, Any] = {"label": "Severity", "info": "0: nothing, 5: nearly useless"}
            severity = gr.Slider(0, 5, 0, step=1, min_width=300, elem_id="severity", **about)
        with gr.Row():
            mute = gr.Checkbox(label="Mute: no audio track", min_width=300, elem_id="mute")
            black_out = gr.Checkbox(label="Black out: every frame is black", min_width=300, elem_id="black_out")
        comparison = html(elem_id="comparison")
        gr.Markdown("## For programs")
        html(view("programs", address))

        # The clip of a request takes the place of what was recorded, whichever way it came to the browser.
        shown = [prediction, explanation, comparison, severity, mute, black_out]
        alone: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        sent: dict[str, Any] = {"preprocess": False, "api_visibility": "private", **ONE_AT_A_TIME}
        chooser.change(None, None, shown, js="() => ['', '', '', 0, false, false]", **alone)
        chooser.upload(None, None, record, js="() => null", **alone)
        record.stop_recording(None, record, None, js="recorded => msma.take(recorded)", **alone)
        record.clear(None, None, None, js="() => msma.use(null)", **alone)
        send = "async () => [await msma.send()]"
        button.click(ask, record, [prediction, explanation, comparison], js=send, show_progress_on=prediction, **sent)
        explain.click(why, record, explanation, js=send, **sent)
        gr.on(
            [corruption.input, severity.input, mute.input, black_out.input],
            corrupt,
            [record, corruption, severity, mute, black_out],
            comparison,
            js="(recorded, ...choices) => msma.sendLast(choices)",
            trigger_mode="always_last",
            **sent,
        )
        api(predict, api_name="predict", **ONE_AT_A_TIME)
    blocks.state_session_capacity = SESSIONS
    return blocks.queue(max_size=waiting, api_open=False)


def reported(progress: gr.Progress, doing: str, of_what: str) -> Progress:
    def report(done: int, total: int) -> None:
        progress((done, total), desc=doing, unit=of_what)

    return report
