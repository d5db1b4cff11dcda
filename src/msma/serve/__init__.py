"""A page in the browser, and an endpoint for programs, on top of gradio (extra `serve`).

    upload ── uploads ──▶ file ── predictions ──▶ Prediction ── views ──▶ HTML

Nothing is stored: the browser holds the clip and sends it again with each request, and what was sent is deleted with
the response.
"""

from __future__ import annotations

import os

# Before gradio is imported: it reports every start to its makers, and asks them for its newest version.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
