"""A camera, through OpenCV."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Final

import cv2

from obs_stylizer import v4l2
from obs_stylizer.errors import BusyError, SourceError, SourceLostError
from obs_stylizer.frames import Frame, Pixels, size_of
from obs_stylizer.listing import Listing
from obs_stylizer.locks import ResourceLock
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.camera_reader import CameraReader
from obs_stylizer.sources.device_info import CameraInfo
from obs_stylizer.sources.listing import list_cameras

log = logging.getLogger(__name__)

_FIRST_FRAME_SECONDS: Final = 10.0
"""How long a camera may take to show its first picture; Windows drivers take several."""

_STALL_SECONDS: Final = 5.0
"""How long a camera may give nothing before it is taken for lost."""


class CameraSource(Source):
    """Reads a camera, always its newest picture.

    A dead device blocks OpenCV for up to ten seconds, so a thread of its own reads it and
    hands over through one slot; neither ``read`` nor ``close`` ever waits for the driver.
    A picture that nobody took in time is overwritten, which shows as a gap in ``sequence``.

    Args:
        target: index, name, part of a name or device path as ``devices`` lists them; "" for
            the first real camera.
        options: wished size and rate, and the clock.
    """

    def __init__(self, target: str, options: SourceOptions) -> None:
        self._target = target
        self._options = options
        self._clock = options.clock
        self._lock = threading.Lock()
        self._reader: CameraReader | None = None
        self._stuck: CameraReader | None = None
        self._device_lock: ResourceLock | None = None
        self._name = target or "the camera"
        self._first_number = 0
        self._next_number = 0
        self._fresh_at = 0.0
        self._rgb: Pixels | None = None

    def open(self) -> SourceInfo:
        """See :class:`Source`."""
        self.close()
        if self._stuck is not None:
            if self._stuck.is_running:
                raise SourceLostError(
                    f"{self._name} hangs in its driver", "unplug it and plug it in again"
                )
            self._stuck = None
        camera = find_camera(self._target)
        self._name = camera.name
        lock = self._lock_device(camera)
        reader = CameraReader(camera, self._options)
        try:
            reader.start()
            picture = self._first_picture(reader, camera)
        except BaseException:
            self._let_go(reader)
            lock.release()
            raise
        with self._lock:
            self._reader = reader
            self._device_lock = lock
            self._first_number = self._next_number
            self._fresh_at = self._clock.now()
        size = size_of(picture)
        return SourceInfo(camera.name, size, reader.fps, self._describe(reader, str(size)))

    def read(self, timeout: float) -> Frame | None:
        """See :class:`Source`."""
        reader = self._reader
        if reader is None:
            raise SourceError(f"{self._name} is not open", "open the source before reading")
        taken = reader.take(timeout)
        if taken is None:
            if reader.error is not None:
                raise SourceLostError(f"{self._name} {reader.error}")
            if self._clock.now() - self._fresh_at > _STALL_SECONDS:
                raise SourceLostError(
                    f"{self._name} has given no picture for {_STALL_SECONDS:g} seconds"
                )
            return None
        self._fresh_at = self._clock.now()
        pixels = self._to_rgb(taken.picture)
        reader.give_back(taken.picture)
        self._next_number = self._first_number + taken.number + 1
        return Frame(pixels, self._first_number + taken.number, taken.captured_at)

    def close(self) -> None:
        """See :class:`Source`."""
        with self._lock:
            reader, self._reader = self._reader, None
            lock, self._device_lock = self._device_lock, None
        if reader is not None:
            self._let_go(reader)
        if lock is not None:
            lock.release()

    def _let_go(self, reader: CameraReader) -> None:
        if not reader.stop():
            # The thread lets go of the device by itself once the driver answers.
            log.warning("%s does not answer; it is left to its driver", self._name)
            self._stuck = reader

    def _first_picture(self, reader: CameraReader, camera: CameraInfo) -> Pixels:
        picture = reader.wait_for_first(_FIRST_FRAME_SECONDS)
        if picture is not None:
            return picture
        if reader.error is None:
            raise SourceLostError(
                f"{camera.name} gave no picture in {_FIRST_FRAME_SECONDS:g} seconds",
                "unplug it and plug it in again",
            )
        held_by = v4l2.holders(camera.path) if sys.platform == "linux" and camera.path else []
        if held_by:
            raise SourceLostError(
                f"{camera.name} is in use by {', '.join(held_by)}", "close that program"
            )
        raise SourceLostError(
            f"{camera.name} {reader.error}", "close other programs that use it, or plug it in again"
        )

    def _lock_device(self, camera: CameraInfo) -> ResourceLock:
        try:
            return ResourceLock.take(f"camera {camera.path or camera.name}")
        except BusyError as error:
            # The other daemon may end, so this is worth waiting for.
            raise SourceLostError(error.message, error.remedy) from error

    def _describe(self, reader: CameraReader, size: str) -> str:
        wished = f"asked for {self._options.frame_size}"
        if self._options.fps is not None:
            wished += f" at {self._options.fps:g} fps"
        got = f"got {size}"
        if reader.fps is not None:
            got += f" at {reader.fps:g} fps"
        return f"{wished} MJPG; {got} {reader.fourcc} by {reader.backend}"

    def _to_rgb(self, picture: Pixels) -> Pixels:
        code = {2: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB}[picture.ndim]
        if picture.ndim == 3 and picture.shape[2] == 4:
            code = cv2.COLOR_BGRA2RGB
        elif picture.ndim == 3 and picture.shape[2] == 1:
            code = cv2.COLOR_GRAY2RGB
        shape = (picture.shape[0], picture.shape[1], 3)
        if self._rgb is None or self._rgb.shape != shape:
            # A new one where the size changed: the last picture may still be in use.
            self._rgb = cv2.cvtColor(picture, code)
        else:
            cv2.cvtColor(picture, code, dst=self._rgb)
        assert self._rgb is not None
        return self._rgb


def find_camera(target: str) -> CameraInfo:
    """Return the camera that ``target`` means: an index, a name, a part of one, or a path.

    Raises:
        SourceLostError: there is none like it now; the remedy names those there are.
    """
    cameras = list_cameras()
    if not target:
        real = [camera for camera in cameras if not camera.is_virtual]
        if real:
            return real[0]
        raise SourceLostError("there is no camera", cameras.reason or "plug one in")
    if target.isdigit():
        matching = [camera for camera in cameras if camera.index == int(target)]
    else:
        wanted = target.casefold()
        matching = [
            camera
            for camera in cameras
            if wanted in (camera.name.casefold(), camera.path.casefold())
        ] or [camera for camera in cameras if wanted in camera.name.casefold()]
    if matching:
        return matching[0]
    named = f"number {target}" if target.isdigit() else f"“{target}”"
    raise SourceLostError(f"there is no camera {named}", _known(cameras))


def _known(cameras: Listing[CameraInfo]) -> str:
    if not cameras:
        return f"{cameras.reason}; it is used as soon as it is there"
    names = ", ".join(f"{camera.index} “{camera.name}”" for camera in cameras)
    return f"plug it in, or choose one of: {names}"
