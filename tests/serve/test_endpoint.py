"""What other programs meet: the JSON of the command line, limits, and nothing that stays."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from typer.testing import CliRunner

import msma
from msma.cli.commands import app

DOCS = Path(__file__).parents[2] / "docs" / "serve.md"
pytestmark = pytest.mark.slow

BOUNDARY = "x"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def asked(served, path: Path) -> dict[str, Any]:
    client = Client(served.address, verbose=False)
    (prediction,) = json.loads(client.predict(handle_file(path), api_name="/predict"))
    return prediction


def examples(language: str) -> list[str]:
    text = DOCS.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text.split("## For programs")[1], re.DOTALL)


def two_gigabytes() -> Iterator[bytes]:
    """A form with a clip of zeros."""
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="big.mp4"\r\n\r\n'.encode()
    yield from (bytes(1_000_000) for _ in range(2_000))


def test_a_clip_gets_the_json_of_the_command_line(served, clips):
    output = CliRunner().invoke(app, ["predict", str(clips[0]), "--format", "json"]).stdout
    (expected,) = json.loads(output)
    assert expected["status"] == "ok"
    # The settings are for `msma predict --resume`.
    assert asked(served, clips[0]) == expected | {"path": clips[0].name, "settings": None}


def test_the_documented_python_example_works(served, clips, monkeypatch, tmp_path, capsys):
    (code,) = examples("python")
    (tmp_path / "clip.mp4").write_bytes(clips[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(code.replace("http://127.0.0.1:7860", served.address), {})  # noqa: S102
    assert capsys.readouterr().out.splitlines()[-1].startswith("ok {'openness': 0.")


def test_the_documented_curl_example_works(served, clips, tmp_path):
    (code,) = examples("sh")
    (tmp_path / "clip.mp4").write_bytes(clips[0].read_bytes())
    script = "set -euo pipefail\n" + code.replace("http://127.0.0.1:7860", served.address)
    output = subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    data = output.split("event: complete\ndata: ")[1].splitlines()[0]
    (prediction,) = json.loads(json.loads(data)[0])
    assert prediction["traits"] == msma.load().predict(clips[0]).traits


def test_ten_clips_at_once_all_get_their_own_prediction(served, clips):
    model = msma.load()
    expected = [model.predict(path).traits for path in clips]
    assert len({tuple(traits.values()) for traits in expected}) == len(clips)
    with ThreadPoolExecutor(len(clips)) as pool:
        predictions = list(pool.map(lambda path: asked(served, path), clips))
    assert [prediction["path"] for prediction in predictions] == [path.name for path in clips]
    assert [prediction["traits"] for prediction in predictions] == expected


def test_the_same_clip_from_several_people_at_once_is_predicted_for_each(served, clips):
    with ThreadPoolExecutor(6) as pool:
        predictions = list(pool.map(lambda path: asked(served, path), [clips[0]] * 6))
    assert [prediction["status"] for prediction in predictions] == ["ok"] * 6


def test_nothing_is_stored_after_a_prediction_nor_after_a_failure(served, clips, tmp_path):
    (tmp_path / "fake.mp4").write_text("not a video " * 1000)
    assert asked(served, clips[0])["status"] == "ok"
    assert asked(served, tmp_path / "fake.mp4")["status"] == "failed"
    assert served.left() == []


def test_a_text_that_is_called_mp4_fails_with_the_reason_and_without_the_servers_paths(served, tmp_path):
    (tmp_path / "fake.mp4").write_text("not a video " * 1000)
    prediction = asked(served, tmp_path / "fake.mp4")
    assert (prediction["status"], prediction["traits"]) == ("failed", None)
    assert prediction["reasons"][0].startswith("fake.mp4: is not a known video or audio file")
    assert str(served.temporary) not in json.dumps(prediction)


def test_a_clip_of_ten_hours_is_refused_by_its_length(served, make_media):
    path = make_media("long.mp4", times=[0, 18_000_000, 36_000_000], rate=None)
    prediction = asked(served, path)
    assert prediction["status"] == "failed"
    assert "over the limit of 600 s" in prediction["reasons"][0]


def test_an_empty_submission_says_what_is_missing(served):
    with pytest.raises(Exception, match="there is no clip; choose or record one first"):
        Client(served.address, verbose=False).predict(None, api_name="/predict")


@pytest.mark.parametrize("said", [{"Content-Length": "2147483648"}, {}], ids=["said", "streamed"])
def test_two_gigabytes_are_refused_before_they_are_read(served, clips, said):
    taken = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for part in two_gigabytes():
            taken += len(part)
            yield part

    refusal = httpx.post(f"{served.address}/gradio_api/upload", content=counted(), headers=FORM | said, timeout=60)
    assert (refusal.status_code, "over the limit of 20 MB" in refusal.text) == (413, True)
    assert taken < 200_000_000  # what is under way in buffers
    assert served.left() == []
    assert asked(served, clips[0])["status"] == "ok"


def test_an_upload_that_breaks_off_leaves_nothing(served):
    host, port = served.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5000000\r\n"
        connection.sendall((head + f"Content-Type: {FORM['Content-Type']}\r\n\r\n").encode())
        connection.sendall(next(two_gigabytes()) + bytes(1_000_000))
        eventually(lambda: len(served.left()) == 1)
    eventually(lambda: not served.left())


def test_what_is_no_form_or_two_clips_is_refused_and_leaves_nothing(served):
    address = f"{served.address}/gradio_api/upload"
    two = [("files", ("a.mp4", b"a")), ("files", ("b.mp4", b"b"))]
    replies = [httpx.post(address, content=b"{}"), httpx.post(address, files=two), httpx.post(address, content=b"")]
    assert [reply.status_code for reply in replies] == [400, 400, 400]
    assert served.left() == []


@pytest.mark.parametrize("path", ["/etc/hostname", "https://example.com/clip.mp4", "{left}/../../secret.mp4", 7])
def test_only_clips_that_were_sent_are_read(served, path):
    named = str(path).replace("{left}", str(served.temporary)) if isinstance(path, str) else path
    question = {"data": [{"path": named, "meta": {"_type": "gradio.FileData"}}]}
    reply = httpx.post(f"{served.address}/gradio_api/call/predict", json=question)
    assert (reply.status_code, reply.text) == (400, "a clip is named by the path that /gradio_api/upload gave for it")


def test_more_clips_than_may_wait_are_refused_and_deleted(served, clips):
    server = f"{served.address}/gradio_api"

    def joined(_: int) -> int:
        (path,) = httpx.post(f"{server}/upload", files={"files": ("a.mp4", clips[0].read_bytes())}, timeout=60).json()
        question = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
        return httpx.post(f"{server}/call/predict", json=question, timeout=60).status_code

    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(joined, range(40)))
    assert set(codes) == {200, 503}
    eventually(lambda: not served.left())


def test_a_clip_can_be_read_back_until_it_is_deleted(served, clips):
    (path,) = httpx.post(f"{served.address}/gradio_api/upload", files={"files": clips[0].read_bytes()}).json()
    address = f"{served.address}/gradio_api/file={path}"
    assert httpx.get(address).content == clips[0].read_bytes()
    assert httpx.delete(address).status_code == 204
    assert served.left() == []
    assert [httpx.get(address).status_code, httpx.delete(address).status_code] == [404, 404]


def test_only_clips_that_were_sent_can_be_deleted(served, tmp_path):
    (tmp_path / "mine").touch()
    assert httpx.delete(f"{served.address}/gradio_api/file={tmp_path}/mine").status_code == 404
    assert (tmp_path / "mine").exists()


@pytest.mark.parametrize("path", ["run/predict", "api/predict", "process_recording", "vibe-code", "component_server"])
def test_routes_around_the_queue_or_that_keep_things_are_closed(served, path):
    assert httpx.post(f"{served.address}/gradio_api/{path}", json={"data": [None]}).status_code == 404


@pytest.mark.parametrize("path", ["monitoring", "gradio_api/file=/etc/hostname", "gradio_api/deep_link", "docs"])
def test_pages_that_tell_of_others_are_closed(served, path):
    assert httpx.get(f"{served.address}/{path}").status_code == 404


def test_another_name_for_this_machine_is_refused(served):
    reply = httpx.get(served.address, headers={"Host": "somebody.example"})
    assert (reply.status_code, reply.text) == (421, "this server is not somebody.example")


def test_a_question_that_is_too_long_is_refused(served):
    reply = httpx.post(f"{served.address}/gradio_api/call/predict", content=b"[" * 300_000)
    assert reply.status_code == 413


def test_the_server_connects_to_nobody_else(served, clips):
    asked(served, clips[0])
    assert not [line for line in served.connections.read_text().splitlines() if "127.0.0.1" not in line]


def eventually(holds) -> None:
    for _ in range(200):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")
