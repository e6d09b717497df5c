"""The control API of a live daemon."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from obs_stylizer.control.commands import Answer, Command
from obs_stylizer.control.controller import Controller
from obs_stylizer.control.event_bus import EventBus, Subscriber
from obs_stylizer.control.on_air import OnAir
from obs_stylizer.daemon.plain_frames import PlainFrames
from obs_stylizer.daemon.presenter import Presenter
from obs_stylizer.frames import Frame
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime.statistics import Statistics


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
        look: Callable[[], None],
    ) -> None:
        self._controller = controller
        self._event_bus = event_bus
        self._library = library
        self._presenter = presenter
        self._plain = plain
        self._statistics = statistics
        self._look = look

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
        self._look()
        return self._presenter.newest

    def plain(self) -> Frame | None:
        """The newest frame without any style."""
        self._look()
        return self._plain.newest()
