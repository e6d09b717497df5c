"""Small pictures: each view right, made once for all, and only while somebody looks."""

from __future__ import annotations

import time
from contextlib import ExitStack

import av
import httpx
import numpy as np
import pytest

from obs_stylizer.frames import Pixels
from obs_stylizer.web import preview
from obs_stylizer.web.preview import PREVIEW_FPS, PREVIEW_WIDTH, View
from tests.web.conftest import HEADERS, TOKEN, Running, eventually

RED, BLUE = (200, 40, 40), (40, 40, 200)


def first_picture(panel: Running, view: str) -> Pixels:
    """Read one as a player does, uint8 RGB."""
    url = f"{panel.url}/preview.mjpg?view={view}&token={TOKEN}"
    with av.open(url, timeout=(10, 10), options={"strict_mime_boundary": "1"}) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def is_of(pixels: Pixels, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixels.reshape(-1, 3).mean(0) - colour).max() < 8)


def test_each_view(panel: Running) -> None:
    assert is_of(first_picture(panel, "raw"), RED)
    assert is_of(first_picture(panel, "styled"), BLUE)
    split = first_picture(panel, "split")
    assert split.shape == (360, PREVIEW_WIDTH, 3)
    assert is_of(split[:, :300], RED)
    assert is_of(split[:, 340:], BLUE)
    pair = first_picture(panel, "pair")
    assert pair.shape == (360, 2 * PREVIEW_WIDTH, 3)
    assert is_of(pair[:, :PREVIEW_WIDTH], RED)
    assert is_of(pair[:, PREVIEW_WIDTH:], BLUE)


def test_it_comes_back_after_a_failure(
    panel: Running, monkeypatch: pytest.MonkeyPatch, log_errors: list[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(preview, "_compose", lambda *_: 1 / 0)
        with ExitStack() as stack:
            stack.enter_context(panel.client.stream("GET", "/preview.mjpg?view=styled"))
            eventually(lambda: log_errors)
    assert len(log_errors) == 1
    log_errors.clear()
    assert is_of(first_picture(panel, "styled"), BLUE)


def test_unknown_view(panel: Running) -> None:
    answer = panel.client.get("/preview.mjpg?view=sideways")
    assert answer.status_code == 400
    assert answer.json()["error"]["remedy"] == "views are: raw, styled, split, pair"


def test_large_pictures_are_made_small_and_small_ones_stay(panel: Running) -> None:
    panel.api.styled_pixels = np.zeros((1080, 1920, 3), np.uint8)
    assert first_picture(panel, "styled").shape == (360, 640, 3)
    panel.api.styled_pixels = np.zeros((96, 128, 3), np.uint8)
    eventually(lambda: first_picture(panel, "styled").shape == (96, 128, 3))


def test_plain_frames_are_asked_for_only_while_somebody_looks_at_them(panel: Running) -> None:
    first_picture(panel, "styled")
    assert panel.api.plain_calls == 0
    first_picture(panel, "raw")
    time.sleep(0.5)
    calls = panel.api.plain_calls
    time.sleep(0.5)
    assert panel.api.plain_calls == calls


def test_made_once_for_all_and_not_too_often(panel: Running) -> None:
    hub = panel.control._preview._hubs[View.STYLED]  # type: ignore[union-attr]
    with ExitStack() as stack:
        for _ in range(4):
            url = f"{panel.url}/preview.mjpg?view=styled"
            stream = httpx.stream("GET", url, timeout=20, headers=HEADERS)
            stack.enter_context(stream)
        eventually(lambda: hub.viewer_count == 4)
        before, began = hub.encoded_count, time.monotonic()
        time.sleep(2)
        made = hub.encoded_count - before
        assert 4 <= made <= PREVIEW_FPS * (time.monotonic() - began) + 2
    eventually(lambda: hub.viewer_count == 0)


def test_the_stream_says_why_there_is_none(panel: Running) -> None:
    answer = panel.client.get("/stream.mjpg")
    assert answer.status_code == 404
    assert "add the sink “http”" in answer.text


@pytest.mark.parametrize("view", ["raw", "split", "pair"])
def test_head(panel: Running, view: str) -> None:
    answer = panel.client.head(f"/preview.mjpg?view={view}")
    assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
