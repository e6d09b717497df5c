"""Whether somebody reads a v4l2loopback device that we write to.

From 0.13 on the module tells its writer when readers come and go; an older one is looked at from
outside. Run with 0.12.7 and 0.15.0.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import select
import struct
import sys
from collections.abc import Callable
from typing import Final

from obs_stylizer import v4l2
from obs_stylizer.clock import Clock

log = logging.getLogger(__name__)

_SUBSCRIBE_EVENT: Final = 0x4020565A
_DEQUEUE_EVENT: Final = 0x80885659
_CLIENT_USAGE: Final = 0x10E00001
_SEND_INITIAL: Final = 1

# struct v4l2_event_subscription: type, id, flags, reserved[5].
_SUBSCRIPTION: Final = struct.Struct("=III20x")
_EVENT_BYTES: Final = 136
_MOST_EVENTS: Final = 64

_SCAN_SECONDS: Final = 5.0
# IN_OPEN; IN_CLOSE_WRITE and IN_CLOSE_NOWRITE; IN_Q_OVERFLOW.
_OPENED: Final = 0x20
_CLOSED: Final = 0x08 | 0x10
_OVERFLOW: Final = 0x4000
# struct inotify_event: wd, mask, cookie, len, then the name.
_NOTICE: Final = struct.Struct("=iIII")

Control = Callable[[int, int, bytearray], object]


def _ioctl(descriptor: int, request: int, argument: bytearray) -> object:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "there is no Video4Linux on this platform")
    import fcntl

    return fcntl.ioctl(descriptor, request, argument, True)


class ReaderWatch:
    """Follows the readers of a device.

    Args:
        device: its path.
        descriptor: open on it, for as long as this is asked.
        clock: where time comes from.
        ioctl: asks the device.
        holders: names who has it open, beside us.
    """

    def __init__(
        self,
        device: str,
        descriptor: int,
        clock: Clock,
        ioctl: Control = _ioctl,
        holders: Callable[[str], list[str]] = v4l2.holders,
    ) -> None:
        self._device = device
        self._descriptor = descriptor
        self._clock = clock
        self._ioctl = ioctl
        self._holders = holders
        self._streaming = False
        self._scanned_at = float("-inf")
        self._is_open = True
        self._openings = OpeningWatch(device)
        self._tells = self._subscribe()

    @property
    def watched(self) -> bool:
        """Whether somebody reads it, or has it open where no more can be known."""
        if self._tells:
            self._take_events()
            if self._streaming:
                return True
        # A reader that uses read() is not counted, and older modules count nobody. Whoever has it
        # open may be no reader, which only keeps us awake.
        now = self._clock.now()
        if self._openings.has_news() or now - self._scanned_at >= _SCAN_SECONDS:
            self._scanned_at = now
            self._is_open = bool(self._holders(self._device))
        # Programs of other users, and some that guard themselves, are not to be seen from outside.
        return self._is_open or (not self._tells and self._openings.open_count > 0)

    def close(self) -> None:
        """Follow nobody any more."""
        self._openings.close()

    def _subscribe(self) -> bool:
        question = bytearray(_SUBSCRIPTION.pack(_CLIENT_USAGE, 0, _SEND_INITIAL))
        try:
            self._ioctl(self._descriptor, _SUBSCRIBE_EVENT, question)
        except OSError as error:
            log.debug("%s does not tell of its readers: %s", self._device, error)
            return False
        return True

    def _take_events(self) -> None:
        for _ in range(_MOST_EVENTS):
            if not _has_event(self._descriptor):
                return
            event = bytearray(_EVENT_BYTES)
            try:
                self._ioctl(self._descriptor, _DEQUEUE_EVENT, event)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EAGAIN, errno.EINTR):
                    log.debug("%s tells of its readers no more: %s", self._device, error)
                    self._tells = self._streaming = False
                return
            kind, count = struct.unpack_from("=I4xI", event)
            if kind == _CLIENT_USAGE:
                was, self._streaming = self._streaming, count > 0
                if was and not self._streaming:
                    self._scanned_at = float("-inf")


class OpeningWatch:
    """Notices that somebody opened or closed a file, by inotify; nothing where that is not to be.

    Args:
        path: of the file or device.

    Attributes:
        open_count: how many have opened it since, and not closed it again, whoever they are; two
            that do so between two looks count as one.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = -1
        self.open_count = 0
        if sys.platform != "linux":
            return
        library = ctypes.CDLL(None, use_errno=True)
        descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            return
        if library.inotify_add_watch(descriptor, os.fsencode(path), _OPENED | _CLOSED) < 0:
            os.close(descriptor)
            return
        self._descriptor = descriptor

    def has_news(self) -> bool:
        """Whether somebody did, since this was asked last."""
        news = False
        while self._descriptor >= 0:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:
                break
            news = True
            self._count(data)
        return news

    def _count(self, data: bytes) -> None:
        at = 0
        while at + _NOTICE.size <= len(data):
            _, mask, _, length = _NOTICE.unpack_from(data, at)
            at += _NOTICE.size + length
            if mask & _OVERFLOW:
                self.open_count = 0
            elif mask & _OPENED:
                self.open_count += 1
            elif mask & _CLOSED and self.open_count > 0:
                self.open_count -= 1

    def close(self) -> None:
        """Notice nothing more. May be called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _has_event(descriptor: int) -> bool:
    """Whether the device has an event for us, which comes as urgent data."""
    if sys.platform != "linux":
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLPRI)
    return any(flags & select.POLLPRI for _, flags in poll.poll(0))
