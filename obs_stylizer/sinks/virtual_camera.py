"""A virtual camera, through pyvirtualcam."""

from __future__ import annotations

import errno
import logging
import sys
from typing import Any, Final

import cv2
import numpy as np

from obs_stylizer import v4l2
from obs_stylizer.clock import Clock, SystemClock
from obs_stylizer.errors import BusyError, SinkError, SinkLostError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.listing import Listing
from obs_stylizer.locks import ResourceLock
from obs_stylizer.sinks.base import Sink, SinkFormat
from obs_stylizer.sinks.listing import (
    VIDEO_GROUP_REMEDY,
    VirtualCameraInfo,
    list_virtual_cameras,
    lock_name,
    missing_remedy,
)
from obs_stylizer.sinks.v4l2_output import DirectOutput
from obs_stylizer.sinks.v4l2_readers import ReaderWatch

log = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 1.0


class VirtualCameraSink(Sink):
    """Sends frames to a virtual camera as I420, BT.601, limited range, which all of them take.

    pyvirtualcam reports no failed write and holds Python's lock while it writes. On Linux its
    device is therefore looked up once it has opened it, and written to directly: a failure is
    known at once, and other threads go on. Elsewhere frames go into shared memory, where
    nothing can fail that could be noticed.

    Args:
        device: such as /dev/video2 or "OBS Virtual Camera"; "" for the first free one.
        clock: where time comes from.
    """

    def __init__(self, device: str = "", clock: Clock | None = None) -> None:
        self._wanted = device
        self._clock = clock or SystemClock()
        self._camera: Any = None
        self._direct: DirectOutput | None = None
        self._readers: ReaderWatch | None = None
        self._lock: ResourceLock | None = None
        self._device = device
        self._size = FrameSize(0, 0)
        self._i420: Pixels = np.empty(0, dtype=np.uint8)
        self._has_picture = False
        self._check_at = 0.0

    def open(self, form: SinkFormat) -> str:
        """See :class:`Sink`.

        Raises:
            BusyError: another obs-stylizer sends to it.
        """
        self.close()
        size = form.frame_size
        if size.width % 2 or size.height % 2:
            raise SinkError(f"a virtual camera cannot show {size}", "choose even sides")
        info = self._choose()
        lock = ResourceLock.take(
            lock_name(info.device), remedy="stop that one, or name another device"
        )
        try:
            self._open_device(info, form)
        except BaseException:
            lock.release()
            raise
        if self._direct is not None:
            self._readers = ReaderWatch(info.device, self._direct.descriptor, self._clock)
        self._lock = lock
        self._device = info.device
        self._size = size
        self._i420 = np.empty((size.height * 3 // 2, size.width), dtype=np.uint8)
        self._has_picture = False
        self._check_at = self._clock.now() + _CHECK_SECONDS
        if info.name in ("", info.device):
            return f"the camera {info.device}"
        return f"the camera “{info.name}” ({info.device})"

    def send(self, frame: Frame, *, repeated: bool) -> None:
        """See :class:`Sink`."""
        if self._camera is None:
            raise SinkError(f"{self._device or 'the virtual camera'} is not open", "open it first")
        if frame.size != self._size:
            raise SinkError(
                f"a frame of {frame.size} came to a camera opened for {self._size}",
                "open it again for the new size",
            )
        if not (repeated and self._has_picture):
            cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2YUV_I420, dst=self._i420)
            self._has_picture = True
        if self._direct is None:
            self._camera.send(self._i420)
            return
        self._direct.write(self._i420)
        now = self._clock.now()
        if now >= self._check_at:
            self._check_at = now + _CHECK_SECONDS
            self._direct.check()

    @property
    def watched(self) -> bool | None:
        """See :class:`Sink`; only Linux lets it be known."""
        readers = self._readers
        return None if readers is None else readers.watched

    def close(self) -> None:
        """See :class:`Sink`."""
        readers, self._readers = self._readers, None
        if readers is not None:
            readers.close()
        camera, self._camera, self._direct = self._camera, None, None
        lock, self._lock = self._lock, None
        if camera is not None:
            camera.close()
        if lock is not None:
            lock.release()

    def _choose(self) -> VirtualCameraInfo:
        cameras = list_virtual_cameras()
        if self._wanted:
            wanted = self._wanted.casefold()
            for camera in cameras:
                if wanted in (camera.device.casefold(), camera.name.casefold()):
                    return _unless_in_use(camera)
            raise _missing(self._wanted, cameras)
        free = [camera for camera in cameras if not camera.in_use]
        if free:
            return free[0]
        if cameras:
            return _unless_in_use(cameras[0])
        raise SinkLostError(
            "there is no virtual camera", cameras.reason.partition(": ")[2] or missing_remedy()
        )

    def _open_device(self, info: VirtualCameraInfo, form: SinkFormat) -> None:
        import pyvirtualcam

        def opener() -> Any:
            return pyvirtualcam.Camera(
                form.frame_size.width,
                form.frame_size.height,
                form.fps,
                fmt=pyvirtualcam.PixelFormat.I420,
                device=info.device,
                backend=info.backend,
            )

        try:
            if sys.platform == "linux":
                self._camera, self._direct = DirectOutput.open(info.device, form.frame_size, opener)
            else:
                self._camera = opener()
        except (RuntimeError, OSError) as error:
            raise SinkLostError(
                f"{info.device} cannot be opened: {error}",
                "stop the program that sends to it, OBS's own virtual camera for one",
            ) from error


def _unless_in_use(camera: VirtualCameraInfo) -> VirtualCameraInfo:
    if not camera.in_use:
        return camera
    message = f"{camera.device} is held by {camera.in_use}"
    if camera.in_use.startswith("obs-stylizer"):
        raise BusyError(message, "stop that one, or name another device")
    raise SinkLostError(message, "close that program, or name another device")


def _missing(wanted: str, cameras: Listing[VirtualCameraInfo]) -> SinkLostError:
    """Explain why the camera asked for is not to be had."""
    remedy = missing_remedy()
    if cameras:
        remedy = f"there are: {', '.join(camera.device for camera in cameras)}"
    if sys.platform == "linux":
        try:
            driver = v4l2.query_path(wanted).driver
        except OSError as error:
            if error.errno == errno.EACCES:
                return SinkLostError(f"{wanted} may not be opened", VIDEO_GROUP_REMEDY)
            if error.errno == errno.ENOTTY:
                return SinkLostError(f"{wanted} is no video device", remedy)
        else:
            return SinkLostError(f"{wanted} is no virtual camera, its driver is {driver}", remedy)
    return SinkLostError(f"there is no virtual camera {wanted}", remedy)
