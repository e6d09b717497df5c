"""The worker process: owns the capture device and the GPU, and may die at any moment.

Threads: ``capture`` reads the source; ``requests`` hears the daemon; ``loader`` loads presets;
``generator`` runs them; ``filters`` serves filters in OBS beside the source; the main thread styles
frames and leaves a sign of life on every turn.
When the daemon is gone, the pipe ends and so does the worker.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Final

from obs_stylizer.daemon.capture import Capture
from obs_stylizer.daemon.load_thread import LoadThread, set_sides
from obs_stylizer.daemon.side_filters import SideFilters
from obs_stylizer.errors import ModelError, StylizerError
from obs_stylizer.frames import Frame, Pixels
from obs_stylizer.inference.adapters import Adapter, AdapterKind
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime.events import (
    AdapterTried,
    Event,
    LogLine,
    PresetShown,
    SourcePreset,
    WorkerFailed,
)
from obs_stylizer.realtime.live_stylizer import KeyCounts, LiveStylizer
from obs_stylizer.realtime.mailbox import SharedMailbox, StyledFrame
from obs_stylizer.realtime.memory import keep_freed_pictures
from obs_stylizer.realtime.next_frame import NextFrame
from obs_stylizer.realtime.priority import (
    SWITCH_SECONDS,
    leave_real_time,
    limit_opencv_threads,
    raise_thread_priority,
)
from obs_stylizer.realtime.requests import (
    ChangeSource,
    GivePlain,
    Preload,
    Request,
    SetAsleep,
    SetBypass,
    SetCoherence,
    SetFrozen,
    SetSides,
    SetStrength,
    SetStyles,
    ShowMask,
    ShowPreset,
    Stop,
    Warm,
    WorkerConfig,
)
from obs_stylizer.realtime.source_period import SourcePeriod
from obs_stylizer.settings import preset_folders
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.preset_loader import PresetLoader

log = logging.getLogger(__name__)

_TURN_SECONDS: Final = 0.25
_LONGEST_LINE: Final = 3000
_FAILED: Final = 3
_LEAVE_SECONDS: Final = 3.0


_Setting = SetStrength | SetStyles | SetCoherence | SetSides


class _PipeLog(logging.Handler):
    """Sends log records to the daemon, which alone writes them out."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        # A pipe takes this much at once: a worker that is stopped in the middle of a longer line
        # would stop the daemon, too.
        if len(text) > _LONGEST_LINE:
            text = text[:_LONGEST_LINE] + "…"
        self._worker.tell(LogLine(record.name, record.levelno, text))


