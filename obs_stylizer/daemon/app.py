"""Puts the parts of the daemon together and takes them apart again."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import psutil

from obs_stylizer.clock import Clock, SystemClock
from obs_stylizer.control.api import ControlSurfaceFactory
from obs_stylizer.control.commands import Answer, ApplyPreset
from obs_stylizer.control.controller import Controller
from obs_stylizer.control.event_bus import ControlEvent, EventBus, EventKind
from obs_stylizer.control.preset_effects import Limits
from obs_stylizer.daemon.closing import end_together
from obs_stylizer.daemon.control_api import DaemonControlApi
from obs_stylizer.daemon.control_surfaces import ControlSurfaces
from obs_stylizer.daemon.end_watch import EndWatch
from obs_stylizer.daemon.housekeeping import Housekeeping
from obs_stylizer.daemon.launch import prepare_launching, wake_stopped_children
from obs_stylizer.daemon.make_sink import make_sink
from obs_stylizer.daemon.options import DaemonOptions
from obs_stylizer.daemon.plain_frames import PlainFrames
from obs_stylizer.daemon.presenter import Presenter
from obs_stylizer.daemon.recorder import Recorder
from obs_stylizer.daemon.reporting import LiveStatistics
from obs_stylizer.daemon.sink_runner import SinkRunner
from obs_stylizer.daemon.sleep import Sleep
from obs_stylizer.daemon.style_learning import StyleLearner
from obs_stylizer.daemon.supervisor import Supervisor
from obs_stylizer.errors import ProviderError, SourceError, StylizerError, UsageError
from obs_stylizer.obs_filter.listing import Sign
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime.events import (
    Event,
    SleepChanged,
    SourceEnded,
    SourceFailed,
    SourcePreset,
    WorkerStarted,
)
from obs_stylizer.realtime.governor import Governor
from obs_stylizer.realtime.mailbox import SharedMailbox
from obs_stylizer.realtime.memory import keep_freed_pictures, settle_objects
from obs_stylizer.realtime.priority import SWITCH_SECONDS, limit_opencv_threads
from obs_stylizer.realtime.requests import Request, SetAsleep, SetFrozen
from obs_stylizer.realtime.statistics import PathStatistics, Statistics
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.sources.spec import SourceKind
from obs_stylizer.web.shared_server import SharedServer

log = logging.getLogger(__name__)

_OPEN_SECONDS: Final = 3.0
CLOSE_SECONDS: Final = 8.0
"""Longest that closing takes; service managers kill after ten."""
_SINKS_SECONDS: Final = 5.0
_TICK_SECONDS: Final = 1.0


class Daemon:
    """The whole live path. ``with Daemon(options, library) as daemon: daemon.wait()``.

    Args:
        on_second: hears the statistics once a second.
        control_surfaces: what makes them; started once on air.
        server: where a stream at its port shows itself, beside what a control surface shows there.
    """

    def __init__(
        self,
        options: DaemonOptions,
        library: PresetLibrary,
        *,
        clock: Clock | None = None,
        on_second: Callable[[Statistics], None] | None = None,
        control_surfaces: Sequence[ControlSurfaceFactory] = (),
        server: SharedServer | None = None,
    ) -> None:
        self.options = options
        self._clock = clock or SystemClock()
        self._on_second = on_second
        self._ending = threading.Event()
        self._error: StylizerError | None = None
        self._end_watch = EndWatch(options.duration, self._clock)
        self.path = PathStatistics()
        self.mailbox = SharedMailbox.create(options.size)
        self.plain = PlainFrames(options.size, self.request, self._clock)
        panel = "" if server is None else f"http://127.0.0.1:{server.port}/"
        config = options.worker_config(self.mailbox.name, self.plain.mailbox.name, panel)
        self.supervisor = Supervisor(config, self.mailbox, options.worker, self._tell, self._clock)
        self.library = library
        self.event_bus = EventBus()
        self._style_learner = StyleLearner(self.plain.newest, self._tell)
        self.controller = Controller(
            self,
            library,
            options.source,
            preload=options.preload,
            governor=Governor() if options.adapt else None,
            limits=Limits.for_load(options.worker.load_seconds),
            on_event=self._watch_event,
            event_bus=self.event_bus,
            learning=self._style_learner,
            clock=self._clock,
        )
        self._runners: list[SinkRunner] = []
        self._control_surfaces = ControlSurfaces(control_surfaces)
        self._server = server
        self.presenter: Presenter | None = None
        self._counted = LiveStatistics(
            options,
            self.path,
            self.mailbox,
            self.controller,
            self.supervisor,
            lambda: self.presenter.picture if self.presenter else "",
            self.pids,
            self._clock,
        )
        self._recorder: Recorder | None = None
        self.left_behind: list[str] = []
        """Parts that did not end in time, once it was closed."""
        self._sleep = Sleep(
            options.sleep_seconds, self._is_watched, self._change_sleep, self._clock
        )
        self._sign = Sign(options.size)
        self._housekeeping = Housekeeping(
            self._is_over,
            {
                "the sign for filters in OBS": self._sign.show,
                "counting": self._counted.renew,
                "writing statistics": self._counted.write,
                "measuring the load": self._measure_load,
                "the rest of plain frames": self.plain.rest_if_unwanted,
                "the check of the recording": self._check_recording,
                "publishing statistics": self._publish_statistics,
                "showing statistics": self._show_statistics,
            },
            self._ending,
            self._clock,
            lambda: self._sleep.asleep,
        )

    def start(self) -> None:
        """Open the sinks, go on air with the standby picture, start the worker.

        Raises:
            SinkError: a sink can never work; BusyError: another daemon holds it. Nothing is left
            behind.
        """
        # For the whole process: the presenter's thread must not wait for any other of ours.
        sys.setswitchinterval(SWITCH_SECONDS)
        keep_freed_pictures()
        limit_opencv_threads()
        prepare_launching()
        try:
            self.controller.start()
            self.supervisor.start()
            self._first = self.controller.send(
                ApplyPreset(self.options.preset, self.options.strength, 0.0)
            )
            self._first.add_done_callback(self._first_preset)
            self._open_sinks()
            self.presenter = Presenter(
                self.mailbox,
                self._runners,
                self.options.fps,
                self.options.standby_seconds,
                self.path,
                self._clock,
                lambda: self.controller.on_air.trouble,
                self.options.frames,
            )
            self._recorder = self._make_recorder(self.presenter)
            settle_objects()
            self.presenter.start()
            self._end_watch.begin()
            self._counted.begin()
            self._housekeeping.start()
            self._control_surfaces.start(self._api(self.presenter))
        except BaseException:
            self.close()
            raise

    def _make_recorder(self, presenter: Presenter) -> Recorder:
        places = self.options.recording
        return Recorder(
            presenter,
            SinkFormat(self.options.size, self.options.fps),
            places.recordings_folder,
            f".{places.container}",
            places.snapshots_folder,
            self.plain.newest,
            self._tell,
            self._clock,
            places.codec,
        )

    def _api(self, presenter: Presenter) -> DaemonControlApi:
        return DaemonControlApi(
            self.controller,
            self.event_bus,
            self.library,
            presenter,
            self.plain,
            self.statistics,
            self._sleep.look,
        )

    def _open_sinks(self) -> None:
        form = SinkFormat(self.options.size, self.options.fps)
        for spec in self.options.sinks:
            sink = make_sink(spec, server=self._server, codec=self.options.recording.codec)
            runner = SinkRunner(str(spec), sink, form, self._clock)
            self._runners.append(runner)
            runner.start(_OPEN_SECONDS)
            self.path.sinks.append(runner.statistics)

    def wait(self, timeout: float | None = None) -> bool:
        """Return True when the daemon is ending, or False after ``timeout`` seconds.

        Raises:
            StylizerError: what made it end, if that was an error.
        """
        ended = self._ending.wait(timeout)
        if ended and self._error is not None:
            raise self._error
        return ended

    def quit(self) -> None:
        """Ask the daemon to end; :meth:`wait` returns."""
        self._ending.set()

    def request(self, request: Request) -> None:
        """Pass a request to the worker (the controller's way to the pipeline)."""
        self.supervisor.request(request)

    # What the controller needs of the live path.

    def replace_worker(self, reason: str) -> None:
        """End the worker and start another."""
        self.supervisor.replace_worker(reason)

    def freeze(self, frozen: bool) -> None:
        """Hold the picture, or let it go on; UsageError before there is one."""
        assert self.presenter is not None
        if frozen and self.presenter.newest is None:
            raise UsageError("there is no picture to hold yet", "wait until the style is on air")
        self.presenter.freeze(frozen=frozen)
        self.request(SetFrozen(frozen))

    def start_recording(self) -> Future[Path]:
        """Begin a recording of what is sent."""
        assert self._recorder is not None
        return self._recorder.start()

    def stop_recording(self) -> Future[Path]:
        """End the recording."""
        assert self._recorder is not None
        return self._recorder.stop()

    def take_snapshot(self) -> Future[Mapping[str, Path]]:
        """Save the plain and the styled picture."""
        assert self._recorder is not None
        self._sleep.look()
        return self._recorder.snapshot()

    def close(self) -> None:
        """End all threads and the worker, close every device, remove the shared memory.

        Recordings and sinks go first: whoever ends us may not wait long. It takes
        :data:`CLOSE_SECONDS` at most.
        """
        self._ending.set()
        deadline = self._clock.now() + CLOSE_SECONDS
        first: dict[str, Callable[[], object]] = {}
        if self._recorder is not None:
            first["the recorder"] = self._recorder.close
        if self.presenter is not None:
            self.presenter.stop(_TICK_SECONDS)
        try:
            self._counted.renew()
            self._counted.write()
        except Exception:
            log.exception("the last statistics are lost")
        first.update({f"sink {runner.statistics.name}": runner.stop for runner in self._runners})
        late = end_together(first, _SINKS_SECONDS)
        self._sign.remove()
        wake_stopped_children()
        late += end_together(
            {
                **self._control_surfaces.ends(),
                "the supervisor": self.supervisor.stop,
                "the controller": self.controller.stop,
                "housekeeping": self._housekeeping.stop,
                "learning": self._style_learner.stop,
            },
            max(0.5, deadline - self._clock.now()),
        )
        self.left_behind = late
        self.plain.close()
        self.mailbox.close()

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def reset_statistics(self) -> None:
        """Begin to count anew, after a warm-up."""
        self._counted.reset()

    def statistics(self) -> Statistics:
        """Return what was counted and timed so far."""
        return self._counted.take()

    @property
    def last_statistics(self) -> Statistics:
        """As they stood in the last second, or when the daemon ended."""
        return self._counted.newest

    def pids(self) -> list[int]:
        """Process numbers of the daemon and of all that it started."""
        own = psutil.Process()
        return [own.pid, *(child.pid for child in own.children(recursive=True))]

    def _tell(self, event: Event) -> None:
        self.controller.tell(event)

    def _first_preset(self, first: Future[Answer]) -> None:
        error = first.exception()
        # A provider that was asked for by name and cannot run is an answer, not a fault: nothing
        # was on air in it yet. Everything else stays on air and is repaired there.
        if isinstance(error, ProviderError):
            self._fail(error)

    def _fail(self, error: StylizerError) -> None:
        self._error = error
        self._ending.set()

    def _watch_event(self, event: Event) -> None:
        if isinstance(event, WorkerStarted):
            self.plain.worker_started()
            if self._sleep.asleep:
                self.request(SetAsleep(asleep=True))
        elif isinstance(event, SourcePreset):
            # As by any other control; what is wrong with it is said where presets fail.
            self.controller.send(ApplyPreset(event.name)).add_done_callback(_log_refusal)
        elif isinstance(event, SourceEnded):
            self._end_watch.source_ended(event.frames)
        elif isinstance(event, SourceFailed) and event.source == self.options.source:
            nothing_yet = self.mailbox.counters().captured == 0
            if nothing_yet:
                self._fail(SourceError(event.error.message, event.error.remedy))

    # Twenty times a second.

    def _is_watched(self) -> bool:
        # A filter in OBS that nobody sees gives no frames, so there is nothing to put to sleep.
        is_answered = self.controller.on_air.source.startswith(SourceKind.OBS_FILTER)
        return self.presenter is None or is_answered or self.presenter.is_watched

    def _change_sleep(self, asleep: bool) -> None:
        assert self.presenter is not None
        self.request(SetAsleep(asleep))
        self.presenter.sleep(asleep=asleep)
        self._tell(SleepChanged(asleep))

    # Once a second.

    def _measure_load(self) -> None:
        """Tell the governor how busy the worker is."""
        load = self._counted.load()
        if load is not None:
            self._tell(load)

    def _check_recording(self) -> None:
        if self._recorder is not None:
            self._recorder.check()

    def _publish_statistics(self) -> None:
        details = self._counted.newest.as_dict()
        self.event_bus.publish(ControlEvent(EventKind.STATISTICS, "", details))

    def _show_statistics(self) -> None:
        if self._on_second is not None:
            self._on_second(self._counted.newest)

    def _is_over(self) -> bool:
        assert self.presenter is not None
        self._sleep.check()
        return self._end_watch.is_over(self.presenter)


def _log_refusal(asked: Future[Answer]) -> None:
    error = asked.exception()
    if error is not None:
        log.warning("the preset that was chosen in OBS: %s", error)
