"""The worker process: owns the capture device and the GPU, and may die at any moment.

Threads: ``capture`` reads the source; ``requests`` hears the daemon; ``loader`` loads presets; the
main thread styles frames and leaves a sign of life on every turn. When the daemon is gone, the
pipe ends and so does the worker.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from multiprocessing.connection import Connection
from typing import Final

from obs_stylizer.daemon.capture import Capture
from obs_stylizer.errors import DeviceLostError, ModelError, StylizerError
from obs_stylizer.frames import Frame
from obs_stylizer.inference.adapters import Adapter, AdapterKind
from obs_stylizer.inference.session import Provider
from obs_stylizer.presets import NamedPreset
from obs_stylizer.realtime.governor import FULL, QualityLevel
from obs_stylizer.realtime.mailbox import SharedMailbox, StyledFrame
from obs_stylizer.realtime.memory import (
    give_back_what_is_free,
    keep_freed_pictures,
    settle_objects,
)
from obs_stylizer.realtime.messages import (
    AdapterTried,
    ChangeSource,
    Event,
    GivePlain,
    LogLine,
    Preload,
    Preloaded,
    PresetFailed,
    PresetShown,
    Request,
    SetBypass,
    SetStrength,
    SetStyles,
    ShowPreset,
    Stop,
    Warm,
    WorkerConfig,
    WorkerFailed,
)
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.preset_loader import PresetLoader
from obs_stylizer.styling.stylizer import Stylizer

log = logging.getLogger(__name__)

_TURN_SECONDS: Final = 0.25
_FAILED: Final = 3
_LEAVE_SECONDS: Final = 3.0


class _PipeLog(logging.Handler):
    """Sends log records to the daemon, which alone writes them out."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._worker.tell(LogLine(record.name, record.levelno, self.format(record)))


