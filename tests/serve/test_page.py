"""The page in a real browser: what a person sees, with mouse, keyboard, camera and telephone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from raw import with_face

import msma
from msma.corruptions.scenarios import corrupt_window
from msma.media.clip import load_clip
from msma.serve.predictions import chosen_cell

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]

FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FAKE_CAMERA])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, served, request) -> Iterator[Page]:
    """The page, as wide as the mark on the test says. It must ask no other machine and throw nothing."""
    width, height = getattr(request, "param", DESKTOP)
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    asked: list[str] = []
    thrown: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.on("pageerror", lambda error: thrown.append(str(error)))
    page.goto(served.address)
    page.get_by_role("button", name="Predict").wait_for()
    yield page
    page.close()
    assert not [url for url in asked if not url.startswith((served.address, "data:", "blob:", "about:"))]
    assert not thrown


at_both = pytest.mark.parametrize("opened", [DESKTOP, PHONE], indirect=True, ids=["desktop", "phone"])
on_phone = pytest.mark.parametrize("opened", [PHONE], indirect=True, ids=["phone"])


def choose(page: Page, path: Path) -> None:
    page.get_by_label("Video or audio file").set_input_files(path)


def predicted(page: Page, path: Path) -> None:
    choose(page, path)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#prediction h3")).to_contain_text(path.name)


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@at_both
def test_a_clip_is_predicted_with_five_traits_their_intervals_and_what_was_seen(opened, clips):
    expected = msma.load().predict(clips[0])
    predicted(opened, clips[0])
    prediction = opened.locator("#prediction")
    for trait, score in expected.traits.items():
        low, high = expected.intervals[trait]
        row = prediction.get_by_role("listitem").filter(has_text=trait)
        expect(row).to_contain_text(f"{trait} {score:.2f}")
        expect(row).to_contain_text(f"{low:.2f} to {high:.2f}")
    expect(prediction.locator("h3")).to_contain_text("ok")
    assert prediction.locator("img[alt^='face at']").count() >= 3
    assert fits(opened)


@on_phone
def test_the_severity_slider_moves_the_prediction_and_its_interval(opened, clips):
    predicted(opened, clips[0])
    severity = opened.get_by_label("range slider for Severity")
    severity.focus()
    for _ in range(5):
        severity.press("ArrowRight")
    comparison = opened.locator("#comparison")
    expect(comparison.locator("h3")).to_contain_text("The clip with white_noise (snr_db 0)")
    model = msma.load()
    clip = load_clip(clips[0], model.clip)
    cell, raw = chosen_cell("white_noise", 5, mute=False, black_out=False), with_face(clip, model.clip, model.detector)
    corrupted = model.predict(corrupt_window(raw, cell, model.clip, model.detector).clip)
    clean = model.predict(clip)
    for trait in clean.traits:
        ends = [prediction.intervals[trait] for prediction in (clean, corrupted)]
        before, after = clean.traits[trait], corrupted.traits[trait]
        expect(comparison).to_contain_text(f"{trait} {before:.2f} → {after:.2f} ({after - before:+.2f})")
        expect(comparison).to_contain_text(" → ".join(f"{high - low:.2f}" for low, high in ends) + " wide")
    assert fits(opened)


def test_another_corruption_mute_and_black_out_can_be_chosen(opened, clips):
    predicted(opened, clips[0])
    opened.get_by_label("What is wrong").click()
    opened.get_by_role("option", name="no_visual: no video track").click()
    opened.get_by_label("number input for Severity").fill("2")
    heading = opened.locator("#comparison h3")
    expect(heading).to_contain_text("The clip with no_visual")
    opened.get_by_label("Mute: no audio track").check()
    expect(heading).to_contain_text("no_visual, no_audio")
    expect(heading).to_contain_text("abstained")
    opened.get_by_label("Black out: every frame is black").check()
    expect(heading).to_contain_text("no_visual, no_audio, black_frames (share 1)")


@on_phone
def test_the_explanation_is_shown_on_demand(opened, clips):
    predicted(opened, clips[0])
    opened.get_by_role("button", name="Explain").click()
    explanation = opened.frame_locator("#explanation iframe")
    expect(explanation.get_by_role("heading", name="Where a prediction comes from")).to_be_visible()
    expect(explanation.get_by_text(clips[0].name)).to_be_visible()
    assert fits(opened)


def test_all_can_be_reached_and_used_with_the_keyboard_alone(opened, clips):
    opened.on("filechooser", lambda chooser: chooser.set_files(clips[0]))

    def tab_to(name: str) -> None:
        for _ in range(30):
            opened.keyboard.press("Tab")
            if opened.evaluate(
                "name => { const e = document.activeElement; const said = [e.ariaLabel, e.innerText, "
                "...[...(e.labels || [])].map(label => label.innerText)]; "
                "return said.some(one => one?.trim().startsWith(name)) }",
                name,
            ):
                outline = opened.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline == "solid", f"{name} has the focus, and it cannot be seen"
                return
        raise AssertionError(f"Tab never comes to {name}")

    tab_to("Upload")
    tab_to("Record")
    tab_to("Video or audio file")
    opened.keyboard.press("Enter")
    expect(opened.get_by_label("Video or audio file")).to_have_value(re.compile(clips[0].name))
    tab_to("Predict")
    opened.keyboard.press("Enter")
    expect(opened.locator("#prediction h3")).to_contain_text(clips[0].name)
    tab_to("Explain")
    opened.keyboard.press("Space")
    expect(opened.locator("#explanation iframe")).to_be_visible()
    tab_to("What is wrong")
    tab_to("range slider for Severity")
    opened.keyboard.press("ArrowRight")
    expect(opened.locator("#comparison h3")).to_contain_text("white_noise (snr_db 20)")
    tab_to("Mute")
    opened.keyboard.press("Space")
    expect(opened.locator("#comparison h3")).to_contain_text("no_audio")


def test_a_clip_can_be_recorded_and_asked_about_twice(opened, served):
    opened.get_by_role("tab", name="Record").click()
    opened.get_by_text("Click to Access Webcam").click()
    record = opened.get_by_role("button", name="start recording")
    record.click()
    opened.wait_for_timeout(2_500)
    with opened.expect_response(lambda reply: reply.request.method == "DELETE"):
        record.click()
    opened.locator("#record video[src^='blob:']").wait_for()
    assert served.left() == []
    opened.get_by_role("button", name="Predict").click()
    expect(opened.locator("#prediction h3")).to_contain_text(".webm")
    opened.get_by_label("Mute: no audio track").check()
    expect(opened.locator("#comparison h3")).to_contain_text("no_audio")


def test_nothing_stays_on_the_server_and_the_page_can_still_ask(opened, served, clips):
    predicted(opened, clips[0])
    assert served.left() == []
    opened.get_by_label("Mute: no audio track").check()
    expect(opened.locator("#comparison h3")).to_contain_text("no_audio")
    assert served.left() == []


def test_a_new_clip_takes_what_was_said_of_the_old_one_away(opened, clips):
    predicted(opened, clips[0])
    opened.get_by_label("Mute: no audio track").check()
    opened.locator("#comparison h3").wait_for()
    choose(opened, clips[1])
    expect(opened.locator("#prediction")).to_be_empty()
    expect(opened.locator("#comparison")).to_be_empty()
    expect(opened.get_by_label("Mute: no audio track")).not_to_be_checked()


@on_phone
def test_what_cannot_be_read_is_reported_and_the_page_still_works(opened, clips, tmp_path):
    (tmp_path / "fake.mp4").write_text("not a video " * 1000)
    choose(opened, tmp_path / "fake.mp4")
    opened.get_by_role("button", name="Predict").click()
    expect(opened.locator("#prediction")).to_contain_text("failed fake.mp4: is not a known video or audio file")
    assert fits(opened)
    predicted(opened, clips[0])


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(opened, tmp_path):
    with (tmp_path / "big.mp4").open("wb") as file:
        file.truncate(2_000_000_000)  # takes no room
    sent: list[str] = []
    opened.on("request", lambda request: sent.append(request.url) if "/upload" in request.url else None)
    choose(opened, tmp_path / "big.mp4")
    expect(opened.get_by_text("big.mp4 is larger than 20 MB; cut it.")).to_be_visible()
    opened.get_by_role("button", name="Predict").click()
    expect(opened.locator("#prediction")).to_contain_text("there is no clip; choose or record one first")
    assert not sent


def test_a_prediction_of_nothing_says_what_is_missing(opened):
    opened.get_by_role("button", name="Predict").click()
    expect(opened.locator("#prediction")).to_contain_text("there is no clip; choose or record one first")


@on_phone
def test_the_page_says_what_scores_are_and_are_not(opened):
    expect(opened.get_by_text("observers would attribute")).to_be_visible()
    expect(opened.get_by_text("Not for any decision about a person")).to_be_visible()
    expect(opened.get_by_text("Their scores have no validity for real ones.")).to_be_visible()
    assert fits(opened)
