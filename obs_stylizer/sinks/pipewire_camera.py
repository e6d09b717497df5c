"""A virtual camera in PipeWire, which needs no kernel module."""

from __future__ import annotations

import logging
from typing import Final

from obs_stylizer.errors import PipewireError, SinkError, SinkLostError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.locks import ResourceLock
from obs_stylizer.pipewire.camera_node import CameraNode
from obs_stylizer.pipewire.connection import Connection
from obs_stylizer.pipewire.formats import Yuy2Writer
from obs_stylizer.pipewire.library import load
from obs_stylizer.pipewire.registry import OWN_NODES
from obs_stylizer.sinks.base import Sink, SinkFormat

log = logging.getLogger(__name__)

DEFAULT_NAME: Final = "obs-stylizer"

_CONNECT_SECONDS: Final = 3.0


class PipewireCameraSink(Sink):
    """Shows frames as a camera to every program that asks PipeWire for cameras.

    Nothing is converted while nobody reads it.

    Args:
        name: of the camera; "" for obs-stylizer.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name or DEFAULT_NAME
        self._lock: ResourceLock | None = None
        self._connection: Connection | None = None
        self._node: CameraNode | None = None
        self._writer: Yuy2Writer | None = None
        self._size = FrameSize(0, 0)
        self._has_picture = False

    def open(self, form: SinkFormat) -> str:
        """See :class:`Sink`.

        Raises:
            BusyError: another obs-stylizer has a camera of that name.
        """
        self.close()
        size = form.frame_size
        if size.width % 2 or size.height % 2:
            raise SinkError(f"a virtual camera cannot show {size}", "choose even sides")
        try:
            load()
        except PipewireError as error:
            raise SinkError(error.message, error.remedy) from error
        self._lock = ResourceLock.take(
            lock_name(self._name),
            remedy=f"stop that one, or name this: --sink pipewire-camera:{self._name}-2",
        )
        try:
            self._connection = Connection()
            node_name = f"{OWN_NODES}{self._name}"
            self._node = CameraNode(self._connection, node_name, self._name, size, form.fps)
            self._node.wait_until_connected(_CONNECT_SECONDS)
        except PipewireError as error:
            self.close()
            raise SinkLostError(error.message, error.remedy) from error
        except BaseException:
            self.close()
            raise
        self._size = size
        self._writer = Yuy2Writer(size)
        self._has_picture = False
        return f"the PipeWire camera “{self._name}” (node {self._node.node_id})"

    def send(self, frame: Frame, *, repeated: bool) -> None:
        """See :class:`Sink`."""
        node, writer = self._node, self._writer
        if node is None or writer is None:
            raise SinkError(f"the PipeWire camera “{self._name}” is not open", "open it first")
        if frame.size != self._size:
            raise SinkError(
                f"a frame of {frame.size} came to a camera opened for {self._size}",
                "open it again for the new size",
            )
        if node.is_lost:
            raise SinkLostError(
                f"the PipeWire camera “{self._name}” is lost: PipeWire ended",
                "it is opened again as soon as PipeWire is back",
            )
        if not node.is_watched:
            self._has_picture = False
            return
        if not (repeated and self._has_picture):
            writer.write(frame.pixels)
            self._has_picture = True
        node.send(writer.picture)

    @property
    def watched(self) -> bool | None:
        """See :class:`Sink`."""
        node = self._node
        return node is not None and node.is_watched

    def close(self) -> None:
        """See :class:`Sink`."""
        node, self._node = self._node, None
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        if node is not None:
            node.close()
        if connection is not None:
            connection.close()
        if lock is not None:
            lock.release()


def lock_name(name: str) -> str:
    """What the lock of a camera of this name is called."""
    return f"PipeWire camera {name}"
