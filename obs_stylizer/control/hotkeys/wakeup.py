"""Waking a thread that waits for a connection."""

from __future__ import annotations

import contextlib
import socket


class Wakeup:
    """A pair of sockets, one of which a thread waits for beside what it listens to."""

    def __init__(self) -> None:
        self._sender, self._receiver = socket.socketpair()
        self._sender.setblocking(False)
        self._receiver.setblocking(False)

    def fileno(self) -> int:
        """Return what becomes readable when :meth:`wake` is called."""
        return self._receiver.fileno()

    def wake(self) -> None:
        """Wake the thread; never blocks, from any thread, also after :meth:`close`."""
        # A full socket wakes just as well.
        with contextlib.suppress(OSError):
            self._sender.send(b"\0")

    def clear(self) -> None:
        """Take note of having been woken, once :meth:`fileno` is readable."""
        self._receiver.recv(4096)

    def close(self) -> None:
        """Give both sockets back."""
        self._sender.close()
        self._receiver.close()
