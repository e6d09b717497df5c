"""The worker in this process: scripted frames and generators, and the daemon's end of its pipe."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.daemon import capture, worker
from obs_stylizer.daemon.worker import Worker
from obs_stylizer.errors import DeviceLostError, ModelError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.inference.session import SessionOptions
from obs_stylizer.presets import NamedPreset, Preset
from obs_stylizer.realtime.events import (
    Event,
    LoadBegan,
    LoadEnded,
    Preloaded,
    PresetFailed,
    PresetShown,
    SourceOpened,
    WorkerFailed,
)
from obs_stylizer.realtime.mailbox import SharedMailbox
from obs_stylizer.realtime.requests import (
    ChangeSource,
    GivePlain,
    Preload,
    Request,
    SetBypass,
    SetStrength,
    ShowPreset,
    Stop,
    Warm,
    WorkerConfig,
)
from obs_stylizer.sources.base import SourceInfo
from obs_stylizer.sources.spec import SourceSpec
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.preset_loader import PresetLoader

SIZE = FrameSize(64, 32)


class Grey:
    """A source of grey frames, a hundred a second."""

    def __init__(self, spec: SourceSpec) -> None:
        self._spec = spec
        self._number = 0

    def __enter__(self) -> Grey:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def open(self) -> SourceInfo:
        return SourceInfo(str(self._spec), SIZE, 100.0)

    def read(self, timeout: float) -> Frame:
        threading.Event().wait(0.01)
        self._number += 1
        return Frame(np.full(SIZE.shape, 50, np.uint8), self._number, float(self._number))

    def close(self) -> None:
        pass


class Generators:
    """What loading brings, by preset: an error, or nothing until it is let go on."""

    def __init__(self) -> None:
        self.errors: dict[str, Exception] = {}
        self.held: dict[str, threading.Event] = {}
        self.known: set[str] = set()
        self.loads: list[str] = []

    def load(
        self, loader: PresetLoader, named: NamedPreset, scale: float = 1.0, lite: bool = False
    ) -> LoadedPreset:
        self.loads.append(named.name)
        if named.name in self.held:
            assert self.held[named.name].wait(20)
        if named.name in self.errors:
            raise self.errors[named.name]
        self.known.add(named.name)
        return self._loaded(named)

    def load_if_known(
        self, loader: PresetLoader, named: NamedPreset, scale: float = 1.0, lite: bool = False
    ) -> LoadedPreset | None:
        return self._loaded(named) if named.name in self.known else None

    def _loaded(self, named: NamedPreset) -> LoadedPreset:
        return LoadedPreset(named.preset, None, SIZE)


class Stage:
    def __init__(self, pipe: Connection, mailbox: SharedMailbox, plain: SharedMailbox) -> None:
        self.pipe = pipe
        self.mailbox = mailbox
        self.plain = plain
        self.generators = Generators()

    def ask(self, *requests: Request) -> None:
        for request in requests:
            self.pipe.send(request)

    def next(self, kind: type[Event]) -> Event:
        while True:
            assert self.pipe.poll(20), f"no {kind.__name__} came"
            event: Event = self.pipe.recv()
            if isinstance(event, kind):
                return event

    def shown(self) -> str:
        event = self.next(PresetShown)
        assert isinstance(event, PresetShown)
        return event.name

    def newest(self) -> tuple[int, int]:
        """Brightness and request of the newest picture."""
        styled = self.mailbox.read()
        return (
            (-1, -1) if styled is None else (int(styled.frame.pixels[0, 0, 0]), styled.request_id)
        )


def show(number: int, name: str, brightness: float = 0.0, **changes: object) -> ShowPreset:
    preset = Preset(title=name, crossfade_ms=0, after={"brightness": brightness})
    named = NamedPreset(name, preset, Path(f"{name}.yaml"), bundled=False)
    return ShowPreset(number, named, **changes)  # type: ignore[arg-type]


def until(condition: Callable[[], object]) -> None:
    for _ in range(5000):
        if condition():
            return
        threading.Event().wait(0.004)
    pytest.fail("waited in vain")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    ours, theirs = Pipe()
    mailbox, plain = SharedMailbox.create(SIZE), SharedMailbox.create(SIZE)
    stage = Stage(ours, mailbox, plain)
    generators = stage.generators
    monkeypatch.setattr(capture, "make_source", lambda spec, options: Grey(spec))
    monkeypatch.setattr(PresetLoader, "load", lambda self, *a, **k: generators.load(self, *a, **k))
    monkeypatch.setattr(
        PresetLoader, "load_if_known", lambda self, *a, **k: generators.load_if_known(self, *a, **k)
    )
    monkeypatch.setattr(worker, "_LEAVE_SECONDS", 0.0)
    monkeypatch.setattr(worker.os, "_exit", lambda code: None)
    config = WorkerConfig(
        mailbox=mailbox.name,
        plain_mailbox=plain.name,
        size=SIZE,
        source=SourceSpec.parse("pattern"),
        fps=None,
        paced=True,
        process_size=None,
        session=SessionOptions(),
        log_level=logging.INFO,
    )
    thread = threading.Thread(target=Worker(config, theirs).run, daemon=True)
    thread.start()
    yield stage
    for held in generators.held.values():
        held.set()
    ours.send(Stop())
    thread.join(20)
    assert not thread.is_alive()
    ours.close()
    mailbox.close()
    plain.close()


def test_preset_is_loaded_told_and_shown(stage: Stage) -> None:
    stage.ask(show(7, "wave", 0.2))
    assert stage.next(LoadBegan) == LoadBegan("wave")
    assert stage.next(LoadEnded) == LoadEnded("wave")
    assert stage.shown() == "wave"
    until(lambda: stage.newest() == (101, 7))
    assert stage.mailbox.counters().beat > 0


def test_known_preset_is_shown_without_a_load(stage: Stage) -> None:
    stage.ask(show(1, "wave"))
    assert stage.shown() == "wave"
    stage.ask(show(2, "ink"))
    assert stage.shown() == "ink"
    stage.ask(show(3, "wave"))
    assert stage.shown() == "wave"
    assert stage.generators.loads == ["wave", "ink"]


def test_known_preset_overtakes_one_that_is_being_loaded(stage: Stage) -> None:
    stage.ask(show(1, "wave"))
    assert stage.shown() == "wave"
    held = stage.generators.held["slow"] = threading.Event()
    stage.ask(show(2, "slow"))
    assert stage.next(LoadBegan) == LoadBegan("slow")
    stage.ask(show(3, "wave", 0.2))
    assert stage.shown() == "wave"
    held.set()
    assert stage.next(LoadEnded) == LoadEnded("slow")
    stage.ask(show(4, "ink"))
    assert stage.shown() == "ink", "and the slow one is never shown"


def test_preset_that_cannot_be_loaded_leaves_the_old(stage: Stage) -> None:
    stage.generators.errors = {
        "broken": ModelError("the model is gone"),
        "odd": ValueError("an error of no kind"),
    }
    stage.ask(show(1, "wave"))
    assert stage.shown() == "wave"
    stage.ask(show(2, "broken"))
    failed = stage.next(PresetFailed)
    assert isinstance(failed, PresetFailed)
    assert (failed.request_id, failed.error.message) == (2, "the model is gone")
    stage.ask(show(3, "odd"))
    failed = stage.next(PresetFailed)
    assert isinstance(failed, PresetFailed)
    assert "an error of no kind" in failed.error.message
    until(lambda: stage.newest()[1] == 1)


def test_lost_device_ends_the_worker(stage: Stage) -> None:
    stage.generators.errors["wave"] = DeviceLostError("the device was removed")
    stage.ask(show(1, "wave"))
    failed = stage.next(WorkerFailed)
    assert isinstance(failed, WorkerFailed)
    assert failed.error.message == "the device was removed"


def test_strength_set_while_a_preset_is_loaded_is_meant_for_it_too(stage: Stage) -> None:
    stage.ask(show(1, "wave"))
    assert stage.shown() == "wave"
    held = stage.generators.held["ink"] = threading.Event()
    stage.ask(show(2, "ink", 1.0), SetStrength(0.0))
    assert stage.next(LoadBegan) == LoadBegan("ink")
    held.set()
    assert stage.shown() == "ink"
    until(lambda: stage.newest() == (50, 2))
    # One that was set before it is not.
    stage.ask(SetStrength(0.0), show(3, "neon", 0.2))
    assert stage.shown() == "neon"
    until(lambda: stage.newest() == (101, 3))


def test_bypass_and_plain_frames(stage: Stage) -> None:
    stage.ask(show(1, "wave", 0.2))
    assert stage.shown() == "wave"
    stage.ask(GivePlain(give=True))
    until(lambda: (plain := stage.plain.read()) and plain.frame.pixels[0, 0, 0] == 50)
    stage.ask(SetBypass(bypass=True))
    until(lambda: stage.newest()[0] == 50)
    stage.ask(SetBypass(bypass=False))
    until(lambda: stage.newest()[0] == 101)


def test_what_is_to_be_shown_is_loaded_before_what_may_be(stage: Stage) -> None:
    held = stage.generators.held["first"] = threading.Event()
    presets = [show(0, name).preset for name in ("later", "much-later")]
    stage.ask(Preload(tuple(presets)), show(1, "first"))
    assert stage.next(LoadBegan) == LoadBegan("first")
    stage.ask(Warm(show(0, "warm").preset), show(2, "second"))
    # Both have come before the first load ends.
    threading.Event().wait(0.2)
    held.set()
    stage.next(Preloaded)
    assert stage.generators.loads == ["first", "second", "warm", "later", "much-later"]


def test_broken_preset_loaded_ahead_is_a_warning(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.generators.errors["broken"] = ModelError("the model is gone")
    stage.ask(Warm(show(0, "broken").preset))
    assert stage.next(LoadEnded) == LoadEnded("broken")
    assert "preset broken cannot be used: the model is gone" in caplog.text


def test_source_is_changed_and_the_frames_go_on(stage: Stage) -> None:
    stage.ask(show(1, "wave"))
    assert stage.shown() == "wave"
    stage.ask(ChangeSource(SourceSpec.parse("image:other.png")))
    until(lambda: stage.next(SourceOpened).source.target == "other.png")  # type: ignore[union-attr]
    before = stage.mailbox.counters().styled
    until(lambda: stage.mailbox.counters().styled > before + 2)
