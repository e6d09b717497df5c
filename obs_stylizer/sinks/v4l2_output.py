"""Writing to the v4l2loopback device that pyvirtualcam opened, and noticing when it is lost."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from obs_stylizer import v4l2
from obs_stylizer.errors import SinkLostError
from obs_stylizer.frames import FrameSize, Pixels

log = logging.getLogger(__name__)

I420_FOURCC: Final = "YU12"

# One at a time looks for its descriptor.
_OPENING = threading.Lock()
_SETTLE_SECONDS: Final = 1.0
_LOOK_AGAIN_SECONDS: Final = 0.01
# A full pipe or an interrupted call costs one frame and no device.
_PASSING: Final = frozenset({errno.EAGAIN, errno.EINTR})


class DirectOutput:
    """The open device below a pyvirtualcam camera; the camera goes on owning its descriptor."""

    def __init__(self, device: str, descriptor: int, size: FrameSize) -> None:
        self._device = device
        self._descriptor = descriptor
        self._size = size
        self._number = _device_number(device)

    @classmethod
    def open(cls, device: str, size: FrameSize, opener: Callable[[], Any]) -> tuple[Any, Self]:
        """Call ``opener``, which opens ``device``, and find the descriptor that it got.

        Returns:
            What ``opener`` returned, and the output below it.

        Raises:
            SinkLostError: the descriptor is not to be found, or the device kept another format.
        """
        with _OPENING:
            if v4l2.query_path(device).is_stuck:
                log.info("%s was left without its output, bringing it back", device)
                v4l2.restore_output(device)
            file = v4l2.file_of(device)
            # Whoever of ours looks at the device holds it for a moment.
            if _open_on(file, wanted=0):
                raise SinkLostError(
                    f"{device} is held open by this program itself", "it is tried again"
                )
            camera = opener()
            found = _open_on(file, wanted=1)
        try:
            if len(found) != 1:
                raise SinkLostError(
                    f"{device} is open {len(found)} times after it was opened once",
                    "it is tried again",
                )
            (descriptor,) = found
            output = cls(device, descriptor, size)
            output.check()
            v4l2.announce_writer(descriptor)
        except BaseException:
            camera.close()
            raise
        return camera, output

    @property
    def descriptor(self) -> int:
        """Of the open device."""
        return self._descriptor

    def write(self, picture: Pixels) -> None:
        """Write one frame, uint8 I420.

        Raises:
            SinkLostError: the device did not take it.
        """
        try:
            # A system call of Python's own lets other threads go on meanwhile.
            written = os.write(self._descriptor, picture.data)
        except OSError as error:
            if error.errno in _PASSING:
                log.debug("%s took no frame: %s", self._device, error)
                return
            raise SinkLostError(
                f"{self._device} takes no frames any more: {error.strerror}",
                "it is opened again as soon as it is back",
            ) from error
        if written != picture.nbytes:
            self.check()

    def check(self) -> None:
        """Ask the device whether it is still there and still takes this picture.

        Raises:
            SinkLostError: it is gone, or somebody gave it another format.
        """
        try:
            if _device_number(self._device) != self._number:
                raise SinkLostError(
                    f"{self._device} was taken away", "it is opened again as soon as it is back"
                )
            v4l2.query_capability(self._descriptor)
            form = v4l2.output_format(self._descriptor)
        except OSError as error:
            raise SinkLostError(
                f"{self._device} does not answer any more: {error.strerror}",
                "it is opened again as soon as it is back",
            ) from error
        wanted = (self._size.width, self._size.height, I420_FOURCC)
        if (form.width, form.height, form.fourcc) != wanted:
            holders = ", ".join(v4l2.holders(self._device)) or "another program"
            raise SinkLostError(
                f"{self._device} is held at {form.width}x{form.height} {form.fourcc} by {holders}",
                "close the programs that use it, then it takes the new picture",
            )


def _open_on(file: v4l2.FileIdentity, wanted: int) -> set[int]:
    """Return the descriptors of this process that are open on a device.

    Those who only look at it are waited for, until as many as ``wanted`` are left: a descriptor
    that is closed soon may be anything afterwards, as a recording, and frames would go there.
    """
    end = time.monotonic() + _SETTLE_SECONDS
    while True:
        found = set()
        for entry in list(Path("/proc/self/fd").iterdir()):
            # The one that the listing itself needed is gone by now.
            with contextlib.suppress(OSError):
                if v4l2.identity_of(int(entry.name)) == file:
                    found.add(int(entry.name))
        if len(found) <= wanted or time.monotonic() > end:
            return found
        time.sleep(_LOOK_AGAIN_SECONDS)


def _device_number(device: str) -> int | None:
    """The number by which the kernel knows the device; None where its node is not to be seen."""
    if sys.platform == "win32":
        return None
    try:
        return Path(device).stat().st_rdev
    except OSError:
        return None
