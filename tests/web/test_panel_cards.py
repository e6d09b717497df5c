"""The panel in a real Chromium: its cards, its link to the daemon, and that all can use it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")

from playwright.sync_api import Browser, Page, expect

from obs_stylizer.realtime import events
from tests.fakes.obs_filter import FakeFilter, drawn_by_obs
from tests.web.browsing import (
    NARROW,
    WIDE,
    becomes,
    browser_fixture,
    message,
    open_page,
    page_fixture,
    preset,
    seconds_fixture,
)
from tests.web.conftest import TOKEN, Running, on_air

__all__ = ["browser_fixture", "page_fixture", "seconds_fixture"]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


# Cards -----------------------------------------------------------------------------------------


def test_source(page: Page, panel: Running) -> None:
    select = page.get_by_label("Take frames from")
    expect(select).to_have_value("pattern")
    page.get_by_role("button", name="Look for devices again").click()
    select.select_option(label="Something else …")
    page.get_by_label("Written as on the command line").fill("screen:3")
    page.get_by_role("button", name="Change source").click()
    becomes(panel, source="screen:3")
    expect(message(page, "Going over to screen:3")).to_be_visible()
    expect(select).to_have_value("screen:3")
    select.select_option(label="Something else …")
    page.get_by_label("Written as on the command line").fill("telepathy")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("is no source")
    assert panel.api.on_air.source == "screen:3"


def test_a_filter_in_obs_is_taken_over(
    page: Page, panel: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = page.get_by_role("button", name="Take over")
    expect(take).to_be_hidden()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    one = FakeFilter(tmp_path / "obs-stylizer", "Guest")
    with drawn_by_obs(one):
        offer = page.get_by_text("OBS filter “style” on “Guest”, 64x48 waits for a style")
        expect(offer).to_be_visible()
        take.click()
        becomes(panel, source="obs-filter:Guest")
        expect(take).to_be_hidden()


def test_scene_map(page: Page, panel: Running) -> None:
    expect(page.locator("#obs-brief")).to_have_text("connected, Talk")
    save = page.get_by_role("button", name="Save", exact=True)
    expect(save).to_be_disabled()
    page.get_by_label("Preset for Pause").select_option(label="Plain")
    page.get_by_label("Strength for Talk, in percent").fill("40")
    page.get_by_label("Crossfade for Talk, in milliseconds").fill("250")
    page.get_by_label("Preset for every other scene").select_option(label="Great Wave")
    save.click()
    expect(message(page, "The scene map is saved")).to_be_visible()
    assert panel.obs.saved == {
        "scene_map": {
            "Talk": {"preset": "ink", "strength": 0.4, "crossfade_ms": 250},
            "Pause": {"preset": "plain"},
        },
        "default": {"preset": "great-wave"},
    }
    page.get_by_label("Preset for Talk").select_option(label="leave as it is")
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_label("Preset for Talk")).to_have_value("ink")
    page.get_by_role("button", name="Undo save").click()
    expect(message(page, "The scene map is as before")).to_be_visible()
    assert panel.obs.saved == {"scene_map": {"Talk": {"preset": "ink"}}, "default": {}}
    expect(page.get_by_label("Preset for Pause")).to_have_value("default")


def test_scene_map_that_cannot_be_saved(page: Page, panel: Running) -> None:
    panel.obs.refuses = True
    page.get_by_label("Preset for Talk").select_option(label="Plain")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The disk is full")
    # What was typed is still there.
    expect(page.get_by_label("Preset for Talk")).to_have_value("plain")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_enabled()


def test_hotkeys(page: Page) -> None:
    page.get_by_text("Hotkeys", exact=True).click()
    expect(page.locator("#hotkey-list dt")).to_have_text(
        ["ctrl+alt+g", "ctrl+alt+i", "ctrl+alt+p", "ctrl+alt+right"]
    )
    expect(page.locator("#hotkey-list dd")).to_have_text(["Great Wave", "Ink", "Plain", "Next"])
    expect(page.locator("#hotkey-trouble")).to_have_text("nothing listens for keys")


def test_numbers(page: Page) -> None:
    expect(page.locator("#numbers-brief")).to_have_text("30 fps, 0 ms")
    expect(page.locator("#chart")).to_have_attribute(
        "aria-label", "30 frames sent and 0 styled a second, latency 0 milliseconds"
    )
    drawn = """c => { const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        return d.some((value) => value > 0); }"""
    assert page.locator("#chart").evaluate(drawn)


# The link --------------------------------------------------------------------------------------


def test_it_comes_back_by_itself(browser: Browser, folder: Path, free_port: int) -> None:
    page = open_page(browser)
    with on_air(folder, port=free_port) as panel:
        page.goto(panel.address)
        expect(page.locator("#screen")).to_have_attribute("data-empty", "false", timeout=15_000)
        panel.stop()
        expect(page.locator("#banner")).to_contain_text("No connection")
        expect(page.locator("#lamp")).to_have_attribute("data-state", "off")
        preset(page, "Plain").click()
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
        panel.start()
        expect(page.locator("#banner")).to_be_hidden(timeout=15_000)
        preset(page, "Plain").click()
        becomes(panel, preset="plain")
        expect(page.locator("#screen")).to_have_attribute("data-empty", "false", timeout=15_000)
    page.close()


def test_trouble_is_shown_and_goes(page: Page, panel: Running) -> None:
    panel.api.controller.tell(events.WorkerLost("it crashed", 1.0))
    expect(page.locator("#banner")).to_have_text("The worker is starting again.")
    expect(page.locator(".message")).to_contain_text("crashed")
    panel.api.controller.tell(events.WorkerStarted(2, 1))
    preset(page, "Plain").click()
    expect(page.locator("#banner")).to_be_hidden()


def test_preset_that_is_set_aside_is_marked(
    page: Page, panel: Running, log_errors: list[str]
) -> None:
    tell = panel.api.controller.tell
    for number in (1, 2):
        tell(events.LoadBegan("plain"))
        tell(events.WorkerLost("it crashed", 0.0))
        tell(events.WorkerStarted(2, number))
    expect(preset(page, "Plain")).to_have_attribute("data-quarantined", "")
    expect(preset(page, "Plain")).to_have_attribute("title", re.compile("it crashed"))
    expect(page.locator(".message").first).to_contain_text("Preset plain is set aside")
    preset(page, "Plain").click()
    expect(preset(page, "Plain")).not_to_have_attribute("data-quarantined", "")
    log_errors.clear()


def test_on_another_machine_it_asks_for_the_token(browser: Browser, folder: Path) -> None:
    with on_air(folder, address="0.0.0.0") as panel:
        page = open_page(browser)
        page.goto(panel.url)
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Connect").click()
        expect(page.locator(".preset")).to_have_count(3, timeout=15_000)
        expect(page.locator("#screen")).to_have_attribute("data-empty", "false", timeout=15_000)
        page.reload()
        expect(page.locator(".preset")).to_have_count(3)
        page.close()
        fresh = open_page(browser)
        fresh.goto(panel.address)
        expect(fresh.locator(".preset")).to_have_count(3)
        # Addresses are shown on stream more often than one would like.
        assert TOKEN not in fresh.url
        fresh.close()


def test_without_the_token_it_switches_presets_and_shows_no_picture(
    browser: Browser, panel: Running, seconds: None
) -> None:
    page = open_page(browser)
    page.goto(panel.url)
    page.get_by_role("button", name="Go on without").click()
    preset(page, "Plain").click()
    becomes(panel, preset="plain")
    expect(page.locator("#screen")).to_have_attribute("data-empty", "true")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.reload()
    page.get_by_label("Token").fill(f" {TOKEN}\n")
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("#screen")).to_have_attribute("data-empty", "false", timeout=15_000)
    assert TOKEN not in page.url
    assert page.evaluate("document.cookie") == ""
    page.close()


def test_a_page_of_another_site_drives_nothing(browser: Browser, panel: Running) -> None:
    page = browser.new_page()
    page.route("http://evil.example/", lambda route: route.fulfill(body="<p>evil</p>"))
    page.goto("http://evil.example/")
    attempt = """async (url) => {
        const results = [];
        for (const options of [{mode: "no-cors"}, {mode: "no-cors", credentials: "include"}, {}]) {
            try { await fetch(url + "/api/next", {method: "POST", body: "{}", ...options}); }
            catch (error) { results.push(String(error)); }
        }
        const image = new Image();
        const shown = new Promise((done) => {
            image.onload = () => done("shown"); image.onerror = () => done("refused"); });
        image.src = url + "/preview.mjpg?view=styled";
        const socket = new WebSocket(url.replace("http", "ws") + "/api/events");
        const heard = new Promise((done) => {
            socket.onmessage = () => done("heard"); socket.onclose = () => done("refused"); });
        return [await shown, await heard];
    }"""
    assert page.evaluate(attempt, panel.url) == ["refused", "refused"]
    assert panel.api.on_air.preset == "ink"
    page.close()


# For everybody ---------------------------------------------------------------------------------


def test_every_control_has_a_name_and_is_reached_by_keyboard(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((card) => { card.open = true; })")
    named = """() => [...document.querySelectorAll("button, input, select, summary, a, canvas")]
        .filter((e) => e.offsetParent !== null)
        .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim()
            || (e.labels && e.labels.length)))
        .map((e) => e.outerHTML)"""
    assert page.evaluate(named) == []
    reachable = """() => [...document.querySelectorAll("button, input, select, summary")]
        .filter((e) => e.offsetParent !== null && !e.disabled && e.tabIndex >= 0).length"""
    wanted = page.evaluate(reachable)
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for number in range(wanted + 20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.all].indexOf(document.activeElement)"))
        if number == 5:
            shown = "getComputedStyle(document.activeElement).outlineStyle"
            assert page.evaluate(shown) != "none", "one does not see where one is"
    assert len(reached) >= wanted


def test_every_control_is_used_in_these_tests(page: Page) -> None:
    """Whoever adds a control adds it here, and a test of it above."""
    names = (
        "() => [...document.querySelectorAll('button[id], input[id], select[id]')].map((e) => e.id)"
    )
    known = {
        "divider", "bypass", "freeze", "snapshot", "record", "undo", "strength", "crossfade",
        "previous", "next", "reload", "mix-0", "mix-1", "source", "source-refresh", "source-text",
        "source-go", "obs-save", "obs-discard", "obs-undo", "token", "coherence",
        "filter-take", "person", "background", "swap", "mask",
        "learn-choose", "learn-file", "learn-use", "learn-more", "learn-forget",
    }  # fmt: skip
    assert set(page.evaluate(names)) == known


def test_cards_are_found_as_they_were_left(page: Page) -> None:
    page.locator("#source-card > summary").click()
    page.get_by_text("Hotkeys", exact=True).click()
    page.wait_for_timeout(100)
    page.reload()
    is_open = "() => [...document.querySelectorAll('details[open]')].map((card) => card.id)"
    assert page.evaluate(is_open) == ["numbers", "obs-card", "hotkey-card"]


@pytest.mark.parametrize("viewport", [NARROW, WIDE])
def test_nothing_sticks_out(page: Page, viewport: dict[str, int]) -> None:
    page.set_viewport_size(viewport)  # type: ignore[arg-type]
    page.evaluate("document.querySelectorAll('details').forEach((card) => { card.open = true; })")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
