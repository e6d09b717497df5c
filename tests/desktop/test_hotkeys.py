"""Hotkeys through a real portal; the desktop behind it says yes, and presses what it is told."""

from __future__ import annotations

import queue
from collections.abc import Mapping

import pytest

from obs_stylizer.control.hotkeys.combination import Combination
from obs_stylizer.control.hotkeys.portal import PortalKeyboard
from tests.fakes.wayland.desktop import WaylandDesktop


class Ear:
    def __init__(self) -> None:
        self.told: queue.Queue[str] = queue.Queue()
        self.works = queue.Queue[Mapping[Combination, str]]()

    def pressed(self, combination: Combination) -> None:
        self.told.put(f"pressed {combination}")

    def released(self, combination: Combination) -> None:
        self.told.put(f"released {combination}")

    def listening(
        self,
        problems: Mapping[Combination, str],
        trouble: str,
        triggers: Mapping[Combination, str] | None = None,
    ) -> None:
        if not trouble:
            self.works.put(triggers or {})


@pytest.mark.parametrize("restart", [False, True])
def test_a_key_that_is_pressed(desktop: WaylandDesktop, restart: bool) -> None:
    ear = Ear()
    keyboard = PortalKeyboard(ear)
    keys = Combination.parse("ctrl+alt+1")
    keyboard.watch({keys: "preset ink"})
    keyboard.start()
    try:
        assert ear.works.get(timeout=10) == {keys: "Press CTRL+ALT+1"}
        if restart:
            desktop.kill("portal")
            desktop.start("portal")
            ear.works.get(timeout=10)
        desktop.press("activate preset-ink", "deactivate preset-ink")
        assert ear.told.get(timeout=5) == "pressed ctrl+alt+1"
        assert ear.told.get(timeout=5) == "released ctrl+alt+1"
    finally:
        keyboard.stop()


def test_the_user_says_no(desktop: WaylandDesktop) -> None:
    ear = Ear()
    keyboard = PortalKeyboard(ear)
    desktop.press("deny")
    try:
        keyboard.watch({Combination.parse("ctrl+alt+1"): "next"})
        keyboard.start()
        with pytest.raises(queue.Empty):
            ear.works.get(timeout=1.5)
    finally:
        keyboard.stop()
        desktop.press("allow")
