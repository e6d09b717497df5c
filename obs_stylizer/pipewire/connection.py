"""A connection to PipeWire, with the thread of the library that serves it."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import threading
from ctypes import POINTER, c_int, c_size_t, c_uint32, c_void_p
from types import TracebackType
from typing import Any, Final, Self

from obs_stylizer.errors import PipewireError
from obs_stylizer.pipewire.library import (
    ON_DONE,
    ON_ERROR,
    CoreEvents,
    Hook,
    Interface,
    load,
)

log = logging.getLogger(__name__)

NOT_RUNNING_REMEDY: Final = "start it: systemctl --user start pipewire wireplumber"

_PROGRAM: Final = b"obs-stylizer"
_ADD_LISTENER: Final = 1
_CORE_SYNC: Final = 3
_SYNC_SECONDS: Final = 3.0
_CORE: Final = 0
_BROKEN: Final = (errno.EPIPE, errno.ECONNRESET)


class Connection:
    """One connection; ``with connection:`` holds the library's thread still.

    Events come on that thread. It holds the same lock meanwhile, so whoever waits for something
    that an event brings must not wait inside ``with``.

    Args:
        descriptor: of a connected socket, from a portal, which becomes the connection's own; None
            for the socket of the session.

    Attributes:
        lost: why it is of no use any more; "" while it is.

    Raises:
        PipewireError: PipeWire does not run, or its library is not here.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.library: Any = load()
        self.lost = ""
        self._closed = False
        self._core: int | None = None
        self._synced: dict[int, threading.Event] = {}
        self._loop = self.library.pw_thread_loop_new(_PROGRAM, None)
        self._context = self.library.pw_context_new(
            self.library.pw_thread_loop_get_loop(self._loop), None, 0
        )
        if self._context is None or self.library.pw_thread_loop_start(self._loop) < 0:
            self.close()
            raise PipewireError("PipeWire's client library does not start")
        # Kept, since the library holds no more than their addresses.
        self._events = CoreEvents(done=ON_DONE(self._on_done), error=ON_ERROR(self._on_error))
        self._hook = Hook()
        with self:
            self._core = self._connect(descriptor)
            code = ctypes.get_errno()
            if self._core is not None:
                add_listener(self._core, self._hook, self._events)
        if self._core is None:
            self.close()
            raise PipewireError(f"PipeWire does not run: {os.strerror(code)}", NOT_RUNNING_REMEDY)

    def _connect(self, descriptor: int | None) -> int | None:
        core: int | None
        if descriptor is None:
            core = self.library.pw_context_connect(self._context, None, 0)
        else:
            core = self.library.pw_context_connect_fd(self._context, descriptor, None, 0)
        return core

    def __enter__(self) -> Self:
        self.library.pw_thread_loop_lock(self._loop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.library.pw_thread_loop_unlock(self._loop)

    @property
    def core(self) -> int:
        """Address of the pw_core."""
        assert self._core is not None
        return self._core

    def sync(self) -> None:
        """Wait until everything asked for so far was answered.

        Raises:
            PipewireError: it was not, within three seconds.
        """
        answered = threading.Event()
        with self:
            number = call_method(self.core, _CORE_SYNC, c_int, (c_uint32, c_int), 0, 0)
            self._synced[number] = answered
        done = answered.wait(_SYNC_SECONDS)
        self._synced.pop(number, None)
        if not done:
            raise PipewireError(
                f"PipeWire does not answer{f': {self.lost}' if self.lost else ''}",
                "start it again: systemctl --user restart pipewire wireplumber",
            )

    def close(self) -> None:
        """End it and its thread; whatever lives on it must be closed before."""
        if self._closed:
            return
        self._closed = True
        self.library.pw_thread_loop_stop(self._loop)
        if self._core is not None:
            self.library.pw_core_disconnect(self._core)
        if self._context is not None:
            self.library.pw_context_destroy(self._context)
        self.library.pw_thread_loop_destroy(self._loop)

    # Called on the library's thread.

    def _on_done(self, _data: int, _ident: int, number: int) -> None:
        answered = self._synced.get(number)
        if answered is not None:
            answered.set()

    def _on_error(
        self, _data: int, ident: int, _number: int, code: int, message: bytes | None
    ) -> None:
        text = (message or b"").decode("utf-8", "replace") or os.strerror(abs(code))
        log.debug("PipeWire, object %d: %s", ident, text)
        # Other errors of the core concern one object that went away meanwhile.
        if ident == _CORE and -code in _BROKEN:
            self.lost = text


def call_method(
    proxy: int, slot: int, result: Any, types: tuple[Any, ...], *arguments: object
) -> Any:
    """Call the method at ``slot`` of an object's table; slot 0 holds the table's version."""
    face = Interface.from_address(proxy)
    entry = c_void_p.from_address(face.funcs + slot * ctypes.sizeof(c_void_p)).value
    if not entry:
        raise PipewireError(f"PipeWire has no method {slot} here", "upgrade PipeWire")
    return ctypes.CFUNCTYPE(result, c_void_p, *types)(entry)(face.data, *arguments)


def add_listener(proxy: int, hook: Hook, events: ctypes.Structure) -> None:
    """Have ``events`` told; both must live as long as the object does."""
    call_method(
        proxy,
        _ADD_LISTENER,
        c_int,
        (POINTER(Hook), c_void_p, c_void_p),
        ctypes.byref(hook),
        ctypes.addressof(events),
        None,
    )


def get_registry(core: int) -> int:
    """Make a pw_registry, to be destroyed with pw_proxy_destroy."""
    return int(call_method(core, 6, c_void_p, (c_uint32, c_size_t), 3, 0))
