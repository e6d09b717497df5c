"""The worker's capture thread: keeps a source open and its newest frame at hand."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from obs_stylizer.errors import (
    SourceEndedError,
    SourceError,
    SourceLostError,
    SourceRefusedError,
    SourceWaitingError,
)
from obs_stylizer.frames import Frame
from obs_stylizer.realtime.events import Event, SourceEnded, SourceFailed, SourceLost, SourceOpened
from obs_stylizer.realtime.mailbox import FrameSlot
from obs_stylizer.realtime.pacing import Backoff
from obs_stylizer.realtime.priority import raise_thread_priority
from obs_stylizer.sources.base import AnsweredSource, Source, SourceInfo, SourceOptions
from obs_stylizer.sources.open import make_source
from obs_stylizer.sources.spec import SourceSpec

log = logging.getLogger(__name__)

_READ_SECONDS: Final = 0.25


class Capture:
    """Reads one source after another into a :class:`FrameSlot`, on a thread of its own.

    Frame numbers go on counting over a change of source.
    """

    def __init__(
        self, spec: SourceSpec, options: SourceOptions, tell: Callable[[Event], None]
    ) -> None:
        self.slot = FrameSlot()
        self.captured = 0
        self._skipped = 0
        self.changes = 0
        """How many times another source began to give frames."""
        self._spec = spec
        self._options = options
        self._tell = tell
        self._lock = threading.Lock()
        self._wanted: SourceSpec | None = None
        self._wake = threading.Event()
        self._awake = threading.Event()
        self._awake.set()
        self._stopping = False
        self._source: Source | None = None
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    @property
    def overtaken(self) -> int:
        """Frames that a newer one overtook, in the source itself or in the slot."""
        return self._skipped + self.slot.overwritten

    @property
    def answered(self) -> AnsweredSource | None:
        """The source there is, if it shows what is made of its frames."""
        source = self._source
        return source if isinstance(source, AnsweredSource) else None

    def start(self) -> None:
        """Begin to capture."""
        self._thread.start()

    def change(self, spec: SourceSpec) -> None:
        """Go over to another source; the old one comes back if that cannot be opened."""
        with self._lock:
            self._wanted = spec
            self._wake.set()

    def sleep(self, *, asleep: bool) -> None:
        """Close the source until it is woken, or open it again."""
        with self._lock:
            if asleep:
                self._awake.clear()
                self._wake.set()
            else:
                self._awake.set()

    def stop(self) -> None:
        """Close the source, waiting a little for a read that is under way."""
        with self._lock:
            self._stopping = True
            self._wake.set()
            self._awake.set()
        self._thread.join(2.0)
        if self._thread.is_alive() and self._source is not None:
            self._source.close()

    def _run(self) -> None:
        backoff = Backoff(0.25, 2.0)
        lost = False
        while not self._stopping:
            self._awake.wait()
            if self._stopping:
                break
            spec = self._next_spec()
            try:
                with make_source(spec, self._options) as source:
                    self._source = source
                    info = self._open(source, spec)
                    backoff.reset()
                    self._opened(spec, info)
                    lost = False
                    self._read_all(source)
            except SourceRefusedError as error:
                self._tell(SourceLost(spec, error))
                lost = False
                self._rest(spec, None)
            except SourceLostError as error:
                if not lost:
                    self._tell(SourceLost(spec, error))
                lost = True
                self._rest(spec, backoff.next())
            except SourceEndedError:
                self._tell(SourceEnded(spec, self.captured))
                self._wait_for_another()
            except SourceError as error:
                self._tell(SourceFailed(spec, error))
                self._rest(spec, None)
            except Exception as error:
                log.exception("source %s failed", spec)
                self._tell(SourceLost(spec, SourceError(f"source {spec} failed: {error}")))
                lost = True
                self._rest(spec, backoff.next())

    def _next_spec(self) -> SourceSpec:
        """Return what to open now: what was asked for since the last time, or the same again."""
        with self._lock:
            wanted, self._wanted = self._wanted, None
            if not self._stopping:
                self._wake.clear()
            return wanted or self._spec

    def _open(self, source: Source, spec: SourceSpec) -> SourceInfo:
        """Open it, waiting for the user where it does, until another source is asked for."""
        told = False
        while True:
            try:
                return source.open()
            except SourceWaitingError as error:
                if not told:
                    self._tell(SourceLost(spec, error))
                told = True
                if self._is_to_leave():
                    raise

    def _rest(self, failed: SourceSpec, seconds: float | None) -> None:
        """Pause before the next try; a new source that failed is given up for the old at once."""
        if failed != self._spec:
            return
        if seconds is None:
            self._wait_for_another()
        else:
            self._wake.wait(seconds)

    def _wait_for_another(self) -> None:
        """Wait until a source is asked for; falling asleep and waking is no reason to try again."""
        while True:
            self._wake.wait()
            with self._lock:
                if self._stopping or self._wanted is not None:
                    return
                self._wake.clear()

    def _is_to_leave(self) -> bool:
        """Whether the source that is open, or being opened, is to be closed."""
        return self._stopping or self._wanted is not None or not self._awake.is_set()

    def _opened(self, spec: SourceSpec, info: SourceInfo) -> None:
        # The user was asked; the next time, what was answered holds.
        self._spec = spec = replace(spec, ask=False)
        self.changes += 1
        self._tell(SourceOpened(spec, info))

    def _read_all(self, source: Source) -> None:
        if isinstance(source, AnsweredSource):
            # Somebody waits for the answer to each frame.
            raise_thread_priority()
        following: int | None = None
        while not self._is_to_leave():
            frame = source.read(_READ_SECONDS)
            if frame is None:
                continue
            # A gap in the source's own numbers is frames that it left out because they were late.
            skipped = 0 if following is None else max(0, frame.sequence - following)
            following = frame.sequence + 1
            self._skipped += skipped
            self.captured += skipped
            self.slot.put(Frame(frame.pixels, self.captured, frame.captured_at, frame.timestamp))
            self.captured += 1
            if not self._options.paced:
                self.slot.wait_until_taken(_READ_SECONDS)