class Worker:
    """Everything in the worker process."""

    def __init__(self, config: WorkerConfig, pipe: Connection) -> None:
        self._pipe = pipe
        self._pipe_lock = threading.Lock()
        self._mailbox = SharedMailbox.attach(config.mailbox, config.size)
        self._plain = SharedMailbox.attach(config.plain_mailbox, config.size)
        self._gives_plain = False
        self._period = SourcePeriod()
        loader = PresetLoader(
            config.size, config.session, config.process_size, self._about_to_try, live=True
        )
        self._loading = LoadThread(loader, self.tell, self._ready, self.fail)
        options = SourceOptions(frame_size=config.size, fps=config.fps, paced=config.paced)
        self._capture = Capture(config.source, options, self.tell)
        self._frames = NextFrame(self._capture.slot, replaces=config.paced)
        self._stylizer = LiveStylizer(
            config.size, motion=config.motion, carries=config.paced, frames=self._frames
        )
        self._filters = SideFilters(
            options,
            PresetLoader(config.size, config.session, config.process_size, self._about_to_try),
            PresetLibrary(preset_folders(), bundled=preset_folders()[0]),
            config.filter_presets,
            motion=config.motion,
            panel=config.panel,
            device_lost=self.fail,
        )
        self._source_preset = ""
        self._panel = config.panel
        self._to_do: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._newest: ShowPreset | None = None
        self._set_since_newest: dict[type[Request], _Setting] = {}
        self._stopping = threading.Event()
        self._request_id = -1
        self._shown_id = -1
        self._keys_counted = KeyCounts()
        self._overwritten = 0
        self._captured = 0
        self._source_changes = 0
        self._frozen = False

    def tell(self, event: Event) -> None:
        """Send an event to the daemon; one that is gone is noticed elsewhere."""
        try:
            with self._pipe_lock:
                self._pipe.send(event)
        except (OSError, ValueError):
            self._stopping.set()

    def _about_to_try(self, adapter: Adapter) -> None:
        self.tell(AdapterTried(on_gpu=adapter.kind is not AdapterKind.CPU))

    def run(self) -> None:
        """Style frames until told to stop."""
        threading.Thread(target=self._receive_requests, name="requests", daemon=True).start()
        self._loading.start()
        self._capture.start()
        self._filters.start()
        # After the others, which would inherit it: a frame is due sooner than a key picture.
        raise_thread_priority()
        try:
            while not self._stopping.is_set():
                self._mailbox.beat(time.perf_counter())
                frame = self._frames.take(_TURN_SECONDS)
                self._count()
                # After the wait for a frame and not before: this very frame shows the change.
                self._do_requests()
                self._attend_to_source()
                if frame is None:
                    self._stylizer.begin_first()
                elif self._stylizer.loaded is not None:
                    self._style(frame)
        finally:
            self._stopping.set()
            self._loading.stop()
            self._filters.stop()
            self._capture.stop()

    def _style(self, frame: Frame) -> None:
        if self._source_changes != self._capture.changes:
            self._source_changes = self._capture.changes
            self._stylizer.reset()
            self._period = SourcePeriod()
        self._period.observe(frame.sequence, frame.captured_at)
        self._stylizer.period = self._period.seconds
        began = time.perf_counter()
        target = self._mailbox.begin()
        self._stylizer.process(frame.pixels, frame.captured_at, target)
        stages = self._stylizer.stages
        times = (began - frame.captured_at, stages.prepare, stages.generate, stages.finish)
        if not self._stylizer.waits_for_first:
            self._shown_id = self._request_id
        # First: OBS shows it with its very next frame.
        self._answer(frame, target)
        self._mailbox.publish(
            StyledFrame(frame, time.perf_counter(), self._shown_id, times), self._stylizer.alpha
        )
        self._count_keys()
        if self._gives_plain and self._stylizer.loaded is not None:
            self._stylizer.loaded.plain(frame.pixels, self._plain.begin())
            self._plain.publish(StyledFrame(frame, time.perf_counter(), self._shown_id, times))

    def _attend_to_source(self) -> None:
        """Leave a sign of life where the source shows our pictures, and ask what it wants."""
        answered, loaded = self._capture.answered, self._stylizer.loaded
        self._filters.source_is_filter = answered is not None
        if answered is not None:
            asked = self._filters.preset_for(answered.place, answered.preset)
            if asked != self._source_preset:
                self._source_preset = asked
                if asked:
                    self.tell(SourcePreset(asked))
            answered.offer(self._filters.preset_names)
        if answered is not None and loaded is not None:
            title = "the plain picture" if self._stylizer.bypass else loaded.preset.title
            answered.describe(title, self._panel)
            answered.freeze(frozen=self._frozen)
            answered.beat()

    def _answer(self, frame: Frame, styled: Pixels) -> None:
        answered, loaded = self._capture.answered, self._stylizer.loaded
        if answered is not None and loaded is not None:
            mirrored = loaded.preset.mirror
            answered.answer(frame.captured_at, styled, self._stylizer.alpha, mirrored=mirrored)

    def _count(self) -> None:
        captured = self._capture.captured
        overwritten = self._capture.overtaken + self._frames.replaced
        self._mailbox.count(
            captured=captured - self._captured, overwritten=overwritten - self._overwritten
        )
        self._captured, self._overwritten = captured, overwritten

    def _count_keys(self) -> None:
        now, before = self._stylizer.counts, self._keys_counted
        self._mailbox.count(
            generated=now.generated - before.generated,
            reprojected=now.reprojected - before.reprojected,
        )
        self._keys_counted = replace(now)

    # On the thread that hears the daemon.

    def _receive_requests(self) -> None:
        """Thread: take requests off the pipe. The pipe's end means that the daemon is gone."""
        while not self._stopping.is_set():
            try:
                request: Request = self._pipe.recv()
            except (EOFError, OSError):
                break
            except Exception:
                log.exception("a request cannot be understood")
                continue
            if isinstance(request, Stop):
                break
            try:
                self._take(request)
            except Exception:
                log.exception("the worker failed at %r", request)
        self._stopping.set()
        # A driver that hangs in its own clean-up must not leave a process behind.
        time.sleep(_LEAVE_SECONDS)
        os._exit(0)

    def _take(self, request: Request) -> None:
        match request:
            case ShowPreset():
                self._newest, self._set_since_newest = request, {}
                self._filters.on_air = request
                self._loading.show(request)
            case SetStrength() | SetStyles() | SetCoherence() | SetSides():
                # A preset that is still being loaded is meant too.
                self._set_since_newest[type(request)] = request
                self._to_do.put(partial(self._set, request))
            case ShowMask(show):
                self._to_do.put(partial(setattr, self._stylizer, "shows_mask", show))
            case SetBypass(bypass):
                self._filters.bypass = bypass
                self._to_do.put(partial(setattr, self._stylizer, "bypass", bypass))
            case SetFrozen(frozen):
                self._filters.frozen = frozen
                self._to_do.put(partial(setattr, self, "_frozen", frozen))
            case GivePlain(give):
                self._to_do.put(partial(setattr, self, "_gives_plain", give))
            case Warm(preset, quality):
                self._loading.load_ahead(preset, quality)
            case Preload(presets):
                self._loading.preload(presets)
            case ChangeSource(source):
                self._capture.change(source)
            case SetAsleep(asleep):
                self._capture.sleep(asleep=asleep)

    def _ready(self, request: ShowPreset, loaded: LoadedPreset) -> None:
        later = self._set_since_newest
        if request is self._newest:
            self._to_do.put(partial(self._switch, request, loaded, later))
            # The last frame will do to begin with: the next may be a thirtieth of a second away.
            self._capture.slot.wake()

    # On the thread that styles, between two frames.

    def _do_requests(self) -> None:
        while True:
            try:
                self._to_do.get_nowait()()
            except queue.Empty:
                return

    def _set(self, request: _Setting) -> None:
        if self._stylizer.loaded is not None:
            _adjust(self._stylizer.loaded, request)

    def _switch(
        self,
        request: ShowPreset,
        loaded: LoadedPreset,
        later: Mapping[type[Request], _Setting],
    ) -> None:
        if request is not self._newest:
            return
        for setting in list(later.values()):
            _adjust(loaded, setting)
        fade = request.crossfade_ms
        self._stylizer.switch_to(loaded, loaded.preset.crossfade_ms if fade is None else fade)
        self._request_id = request.request_id
        generator = loaded.generator
        self.tell(
            PresetShown(
                request.request_id,
                request.preset.name,
                generator.runs_on if generator else None,
                loaded.process_size,
                loaded.frame_seconds,
                loaded.styles,
                generator.path.stem if generator else "",
                loaded.coherence,
                loaded.side_strengths,
                loaded.sides is not None and loaded.sides.swapped,
            )
        )

    def fail(self, error: StylizerError) -> None:
        """Tell the daemon why and end at once, whatever the driver is doing."""
        loaded = self._stylizer.loaded
        runs_on = loaded.generator.runs_on if loaded and loaded.generator else None
        self.tell(WorkerFailed(error, on_gpu=runs_on is not None and not runs_on.on_cpu))
        os._exit(_FAILED)


