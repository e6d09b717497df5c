"""A camera through PipeWire, as libcamera's are, which V4L2 shows in a form of no use."""

from __future__ import annotations

import logging
import threading
from typing import Final

from obs_stylizer.errors import PipewireError, SourceError, SourceLostError
from obs_stylizer.frames import Frame, size_of
from obs_stylizer.listing import Listing
from obs_stylizer.pipewire.connection import Connection
from obs_stylizer.pipewire.formats import CAMERA_FORMATS
from obs_stylizer.pipewire.reader import NodeReader
from obs_stylizer.pipewire.registry import Node, list_camera_nodes
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions

log = logging.getLogger(__name__)

_DEFAULT_FPS: Final = 30.0
_FIRST_FRAME_SECONDS: Final = 10.0
_STALL_SECONDS: Final = 5.0
_TURN_SECONDS: Final = 0.25


class PipewireCameraSource(Source):
    """Reads a camera of PipeWire, always its newest picture.

    Args:
        target: name, part of a name, or number of its node; "" for the first there is.
        options: wished size and rate, and the clock.
    """

    def __init__(self, target: str, options: SourceOptions) -> None:
        self._target = target
        self._options = options
        self._clock = options.clock
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._reader: NodeReader | None = None
        self._name = target or "the PipeWire camera"
        self._sequence = 0
        self._fresh_at = 0.0
        self._captured_at = float("-inf")
        self._first: Frame | None = None

    def open(self) -> SourceInfo:
        """See :class:`Source`."""
        self.close()
        node = find_node(self._target)
        self._name = node.title
        try:
            connection = Connection()
        except PipewireError as error:
            raise SourceLostError(error.message, error.remedy) from error
        reader = None
        try:
            reader = NodeReader(
                connection,
                target=node.properties.get("object.serial") or node.name,
                formats=CAMERA_FORMATS,
                size=self._options.frame_size,
                fps=self._options.fps or _DEFAULT_FPS,
                role="Camera",
            )
            first = self._first_frame(reader)
        except BaseException as error:
            if reader is not None:
                reader.close()
            connection.close()
            if isinstance(error, PipewireError):
                raise SourceLostError(error.message, error.remedy) from error
            raise
        with self._lock:
            self._connection, self._reader, self._first = connection, reader, first
        self._fresh_at = self._clock.now()
        size, form = size_of(first.pixels), reader.video_format
        rate = f" at {reader.fps:g} fps" if reader.fps else ""
        detail = (
            f"asked for {self._options.frame_size}; got {size}{rate} "
            f"{form.name if form else ''} by PipeWire"
        )
        return SourceInfo(self._name, size, reader.fps, detail)

    def read(self, timeout: float) -> Frame | None:
        """See :class:`Source`."""
        with self._lock:
            reader, first, self._first = self._reader, self._first, None
            if reader is None:
                raise SourceError(f"{self._name} is not open", "open the source before reading")
            if first is not None:
                return first
            frame = self._take(reader, timeout)
        if frame is not None:
            self._fresh_at = self._clock.now()
            return frame
        if reader.has_failed:
            raise SourceLostError(f"{self._name} was unplugged, or PipeWire ended: {reader.error}")
        if self._clock.now() - self._fresh_at > _STALL_SECONDS:
            raise SourceLostError(
                f"{self._name} has given no picture for {_STALL_SECONDS:g} seconds"
            )
        return None

    def close(self) -> None:
        """See :class:`Source`."""
        with self._lock:
            reader, self._reader = self._reader, None
            connection, self._connection = self._connection, None
            self._first = None
            if reader is not None:
                reader.close()
            if connection is not None:
                connection.close()

    def _first_frame(self, reader: NodeReader) -> Frame:
        until = self._clock.now() + _FIRST_FRAME_SECONDS
        while self._clock.now() < until:
            frame = self._take(reader, _TURN_SECONDS)
            if frame is not None:
                return frame
            if reader.error:
                raise SourceLostError(
                    f"{self._name} cannot be read: {reader.error}",
                    "it may have no format that is taken here, or another program may hold it",
                )
        raise SourceLostError(
            f"{self._name} gave no picture in {_FIRST_FRAME_SECONDS:g} seconds",
            "see whether another program shows it, or plug it in again",
        )

    def _take(self, reader: NodeReader, seconds: float) -> Frame | None:
        taken = reader.take(seconds)
        if taken is None:
            return None
        self._captured_at = max(self._captured_at, self._clock.now() - taken.age)
        frame = Frame(taken.pixels, self._sequence, self._captured_at)
        self._sequence += 1
        return frame


def find_node(target: str) -> Node:
    """Return the node that ``target`` means: a name, a part of one, or its number.

    Raises:
        SourceLostError: there is none like it now; the remedy names those there are.
    """
    nodes = list_camera_nodes()
    wanted = target.casefold()
    matching = [
        node
        for node in nodes
        if wanted in (node.name.casefold(), node.title.casefold(), str(node.ident))
    ] or [
        node for node in nodes if wanted in node.name.casefold() or wanted in node.title.casefold()
    ]
    if matching:
        return matching[0]
    named = f" “{target}”" if target else ""
    raise SourceLostError(f"there is no PipeWire camera{named}", _known(nodes))


def _known(nodes: Listing[Node]) -> str:
    if not nodes:
        return nodes.reason
    names = ", ".join(f"{node.name} “{node.title}”" for node in nodes)
    return f"choose one of: {names}"
