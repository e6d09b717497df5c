"""The control API: what a control surface may see and do, and what a control surface is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from obs_stylizer.control.commands import Answer, Command
from obs_stylizer.control.event_bus import Subscriber
from obs_stylizer.control.on_air import OnAir
from obs_stylizer.frames import Frame
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime.statistics import Statistics


class ControlApi(Protocol):
    """What the daemon offers to control surfaces. Any thread may call anything; nothing blocks."""

    @property
    def on_air(self) -> OnAir:
        """What is on air now."""

    @property
    def library(self) -> PresetLibrary:
        """All presets. To be read only."""

    def send(self, command: Command) -> Future[Answer]:
        """Ask for something; the future fails with a StylizerError that says why."""

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Receive every event from now on; returns what ends that."""

    def statistics(self) -> Statistics:
        """What was counted and timed so far."""

    def styled(self) -> Frame | None:
        """The newest styled frame, to be read only; None before the first."""

    def plain(self) -> Frame | None:
        """The newest frame without any style, in the geometry and size of the styled one.

        The first call only lets the worker begin to give them, and returns None; calls that come
        at least once a second keep it at that. A frame's number is that of the styled one.
        """


class ControlSurface(Protocol):
    """A way to control the daemon: OBS, hotkeys, the web. It lives as long as the daemon."""

    def start(self) -> None:
        """Begin; returns at once. What cannot work says so in the log, and nothing is raised."""

    def stop(self) -> None:
        """End, and leave nothing behind: no thread, socket or lock. May be called twice."""


ControlSurfaceFactory = Callable[[ControlApi], ControlSurface]
"""Makes a control surface that uses a control API."""
