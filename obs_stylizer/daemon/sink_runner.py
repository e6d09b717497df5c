"""One sink on a thread of its own: opened, fed the newest frame, reopened when it was lost."""

from __future__ import annotations

import logging
import threading
from typing import Final

from obs_stylizer.clock import Clock
from obs_stylizer.errors import SinkEndedError, SinkError, SinkLostError, StylizerError
from obs_stylizer.frames import Frame
from obs_stylizer.realtime.pacing import Backoff
from obs_stylizer.realtime.priority import raise_thread_priority
from obs_stylizer.realtime.statistics import SinkStatistics
from obs_stylizer.sinks.base import Sink, SinkFormat

log = logging.getLogger(__name__)

STANDBY_SEQUENCE: Final = -1
"""Number of a frame that shows the standby picture."""

_CLOSE_SECONDS: Final = 5.0


class SinkRunner:
    """Keeps a sink fed. A slow or broken one loses its own frames and holds up no other.

    ``statistics.state`` is one of opening, open, lost, ended, closed.
    """

    def __init__(self, name: str, sink: Sink, form: SinkFormat, clock: Clock) -> None:
        self.statistics = SinkStatistics(name)
        self._sink = sink
        self._form = form
        self._clock = clock
        self._changed = threading.Condition()
        self._offered: tuple[Frame, float] | None = None
        self._sent: Frame | None = None
        self._stopping = False
        self._opened_once = threading.Event()
        self._fatal: StylizerError | None = None
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)

    def start(self, timeout: float) -> None:
        """Open the sink; return when it is open, or lost and being tried again.

        Raises:
            SinkError: it can never work; BusyError: another daemon holds it.
        """
        self._thread.start()
        self._opened_once.wait(timeout)
        if self._fatal is not None:
            raise self._fatal

    def offer(self, frame: Frame, *, due: float) -> None:
        """Hand over the picture of the tick that was due at ``due``. Never blocks."""
        with self._changed:
            if self._offered is not None and self.statistics.state == "open":
                self.statistics.overwritten += 1
            self._offered = (frame, due)
            self._changed.notify()

    @property
    def watched(self) -> bool:
        """Whether somebody looks at the sink, or may. Any thread."""
        return self.statistics.state == "open" and self._sink.watched is not False

    def stop(self) -> None:
        """Finish and close the sink."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_SECONDS)
            if self._thread.is_alive():
                log.warning("sink %s does not close; leaving it", self.statistics.name)

    def _run(self) -> None:
        backoff = Backoff()
        raise_thread_priority()
        try:
            while not self._stopping:
                try:
                    self._open()
                    backoff.reset()
                    self._feed()
                except SinkLostError as error:
                    self._lost(error)
                    self._sink.close()
                    self._pause(backoff.next())
        except StylizerError as error:
            self._end(error)
        except Exception as error:
            log.exception("sink %s failed", self.statistics.name)
            self._end(SinkError(f"sink {self.statistics.name} failed: {error}"))
        finally:
            try:
                self._sink.close()
            except SinkError as error:
                log.warning("%s", error)
            if self.statistics.state != "ended":
                self.statistics.state = "closed"
            self._opened_once.set()

    def _open(self) -> None:
        self._sent = None
        where = self._sink.open(self._form)
        if self.statistics.state == "lost":
            self.statistics.reopened += 1
            log.info("sink %s is back: %s", self.statistics.name, where)
        self.statistics.where = where
        self.statistics.state = "open"
        self._opened_once.set()

    def _feed(self) -> None:
        statistics = self.statistics
        while True:
            with self._changed:
                while self._offered is None and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                assert self._offered is not None
                frame, due = self._offered
                self._offered = None
            # Only the runner knows: what is old to the presenter may be new to a slow sink.
            repeated = self._sent is not None and frame.pixels is self._sent.pixels
            began = self._clock.now()
            self._sink.send(frame, repeated=repeated)
            ended = self._clock.now()
            self._sent = frame
            statistics.sent += 1
            statistics.late.add(began - due)
            statistics.send_time.add(ended - began)
            if repeated or frame.sequence == STANDBY_SEQUENCE:
                statistics.repeated += 1
            else:
                statistics.latency.add(ended - frame.captured_at)

    def _lost(self, error: SinkLostError) -> None:
        if self.statistics.state != "lost":
            log.warning("%s; trying again until it is there", error)
        self.statistics.state = "lost"
        self.statistics.where = error.message
        self._opened_once.set()

    def _end(self, error: StylizerError) -> None:
        started = self._opened_once.is_set()
        self.statistics.state = "ended"
        self.statistics.where = error.message
        if isinstance(error, SinkEndedError) or started:
            log.warning("%s; the other sinks go on", error)
        else:
            self._fatal = error

    def _pause(self, seconds: float) -> None:
        with self._changed:
            if not self._stopping:
                # Frames offered meanwhile only wake this early, which does no harm.
                self._offered = None
                self._changed.wait_for(lambda: self._stopping, seconds)
