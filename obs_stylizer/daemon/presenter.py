"""The presenter: sends the newest styled frame on every tick of its clock, whatever happens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, Literal

from obs_stylizer.clock import Clock
from obs_stylizer.daemon.sink_runner import STANDBY_SEQUENCE, SinkRunner
from obs_stylizer.daemon.standby import StandbyPicture
from obs_stylizer.frames import Frame, Pixels
from obs_stylizer.realtime.mailbox import SharedMailbox, StyledFrame
from obs_stylizer.realtime.pacing import Metronome
from obs_stylizer.realtime.priority import raise_thread_priority
from obs_stylizer.realtime.statistics import PathStatistics

log = logging.getLogger(__name__)

Picture = Literal["styled", "held", "frozen", "standby", "asleep"]

_HELD_SECONDS: Final = 0.5
_ASLEEP_SECONDS: Final = 1.0
"""Time between two pictures while nobody watches; they keep a device with its readers."""


class Presenter:
    """Owns the clock and the sinks, on one thread in the daemon's own process.

    Args:
        mailbox: where styled frames come from.
        runners: the sinks, already started.
        fps: ticks a second.
        standby_seconds: age of the newest frame from which the standby picture is shown.
        trouble_text: what the standby picture says; asked only when it is shown.
        frames: end after so many ticks, counted from the first styled frame; None to go on.
    """

    def __init__(
        self,
        mailbox: SharedMailbox,
        runners: Sequence[SinkRunner],
        fps: float,
        standby_seconds: float,
        statistics: PathStatistics,
        clock: Clock,
        trouble_text: Callable[[], str],
        frames: int | None = None,
    ) -> None:
        self._mailbox = mailbox
        self._runners = tuple(runners)
        self._fps = fps
        self._standby_seconds = standby_seconds
        self._statistics = statistics
        self._clock = clock
        self._trouble_text = trouble_text
        self._standby = StandbyPicture(mailbox.size)
        self._frames = frames
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._awake.set()
        self._thread = threading.Thread(target=self._run, name="presenter", daemon=True)
        self._seen = 0
        self._newest: StyledFrame | None = None
        self._fresh_at = float("-inf")
        self._frozen: Frame | None = None
        self.picture: Picture = "standby"
        self.first_shown_at: dict[int, float] = {}
        """When the first frame of each request was sent, on the shared clock; the last few only."""

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def stop(self, timeout: float | None = None) -> None:
        """End after the current tick, and wait so many seconds for that."""
        self._stopping.set()
        self._awake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    @property
    def finished(self) -> bool:
        """Whether all the frames asked for were sent."""
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def newest_sequence(self) -> int:
        """Number of the newest styled frame that was sent; -1 before the first."""
        return -1 if self._newest is None else self._newest.frame.sequence

    def _run(self) -> None:
        raise_thread_priority()
        metronome = Metronome(self._fps, self._clock.now())
        while not self._stopping.is_set() and self._frames != 0:
            if not self._awake.is_set():
                self._sleep()
                metronome = Metronome(self._fps, self._clock.now())
                continue
            due = metronome.next_tick
            self._clock.wait_until(due)
            try:
                self.tick(due, metronome)
            except Exception:
                # Nothing here is expected to fail; if it does, the next tick must still come.
                log.exception("a tick failed")
            metronome.ticked(self._clock.now())
            self._statistics.missed_ticks += metronome.missed
            metronome.missed = 0

    def _sleep(self) -> None:
        """Offer one picture a second until somebody wakes us."""
        self._newest = None
        while not self._awake.is_set():
            now = self._clock.now()
            self.picture = "asleep"
            frame = self._frozen or Frame(self._standby.at(0.0, ""), STANDBY_SEQUENCE, now)
            for runner in self._runners:
                runner.offer(frame, due=now)
            self._awake.wait(_ASLEEP_SECONDS)
        # What was captured before we slept is not to be seen now.
        self._seen = self._mailbox.published
        self._fresh_at = float("-inf")
        self.picture = "standby"

    def tick(self, due: float, metronome: Metronome) -> None:
        """Choose the picture of one tick and offer it to every sink."""
        fresh = self._take()
        if fresh is not None:
            captured_at = fresh.frame.captured_at
            metronome.arrived(due - captured_at, fresh.published_at - captured_at)
            self._statistics.stages.add(fresh)
            self._note_request(fresh)
        frame = self._choose(due)
        for runner in self._runners:
            runner.offer(frame, due=due)
        if self._frames is not None and self._newest is not None:
            self._frames -= 1

    def _take(self) -> StyledFrame | None:
        published = self._mailbox.published
        if published == self._seen:
            return None
        styled = self._mailbox.read()
        if styled is None:
            return None
        self._seen = published
        newest = self._newest
        if newest is not None and styled.published_at == newest.published_at:
            # It came between the two looks at the mailbox, and was counted then.
            return None
        self._newest = styled
        self._fresh_at = self._clock.now()
        return styled

    def _choose(self, due: float) -> Frame:
        frozen = self._frozen
        if frozen is not None:
            self.picture = "frozen"
            return frozen
        now = self._clock.now()
        if self._newest is not None and now - self._fresh_at < self._standby_seconds:
            self.picture = "styled" if now - self._fresh_at < _HELD_SECONDS else "held"
            return self._newest.frame
        if self.picture != "standby":
            log.warning("no fresh frame for %.1f s: standby picture", self._standby_seconds)
        self.picture = "standby"
        pixels: Pixels = self._standby.at(due, self._trouble_text())
        return Frame(pixels, STANDBY_SEQUENCE, now)

    def _note_request(self, styled: StyledFrame) -> None:
        if styled.request_id not in self.first_shown_at:
            while len(self.first_shown_at) >= 64:
                del self.first_shown_at[next(iter(self.first_shown_at))]
            self.first_shown_at[styled.request_id] = self._clock.now()

    def sleep(self, *, asleep: bool) -> None:
        """Send one picture a second from now on, or every tick's again. Any thread."""
        if asleep:
            self._awake.clear()
        elif not self._stopping.is_set():
            self._awake.set()

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks at any of the sinks, or may."""
        return any(runner.watched for runner in self._runners)

    def freeze(self, *, frozen: bool) -> None:
        """Hold the newest picture, whatever happens behind it, or let it go on."""
        if not frozen:
            self._frozen = None
        elif self._frozen is None and self._newest is not None:
            self._frozen = self._newest.frame

    def add(self, runner: SinkRunner) -> None:
        """Offer every tick's picture to one more sink."""
        self._runners = (*self._runners, runner)

    def remove(self, runner: SinkRunner) -> None:
        """Offer it no more."""
        self._runners = tuple(one for one in self._runners if one is not runner)

    @property
    def newest(self) -> Frame | None:
        """The newest styled frame, to be read only; None before the first."""
        return None if self._newest is None else self._newest.frame
