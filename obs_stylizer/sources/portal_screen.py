"""A screen or a window of a Wayland desktop: the portal asks the user, PipeWire brings pictures."""

from __future__ import annotations

import logging
import os
import threading
from typing import Final

import numpy as np

from obs_stylizer.errors import (
    PipewireError,
    PortalCancelledError,
    PortalError,
    SourceError,
    SourceLostError,
    SourceRefusedError,
    SourceWaitingError,
    StylizerError,
)
from obs_stylizer.frames import Frame, FrameSize, Pixels, size_of
from obs_stylizer.pipewire.connection import Connection
from obs_stylizer.pipewire.formats import SCREEN_FORMATS
from obs_stylizer.pipewire.reader import NodeReader, TakenPicture
from obs_stylizer.pipewire.registry import Registry
from obs_stylizer.pipewire.stream import ANY_NODE
from obs_stylizer.portal.bus import PortalBus
from obs_stylizer.portal.screencast import Cast, RestoreToken, Shared, open_cast
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.damage_timer import DamageTimer
from obs_stylizer.sources.spec import Region

log = logging.getLogger(__name__)

DEFAULT_FPS: Final = 30.0

_ANSWER_SECONDS: Final = 1.0
_FORMAT_SECONDS: Final = 3.0
_FIRST_PICTURE_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.1
_STOP_SECONDS: Final = 0.5
_PLAIN: Final = 32
"""Grey of the picture before the first; a screen that stands still may send none."""


class PortalScreenSource(Source):
    """Captures what the user shares in the desktop's own dialog, which asks once.

    Pictures come only when something on the screen changes; in between the last is repeated.

    Args:
        shared: whether a screen or a window is to be chosen.
        region: part of it; None for all.
        options: rate, pacing and clock.
        token: by which the desktop knows the last choice.
    """

    def __init__(
        self, shared: Shared, region: Region | None, options: SourceOptions, token: RestoreToken
    ) -> None:
        self._shared = shared
        self._region = region
        self._options = options
        self._clock = options.clock
        self._fps = options.fps or DEFAULT_FPS
        self._timer = DamageTimer(options.clock, self._fps, paced=options.paced)
        self._token = token
        self._lock = threading.Lock()
        self._question: _Question | None = None
        self._sharing: _Sharing | None = None
        self._pixels: Pixels | None = None
        self._next_poll = 0.0
        self._sequence = 0
        self._captured_at = float("-inf")

    @property
    def _what(self) -> str:
        return str(self._shared.name).lower()

    def open(self) -> SourceInfo:
        """See :class:`Source`.

        Raises:
            SourceWaitingError: the desktop's dialog is open; the next call waits on for its end.
            SourceRefusedError: the user shares nothing.
        """
        self._end_sharing()
        bus, cast = self._ask()
        try:
            sharing = _Sharing(bus, cast, self._options.frame_size, self._fps)
        except PipewireError as error:
            raise SourceLostError(error.message, error.remedy) from error
        size = sharing.reader.size if sharing.reader.wait_for_format(_FORMAT_SECONDS) else None
        if size is None:
            sharing.close()
            raise SourceLostError(
                f"the shared {self._what} gives no pictures: "
                f"{sharing.reader.error or 'the desktop does not say which it has'}",
                "start PipeWire again: systemctl --user restart pipewire wireplumber",
            )
        try:
            area = self._area(size)
        except SourceError:
            sharing.close()
            raise
        with self._lock:
            self._sharing = sharing
            self._pixels = None
        self._timer.restart(_FIRST_PICTURE_SECONDS)
        kept = "the desktop remembers the choice" if cast.remembered else "asked for each time"
        detail = f"{size} by the desktop's portal, {kept}"
        if self._region is not None:
            detail += f", of it {self._region}"
        return SourceInfo(f"shared {self._what}", area, self._fps, detail)

    def read(self, timeout: float) -> Frame | None:
        """See :class:`Source`."""
        with self._lock:
            sharing = self._sharing
        if sharing is None:
            raise SourceError(f"the {self._what} is not open", "open the source before reading")
        self._notice_end(sharing)
        until = self._timer.wait_for_turn(timeout)
        if until is None:
            return None
        taken = sharing.take(until - self._clock.now())
        if taken is None:
            if not self._timer.is_time_to_repeat(until):
                return None
            if self._pixels is None:
                self._pixels = self._plain_picture(sharing)
            captured_at = self._clock.now()
        else:
            self._pixels = self._cut(taken.pixels)
            captured_at = self._clock.now() - taken.age
        self._timer.given(fresh=taken is not None)
        self._captured_at = max(self._captured_at, captured_at)
        frame = Frame(self._pixels, self._sequence, self._captured_at)
        self._sequence += 1
        return frame

    def close(self) -> None:
        """See :class:`Source`."""
        with self._lock:
            question, self._question = self._question, None
        if question is not None:
            question.give_up()
        self._end_sharing()

    def _end_sharing(self) -> None:
        with self._lock:
            sharing, self._sharing = self._sharing, None
        if sharing is not None:
            sharing.close()

    def _ask(self) -> tuple[PortalBus, Cast]:
        with self._lock:
            question = self._question
            if question is None:
                question = self._question = _Question(self._shared, self._token)
                question.start()
        if not question.answered.wait(_ANSWER_SECONDS):
            raise SourceWaitingError(
                "choose what to share in the desktop's dialog",
                "it may be hidden behind other windows",
            )
        with self._lock:
            self._question = None
        error = question.error
        if isinstance(error, PortalCancelledError):
            raise SourceRefusedError(
                f"you did not share the {self._what}",
                f"to be asked again: obs-stylizer ctl source {self._what}",
            ) from error
        if error is not None:
            raise SourceLostError(error.message, error.remedy) from error
        if question.outcome is None:
            raise SourceLostError(f"the {self._what} was closed while it was opened")
        return question.outcome

    def _notice_end(self, sharing: _Sharing) -> None:
        """Tell a sharing that ended from a screen on which nothing changes."""
        now = self._clock.now()
        if now < self._next_poll:
            return
        self._next_poll = now + _POLL_SECONDS
        trouble = sharing.trouble()
        # A sharing that the user ended must not be begun again by what looks like a fault.
        if sharing.was_stopped(_STOP_SECONDS if trouble else 0.0):
            raise SourceRefusedError(
                f"the desktop stopped the sharing of the {self._what}",
                f"to share it again: obs-stylizer ctl source {self._what}",
            )
        if trouble:
            raise SourceLostError(f"the shared {self._what} is lost: {trouble}")

    def _cut(self, pixels: Pixels) -> Pixels:
        if self._region is None:
            return pixels
        try:
            area = self._area(size_of(pixels))
        except SourceError as error:
            raise SourceLostError(error.message, error.remedy) from error
        x, y = self._region.x, self._region.y
        return np.ascontiguousarray(pixels[y : y + area.height, x : x + area.width])

    def _area(self, size: FrameSize) -> FrameSize:
        region = self._region
        if region is None:
            return size
        if region.x + region.width > size.width or region.y + region.height > size.height:
            raise SourceError(
                f"the region {region} lies outside the shared {self._what}, which is {size}",
                "choose one inside it, as in "
                f"@0,0,{min(region.width, size.width)}x{min(region.height, size.height)}",
            )
        return FrameSize(region.width, region.height)

    def _plain_picture(self, sharing: _Sharing) -> Pixels:
        size = sharing.reader.size or self._options.frame_size
        area = size if self._region is None else FrameSize(self._region.width, self._region.height)
        return np.full(area.shape, _PLAIN, np.uint8)


