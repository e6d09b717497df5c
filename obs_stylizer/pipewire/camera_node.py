"""A camera of our own in PipeWire, which other programs read as they read a webcam."""

from __future__ import annotations

import ctypes
import logging
import time
from fractions import Fraction
from typing import Final

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.pipewire import pods, stream
from obs_stylizer.pipewire.connection import Connection
from obs_stylizer.pipewire.formats import VideoFormat
from obs_stylizer.pipewire.library import MetaHeader
from obs_stylizer.pipewire.stream import ANY_NODE, Direction, Stream, StreamState

log = logging.getLogger(__name__)

_LIMITED_RANGE: Final = 2
_BT601: Final = 4


class CameraNode(Stream):
    """A node of the kind that browsers, OBS and GStreamer take for a camera.

    It gives YUY2 and nothing else: OBS takes no other layout that browsers take too, and since a
    node has one layout for all its readers, a choice would let the first shut out the others. The
    colour matrix is announced, since readers that are not told take BT.709 for HD.

    Args:
        connection: to PipeWire.
        name: of the node, by which programs remember the camera.
        title: for people.
        size: of its pictures; the width must be even.
        fps: frames a second that it promises.
    """

    def __init__(
        self, connection: Connection, name: str, title: str, size: FrameSize, fps: float
    ) -> None:
        super().__init__(
            connection,
            {
                "media.class": "Video/Source",
                "media.role": "Camera",
                "media.type": "Video",
                "media.category": "Capture",
                "media.name": title,
                "node.name": name,
                "node.description": title,
                "node.nick": title,
                "node.driver": "true",
                # Below that of a real camera, which stays every program's first choice.
                "priority.session": "100",
            },
        )
        self._size = size
        self._sequence = 0
        rate = Fraction(fps).limit_denominator(1001)
        form = pods.make_object(
            stream.FORMAT_OBJECT,
            stream.ENUM_FORMAT,
            (
                (stream.MEDIA_TYPE, pods.identifier(stream.VIDEO)),
                (stream.MEDIA_SUBTYPE, pods.identifier(stream.RAW)),
                (stream.VIDEO_FORMAT, pods.identifier(VideoFormat.YUY2)),
                (stream.VIDEO_SIZE, pods.rectangle(size.width, size.height)),
                (stream.VIDEO_RATE, pods.fraction(rate.numerator, rate.denominator)),
                (stream.COLOR_RANGE, pods.identifier(_LIMITED_RANGE)),
                (stream.COLOR_MATRIX, pods.identifier(_BT601)),
            ),
        )
        flags = stream.MAP_BUFFERS | stream.DRIVER
        self._connect(Direction.GIVE, ANY_NODE, flags, (form,))

    @property
    def is_watched(self) -> bool:
        """Whether somebody reads it now."""
        return self.state is StreamState.STREAMING

    def send(self, picture: Pixels) -> bool:
        """Give a picture to all who read; False where none of their buffers was free.

        Args:
            picture: uint8 (height, width, 2), YUY2, C-contiguous.
        """
        with self._connection:
            if not self.is_watched:
                return False
            buffer = self._library.pw_stream_dequeue_buffer(self._stream)
            if not buffer:
                # Whoever was late gets to run, and so gives its buffer back.
                self._library.pw_stream_trigger_process(self._stream)
                return False
            spa = buffer.contents.buffer.contents
            data = spa.datas[0]
            length = min(picture.nbytes, data.maxsize)
            ctypes.memmove(data.data, picture.ctypes.data, length)
            chunk = data.chunk.contents
            chunk.offset, chunk.size, chunk.flags = 0, length, 0
            chunk.stride = self._size.width * 2
            for meta in spa.metas[: spa.n_metas]:
                if meta.type == stream.META_HEADER and meta.data:
                    header = MetaHeader.from_address(meta.data)
                    header.flags = header.offset = header.dts_offset = 0
                    header.pts, header.seq = time.monotonic_ns(), self._sequence
            self._sequence += 1
            self._library.pw_stream_queue_buffer(self._stream, buffer)
            self._library.pw_stream_trigger_process(self._stream)
            return True

    # Called on the library's thread, which holds the connection.

    def _params_for_format(self) -> list[bytes]:
        stride = self._size.width * 2
        count = pods.in_range(pods.integer(4), pods.integer(2), pods.integer(8))
        buffers = (
            (1, count),
            (2, pods.integer(1)),
            (3, pods.integer(stride * self._size.height)),
            (4, pods.integer(stride)),
            (6, pods.any_of_flags(pods.integer(stream.MEMORY))),
        )
        return [
            pods.make_object(stream.BUFFERS_OBJECT, stream.BUFFERS, buffers),
            stream.header_meta(),
        ]
