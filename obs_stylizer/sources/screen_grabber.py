"""How a picture of the screen is taken: by mss everywhere, by dxcam on Windows where it works."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, Final, Protocol, cast

import cv2
import mss
import numpy as np
from mss.exception import ScreenShotError

from obs_stylizer.errors import SourceError, SourceLostError
from obs_stylizer.frames import Pixels
from obs_stylizer.sources.device_info import ScreenInfo
from obs_stylizer.sources.spec import Region

log = logging.getLogger(__name__)

# A display that ends leaves mss with an answer missing, about which it only asserts.
_MSS_ERRORS: Final = (ScreenShotError, OSError, AssertionError)


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
    if os.environ.get("XDG_SESSION_TYPE") == "wayland" or os.environ.get("WAYLAND_DISPLAY"):
        raise SourceError(
            "a Wayland desktop does not let programs capture the screen",
            "log in to an X11 session, or capture the screen in OBS and give its virtual camera "
            "as source",
        )