def _adjust(loaded: LoadedPreset, request: _Setting) -> None:
    if isinstance(request, SetStrength):
        loaded.with_strength(request.strength)
        return
    if isinstance(request, SetSides):
        set_sides(loaded, request.sides)
        return
    if isinstance(request, SetCoherence):
        loaded.with_coherence(request.coherence)
        return
    try:
        loaded.with_styles(request.styles)
    except ModelError as error:
        log.debug("the mix was meant for another generator: %s", error)


def worker_main(config: WorkerConfig, pipe: Connection) -> None:
    """Entry point of the worker process."""
    # The terminal's Ctrl-C goes to the whole group; only the daemon decides when to end.
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    leave_real_time()
    keep_freed_pictures()
    limit_opencv_threads()
    # A frame must not wait for the threads that load, capture and hear.
    sys.setswitchinterval(SWITCH_SECONDS)
    worker = Worker(config, pipe)
    root = logging.getLogger()
    root.handlers = [_PipeLog(worker)]
    root.setLevel(config.log_level)
    try:
        worker.run()
    except StylizerError as error:
        worker.fail(error)
    except Exception as error:
        log.debug("the worker failed", exc_info=True)
        worker.fail(StylizerError(f"the worker failed: {type(error).__name__}: {error}"))
    # Drivers' exit handlers hang now and then; everything of ours is closed by now.
    os._exit(0)
