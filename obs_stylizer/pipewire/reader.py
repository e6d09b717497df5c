"""Reading the newest picture of a node: of a screen that is shared, or of a camera."""

from __future__ import annotations

import ctypes
import logging
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.pipewire import pods, stream
from obs_stylizer.pipewire.connection import Connection
from obs_stylizer.pipewire.formats import PictureReader, VideoFormat
from obs_stylizer.pipewire.library import Buffer, MetaHeader
from obs_stylizer.pipewire.stream import ANY_NODE, Direction, Stream, StreamState

log = logging.getLogger(__name__)

_CORRUPTED_CHUNK: Final = 1
_CORRUPTED_HEADER: Final = 2
_OLDEST_SECONDS: Final = 1.0
_LARGEST_SIDE: Final = 16384


@dataclass(frozen=True, slots=True)
class TakenPicture:
    """RGB pixels, valid until the next is taken, and seconds since they were made."""

    pixels: Pixels
    age: float


class NodeReader(Stream):
    """Holds the newest buffer of a node until somebody takes its picture.

    It is turned into RGB by whoever takes it, so that pictures nobody needs cost nothing.

    Args:
        connection: to PipeWire.
        node: its number; ANY_NODE where ``target`` says which.
        target: name or serial number of the node.
        formats: that are taken, best first.
        size: wished for, where there is a choice.
        fps: wished for, where there is a choice; twice as many are taken.
        role: "Screen" or "Camera".
    """

    def __init__(
        self,
        connection: Connection,
        *,
        node: int = ANY_NODE,
        target: str = "",
        formats: Sequence[VideoFormat],
        size: FrameSize,
        fps: float,
        role: str,
    ) -> None:
        properties = {
            "media.type": "Video",
            "media.category": "Capture",
            "media.role": role,
            "node.name": "obs-stylizer-reader",
            "node.description": "obs-stylizer reads",
        }
        if target:
            properties["target.object"] = target
        super().__init__(connection, properties)
        self._held: int | None = None
        self._arrived_at = 0.0
        self._number = 0
        self._taken = 0
        self._pictures = PictureReader()
        flags = stream.AUTOCONNECT | stream.MAP_BUFFERS | stream.DONT_RECONNECT
        self._connect(Direction.READ, node, flags, _wished_formats(formats, size, fps))

    @property
    def size(self) -> FrameSize | None:
        """Of the whole picture; None until it is agreed upon."""
        value = self.form.get(stream.VIDEO_SIZE)
        return FrameSize(*value) if isinstance(value, tuple) else None

    @property
    def video_format(self) -> VideoFormat | None:
        """Of its pixels; None until it is agreed upon."""
        value = self.form.get(stream.VIDEO_FORMAT)
        return VideoFormat(value) if isinstance(value, int) else None

    @property
    def fps(self) -> float | None:
        """Frames a second that the node promises; None where it does not say."""
        value = self.form.get(stream.VIDEO_RATE)
        if not isinstance(value, tuple) or value[0] == 0 or value[1] == 0:
            return None
        return value[0] / value[1]

    @property
    def has_failed(self) -> bool:
        """Whether no picture can come any more."""
        return self.is_lost or self.state in (StreamState.ERROR, StreamState.UNCONNECTED)

    def wait_for_format(self, seconds: float) -> bool:
        """Whether the format was agreed upon within ``seconds``; not waited for after a failure."""
        with self.changed:
            return self.changed.wait_for(
                lambda: self.size is not None or self.state is StreamState.ERROR, seconds
            ) and (self.size is not None)

    def take(self, seconds: float) -> TakenPicture | None:
        """Take the newest picture; None if there was no new one within ``seconds``."""
        with self.changed:
            self.changed.wait_for(
                lambda: self._number > self._taken or self.state is StreamState.ERROR,
                max(0.0, seconds),
            )
            if self._number == self._taken:
                return None
        with self._connection:
            self._taken = self._number
            held, self._held = self._held, None
            if held is None:
                return None
            try:
                return self._picture_of(held)
            finally:
                self._library.pw_stream_queue_buffer(self._stream, held)

    def close(self) -> None:
        """See :class:`Stream`."""
        with self._connection:
            self._held = None
        super().close()

    def _picture_of(self, address: int) -> TakenPicture | None:
        spa = Buffer.from_address(address).buffer.contents
        crop, captured_at = None, self._arrived_at
        for meta in spa.metas[: spa.n_metas]:
            if not meta.data:
                continue
            if meta.type == stream.META_HEADER:
                captured_at = _made_at(meta.data, self._arrived_at)
            elif meta.type == stream.META_CROP:
                crop = struct.unpack("=iiII", ctypes.string_at(meta.data, 16))
        data = spa.datas[0]
        chunk = data.chunk.contents
        length = min(chunk.size, data.maxsize - min(chunk.offset, data.maxsize))
        size, form = self.size, self.video_format
        if size is None or form is None or length == 0:
            return None
        block = (ctypes.c_uint8 * length).from_address(data.data + chunk.offset)
        memory: Pixels = np.frombuffer(block, np.uint8)
        whole = crop if crop is not None and crop[2] and crop[3] else None
        pixels = self._pictures.read(memory, form, size, max(0, chunk.stride), whole)
        if pixels is None:
            return None
        return TakenPicture(pixels, time.perf_counter() - captured_at)

    # Called on the library's thread, which holds the connection.

    def _params_for_format(self) -> list[bytes]:
        count = pods.in_range(pods.integer(4), pods.integer(3), pods.integer(16))
        kinds = pods.any_of_flags(pods.integer(stream.MEMORY))
        return [
            pods.make_object(stream.BUFFERS_OBJECT, stream.BUFFERS, ((1, count), (6, kinds))),
            stream.header_meta(),
            stream.crop_meta(),
        ]

    def _on_remove_buffer(self, _data: int, buffer: int) -> None:
        if buffer == self._held:
            self._held = None

    def _on_process(self, _data: int) -> None:
        while True:
            buffer = self._library.pw_stream_dequeue_buffer(self._stream)
            if not buffer:
                return
            address = ctypes.addressof(buffer.contents)
            if not _is_whole(buffer):
                self._library.pw_stream_queue_buffer(self._stream, address)
                continue
            if self._held is not None:
                self._library.pw_stream_queue_buffer(self._stream, self._held)
            with self.changed:
                self._held = address
                self._arrived_at = time.perf_counter()
                self._number += 1
                self.changed.notify_all()


