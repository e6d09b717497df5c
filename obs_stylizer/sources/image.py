"""A still picture, given again and again, and read anew when its file changes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final, cast

import cv2
import numpy as np

from obs_stylizer.errors import SourceError
from obs_stylizer.frames import Frame, Pixels, size_of
from obs_stylizer.pictures import read_picture
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.timing import FrameTimer

log = logging.getLogger(__name__)

DEFAULT_FPS: Final = 30.0
MAX_IMAGE_SIDE: Final = 4096
"""A larger photograph is shrunk once, since it is scaled to the frame for every frame."""

_RELOAD_SECONDS: Final = 1.0


class ImageSource(Source):
    """Repeats the picture in a file at the wished rate.

    Args:
        path: a picture of any kind that :mod:`obs_stylizer.pictures` reads.
        options: rate, pacing and clock; the size is the file's own.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self._path = path
        self._clock = options.clock
        self._fps = options.fps or DEFAULT_FPS
        self._timer = FrameTimer(options.clock, self._fps, paced=options.paced)
        self._pixels: Pixels | None = None
        self._modified = 0
        self._next_poll = 0.0
        self._sequence = 0

    def open(self) -> SourceInfo:
        """See :class:`Source`."""
        self._modified = _modified(self._path)
        self._pixels, detail = load_picture(self._path)
        self._next_poll = self._clock.now() + _RELOAD_SECONDS
        self._timer.restart()
        return SourceInfo(self._path.name, size_of(self._pixels), self._fps, detail)

    def read(self, timeout: float) -> Frame | None:
        """See :class:`Source`."""
        pixels = self._pixels
        if pixels is None:
            raise SourceError(f"{self._path.name} is not open", "open the source before reading")
        due = self._timer.wait(timeout)
        if due is None:
            return None
        if due >= self._next_poll:
            self._next_poll = due + _RELOAD_SECONDS
            pixels = self._reloaded(pixels)
        frame = Frame(pixels, self._sequence, due)
        self._sequence += 1
        return frame

    def close(self) -> None:
        """See :class:`Source`."""
        self._pixels = None

    def _reloaded(self, pixels: Pixels) -> Pixels:
        try:
            modified = _modified(self._path)
            if modified == self._modified:
                return pixels
            fresh, _ = load_picture(self._path)
        except SourceError as error:
            # Half written, or gone: the old picture stays until a whole one is there.
            log.debug("keeping the old picture: %s", error)
            return pixels
        log.info("%s has changed and was read again", self._path.name)
        self._modified = modified
        if self._pixels is not None:
            self._pixels = fresh
        return fresh


def load_picture(path: Path) -> tuple[Pixels, str]:
    """Read a picture file; return uint8 (height, width, 3) RGB and a few words about it.

    It comes as :func:`obs_stylizer.pictures.read_picture` has it, laid on black, but a side
    longer than :data:`MAX_IMAGE_SIDE` is shrunk.

    Raises:
        SourceError: no such file, not readable, or no picture.
    """
    read = read_picture(path)
    picture, size = read.pixels, size_of(read.pixels)
    detail = f"picture of {size}"
    if read.count > 1:
        detail += f", the first of {read.count} in the file"
    longest = max(size.width, size.height)
    if longest > MAX_IMAGE_SIDE:
        scale = MAX_IMAGE_SIDE / longest
        shrunk = (max(1, round(size.width * scale)), max(1, round(size.height * scale)))
        picture = cast(Pixels, cv2.resize(picture, shrunk, interpolation=cv2.INTER_AREA))
        detail += f", shrunk to {size_of(picture)}"
    return np.ascontiguousarray(picture), detail


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise SourceError(
            f"there is no file {path}" if isinstance(error, FileNotFoundError) else str(error),
            "check the path after image:",
        ) from error
