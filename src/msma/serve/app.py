"""The page and the endpoint, in gradio's terms."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api
from gradio.themes import Default, colors

from msma.prediction.model import Progress
from msma.reports.page import stylesheet
from msma.serve import views
from msma.serve.predictions import OFFERED, Predictor, chosen_cell
from msma.serve.uploads import Uploads
from msma.types import MsmaError

ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model"}
SESSIONS = 256
"""Open pages that gradio remembers the settings of."""
HERE = Path(__file__).parent
HEAD = (
    f"<style>{(HERE / 'page.css').read_text(encoding='utf-8')}\n.msma {{ {stylesheet('charts.css')} }}</style>\n"
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


def page(predictor: Predictor, uploads: Uploads, *, waiting: int, address: str) -> gr.Blocks:
    """The page, with the endpoint `/predict`.

    Args:
        waiting: how many requests may wait; one more is refused.
        address: where the endpoint is, to be shown.
    """
    calibration = predictor.model.weights.calibration

    def ask(sent: Any, progress: gr.Progress = gr.Progress()) -> tuple[str, str, str]:  # noqa: B008  as gradio has it
        try:
            with uploads.claimed(sent) as path:
                found = predictor.predict(path, media_preview=True, progress=reported(progress, "reading", "windows"))
        except MsmaError as error:
            return views.view("problem", str(error)), "", ""
        return views.prediction(found, calibration), "", ""

    def why(sent: Any, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        try:
            with uploads.claimed(sent) as path:
                found = predictor.explain(path, reported(progress, "explaining", "seconds"))
            return views.explanation(found, calibration)
        except MsmaError as error:
            return views.view("problem", str(error))

    def corrupt(sent: Any, corruption: str | None, severity: int, mute: bool, black_out: bool) -> Any:
        if corruption is None:
            return gr.skip()  # a later choice has overtaken this one
        try:
            cell = chosen_cell(corruption, int(severity), mute=mute, black_out=black_out)
            with uploads.claimed(sent) as path:
                return views.comparison(predictor.compare(path, cell)) if cell.steps else ""
        except MsmaError as error:
            return views.view("problem", str(error))

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
        gr.HTML(views.view("notice", predictor.model.weights.config.notice), apply_default_css=False)
        limits = predictor.model.limits
        gr.Markdown(
            f"## Clip\nAt most {views.megabytes(limits)} and {limits.max_seconds / 60:.0f} minutes. Nothing is stored: "
            "it is deleted with the prediction."
        )
        with gr.Tabs():
            with gr.Tab("Upload"):
                chooser = gr.HTML(
                    views.view("chooser", limits),
                    js_on_load="msma.listen(element, trigger)",
                    elem_id="chooser",
                    apply_default_css=False,
                )
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
        prediction = gr.HTML(elem_id="prediction", apply_default_css=False)
        gr.Markdown(
            "## Explanation\nWhich modality and which seconds carried the prediction. This takes longer: the network "
            "predicts once more for each second."
        )
        explain = gr.Button("Explain", elem_id="explain")
        explanation = gr.HTML(elem_id="explanation", apply_default_css=False)
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
            severity = gr.Slider(
                0,
                5,
                0,
                step=1,
                label="Severity",
                info="0: nothing, 5: nearly useless",
                min_width=300,
                elem_id="severity",
            )
        with gr.Row():
            mute = gr.Checkbox(label="Mute: no audio track", min_width=300, elem_id="mute")
            black_out = gr.Checkbox(label="Black out: every frame is black", min_width=300, elem_id="black_out")
        comparison = gr.HTML(elem_id="comparison", apply_default_css=False)
        gr.Markdown("## For programs")
        gr.HTML(views.view("programs", address), apply_default_css=False)

        # The clip of a request takes the place of what was recorded, whichever way it came to the browser.
        shown = [prediction, explanation, comparison, severity, mute, black_out]
        alone: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        sent: dict[str, Any] = {"preprocess": False, "api_visibility": "private", **ONE_AT_A_TIME}
        chooser.change(None, None, shown, js="() => ['', '', '', 0, false, false]", **alone)
        chooser.upload(None, None, record, js="() => null", **alone)
        record.stop_recording(None, record, None, js="recorded => msma.take(recorded)", **alone)
        record.clear(None, None, None, js="() => msma.use(null)", **alone)
        button.click(
            ask,
            record,
            [prediction, explanation, comparison],
            js="async () => [await msma.send()]",
            show_progress_on=prediction,
            **sent,
        )
        explain.click(why, record, explanation, js="async () => [await msma.send()]", **sent)
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
