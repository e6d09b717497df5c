"""The thread that reads a camera, and the one slot through which it hands pictures over."""

from __future__ import annotations

import logging
import struct
import threading
from dataclasses import dataclass
from typing import Final, cast

import cv2

from obs_stylizer.frames import Pixels
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.device_info import CameraInfo

log = logging.getLogger(__name__)

# OpenCV writes its own warnings past every log, once more at each attempt to reopen a camera.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)

_FAILURES_ALLOWED: Final = 5
_PAUSE_SECONDS: Final = 0.02
_STOP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class TakenPicture:
    """A picture from the slot: as OpenCV gave it, its number from 0, and when it was taken."""

    picture: Pixels
    number: int
    captured_at: float


class CameraReader:
    """Opens a device, reads it until told to stop, and lets go of it, all in its own thread.

    Attributes:
        error: why it ended, as the end of a sentence that begins with the camera's name.
        fps: what the camera says it gives; None where it does not say.
        fourcc: the four letters of its pixel format.
        backend: OpenCV's name of the interface.
    """

    def __init__(self, camera: CameraInfo, options: SourceOptions) -> None:
        self._camera = camera
        self._options = options
        self._clock = options.clock
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._slot: TakenPicture | None = None
        self._spare: Pixels | None = None
        self._first: Pixels | None = None
        self._count = 0
        self.error: str | None = None
        self.fps: float | None = None
        self.fourcc = ""
        self.backend = ""
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def start(self) -> None:
        """Begin to open and read."""
        self._thread.start()

    def stop(self) -> bool:
        """Ask it to end; True if it did, False if the driver holds it."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)
        return not self._thread.is_alive()

    @property
    def is_running(self) -> bool:
        """It still holds the device."""
        return self._thread.is_alive()

    def wait_for_first(self, timeout: float) -> Pixels | None:
        """Wait for the first picture without taking it; None if it failed or took too long."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._first is not None or self.error is not None, timeout
            )
            return self._first

    def take(self, timeout: float) -> TakenPicture | None:
        """Take the newest picture, waiting ``timeout`` seconds for one."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._slot is not None or self.error is not None or self._stop.is_set(),
                timeout,
            )
            taken, self._slot = self._slot, None
            self._first = None
            return taken

    def give_back(self, picture: Pixels) -> None:
        """Let the memory of a picture that was taken be used again."""
        with self._changed:
            self._spare = picture

    def _run(self) -> None:
        capture = None
        try:
            capture = cv2.VideoCapture(self._camera.device, self._camera.backend)
            if not capture.isOpened():
                self._fail("cannot be opened; it was unplugged or another program uses it")
                return
            self._configure(capture)
            self._read_until_stopped(capture)
        except cv2.error as error:
            self._fail(f"failed: {error}")
        finally:
            if capture is not None:
                capture.release()

    def _configure(self, capture: cv2.VideoCapture) -> None:
        size = self._options.frame_size
        # Before the size: many cameras give large pictures at full rate only as MJPG.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, size.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size.height)
        if self._options.fps is not None:
            capture.set(cv2.CAP_PROP_FPS, self._options.fps)
        # Fewer buffers in the driver are less delay, where it lets itself be told.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else None
        self.fourcc = _fourcc(capture.get(cv2.CAP_PROP_FOURCC))
        self.backend = capture.getBackendName()

    def _read_until_stopped(self, capture: cv2.VideoCapture) -> None:
        failures = 0
        while not self._stop.is_set():
            if not capture.grab():
                failures += 1
                if failures >= _FAILURES_ALLOWED:
                    self._fail("gives no pictures any more; it was unplugged or taken over")
                    return
                self._stop.wait(_PAUSE_SECONDS)
                continue
            captured_at = self._clock.now()
            with self._changed:
                spare, self._spare = self._spare, None
            whole, picture = capture.retrieve() if spare is None else capture.retrieve(spare)
            if not whole or picture is None or not picture.size:
                # A picture damaged on the wire is no reason to give the camera up.
                failures += 1
                if failures >= _FAILURES_ALLOWED:
                    self._fail("gives only damaged pictures")
                    return
                continue
            failures = 0
            self._publish(cast(Pixels, picture), captured_at)

    def _publish(self, picture: Pixels, captured_at: float) -> None:
        with self._changed:
            if self._slot is not None:
                self._spare = self._slot.picture
            self._slot = TakenPicture(picture, self._count, captured_at)
            if self._count == 0:
                self._first = picture
            self._count += 1
            self._changed.notify_all()

    def _fail(self, reason: str) -> None:
        log.debug("%s %s", self._camera.name, reason)
        with self._changed:
            self.error = reason
            self._changed.notify_all()


def _fourcc(code: float) -> str:
    letters = struct.pack("=I", int(code) & 0xFFFFFFFF).decode("ascii", "replace")
    return letters.strip("\0 ") or "of unknown format"
