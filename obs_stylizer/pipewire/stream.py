"""What reading and giving pictures have in common: a stream, its state and its format."""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

from obs_stylizer.errors import PipewireError
from obs_stylizer.pipewire import pods
from obs_stylizer.pipewire.connection import Connection
from obs_stylizer.pipewire.library import (
    ON_BUFFER,
    ON_EVENT,
    ON_PARAM,
    ON_STATE,
    Hook,
    MetaHeader,
    StreamEvents,
    make_properties,
)

log = logging.getLogger(__name__)

ANY_NODE: Final = 0xFFFFFFFF


class Direction(IntEnum):
    """Which way pictures go."""

    READ = 0
    GIVE = 1


class StreamState(IntEnum):
    """As PipeWire counts them."""

    ERROR = -1
    UNCONNECTED = 0
    CONNECTING = 1
    PAUSED = 2
    STREAMING = 3


# Flags of pw_stream_connect.
AUTOCONNECT: Final = 1
MAP_BUFFERS: Final = 4
DRIVER: Final = 8
DONT_RECONNECT: Final = 128

FORMAT_OBJECT: Final = 0x40003
BUFFERS_OBJECT: Final = 0x40004
META_OBJECT: Final = 0x40005
ENUM_FORMAT: Final = 3
FORMAT: Final = 4
BUFFERS: Final = 5
META: Final = 6

MEDIA_TYPE: Final = 1
MEDIA_SUBTYPE: Final = 2
VIDEO_FORMAT: Final = 0x20001
VIDEO_SIZE: Final = 0x20003
VIDEO_RATE: Final = 0x20004
VIDEO_MAX_RATE: Final = 0x20005
COLOR_RANGE: Final = 0x2000C
COLOR_MATRIX: Final = 0x2000D
VIDEO: Final = 2
RAW: Final = 1

META_HEADER: Final = 1
META_CROP: Final = 2
MEMORY: Final = 1 << 1 | 1 << 2
"""Kinds of memory that are taken: plain memory and memory files, never those of a GPU."""


class Stream:
    """One stream on a connection.

    Attributes:
        changed: notified when the state changes, and for what a kind of stream adds. Must not be
            held while the connection is entered.
        error: what PipeWire said last when the state became an error.
    """

    def __init__(self, connection: Connection, properties: dict[str, str]) -> None:
        self._connection = connection
        self._library = connection.library
        self.changed = threading.Condition()
        self.state = StreamState.UNCONNECTED
        self.error = ""
        self.form: dict[int, pods.Value] = {}
        # Kept, since the library holds no more than their addresses.
        self._events = StreamEvents(
            version=2,
            state_changed=ON_STATE(self._on_state),
            param_changed=ON_PARAM(self._on_param),
            remove_buffer=ON_BUFFER(self._on_remove_buffer),
            process=ON_EVENT(self._on_process),
        )
        self._hook = Hook()
        with connection:
            self._stream: int | None = self._library.pw_stream_new(
                connection.core, b"obs-stylizer", make_properties(properties)
            )
            if self._stream is None:
                raise PipewireError("PipeWire gives no stream", "start PipeWire again")
            self._library.pw_stream_add_listener(
                self._stream, ctypes.byref(self._hook), ctypes.addressof(self._events), None
            )

    def _connect(
        self, direction: Direction, node: int, flags: int, params: Sequence[bytes]
    ) -> None:
        addresses, kept = _addresses(params)
        with self._connection:
            code = self._library.pw_stream_connect(
                self._stream, direction, node, flags, ctypes.addressof(addresses), len(kept)
            )
        if code < 0:
            raise PipewireError(f"PipeWire refuses the stream: {os.strerror(-code)}")

    def wait_until_connected(self, seconds: float) -> None:
        """Return when PipeWire knows the stream.

        Raises:
            PipewireError: it does not, within ``seconds``.
        """
        with self.changed:
            self.changed.wait_for(
                lambda: self.state >= StreamState.PAUSED or self.state is StreamState.ERROR, seconds
            )
            if self.state >= StreamState.PAUSED:
                return
        raise PipewireError(
            f"PipeWire does not take the stream: {self.error or 'it does not answer'}",
            "see whether its session manager runs: systemctl --user status wireplumber",
        )

    @property
    def node_id(self) -> int:
        """Number of its node."""
        with self._connection:
            return int(self._library.pw_stream_get_node_id(self._stream))

    @property
    def is_lost(self) -> bool:
        """Whether it can never give or take a picture again."""
        return bool(self._connection.lost)

    def close(self) -> None:
        """End it. May be called twice."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with self._connection:
                self._library.pw_stream_destroy(stream)

    # Called on the library's thread, which holds the connection.

    def _on_state(self, _data: int, _old: int, new: int, error: bytes | None) -> None:
        with self.changed:
            self.state = StreamState(new)
            if error:
                self.error = error.decode("utf-8", "replace")
            self.changed.notify_all()
        log.debug("stream: %s %s", self.state.name.lower(), (error or b"").decode())

    def _on_param(self, _data: int, ident: int, pod: int | None) -> None:
        if ident != FORMAT or not pod or self._stream is None:
            return
        size = ctypes.c_uint32.from_address(pod).value
        try:
            self.form = pods.read_object(ctypes.string_at(pod, size + 8))
        except ValueError as error:
            log.warning("PipeWire told of a format that cannot be read: %s", error)
            return
        addresses, kept = _addresses(self._params_for_format())
        self._library.pw_stream_update_params(self._stream, ctypes.addressof(addresses), len(kept))

    def _params_for_format(self) -> list[bytes]:
        """What buffers and metadata are wished, now that the format is known."""
        raise NotImplementedError

    def _on_remove_buffer(self, _data: int, buffer: int) -> None:
        """A buffer goes away."""

    def _on_process(self, _data: int) -> None:
        """There is a buffer to take or to fill."""


def header_meta() -> bytes:
    """Wish for the time at which each picture was made."""
    size = pods.integer(ctypes.sizeof(MetaHeader))
    return pods.make_object(META_OBJECT, META, ((1, pods.identifier(META_HEADER)), (2, size)))


def crop_meta() -> bytes:
    """Wish for the part of each picture that counts."""
    return pods.make_object(
        META_OBJECT, META, ((1, pods.identifier(META_CROP)), (2, pods.integer(16)))
    )


def _addresses(params: Sequence[bytes]) -> tuple[Any, list[Any]]:
    kept = [ctypes.create_string_buffer(param, len(param)) for param in params]
    array = (ctypes.c_void_p * len(kept))(*(ctypes.addressof(one) for one in kept))
    return array, kept
