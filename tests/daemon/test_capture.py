"""The capture thread with scripted sources: what is opened, told and given."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from obs_stylizer.daemon import capture as capture_module
from obs_stylizer.daemon.capture import Capture
from obs_stylizer.errors import (
    SourceEndedError,
    SourceError,
    SourceLostError,
    SourceRefusedError,
    SourceWaitingError,
)
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.realtime.events import Event, SourceEnded, SourceFailed, SourceLost, SourceOpened
from obs_stylizer.sources.base import SourceInfo, SourceOptions
from obs_stylizer.sources.spec import SourceSpec

SIZE = FrameSize(64, 32)
ONE, TWO = SourceSpec.parse("image:one.png"), SourceSpec.parse("image:two.png")


class Script:
    """What each source does when it is opened and read, by its name."""

    def __init__(self) -> None:
        self.at_open: dict[str, list[Exception]] = {}
        self.frames: dict[str, list[int | Exception]] = {}
        self.closed: list[str] = []


class ScriptedSource:
    def __init__(self, spec: SourceSpec, script: Script) -> None:
        self._spec = spec
        self._script = script

    def __enter__(self) -> ScriptedSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def open(self) -> SourceInfo:
        errors = self._script.at_open.get(str(self._spec), [])
        if errors:
            raise errors.pop(0)
        return SourceInfo(str(self._spec), SIZE, 30.0)

    def read(self, timeout: float) -> Frame | None:
        frames = self._script.frames.get(str(self._spec), [])
        if not frames:
            threading.Event().wait(0.001)
            return None
        frame = frames.pop(0)
        if isinstance(frame, Exception):
            raise frame
        return Frame(np.full(SIZE.shape, frame % 256, np.uint8), frame, float(frame))

    def close(self) -> None:
        self._script.closed.append(str(self._spec))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    script = Script()
    monkeypatch.setattr(
        capture_module, "make_source", lambda spec, options: ScriptedSource(spec, script)
    )
    return script


class Told:
    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def __call__(self, event: Event) -> None:
        self.events.put(event)

    def next(self) -> Event:
        return self.events.get(timeout=20)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def capture(script: Script, told: Told) -> Iterator[Capture]:
    capture = Capture(ONE, SourceOptions(SIZE), told)
    yield capture
    capture.stop()


def until(condition: Callable[[], object]) -> None:
    for _ in range(5000):
        if condition():
            return
        threading.Event().wait(0.002)
    pytest.fail("waited in vain")


def test_frames_are_numbered_on_over_gaps_and_sources(
    script: Script, told: Told, capture: Capture
) -> None:
    script.frames[str(ONE)] = [0, 1, 4]
    script.frames[str(TWO)] = [7]
    capture.start()
    until(lambda: capture.captured == 5)
    assert capture.overtaken == 4, "two left out by the source, two of three not taken"
    capture.change(TWO)
    until(lambda: capture.captured == 6)
    assert [told.next(), told.next()] == [
        SourceOpened(ONE, SourceInfo(str(ONE), SIZE, 30.0)),
        SourceOpened(TWO, SourceInfo(str(TWO), SIZE, 30.0)),
    ]
    assert capture.changes == 2


def test_lost_source_is_told_once_and_opened_again(
    script: Script, told: Told, capture: Capture
) -> None:
    lost = SourceLostError("unplugged")
    script.at_open[str(ONE)] = [lost, SourceLostError("unplugged")]
    capture.start()
    assert told.next() == SourceLost(ONE, lost)
    assert isinstance(told.next(), SourceOpened)


def test_new_source_that_cannot_be_opened_leaves_the_old(
    script: Script, told: Told, capture: Capture
) -> None:
    bad = SourceError("no such file")
    script.at_open[str(TWO)] = [bad]
    capture.start()
    assert isinstance(told.next(), SourceOpened)
    capture.change(TWO)
    assert told.next() == SourceFailed(TWO, bad)
    back = told.next()
    assert isinstance(back, SourceOpened)
    assert back.source == ONE


def test_source_that_fails_in_no_known_way_is_tried_again(
    script: Script, told: Told, capture: Capture, log_errors: list[str]
) -> None:
    script.frames[str(ONE)] = [0, RuntimeError("driver")]
    capture.start()
    assert isinstance(told.next(), SourceOpened)
    assert isinstance(told.next(), SourceLost)
    assert isinstance(told.next(), SourceOpened)
    log_errors.clear()


def test_end_is_told_and_another_source_can_follow(
    script: Script, told: Told, capture: Capture
) -> None:
    script.frames[str(ONE)] = [0, SourceEndedError("over")]
    capture.start()
    assert isinstance(told.next(), SourceOpened)
    assert told.next() == SourceEnded(ONE, 1)
    capture.change(TWO)
    opened = told.next()
    assert isinstance(opened, SourceOpened)
    assert opened.source == TWO


class Interrupted(Capture):
    """A change comes at the very instant at which the thread sees what is wanted."""

    hook: Callable[[], None] | None = None
    value: SourceSpec | None = None

    @property
    def _wanted(self) -> SourceSpec | None:  # type: ignore[override]
        seen = self.value
        hook, self.hook = self.hook, None
        if hook is not None:
            thread = threading.Thread(target=hook, daemon=True)
            thread.start()
            # Where the instant is guarded, the change has to wait for its end.
            thread.join(0.2)
        return seen

    @_wanted.setter
    def _wanted(self, value: SourceSpec | None) -> None:
        self.value = value


@pytest.mark.usefixtures("script")
def test_no_change_is_lost_in_whatever_instant_it_comes(told: Told) -> None:
    capture = Interrupted(ONE, SourceOptions(SIZE), told)
    capture.hook = lambda: capture.change(TWO)
    capture.start()
    opened = [told.next(), told.next()]
    capture.stop()
    assert isinstance(opened[-1], SourceOpened)
    assert opened[-1].source == TWO


def test_a_source_that_waits_for_the_user_is_told_once_and_waited_for(
    script: Script, told: Told, capture: Capture
) -> None:
    waiting = SourceWaitingError("choose what to share")
    script.at_open[str(ONE)] = [waiting, SourceWaitingError("choose"), SourceWaitingError("choose")]
    capture.start()
    assert told.next() == SourceLost(ONE, waiting)
    assert isinstance(told.next(), SourceOpened)
    assert script.closed == []


def test_a_source_that_the_user_refused_is_opened_again_only_when_asked_for(
    script: Script, told: Told, capture: Capture
) -> None:
    refused = SourceRefusedError("you did not share the screen")
    script.at_open[str(ONE)] = [refused]
    capture.start()
    assert told.next() == SourceLost(ONE, refused)
    capture.sleep(asleep=True)
    capture.sleep(asleep=False)
    threading.Event().wait(0.1)
    assert told.events.empty()
    capture.change(ONE)
    assert isinstance(told.next(), SourceOpened)


def test_a_refused_new_source_leaves_the_old(script: Script, told: Told, capture: Capture) -> None:
    capture.start()
    assert isinstance(told.next(), SourceOpened)
    refused = SourceRefusedError("you did not share the screen")
    script.at_open[str(TWO)] = [refused]
    capture.change(TWO)
    assert told.next() == SourceLost(TWO, refused)
    event = told.next()
    assert isinstance(event, SourceOpened)
    assert event.source == ONE


def test_asleep_the_source_is_closed_until_it_is_woken(
    script: Script, told: Told, capture: Capture
) -> None:
    capture.start()
    assert isinstance(told.next(), SourceOpened)
    capture.sleep(asleep=True)
    until(lambda: script.closed == [str(ONE)])
    capture.change(TWO)
    threading.Event().wait(0.05)
    assert told.events.empty()
    capture.sleep(asleep=False)
    event = told.next()
    assert isinstance(event, SourceOpened)
    assert event.source == TWO


def test_what_the_user_was_asked_for_holds_the_next_time(
    script: Script, told: Told, capture: Capture
) -> None:
    capture.start()
    assert isinstance(told.next(), SourceOpened)
    capture.change(SourceSpec.parse("screen?ask"))
    event = told.next()
    assert isinstance(event, SourceOpened)
    assert event.source == SourceSpec.parse("screen")
