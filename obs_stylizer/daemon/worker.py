"""The worker process: owns the capture device and the GPU, and may die at any moment.

Threads: ``capture`` reads the source; ``orders`` hears the daemon; ``loader`` loads looks; the
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
from obs_stylizer.realtime.governor import FULL, Effort
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
    LookFailed,
    LookShown,
    Order,
    Preload,
    Preloaded,
    SetBypass,
    SetStrength,
    SetStyles,
    ShowLook,
    Stop,
    Warm,
    WorkerConfig,
    WorkerFailed,
)
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.styling.look import Look
from obs_stylizer.styling.look_loader import LookLoader
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
        self._loader = LookLoader(
            config.size, config.session, config.process_size, self._about_to_try
        )
        options = SourceOptions(frame_size=config.size, fps=config.fps, paced=config.paced)
        self._capture = Capture(config.source, options, self.tell)
        self._to_load: queue.SimpleQueue[ShowLook | Preload | Warm] = queue.SimpleQueue()
        self._to_do: queue.SimpleQueue[Order | tuple[ShowLook, Look]] = queue.SimpleQueue()
        self._for_next_look: dict[type[Order], SetStrength | SetStyles] = {}
        self._stopping = threading.Event()
        self._newest_order = -1
        self._look_number = -1
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
        for target in (self._hear_orders, self._load_looks):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()
        self._capture.start()
        try:
            while not self._stopping.is_set():
                self._mailbox.beat(time.perf_counter())
                self._do_orders()
                self._style_next()
        finally:
            self._stopping.set()
            self._capture.stop()

    def _style_next(self) -> None:
        frame = self._capture.slot.take(_TURN_SECONDS)
        self._count()
        if frame is None or self._stylizer.look is None:
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
        self._mailbox.publish(StyledFrame(frame, time.perf_counter(), self._look_number, times))
        if self._gives_plain and self._stylizer.look is not None:
            self._stylizer.look.plain(frame.pixels, self._plain.begin())
            self._plain.publish(StyledFrame(frame, time.perf_counter(), self._look_number, times))

    def _count(self) -> None:
        captured, overwritten = self._capture.captured, self._capture.overtaken
        self._mailbox.count(
            captured=captured - self._captured, overwritten=overwritten - self._overwritten
        )
        self._captured, self._overwritten = captured, overwritten

    def _do_orders(self) -> None:
        while True:
            try:
                order = self._to_do.get_nowait()
            except queue.Empty:
                return
            if isinstance(order, tuple):
                self._switch(*order)
            elif isinstance(order, SetBypass):
                self._stylizer.bypass = order.bypass
            elif isinstance(order, GivePlain):
                self._gives_plain = order.give
            elif isinstance(order, ShowLook):
                self._for_next_look.clear()
            elif isinstance(order, SetStrength | SetStyles):
                # A look that is still being loaded was meant too.
                self._for_next_look[type(order)] = order
                if self._stylizer.look is not None:
                    _adjust(self._stylizer.look, order)

    def _switch(self, order: ShowLook, look: Look) -> None:
        if order.look < self._newest_order:
            return
        for later in self._for_next_look.values():
            _adjust(look, later)
        fade = order.crossfade_ms
        self._stylizer.switch_to(look, look.preset.crossfade_ms if fade is None else fade)
        self._look_number = order.look
        runs_on = look.generator.runs_on if look.generator else None
        self.tell(
            LookShown(
                order.look,
                order.preset.name,
                runs_on,
                look.process_size,
                look.frame_seconds,
                look.styles,
                look.generator.path.stem if look.generator else "",
            )
        )

    def _hear_orders(self) -> None:
        """Thread: take orders off the pipe. The pipe's end means that the daemon is gone."""
        while not self._stopping.is_set():
            try:
                order: Order = self._pipe.recv()
            except (EOFError, OSError):
                break
            if isinstance(order, Stop):
                break
            if isinstance(order, ShowLook):
                self._newest_order = order.look
                self._to_do.put(order)
                self._to_load.put(order)
            elif isinstance(order, Preload | Warm):
                self._to_load.put(order)
            elif isinstance(order, ChangeSource):
                self._capture.change(order.source)
            else:
                self._to_do.put(order)
        self._stopping.set()
        # A driver that hangs in its own clean-up must not leave a process behind.
        time.sleep(_LEAVE_SECONDS)
        os._exit(0)

    def _load_looks(self) -> None:
        """Thread: load looks one after another, those asked for before those preloaded."""
        waiting: list[Preload] = []
        while not self._stopping.is_set():
            try:
                order = self._to_load.get(timeout=None if not waiting else 0.05)
            except queue.Empty:
                waiting = self._preload_one(waiting)
                continue
            if isinstance(order, Preload):
                waiting = [order]
            elif isinstance(order, Warm):
                self._load_ahead(order.preset, order.effort)
            elif order.look == self._newest_order:
                self._load(order)

    def _preload_one(self, waiting: list[Preload]) -> list[Preload]:
        """Load one preset's generator; return what is left to do."""
        presets = waiting[0].presets
        if not presets:
            give_back_what_is_free()
            self.tell(Preloaded())
            return []
        if self._stylizer.look is None:
            return waiting
        self._load_ahead(presets[0], FULL)
        return [Preload(presets[1:])]

    def _load_ahead(self, named: NamedPreset, effort: Effort) -> None:
        try:
            self._loader.load(named, effort.scale, effort.lite)
        except StylizerError as error:
            log.warning("preset %s cannot be used: %s", named.name, error)
        except Exception:
            log.exception("preset %s cannot be used", named.name)

    def _load(self, order: ShowLook) -> None:
        try:
            look = self._loader.load(order.preset, order.effort.scale, order.effort.lite)
            if order.styles is not None:
                look.with_styles(order.styles)
        except DeviceLostError as error:
            self.fail(error)
        except StylizerError as error:
            self.tell(LookFailed(order.look, order.preset.name, error))
        except Exception as error:
            log.debug("preset %s", order.preset.name, exc_info=True)
            failure = ModelError(f"preset {order.preset.name} cannot be loaded: {error}")
            self.tell(LookFailed(order.look, order.preset.name, failure))
        else:
            if order.strength is not None:
                look.with_strength(order.strength)
            if self._stylizer.look is None:
                settle_objects()
            give_back_what_is_free()
            self._to_do.put((order, look))

    def fail(self, error: StylizerError) -> None:
        """Tell the daemon why and end at once, whatever the driver is doing."""
        look = self._stylizer.look
        runs_on = look.generator.runs_on if look and look.generator else None
        on_gpu = runs_on is not None and not runs_on_cpu(runs_on.provider, runs_on.device)
        self.tell(WorkerFailed(error, on_gpu))
        os._exit(_FAILED)


def _adjust(look: Look, order: SetStrength | SetStyles) -> None:
    if isinstance(order, SetStrength):
        look.with_strength(order.strength)
        return
    try:
        look.with_styles(order.styles)
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
