"""The panel in a real Chromium: picture, buttons, sliders and presets, by mouse and by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")

from playwright.sync_api import Browser, Page, expect

from obs_stylizer.realtime import requests
from tests.web.browsing import (
    becomes,
    browser_fixture,
    message,
    open_page,
    page_fixture,
    preset,
    seconds_fixture,
)
from tests.web.conftest import Running

__all__ = ["browser_fixture", "page_fixture", "seconds_fixture"]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


# Picture ---------------------------------------------------------------------------------------


def colour_at(page: Page, share: float) -> list[int]:
    """Red, green and blue of the picture, that far from its left edge."""
    read = "(c, s) => [...c.getContext('2d').getImageData(c.width * s, 50, 1, 1).data].slice(0, 3)"
    rgb: list[int] = page.locator("#picture").evaluate(read, share)
    return rgb


def is_plain(page: Page, share: float) -> bool:
    red, _, blue = colour_at(page, share)
    return red > blue


def test_divider_between_plain_and_styled(page: Page) -> None:
    expect(page.locator("#screen")).to_have_attribute("data-empty", "false", timeout=15_000)
    assert is_plain(page, 0.4)
    assert not is_plain(page, 0.6)
    divider = page.get_by_role("slider", name="Divider between plain and styled")
    box = divider.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.2 * box["width"], middle)
    page.mouse.up()
    assert not is_plain(page, 0.4)
    assert is_plain(page, 0.1)
    divider.focus()
    page.keyboard.press("End")
    assert is_plain(page, 0.95)
    assert divider.get_attribute("aria-valuetext") == "100 % plain"


def test_no_picture_is_said(browser: Browser, panel: Running, seconds: None) -> None:
    panel.api.plain_pixels = panel.api.styled_pixels = None
    page = open_page(browser)
    page.goto(panel.address)
    expect(page.get_by_text("Waiting for the picture")).to_be_visible()
    panel.api.show((200, 40, 40), (40, 40, 200))
    expect(page.locator("#screen")).to_have_attribute("data-empty", "false", timeout=15_000)
    page.close()


# On air ----------------------------------------------------------------------------------------


def test_bypass_is_turned_over_by_a_click(page: Page, panel: Running) -> None:
    button = page.get_by_role("button", name="Bypass")
    button.click()
    becomes(panel, bypass=True)
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#now")).to_have_text("Bypass")
    button.click()
    becomes(panel, bypass=False)
    expect(button).to_have_attribute("aria-pressed", "false")


def test_bypass_is_on_for_as_long_as_it_is_held(page: Page, panel: Running) -> None:
    button = page.get_by_role("button", name="Bypass")
    button.hover()
    page.mouse.down()
    becomes(panel, bypass=True)
    page.wait_for_timeout(500)
    assert panel.api.on_air.bypass
    page.mouse.up()
    becomes(panel, bypass=False)
    # The same by keyboard; and a short press leaves it on.
    button.focus()
    page.keyboard.down("Space")
    becomes(panel, bypass=True)
    page.wait_for_timeout(500)
    page.keyboard.up("Space")
    becomes(panel, bypass=False)
    # A press turns over what the page knows of.
    expect(button).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Enter")
    becomes(panel, bypass=True)
    page.wait_for_timeout(300)
    assert panel.api.on_air.bypass


def test_bypass_ends_when_the_window_is_left(page: Page, panel: Running) -> None:
    page.get_by_role("button", name="Bypass").hover()
    page.mouse.down()
    becomes(panel, bypass=True)
    page.wait_for_timeout(500)
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    becomes(panel, bypass=False)
    page.mouse.up()


def test_freeze(page: Page, panel: Running) -> None:
    button = page.get_by_role("button", name="Freeze")
    button.click()
    becomes(panel, freeze=True)
    expect(page.locator("#banner")).to_have_text("The picture is frozen.")
    button.click()
    becomes(panel, freeze=False)
    expect(page.locator("#banner")).to_be_hidden()


def test_recording_and_its_file(page: Page, panel: Running) -> None:
    panel.recording.recordings_folder.mkdir()
    (panel.recording.recordings_folder / "old.mkv").write_bytes(b"a film")
    page.locator("#record").click()
    expect(page.locator("#record")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#record-label")).to_have_text("Stop 0:01")
    page.locator("#record").click()
    expect(page.locator("#record-label")).to_have_text("Record")
    expect(message(page, "Recorded").first).to_be_visible()
    page.get_by_text("Recordings and snapshots").click()
    link = page.get_by_role("link", name="old.mkv")
    assert page.request.get(panel.url + str(link.get_attribute("href"))).body() == b"a film"


def test_snapshot(page: Page) -> None:
    page.get_by_role("button", name="Snapshot").click()
    said = message(page, "Saved a snapshot")
    expect(said.get_by_role("link", name="plain")).to_be_visible()
    expect(said.get_by_role("link", name="styled")).to_have_attribute(
        "href", "/api/snapshots/still-styled.png"
    )


def test_undo(page: Page, panel: Running) -> None:
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(message(page, "There is nothing to take back")).to_be_visible()
    preset(page, "Plain").click()
    becomes(panel, preset="plain")
    page.get_by_role("button", name="Undo", exact=True).click()
    becomes(panel, preset="ink")
    expect(message(page, "Back to preset ink")).to_be_visible()


# Sliders ---------------------------------------------------------------------------------------


def test_coherence(page: Page, panel: Running) -> None:
    slider = page.get_by_label("Coherence", exact=True)
    slider.fill("30")
    becomes(panel, coherence=0.3)
    expect(page.locator("#coherence-value")).to_have_text("30 %")
    page.wait_for_timeout(1000)
    panel.client.post("/api/coherence", json={"coherence": 0.6})
    expect(slider).to_have_value("60")


def test_strength(page: Page, panel: Running) -> None:
    slider = page.get_by_role("slider", name="Strength", exact=True)
    expect(slider).to_have_value("80")
    slider.fill("30")
    becomes(panel, strength=0.3)
    expect(page.locator("#strength-value")).to_have_text("30 %")
    slider.focus()
    page.keyboard.press("ArrowRight")
    becomes(panel, strength=0.31)
    # What somebody else changes is shown, but not while this one is being moved.
    page.wait_for_timeout(1000)
    panel.client.post("/api/strength", json={"strength": 0.6})
    expect(slider).to_have_value("60")


def test_person_and_background(page: Page, panel: Running, folder: Path) -> None:
    sides = page.locator("#sides")
    expect(sides).to_be_hidden()
    text = "title: Room\nperson: plain\nbackground: {blur: 0.5}\n"
    (folder / "room.yaml").write_text(text, "utf-8")
    panel.client.post("/api/preset", json={"name": "room"})
    expect(sides).to_be_visible()
    slider = page.get_by_role("slider", name="Background")
    expect(slider).to_have_value("100")
    slider.fill("40")
    becomes(panel, sides={"person": 1.0, "background": 0.4})
    swap = page.get_by_role("button", name="Swap")
    swap.click()
    becomes(panel, swapped=True)
    expect(swap).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Show mask").click()
    becomes(panel, shows_mask=True)
    panel.client.post("/api/preset", json={"name": "ink"})
    becomes(panel, preset="ink", sides={}, swapped=False)
    page.get_by_role("button", name="Show mask").click()
    becomes(panel, shows_mask=False)
    expect(sides).to_be_hidden()


def test_a_dragged_slider_sends_the_last_value(page: Page, panel: Running) -> None:
    slider = page.get_by_role("slider", name="Strength", exact=True)
    box = slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 10, y)
    page.mouse.down()
    for step in range(60):
        page.mouse.move(box["x"] + 10 + step * (box["width"] - 10) / 59, y)
    page.mouse.up()
    becomes(panel, strength=1.0)
    sent = [request for request in panel.api.requests if isinstance(request, requests.SetStrength)]
    assert len(sent) < 60


def test_crossfade(page: Page, panel: Running) -> None:
    slider = page.get_by_role("slider", name="Crossfade", exact=True)
    expect(page.locator("#crossfade-value")).to_have_text("as each preset says")
    slider.fill("1200")
    becomes(panel, crossfade_ms=1200.0)
    expect(page.locator("#crossfade-value")).to_have_text("1.2 s")
    slider.focus()
    page.keyboard.press("Home")
    becomes(panel, crossfade_ms=None)
    panel.client.post("/api/crossfade", json={"milliseconds": 8000})
    page.wait_for_timeout(1000)
    panel.client.post("/api/crossfade", json={"milliseconds": 8100})
    expect(page.locator("#crossfade-value")).to_have_text("8.1 s")


def test_mix_of_styles(page: Page, panel: Running) -> None:
    page.get_by_role("slider", name="Wild").fill("50")
    becomes(panel, styles={"calm": 1.0, "wild": 0.5})
    page.get_by_role("slider", name="Calm").fill("0")
    becomes(panel, styles={"calm": 0.0, "wild": 0.5})
    # Something must be left.
    page.get_by_role("slider", name="Wild").fill("0")
    becomes(panel, styles={"calm": 0.0, "wild": 0.01})
    expect(page.locator(".message")).to_have_count(0)
    preset(page, "Plain").click()
    expect(page.locator("#mix")).to_be_hidden()


# Presets ---------------------------------------------------------------------------------------


def test_preset_by_click(page: Page, panel: Running) -> None:
    expect(preset(page, "Ink")).to_have_attribute("aria-selected", "true")
    preset(page, "Great Wave").click()
    becomes(panel, preset="great-wave")
    expect(preset(page, "Great Wave")).to_have_attribute("aria-selected", "true")
    expect(preset(page, "Ink")).to_have_attribute("aria-selected", "false")
    expect(page).to_have_title("Great Wave – obs-stylizer")


def test_presets_by_keyboard(page: Page, panel: Running) -> None:
    preset(page, "Ink").focus()
    page.keyboard.press("ArrowRight")
    expect(preset(page, "Plain")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(preset(page, "Great Wave")).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    becomes(panel, preset="great-wave")


def test_next_and_previous(page: Page, panel: Running) -> None:
    page.get_by_role("button", name="Next preset").click()
    becomes(panel, preset="plain")
    page.get_by_role("button", name="Previous preset").click()
    becomes(panel, preset="ink")


def test_thumbnails_of_the_live_picture(page: Page) -> None:
    image = preset(page, "Plain").locator("img")
    expect(image).to_be_visible(timeout=30_000)
    read = """image => { const c = document.createElement("canvas"); c.width = c.height = 4;
        const p = c.getContext("2d"); p.drawImage(image, 0, 0, 4, 4);
        return [...p.getImageData(2, 2, 1, 1).data].slice(0, 3); }"""
    red, _, blue = image.evaluate(read)
    assert red > 150 > blue


def test_preset_that_cannot_be_loaded_is_said_once_with_the_remedy(
    page: Page, panel: Running
) -> None:
    panel.api.broken.add("plain")
    preset(page, "Plain").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Model is gone")
    expect(alert).to_contain_text("Fetch it")
    expect(page.locator(".message")).to_have_count(1)
    expect(preset(page, "Ink")).to_have_attribute("aria-selected", "true")
    alert.get_by_role("button", name="Close this message").click()
    expect(page.locator(".message")).to_have_count(0)


def test_preset_files_are_followed(page: Page, folder: Path) -> None:
    (folder / "oil.yaml").write_text("title: Oil\n", "utf-8")
    (folder / "ink.yaml").write_text("titel: Ink\n", "utf-8")
    page.get_by_role("button", name="Read the preset files again").click()
    expect(preset(page, "Oil")).to_be_visible()
    expect(page.locator("#preset-errors")).to_contain_text("title: is missing")
