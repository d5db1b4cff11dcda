"""A page in the browser, and an endpoint for programs, on top of gradio (extra `serve`).

    upload ── uploads ──▶ file ── answers ──▶ Prediction, HTML

Nothing is kept: the page holds the clip in the browser and sends it anew with each question, and what was sent is
deleted with the answer.
"""

from __future__ import annotations

import os

# Before gradio is imported: it tells its makers of every start, and asks them for its newest version.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
