"""The control API of a live daemon, and the control surfaces that use it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from obs_stylizer.control.api import ControlApi, ControlSurface, ControlSurfaceFactory
from obs_stylizer.control.commands import Answer, Command
from obs_stylizer.control.controller import Controller
from obs_stylizer.control.event_bus import EventBus, Subscriber
from obs_stylizer.control.on_air import OnAir
from obs_stylizer.daemon.plain_frames import PlainFrames
from obs_stylizer.daemon.presenter import Presenter
from obs_stylizer.frames import Frame
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime.statistics import Statistics

log = logging.getLogger(__name__)


class DaemonControlApi:
    """See :class:`obs_stylizer.control.api.ControlApi`."""

    def __init__(
        self,
        controller: Controller,
        event_bus: EventBus,
        library: PresetLibrary,
        presenter: Presenter,
        plain: PlainFrames,
        statistics: Callable[[], Statistics],
    ) -> None:
        self._controller = controller
        self._event_bus = event_bus
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

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Receive every event from now on."""
        return self._event_bus.subscribe(subscriber)

    def statistics(self) -> Statistics:
        """What was counted and timed so far."""
        return self._statistics()

    def styled(self) -> Frame | None:
        """The newest styled frame."""
        return self._presenter.newest

    def plain(self) -> Frame | None:
        """The newest frame without any style."""
        return self._plain.newest()


class ControlSurfaces:
    """All control surfaces; one that fails leaves the camera and the others as they are."""

    def __init__(self, factories: Sequence[ControlSurfaceFactory]) -> None:
        self._factories = tuple(factories)
        self._running: list[ControlSurface] = []

    def start(self, api: ControlApi) -> None:
        """Make and start each."""
        for make in self._factories:
            try:
                control = make(api)
                self._running.append(control)
                control.start()
            except Exception:
                log.exception("a way to control the daemon does not work")

    def stop(self) -> None:
        """End each."""
        while self._running:
            try:
                self._running.pop().stop()
            except Exception:
                log.exception("a way to control the daemon does not end")
