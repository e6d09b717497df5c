"""A style learnt from the panel, in a real Chromium: a picture goes in, and is followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")

from playwright.sync_api import Page, expect

from obs_stylizer.control.learning_files import THUMBNAIL, learning_folder
from obs_stylizer.realtime import events
from obs_stylizer.web.stream_hub import encode_jpeg
from tests.web.browsing import browser_fixture, message, page_fixture, seconds_fixture
from tests.web.conftest import Running, eventually

__all__ = ["browser_fixture", "page_fixture", "seconds_fixture"]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


class Learning:
    """What the panel asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def learn(self, picture: str, name: str, seconds: float) -> str:
        self.asked.append(f"learn {name} {seconds:g} {len(Path(picture).read_bytes())}")
        return "my-drawing"

    def more(self, seconds: float) -> str:
        self.asked.append(f"more {seconds:g}")
        return "my-drawing"

    def keep(self) -> str:
        self.asked.append("keep")
        return "my-drawing"

    def forget(self) -> str:
        self.asked.append("forget")
        return "my-drawing"


@pytest.fixture
def learning(panel: Running, monkeypatch: pytest.MonkeyPatch) -> Learning:
    made = Learning()
    monkeypatch.setattr(panel.api.controller, "_learning", made)
    return made


def tell(panel: Running, **progress: Any) -> None:
    panel.api.controller.tell(events.StyleLearning({"name": "my-drawing", **progress}))


def test_a_picture_is_learnt_followed_and_used(
    page: Page, panel: Running, learning: Learning
) -> None:
    file = {"name": "My Drawing.png", "mimeType": "image/png", "buffer": b"\x89PNG" + b"0" * 99_996}
    page.locator("#learn-file").set_input_files(files=[file])  # type: ignore[list-item]
    eventually(lambda: learning.asked == ["learn My Drawing 90 100000"])
    expect(message(page, "Learning my-drawing")).to_be_visible()

    learning_folder().mkdir(parents=True, exist_ok=True)
    frame = panel.api.styled()
    assert frame is not None
    (learning_folder() / THUMBNAIL).write_bytes(encode_jpeg(frame, 80))
    tell(panel, state="learning", share=0.25, seconds_left=61.5, samples=12)
    expect(page.locator("#learn-text")).to_have_text("My drawing: 62 s left")
    expect(page.locator("#learn-bar")).to_have_attribute("value", "0.25")
    expect(page.locator("#learn-drop")).to_be_hidden()
    seen = "(e) => e.complete && e.naturalWidth"
    eventually(lambda: page.locator("#learn-thumbnail").evaluate(seen) == 640)

    page.get_by_role("button", name="Use").click()
    page.get_by_role("button", name="Forget").click()
    eventually(lambda: learning.asked[1:] == ["keep", "forget"])
    tell(panel, state="learnt", share=1.0, seconds_left=0)
    expect(page.locator("#learn-text")).to_contain_text("among the presets")
    expect(page.locator("#learn-drop")).to_be_visible()
    page.get_by_role("button", name="More").click()
    eventually(lambda: learning.asked[-1] == "more 60")

    tell(panel, state="failed", trouble="the picture has a single colour")
    expect(page.locator("#learn-text")).to_contain_text("single colour")


def test_a_pack_that_is_none_is_told(page: Page, learning: Learning) -> None:
    file = {"name": "odd.style", "mimeType": "", "buffer": b"no pack"}
    page.locator("#learn-file").set_input_files(files=[file])  # type: ignore[list-item]
    expect(message(page, "What was sent is cut off or no style pack")).to_be_visible()
    assert learning.asked == []