def _wished_formats(formats: Sequence[VideoFormat], size: FrameSize, fps: float) -> list[bytes]:
    """The wish with an upper limit to the rate, and one without for whoever knows no limits."""
    rate = max(1, round(fps))
    basis = (
        (stream.MEDIA_TYPE, pods.identifier(stream.VIDEO)),
        (stream.MEDIA_SUBTYPE, pods.identifier(stream.RAW)),
        (stream.VIDEO_FORMAT, pods.one_of(pods.identifier(form) for form in formats)),
        (
            stream.VIDEO_SIZE,
            pods.in_range(
                pods.rectangle(size.width, size.height),
                pods.rectangle(1, 1),
                pods.rectangle(_LARGEST_SIDE, _LARGEST_SIDE),
            ),
        ),
        (
            stream.VIDEO_RATE,
            pods.in_range(pods.fraction(rate, 1), pods.fraction(0, 1), pods.fraction(1000, 1)),
        ),
    )
    limit = pods.in_range(
        pods.fraction(2 * rate, 1), pods.fraction(1, 1), pods.fraction(2 * rate, 1)
    )
    return [
        pods.make_object(stream.FORMAT_OBJECT, stream.ENUM_FORMAT, properties)
        for properties in ((*basis, (stream.VIDEO_MAX_RATE, limit)), basis)
    ]


def _is_whole(buffer: Any) -> bool:
    spa = buffer.contents.buffer.contents
    if spa.n_datas == 0 or not spa.datas[0].data:
        return False
    chunk = spa.datas[0].chunk.contents
    if chunk.size == 0 or chunk.flags & _CORRUPTED_CHUNK:
        return False
    headers = (
        MetaHeader.from_address(meta.data)
        for meta in spa.metas[: spa.n_metas]
        if meta.type == stream.META_HEADER and meta.data
    )
    return not any(header.flags & _CORRUPTED_HEADER for header in headers)


def _made_at(address: int, arrived_at: float) -> float:
    """When a picture was made, where that can be believed; perf_counter is CLOCK_MONOTONIC."""
    made_at = MetaHeader.from_address(address).pts / 1e9
    return float(made_at) if 0 <= arrived_at - made_at <= _OLDEST_SECONDS else arrived_at
