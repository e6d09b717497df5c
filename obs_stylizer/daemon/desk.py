"""The desk that a live daemon offers to its adapters, and the adapters at it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from obs_stylizer.control.announcements import Announcer, Hearer
from obs_stylizer.control.commands import Answer, Command
from obs_stylizer.control.controller import Controller
from obs_stylizer.control.desk import Adapter, AdapterMaker, Desk
from obs_stylizer.control.on_air import OnAir
from obs_stylizer.daemon.plain_frames import PlainFrames
from obs_stylizer.daemon.presenter import Presenter
from obs_stylizer.frames import Frame
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime.statistics import Statistics

log = logging.getLogger(__name__)


class LiveDesk:
    """See :class:`obs_stylizer.control.desk.Desk`."""

    def __init__(
        self,
        controller: Controller,
        announcer: Announcer,
        library: PresetLibrary,
        presenter: Presenter,
        plain: PlainFrames,
        statistics: Callable[[], Statistics],
    ) -> None:
        self._controller = controller
        self._announcer = announcer
        self._library = library
        self._presenter = presenter
        self._plain = plain
        self._statistics = statistics

    @property
    def on_air(self) -> OnAir:
        """What is on air now."""
        return self._controller.on_air

    @property
    def library(self) -> PresetLibrary:
        """All presets."""
        return self._library

    def send(self, command: Command) -> Future[Answer]:
        """Ask for something."""
        return self._controller.send(command)

    def subscribe(self, hearer: Hearer) -> Callable[[], None]:
        """Hear every announcement from now on."""
        return self._announcer.subscribe(hearer)

    def statistics(self) -> Statistics:
        """What was counted and timed so far."""
        return self._statistics()

    def styled(self) -> Frame | None:
        """The newest styled frame."""
        return self._presenter.newest

    def plain(self) -> Frame | None:
        """The newest frame without any style."""
        return self._plain.newest()


class Adapters:
    """All doors to the commands; one that fails leaves the camera and the others as they are."""

    def __init__(self, makers: Sequence[AdapterMaker]) -> None:
        self._makers = tuple(makers)
        self._running: list[Adapter] = []

    def start(self, desk: Desk) -> None:
        """Make and start each."""
        for make in self._makers:
            try:
                adapter = make(desk)
                self._running.append(adapter)
                adapter.start()
            except Exception:
                log.exception("a way to control the daemon does not work")

    def stop(self) -> None:
        """End each."""
        while self._running:
            try:
                self._running.pop().stop()
            except Exception:
                log.exception("a way to control the daemon does not end")
