"""`msma serve` before it serves: what it needs, where it predictions, what it says."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from msma.cli.commands import app
from msma.serve import server


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, ["serve", *map(str, arguments)])


@pytest.fixture
def asked(monkeypatch):
    """What the server would have been started with."""
    calls = []
    monkeypatch.setattr(server, "serve", lambda model, host, port, **_: calls.append((model, host, port)))
    return calls


def test_without_gradio_one_line_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    result = run()
    assert str(result.exception) == "the page needs gradio: pip install 'msma[serve]'"


def test_help_does_not_load_gradio():
    code = "import sys; sys.argv = ['msma', 'serve', '--help']\n"
    code += "import msma.cli\ntry: msma.cli.main()\nexcept SystemExit: pass\n"
    code += "assert not {'gradio', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_it_serves_this_machine_alone_unless_asked_otherwise(run, asked):
    result = run()
    assert asked[0][1:] == ("127.0.0.1", 7860)
    assert "password" not in result.stderr


def test_opening_it_to_others_is_warned_of(run, asked):
    result = run("--host", "0.0.0.0", "--port", "8000")
    assert asked[0][1:] == ("0.0.0.0", 8000)
    assert "0.0.0.0: everybody who reaches this machine can send clips; there is no password" in result.stderr


def test_limits_are_smaller_than_for_files_of_ones_own_and_can_be_changed(run, asked):
    run()
    run("--limit", "max_seconds=60")
    (first, *_), (second, *_) = asked
    assert (first.limits.max_bytes, first.limits.max_seconds) == (256_000_000, 600)
    assert (second.limits.max_bytes, second.limits.max_seconds) == (256_000_000, 60)


def test_a_port_that_is_taken_is_reported_with_the_remedy(run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = run("--port", other.getsockname()[1])
    assert "cannot be opened" in str(result.exception)
    assert str(result.exception).endswith("choose another --host or --port")


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_which_addresses_others_cannot_reach(host, alone):
    assert server.is_loopback(host) == alone


def test_telemetry_is_off_before_gradio_is_loaded():
    code = (
        "import sys, os, msma.serve; assert 'gradio' not in sys.modules; "
        "from gradio.analytics import analytics_enabled; assert not analytics_enabled()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
