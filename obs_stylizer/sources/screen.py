"""A screen, or a part of one."""

from __future__ import annotations

import logging
import threading
from typing import Final

from obs_stylizer.errors import SourceError, SourceLostError
from obs_stylizer.frames import Frame, FrameSize, Pixels, size_of
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.device_info import ScreenInfo
from obs_stylizer.sources.screen_grabber import (
    ScreenGrabber,
    open_grabber,
    open_mss,
    screens_of,
)
from obs_stylizer.sources.spec import Region
from obs_stylizer.sources.timing import FrameTimer

log = logging.getLogger(__name__)

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
