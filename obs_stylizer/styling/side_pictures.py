"""What a side of a preset shows that no generator makes: plain, blurred, a picture, a film."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.errors import PresetError, SourceEndedError, StylizerError, UsageError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.pictures import read_picture
from obs_stylizer.presets import NamedPreset, Side
from obs_stylizer.segmentation.chroma import CHROMA
from obs_stylizer.segmentation.composing import out_of_focus
from obs_stylizer.sources.base import Source, SourceOptions
from obs_stylizer.sources.open import make_source
from obs_stylizer.sources.spec import SourceKind, SourceSpec
from obs_stylizer.styling.adjustments import Adjuster
from obs_stylizer.styling.geometry import reshape

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]

_KINDS: Final = (SourceKind.FILE, SourceKind.IMAGE, SourceKind.GENERATOR, SourceKind.PATTERN)
_READ_SECONDS: Final = 0.25
_AGAIN_SECONDS: Final = 2.0
_DEFAULT_FPS: Final = 30.0


class SidePicture(ABC):
    """Makes one side's picture for every frame. One thread only.

    Attributes:
        strength: 0 shows the frame as it is, 1 the picture alone.
        is_transparent: there is nothing where it is seen, and the picture only says so.
    """

    def __init__(self, side: Side) -> None:
        self.strength = side.strength
        self.is_transparent = side.transparent
        self._before = Adjuster(side.before)
        self._after = Adjuster(side.after)

    def paint(self, frame: Pixels, weights: Floats, moment: float) -> Pixels:
        """Return the side's picture of a frame, to be read only.

        Args:
            frame: uint8 (H, W, 3), of the output's size.
            weights: float32 of any size, 1 where the side is seen.
            moment: of the frame, in seconds.
        """
        if self.strength <= 0:
            return frame
        picture = self._after(self._paint(frame, weights, moment))
        if self.strength >= 1:
            return picture
        return np.asarray(
            cv2.addWeighted(picture, self.strength, frame, 1 - self.strength, 0), np.uint8
        )

    @abstractmethod
    def _paint(self, frame: Pixels, weights: Floats, moment: float) -> Pixels:
        """Return the picture before adjustments and strength."""


class PlainPicture(SidePicture):
    """The frame as it is."""

    def _paint(self, frame: Pixels, weights: Floats, moment: float) -> Pixels:
        del weights, moment
        return self._before(frame)


class BlurredPicture(SidePicture):
    """The frame out of focus."""

    def __init__(self, side: Side) -> None:
        super().__init__(side)
        self._blur = side.blur or 0.0

    def _paint(self, frame: Pixels, weights: Floats, moment: float) -> Pixels:
        del moment
        return out_of_focus(self._before(frame), self._blur, weights)


class StillPicture(SidePicture):
    """A picture that does not change.

    Args:
        side: whose.
        picture: uint8 (H, W, 3), of the output's size.
    """

    def __init__(self, side: Side, picture: Pixels) -> None:
        super().__init__(side)
        self._picture = picture

    def _paint(self, frame: Pixels, weights: Floats, moment: float) -> Pixels:
        del frame, weights, moment
        return self._picture


class FilmPicture(SidePicture):
    """Frames of another source, by the times of the frames they are laid behind.

    So the same film comes out of every rendering. A film that ends holds its last frame.

    Args:
        side: whose.
        source: open already.
        fps: its frames a second.
        first: its first frame.
        size: of the pictures made.
    """

    def __init__(
        self, side: Side, source: Source, fps: float, first: Pixels, size: FrameSize
    ) -> None:
        super().__init__(side)
        self._source, self._fps, self._size = source, fps, size
        self._shown = reshape(first, size).copy()
        self._number = 0
        self._ended = False
        weakref.finalize(self, source.close)

    def _paint(self, frame: Pixels, weights: Floats, moment: float) -> Pixels:
        del frame, weights
        wanted = int(moment * self._fps)
        newest: Pixels | None = None
        while self._number < wanted and not self._ended:
            try:
                read = self._source.read(_READ_SECONDS)
            except SourceEndedError:
                self._ended = True
            except StylizerError as error:
                log.warning("the film behind stands still: %s", error)
                self._ended = True
            else:
                self._number += 1
                newest = newest if read is None else read.pixels
        if newest is not None:
            self._shown = reshape(newest, self._size).copy()
        return self._shown


class LiveFilmPicture(SidePicture):
    """The newest frame of another source, which a thread of its own reads as it falls due.

    It ends with this object. A film that ends, or a source that fails, holds its last frame.

    Args:
        side: whose.
        source: open already.
        first: its first frame.
        size: of the pictures made.
    """

    def __init__(self, side: Side, source: Source, first: Pixels, size: FrameSize) -> None:
        super().__init__(side)
        self._newest = [reshape(first, size).copy()]
        done = threading.Event()
        weakref.finalize(self, done.set)
        threading.Thread(
            target=_play, args=(source, size, self._newest, done), name="film", daemon=True
        ).start()

    def _paint(self, frame: Pixels, weights: Floats, moment: float) -> Pixels:
        del frame, weights, moment
        return self._newest[0]


def _play(source: Source, size: FrameSize, newest: list[Pixels], done: threading.Event) -> None:
    """Thread: keep the newest frame of ``source`` in ``newest`` until ``done``."""
    is_open = True
    while not done.is_set():
        try:
            if not is_open:
                source.open()
                is_open = True
            read = source.read(_READ_SECONDS)
            if read is not None:
                newest[0] = reshape(read.pixels, size).copy()
        except SourceEndedError:
            break
        except Exception as error:
            if is_open:
                log.warning("the film behind stands still: %s", error)
            source.close()
            is_open = False
            done.wait(_AGAIN_SECONDS)
    source.close()


def make_side_picture(side: Side, named: NamedPreset, size: FrameSize, live: bool) -> SidePicture:
    """Make what a side without a style shows.

    Args:
        side: of ``named``.
        named: the preset; relative paths start from its file.
        size: of the pictures made.
        live: read films on a thread of their own, at their own time.

    Raises:
        StylizerError: a picture or source cannot be used.
    """
    if side.blur is not None:
        return BlurredPicture(side)
    if side.colour is not None:
        colour = tuple(bytes.fromhex(side.colour[1:]))
        return StillPicture(side, np.full(size.shape, colour, np.uint8))
    if side.transparent:
        return StillPicture(side, np.full(size.shape, CHROMA, np.uint8))
    if side.picture is not None:
        path = named.path.parent / Path(side.picture).expanduser()
        return StillPicture(side, reshape(read_picture(path).pixels, size))
    if side.source is not None:
        return _film(side, named, size, live)
    return PlainPicture(side)


def _film(side: Side, named: NamedPreset, size: FrameSize, live: bool) -> SidePicture:
    try:
        spec = SourceSpec.parse(side.source or "")
    except UsageError as error:
        raise PresetError(error.message, error.remedy, path=named.path, key="source") from error
    if spec.kind not in _KINDS:
        raise PresetError(
            f"“{side.source}” cannot be shown behind a person",
            f"it may be {', '.join(_KINDS)}",
            path=named.path,
            key="source",
        )
    if spec.kind in (SourceKind.FILE, SourceKind.IMAGE):
        beside = named.path.parent / Path(spec.target).expanduser()
        spec = SourceSpec(spec.kind, str(beside), once=spec.once)
    source = make_source(spec, SourceOptions(frame_size=size, paced=live))
    try:
        info = source.open()
        first = _first_frame(source)
    except BaseException:
        source.close()
        raise
    if live:
        return LiveFilmPicture(side, source, first, size)
    return FilmPicture(side, source, info.fps or _DEFAULT_FPS, first, size)


def _first_frame(source: Source) -> Pixels:
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        read = source.read(_READ_SECONDS)
        if read is not None:
            return read.pixels
    raise PresetError("the source behind the person gives no frames", "choose another")
