"""A control API with the real controller, behind which a pipeline answers as the worker would."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from obs_stylizer.control.commands import Answer, ApplyPreset, Command
from obs_stylizer.control.controller import Controller
from obs_stylizer.control.event_bus import ControlEvent, EventBus, EventKind, Subscriber
from obs_stylizer.control.on_air import OnAir
from obs_stylizer.errors import ModelError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.inference.session import Precision, Provider, RunsOn
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime import events, requests
from obs_stylizer.realtime.requests import Request
from obs_stylizer.realtime.statistics import Statistics
from obs_stylizer.sources.base import SourceInfo
from obs_stylizer.sources.spec import SourceSpec

RUNS_ON = RunsOn(Provider.OPENVINO, "A CPU", Precision.BF16, "12 ms against 29 ms")
STYLES = {"calm": 1.0, "wild": 0.0}
PATTERN = SourceSpec.parse("pattern")


class FakeControlApi:
    """Everything a :class:`~obs_stylizer.control.api.ControlApi` has; ``with`` starts and ends it.

    Attributes:
        broken: names of presets that cannot be loaded.
        mute: names of presets that are never answered.
        requests: what was asked of the worker.
        plain_pixels, styled_pixels: the pictures; None as before the first.
    """

    def __init__(self, folder: Path, first: str = "") -> None:
        self.folder = folder
        self.broken: set[str] = set()
        self.mute: set[str] = set()
        self.requests: list[Request] = []
        self.replaced: list[str] = []
        self.frozen = self.has_quit = False
        self.plain_pixels: Pixels | None = None
        self.styled_pixels: Pixels | None = None
        self.plain_calls = 0
        self._first = first
        self._numbers = itertools.count()
        self._library = PresetLibrary([folder])
        self.event_bus = EventBus()
        self.controller = Controller(
            self, self._library, PATTERN, preload=False, event_bus=self.event_bus
        )

    def __enter__(self) -> FakeControlApi:
        self.controller.start()
        self.controller.tell(events.WorkerStarted(1, 0))
        self.controller.tell(
            events.SourceOpened(PATTERN, SourceInfo("Test pattern", FrameSize(640, 360), 30.0))
        )
        if self._first:
            self.send(ApplyPreset(self._first)).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        self.controller.stop()

    # The control API.

    @property
    def on_air(self) -> OnAir:
        return self.controller.on_air

    @property
    def library(self) -> PresetLibrary:
        return self._library

    def send(self, command: Command) -> Future[Answer]:
        return self.controller.send(command)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        return self.event_bus.subscribe(subscriber)

    def statistics(self) -> Statistics:
        return Statistics(uptime_s=1.0, preset=self.on_air.preset, fps={"sink": 30.0})

    def styled(self) -> Frame | None:
        return self._frame(self.styled_pixels)

    def plain(self) -> Frame | None:
        self.plain_calls += 1
        return self._frame(self.plain_pixels)

    def _frame(self, pixels: Pixels | None) -> Frame | None:
        return None if pixels is None else Frame(pixels, next(self._numbers), 0.0)

    # What tests do to it.

    def show(self, plain: tuple[int, int, int], styled: tuple[int, int, int]) -> None:
        """Let both pictures be of one colour."""
        size = FrameSize(640, 360)
        self.plain_pixels = np.full(size.shape, plain, np.uint8)
        self.styled_pixels = np.full(size.shape, styled, np.uint8)

    def tell_statistics(self) -> None:
        """Publish statistics as the daemon does once a second."""
        self.event_bus.publish(ControlEvent(EventKind.STATISTICS, "", self.statistics().as_dict()))

    # The pipeline.

    def request(self, request: Request) -> None:
        self.requests.append(request)
        if isinstance(request, requests.ShowPreset) and request.preset.name not in self.mute:
            self.controller.tell(self.answer(request))
        elif isinstance(request, requests.ChangeSource):
            info = SourceInfo(str(request.source), FrameSize(640, 360), 30.0)
            self.controller.tell(events.SourceOpened(request.source, info))

    def answer(self, request: requests.ShowPreset) -> events.Event:
        name = request.preset.name
        if name in self.broken:
            return events.PresetFailed(
                request.request_id, name, ModelError("model is gone", "fetch it")
            )
        styles = dict(request.styles or STYLES)
        preset = request.preset.preset
        return events.PresetShown(
            request.request_id,
            name,
            RUNS_ON,
            FrameSize(640, 360),
            0.0,
            {} if name == "plain" else styles,
            sides=_strengths(request.sides) if preset.has_sides else {},
            swapped=request.sides is not None and request.sides.swapped,
        )

    def replace_worker(self, reason: str) -> None:
        self.replaced.append(reason)

    def freeze(self, frozen: bool) -> None:
        self.frozen = frozen

    def start_recording(self) -> Future[Path]:
        path = self.folder / "show.mkv"
        self.controller.tell(events.RecordingStarted(path))
        return _done(path)

    def stop_recording(self) -> Future[Path]:
        path = self.folder / "show.mkv"
        path.write_bytes(b"a film")
        self.controller.tell(events.RecordingEnded(path))
        return _done(path)

    def take_snapshot(self) -> Future[Mapping[str, Path]]:
        made = {}
        for kind in ("plain", "styled"):
            path = self.folder / f"still-{kind}.png"
            path.write_bytes(b"\x89PNG")
            made[kind] = path
        return _done(made)

    def quit(self) -> None:
        self.has_quit = True


def _done(value: object) -> Future:  # type: ignore[type-arg]
    future: Future[object] = Future()
    future.set_result(value)
    return future


def _strengths(sides: requests.SideSettings | None) -> dict[str, float]:
    """What a worker says of a preset whose own strengths are 1."""
    set_to = sides or requests.SideSettings()
    person, background = set_to.person, set_to.background
    return {
        "person": 1.0 if person is None else person,
        "background": 1.0 if background is None else background,
    }
