"""Chromium for the panel's tests, and how they find and wait for things in it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.web.conftest import Running, eventually

NARROW = {"width": 300, "height": 900}
WIDE = {"width": 1280, "height": 900}


@pytest.fixture(scope="module", name="browser")
def browser_fixture() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


def open_page(browser: Browser) -> Page:
    page = browser.new_page(viewport=NARROW)  # type: ignore[arg-type]
    page.set_default_timeout(10_000)
    return page


@pytest.fixture(name="seconds")
def seconds_fixture(panel: Running) -> Iterator[None]:
    """Statistics as the daemon publishes them, twice as often."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(0.5):
            panel.api.tell_statistics()

    thread = threading.Thread(target=tell)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.fixture(name="page")
def page_fixture(browser: Browser, panel: Running, seconds: None) -> Iterator[Page]:
    """The panel in a dock of 300 pixels, loaded. Nothing may go wrong in it unsaid."""
    opened = open_page(browser)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "console", lambda message: problems.append(message.text) if serious(message) else None
    )
    opened.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((panel.url, "blob:"))
            else problems.append(f"asked elsewhere: {request.url}")
        ),
    )
    opened.goto(panel.address)
    expect(opened.locator(".preset")).to_have_count(3)
    for card in ("numbers", "source-card", "obs-card"):
        opened.locator(f"#{card}").evaluate("(card) => { card.open = true; }")
    yield opened
    opened.close()
    assert not problems


def serious(message: ConsoleMessage) -> bool:
    """What Chromium says about a status like 404 or a closed port is said by the panel, too."""
    return message.type == "error" and not message.text.startswith(
        ("Failed to load resource", "WebSocket connection")
    )


def preset(page: Page, title: str) -> Locator:
    # The lists of the scene map have options of the same names.
    return page.get_by_role("listbox", name="Presets").get_by_role("option", name=title)


def message(page: Page, text: str) -> Locator:
    return page.locator(".message").filter(has_text=text)


def becomes(panel: Running, **wanted: object) -> None:
    eventually(lambda: {name: getattr(panel.api.on_air, name) for name in wanted} == wanted)