class _Question(threading.Thread):
    """Asks the user, who may take minutes, on a thread of its own."""

    def __init__(self, shared: Shared, token: RestoreToken) -> None:
        super().__init__(name="portal", daemon=True)
        self._shared = shared
        self._token = token
        self._lock = threading.Lock()
        self._given_up = False
        self.answered = threading.Event()
        self.outcome: tuple[PortalBus, Cast] | None = None
        self.error: StylizerError | None = None

    def run(self) -> None:
        """See :class:`threading.Thread`."""
        try:
            bus = PortalBus()
            try:
                cast = open_cast(bus, self._shared, self._token, lambda: self._given_up)
            except BaseException:
                bus.close()
                raise
            with self._lock:
                if not self._given_up:
                    self.outcome = bus, cast
                    return
            _end(bus, cast)
        except StylizerError as error:
            self.error = error
        except Exception as error:
            log.debug("the portal could not be asked", exc_info=True)
            self.error = PortalError(f"the desktop portal could not be asked: {error}")
        finally:
            self.answered.set()

    def give_up(self) -> None:
        """Take the dialog away, or end at once what was shared in it."""
        with self._lock:
            self._given_up = True
            outcome, self.outcome = self.outcome, None
        if outcome is not None:
            _end(*outcome)


class _Sharing:
    """A cast with its connections, from the first picture to the last."""

    def __init__(self, bus: PortalBus, cast: Cast, size: FrameSize, fps: float) -> None:
        self._bus = bus
        self._session = cast.session
        self._portal = bus.owner()
        self._had_node = False
        self._node = cast.node
        self._closing = threading.Lock()
        self._closed = False
        bus.listen_for_restarts()
        try:
            self._connection = Connection(cast.descriptor)
        except BaseException:
            bus.close_session(cast.session)
            bus.close()
            raise
        try:
            self._registry = Registry(self._connection)
            self.reader = NodeReader(
                self._connection,
                node=ANY_NODE if cast.serial else cast.node,
                target=cast.serial,
                formats=SCREEN_FORMATS,
                size=size,
                fps=fps,
                role="Screen",
            )
        except BaseException:
            self._connection.close()
            bus.close_session(cast.session)
            bus.close()
            raise

    def take(self, seconds: float) -> TakenPicture | None:
        """Return the newest picture; None if no new one came within ``seconds``."""
        with self._closing:
            return None if self._closed else self.reader.take(seconds)

    def trouble(self) -> str:
        """Why no picture can come any more; "" while one can."""
        if self.reader.is_lost:
            return "PipeWire ended"
        nodes = self._registry.nodes
        if self._node in nodes:
            self._had_node = True
        if self.reader.has_failed or (self._had_node and self._node not in nodes):
            return self.reader.error or "the desktop took it away"
        return ""

    def was_stopped(self, seconds: float) -> bool:
        """Whether the desktop ended the session, as when the user stops the sharing.

        Args:
            seconds: to wait for word of it.

        Raises:
            SourceLostError: the portal ended or was started again, and does not know it any more.
        """
        try:
            while (signal := self._bus.next_signal(seconds)) is not None:
                member, body = signal
                if member == "Closed":
                    return True
                if member == "NameOwnerChanged" and body[2] != self._portal:
                    raise SourceLostError("the desktop portal was ended or started again")
        except PortalError as error:
            raise SourceLostError(error.message, error.remedy) from error
        return False

    def close(self) -> None:
        """End the sharing; the stream first, which else would wait for the session."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self.reader.close()
            self._registry.close()
            self._connection.close()
            try:
                self._bus.close_session(self._session)
            finally:
                self._bus.close()


def _end(bus: PortalBus, cast: Cast) -> None:
    os.close(cast.descriptor)
    bus.close_session(cast.session)
    bus.close()
