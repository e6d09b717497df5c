"""A camera, through OpenCV: the source, and the thread that reads the device for it."""

from __future__ import annotations

import logging
import struct
import sys
import threading
from dataclasses import dataclass
from typing import Final, cast

import cv2

from obs_stylizer import v4l2
from obs_stylizer.errors import BusyError, SourceError, SourceLostError
from obs_stylizer.frames import Frame, Pixels, size_of
from obs_stylizer.listing import Listing
from obs_stylizer.locks import ResourceLock
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.device_info import CameraInfo
from obs_stylizer.sources.listing import list_cameras

log = logging.getLogger(__name__)

# OpenCV writes its own warnings past every log, once more at each attempt to reopen a camera.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)

_FAILURES_ALLOWED: Final = 5
_PAUSE_SECONDS: Final = 0.02
_STOP_SECONDS: Final = 1.0

_FIRST_FRAME_SECONDS: Final = 10.0
"""How long a camera may take to show its first picture; Windows drivers take several."""

_STALL_SECONDS: Final = 5.0
"""How long a camera may give nothing before it is taken for lost."""


_stuck: dict[tuple[int, str], CameraReader] = {}
"""Whose driver did not answer when they were to stop, by device. Each attempt to open a camera is
another source, and would leave another thread in that driver."""


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
        self._device_lock: ResourceLock | None = None
        self._name = target or "the camera"
        self._first_number = 0
        self._next_number = 0
        self._fresh_at = 0.0
        self._rgb: Pixels | None = None

    def open(self) -> SourceInfo:
        """See :class:`Source`."""
        self.close()
        camera = find_camera(self._target)
        self._name = camera.name
        if _hangs(camera):
            raise SourceLostError(
                f"{self._name} hangs in its driver", "unplug it and plug it in again"
            )
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
            _stuck[_key_of(reader.camera)] = reader

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


def _key_of(camera: CameraInfo) -> tuple[int, str]:
    return camera.backend, camera.path or str(camera.device)


def _hangs(camera: CameraInfo) -> bool:
    """Whether an earlier reader of a device still waits for its driver."""
    reader = _stuck.get(_key_of(camera))
    if reader is None or reader.is_running:
        return reader is not None
    del _stuck[_key_of(camera)]
    return False


@dataclass(frozen=True, slots=True)
class TakenPicture:
    """A picture from the slot: as OpenCV gave it, its number from 0, and when it was taken."""

    picture: Pixels
    number: int
    captured_at: float


class CameraReader:
    """Opens a device, reads it until told to stop, and lets go of it, all in its own thread.

    Attributes:
        camera: which it reads.
        error: why it ended, as the end of a sentence that begins with the camera's name.
        fps: what the camera says it gives; None where it does not say.
        fourcc: the four letters of its pixel format.
        backend: OpenCV's name of the interface.
    """

    def __init__(self, camera: CameraInfo, options: SourceOptions) -> None:
        self.camera = camera
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
            capture = cv2.VideoCapture(self.camera.device, self.camera.backend)
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
        log.debug("%s %s", self.camera.name, reason)
        with self._changed:
            self.error = reason
            self._changed.notify_all()


def _fourcc(code: float) -> str:
    letters = struct.pack("=I", int(code) & 0xFFFFFFFF).decode("ascii", "replace")
    return letters.strip("\0 ") or "of unknown format"