class Worker:
    """Everything in the worker process."""

    def __init__(self, config: WorkerConfig, pipe: Connection) -> None:
        self._pipe = pipe
        self._pipe_lock = threading.Lock()
        self._mailbox = SharedMailbox.attach(config.mailbox, config.size)
        self._plain = SharedMailbox.attach(config.plain_mailbox, config.size)
        self._gives_plain = False
        self._stylizer = Stylizer(config.size)
        self._loader = PresetLoader(
            config.size, config.session, config.process_size, self._about_to_try
        )
        options = SourceOptions(frame_size=config.size, fps=config.fps, paced=config.paced)
        self._capture = Capture(config.source, options, self.tell)
        self._to_load: queue.SimpleQueue[ShowPreset | Preload | Warm] = queue.SimpleQueue()
        self._to_do: queue.SimpleQueue[Request | tuple[ShowPreset, LoadedPreset]] = (
            queue.SimpleQueue()
        )
        self._for_next_preset: dict[type[Request], SetStrength | SetStyles] = {}
        self._stopping = threading.Event()
        self._newest_request = -1
        self._request_id = -1
        self._overwritten = 0
        self._captured = 0
        self._source_changes = 0

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
        for target in (self._receive_requests, self._load_presets):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()
        self._capture.start()
        try:
            while not self._stopping.is_set():
                self._mailbox.beat(time.perf_counter())
                self._do_requests()
                self._style_next()
        finally:
            self._stopping.set()
            self._capture.stop()

    def _style_next(self) -> None:
        frame = self._capture.slot.take(_TURN_SECONDS)
        self._count()
        if frame is None or self._stylizer.loaded is None:
            return
        if self._source_changes != self._capture.changes:
            self._source_changes = self._capture.changes
            self._stylizer.reset()
        self._style(frame)

    def _style(self, frame: Frame) -> None:
        began = time.perf_counter()
        target = self._mailbox.begin()
        self._stylizer.process(frame.pixels, frame.captured_at, target)
        stages = self._stylizer.stages
        times = (began - frame.captured_at, stages.prepare, stages.generate, stages.finish)
        self._mailbox.publish(StyledFrame(frame, time.perf_counter(), self._request_id, times))
        if self._gives_plain and self._stylizer.loaded is not None:
            self._stylizer.loaded.plain(frame.pixels, self._plain.begin())
            self._plain.publish(StyledFrame(frame, time.perf_counter(), self._request_id, times))

    def _count(self) -> None:
        captured, overwritten = self._capture.captured, self._capture.overtaken
        self._mailbox.count(
            captured=captured - self._captured, overwritten=overwritten - self._overwritten
        )
        self._captured, self._overwritten = captured, overwritten

    def _do_requests(self) -> None:
        while True:
            try:
                request = self._to_do.get_nowait()
            except queue.Empty:
                return
            if isinstance(request, tuple):
                self._switch(*request)
            elif isinstance(request, SetBypass):
                self._stylizer.bypass = request.bypass
            elif isinstance(request, GivePlain):
                self._gives_plain = request.give
            elif isinstance(request, ShowPreset):
                self._for_next_preset.clear()
            elif isinstance(request, SetStrength | SetStyles):
                # A preset that is still being loaded was meant too.
                self._for_next_preset[type(request)] = request
                if self._stylizer.loaded is not None:
                    _adjust(self._stylizer.loaded, request)

    def _switch(self, request: ShowPreset, loaded: LoadedPreset) -> None:
        if request.request_id < self._newest_request:
            return
        for later in self._for_next_preset.values():
            _adjust(loaded, later)
        fade = request.crossfade_ms
        self._stylizer.switch_to(loaded, loaded.preset.crossfade_ms if fade is None else fade)
        self._request_id = request.request_id
        runs_on = loaded.generator.runs_on if loaded.generator else None
        self.tell(
            PresetShown(
                request.request_id,
                request.preset.name,
                runs_on,
                loaded.process_size,
                loaded.frame_seconds,
                loaded.styles,
                loaded.generator.path.stem if loaded.generator else "",
            )
        )

    def _receive_requests(self) -> None:
        """Thread: take requests off the pipe. The pipe's end means that the daemon is gone."""
        while not self._stopping.is_set():
            try:
                request: Request = self._pipe.recv()
            except (EOFError, OSError):
                break
            if isinstance(request, Stop):
                break
            if isinstance(request, ShowPreset):
                self._newest_request = request.request_id
                self._to_do.put(request)
                self._to_load.put(request)
            elif isinstance(request, Preload | Warm):
                self._to_load.put(request)
            elif isinstance(request, ChangeSource):
                self._capture.change(request.source)
            else:
                self._to_do.put(request)
        self._stopping.set()
        # A driver that hangs in its own clean-up must not leave a process behind.
        time.sleep(_LEAVE_SECONDS)
        os._exit(0)

    def _load_presets(self) -> None:
        """Thread: load presets one after another, those asked for before those preloaded."""
        waiting: list[Preload] = []
        while not self._stopping.is_set():
            try:
                request = self._to_load.get(timeout=None if not waiting else 0.05)
            except queue.Empty:
                waiting = self._preload_one(waiting)
                continue
            if isinstance(request, Preload):
                waiting = [request]
            elif isinstance(request, Warm):
                self._load_ahead(request.preset, request.quality)
            elif request.request_id == self._newest_request:
                self._load(request)

    def _preload_one(self, waiting: list[Preload]) -> list[Preload]:
        """Load one preset's generator; return what is left to do."""
        presets = waiting[0].presets
        if not presets:
            give_back_what_is_free()
            self.tell(Preloaded())
            return []
        if self._stylizer.loaded is None:
            return waiting
        self._load_ahead(presets[0], FULL)
        return [Preload(presets[1:])]

    def _load_ahead(self, named: NamedPreset, quality: QualityLevel) -> None:
        try:
            self._loader.load(named, quality.scale, quality.lite)
        except StylizerError as error:
            log.warning("preset %s cannot be used: %s", named.name, error)
        except Exception:
            log.exception("preset %s cannot be used", named.name)

    def _load(self, request: ShowPreset) -> None:
        try:
            loaded = self._loader.load(request.preset, request.quality.scale, request.quality.lite)
            if request.styles is not None:
                loaded.with_styles(request.styles)
        except DeviceLostError as error:
            self.fail(error)
        except StylizerError as error:
            self.tell(PresetFailed(request.request_id, request.preset.name, error))
        except Exception as error:
            log.debug("preset %s", request.preset.name, exc_info=True)
            failure = ModelError(f"preset {request.preset.name} cannot be loaded: {error}")
            self.tell(PresetFailed(request.request_id, request.preset.name, failure))
        else:
            if request.strength is not None:
                loaded.with_strength(request.strength)
            if self._stylizer.loaded is None:
                settle_objects()
            give_back_what_is_free()
            self._to_do.put((request, loaded))

    def fail(self, error: StylizerError) -> None:
        """Tell the daemon why and end at once, whatever the driver is doing."""
        loaded = self._stylizer.loaded
        runs_on = loaded.generator.runs_on if loaded and loaded.generator else None
        on_gpu = runs_on is not None and not runs_on_cpu(runs_on.provider, runs_on.device)
        self.tell(WorkerFailed(error, on_gpu))
        os._exit(_FAILED)


def _adjust(loaded: LoadedPreset, request: SetStrength | SetStyles) -> None:
    if isinstance(request, SetStrength):
        loaded.with_strength(request.strength)
        return
    try:
        loaded.with_styles(request.styles)
    except ModelError as error:
        log.debug("the mix was meant for another generator: %s", error)


def runs_on_cpu(provider: Provider, device: str) -> bool:
    """Whether that is a CPU; OpenVINO drives both."""
    if provider is Provider.OPENVINO:
        return "GPU" not in device and "NPU" not in device
    return provider is Provider.CPU


def worker_main(config: WorkerConfig, pipe: Connection) -> None:
    """Entry point of the worker process."""
    # The terminal's Ctrl-C goes to the whole group; only the daemon decides when to end.
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    keep_freed_pictures()
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
