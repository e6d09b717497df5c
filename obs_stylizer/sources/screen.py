"""A screen, or a part of one: taken by mss everywhere, by dxcam on Windows where it works."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any, Final, Protocol, cast

import cv2
import mss
import numpy as np
from mss.exception import ScreenShotError

from obs_stylizer.errors import SourceError, SourceLostError
from obs_stylizer.frames import Frame, FrameSize, Pixels, size_of
from obs_stylizer.portal.session import is_wayland
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.device_info import ScreenInfo
from obs_stylizer.sources.spec import Region
from obs_stylizer.sources.timing import FrameTimer

log = logging.getLogger(__name__)

# A display that ends leaves mss with an answer missing, about which it only asserts.
_MSS_ERRORS: Final = (ScreenShotError, OSError, AssertionError)

DEFAULT_FPS: Final = 30.0
_POLL_SECONDS: Final = 1.0
"""How often it is looked whether the screen has changed its size."""


class ScreenSource(Source):
    """Captures a screen at the wished rate; its size is the screen's or the region's.

    Args:
        index: which screen, from 0; None for the primary one.
        region: part of it; None for all.
        options: rate, pacing and clock.
    """

    def __init__(self, index: int | None, region: Region | None, options: SourceOptions) -> None:
        self._index = index
        self._region = region
        self._clock = options.clock
        self._fps = options.fps or DEFAULT_FPS
        self._timer = FrameTimer(options.clock, self._fps, paced=options.paced)
        self._lock = threading.Lock()
        self._grabber: ScreenGrabber | None = None
        self._screen: ScreenInfo | None = None
        self._pixels: Pixels | None = None
        self._next_poll = 0.0
        self._sequence = 0

    def open(self) -> SourceInfo:
        """See :class:`Source`."""
        self.close()
        with self._lock:
            screen = self._find_screen()
            grabber = self._start(screen)
            self._timer.restart()
            self._next_poll = self._clock.now() + _POLL_SECONDS
            self._pixels = grabber.grab()
            area = self._area(screen)
            # On a display of double density the picture is larger than the screen says it is.
            size = FrameSize(area.width, area.height)
            if self._pixels is not None:
                size = size_of(self._pixels)
        detail = f"{screen.width}x{screen.height} by {grabber.name}"
        if self._region is not None:
            detail += f", of it {self._region}"
        return SourceInfo(screen.name, size, self._fps, detail)

    def read(self, timeout: float) -> Frame | None:
        """See :class:`Source`."""
        if self._grabber is None:
            raise SourceError("the screen is not open", "open the source before reading")
        due = self._timer.wait(timeout)
        if due is None:
            return None
        with self._lock:
            if self._grabber is None:
                return None  # closed while waiting
            if due >= self._next_poll:
                self._next_poll = due + _POLL_SECONDS
                self._follow_screen()
            fresh = self._grab()
            if fresh is not None:
                self._pixels = fresh
            if self._pixels is None:
                return None
            frame = Frame(self._pixels, self._sequence, due)
            self._sequence += 1
            return frame

    def close(self) -> None:
        """See :class:`Source`."""
        with self._lock:
            grabber, self._grabber = self._grabber, None
            self._pixels = None
            if grabber is not None:
                grabber.close()

    def _grab(self) -> Pixels | None:
        assert self._grabber is not None
        try:
            return self._grabber.grab()
        except SourceLostError:
            # A screen that became smaller is no loss: the picture goes on in its new size.
            self._follow_screen()
            return self._grabber.grab()

    def _follow_screen(self) -> None:
        """Start anew if the screen is not what it was."""
        assert self._grabber is not None
        try:
            screen = self._find_screen()
            if screen == self._screen:
                return
            self._grabber.close()
            self._start(screen)
        except SourceLostError:
            raise
        except SourceError as error:
            raise SourceLostError(error.message, error.remedy) from error
        log.info("the screen is now %dx%d", screen.width, screen.height)

    def _start(self, screen: ScreenInfo) -> ScreenGrabber:
        self._grabber = open_grabber(screen, self._area(screen))
        self._screen = screen
        self._pixels = None
        return self._grabber

    def _find_screen(self) -> ScreenInfo:
        with open_mss() as capture:
            screens = screens_of(capture)
        if not screens:
            raise SourceLostError("no screen is switched on", "switch one on")
        if self._index is None:
            return next((screen for screen in screens if screen.is_primary), screens[0])
        if self._index >= len(screens):
            known = ", ".join(
                f"{screen.index} ({screen.width}x{screen.height})" for screen in screens
            )
            raise SourceLostError(f"there is no screen {self._index}", f"there are: {known}")
        return screens[self._index]

    def _area(self, screen: ScreenInfo) -> Region:
        region = self._region
        if region is None:
            return Region(0, 0, screen.width, screen.height)
        if region.x + region.width > screen.width or region.y + region.height > screen.height:
            raise SourceError(
                f"the region {region} lies outside screen {screen.index}, "
                f"which is {screen.width}x{screen.height}",
                "choose one inside it, as in @0,0,"
                f"{min(region.width, screen.width)}x{min(region.height, screen.height)}",
            )
        return region


class ScreenGrabber(Protocol):
    """Takes pictures of one rectangle of the desktop."""

    name: str

    def grab(self) -> Pixels | None:
        """Return uint8 (height, width, 3) RGB, or None where nothing changed since.

        Raises:
            SourceLostError: the screen changed or went away; a new grabber is needed.
        """
        ...

    def close(self) -> None:
        """Let go of the screen."""
        ...


def open_mss() -> mss.MSS:
    """Connect to the screen.

    Raises:
        SourceLostError: the display named in DISPLAY does not answer; it may later.
        SourceError: there is no screen that a program may capture.
    """
    if sys.platform == "linux":
        _refuse_wayland()
        if not os.environ.get("DISPLAY"):
            raise SourceError(
                "there is no display to capture (DISPLAY is not set)",
                "start obs-stylizer inside the desktop session, or set DISPLAY, as in DISPLAY=:0",
            )
    try:
        capture = mss.MSS()
        _ = capture.monitors
    except _MSS_ERRORS as error:
        where = f" {os.environ['DISPLAY']}" if os.environ.get("DISPLAY") else ""
        raise SourceLostError(
            f"the display{where} cannot be captured: {error}",
            "check that the desktop runs and, on macOS, that screen recording is allowed",
        ) from error
    return capture


def screens_of(capture: mss.MSS) -> list[ScreenInfo]:
    """The screens as they are now, from 0."""
    return [
        ScreenInfo(
            index,
            str(monitor.get("name") or monitor.get("output") or f"screen {index}"),
            monitor["left"],
            monitor["top"],
            monitor["width"],
            monitor["height"],
            bool(monitor.get("is_primary", index == 0)),
        )
        # The first entry is all of them together.
        for index, monitor in enumerate(capture.monitors[1:])
    ]


def open_grabber(screen: ScreenInfo, region: Region) -> ScreenGrabber:
    """Make the quickest grabber that works here.

    Raises:
        SourceError: none does.
    """
    if sys.platform == "win32":
        try:
            return DxcamGrabber(screen, region)
        except Exception as error:
            # Without a GPU, in a remote session and under some drivers it cannot start.
            log.info("dxcam cannot capture this screen, taking mss: %s", error)
    return MssGrabber(screen, region)


class MssGrabber:
    """Takes pictures through the window system."""

    name = "mss"

    def __init__(self, screen: ScreenInfo, region: Region) -> None:
        self._capture = open_mss()
        self._area = {
            "left": screen.left + region.x,
            "top": screen.top + region.y,
            "width": region.width,
            "height": region.height,
        }
        self._rgb = np.empty((region.height, region.width, 3), dtype=np.uint8)

    def grab(self) -> Pixels | None:
        """See :class:`ScreenGrabber`."""
        try:
            shot = self._capture.grab(self._area)
        except _MSS_ERRORS as error:
            raise SourceLostError(
                f"the screen could not be captured: {str(error) or 'it has gone'}",
            ) from error
        bgra = np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)
        if bgra.shape[:2] == self._rgb.shape[:2]:
            cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB, dst=self._rgb)
            return self._rgb
        # A display of double density gives more pixels than its size says.
        return cast(Pixels, cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB))

    def close(self) -> None:
        """See :class:`ScreenGrabber`."""
        try:
            self._capture.close()
        except _MSS_ERRORS as error:
            # It says so once more if the display has ended.
            log.debug("the screen was closed: %s", error)


class DxcamGrabber:
    """Takes pictures through the Desktop Duplication of Windows."""

    name = "dxcam"

    def __init__(self, screen: ScreenInfo, region: Region) -> None:
        import dxcam

        area = (region.x, region.y, region.x + region.width, region.y + region.height)
        self._camera: Any = dxcam.create(
            output_idx=screen.index, output_color="RGB", region=area, max_buffer_len=2
        )
        if self._camera is None:
            raise SourceError(f"dxcam does not know screen {screen.index}")

    def grab(self) -> Pixels | None:
        """See :class:`ScreenGrabber`."""
        try:
            picture = self._camera.grab()
        except Exception as error:
            # It passes on whatever DirectX says; after a change of mode only a new one works.
            raise SourceLostError(f"the screen could not be captured: {error}") from error
        return None if picture is None else np.ascontiguousarray(picture)

    def close(self) -> None:
        """See :class:`ScreenGrabber`."""
        self._camera.release()


def _refuse_wayland() -> None:
    if is_wayland():
        raise SourceError(
            "on a Wayland desktop screens have no numbers: you choose one in the desktop's dialog",
            "write screen, or window",
        )
