"""Still pictures, folders of them, and folders of them as a film."""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np

from obs_stylizer.errors import SinkError, SourceError
from obs_stylizer.frames import FrameSize, Pixels, size_of
from obs_stylizer.pictures import SUFFIXES, is_leftover, is_picture, read_picture
from obs_stylizer.render.clip import ClipFrame, ClipInfo, Footage
from obs_stylizer.render.colour import Colour
from obs_stylizer.render.cue_presets import CuePresets, Style
from obs_stylizer.render.director import Director
from obs_stylizer.render.frame_index import FrameIndex
from obs_stylizer.render.segment_file import write_whole
from obs_stylizer.sources.frame_conversion import FrameConverter
from obs_stylizer.sources.video_decoder import DecodedFrame

log = logging.getLogger(__name__)

WRITTEN: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
"""What the names of rendered pictures may end in."""

WITH_ALPHA: Final = frozenset({".png", ".webp", ".tif", ".tiff"})
"""Those that can hold transparency."""

_JPEG_QUALITY: Final = 95
# How many files are named in one line.
_NAMED: Final = 8

# RGB with the primaries of BT.709 and the curve of sRGB, which is what pictures on screens have.
PICTURE_COLOUR: Final = Colour(0, 1, 13, full_range=True)


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures in a folder, in the order in which people count; name what is left out.

    Raises:
        SourceError: there is none.
    """
    try:
        entries = sorted((p for p in folder.iterdir() if not is_leftover(p)), key=_counted)
    except OSError as error:
        raise SourceError(
            f"cannot read the folder {folder}: {error.strerror}", "check that you may read it"
        ) from error
    found = [path for path in entries if path.is_file() and is_picture(path)]
    others = [path.name for path in entries if path not in set(found)]
    if not found:
        raise SourceError(
            f"there is no picture in the folder {folder}",
            f"pictures end in {', '.join(sorted(SUFFIXES))}",
        )
    if others:
        named = ", ".join(others[:_NAMED]) + (
            f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        )
        log.warning(
            "left out of %s, being no pictures: %s (name a video itself to render it)",
            folder,
            named,
        )
    return found


def written_name(source: Path, taken: Container[str] = ()) -> str:
    """Return the name of the rendering of a picture: its own, or a JPEG's where that cannot be.

    Args:
        source: the picture.
        taken: names that others have already.
    """
    if source.suffix.lower() in WRITTEN:
        return source.name
    name = f"{source.stem}.jpg"
    # Telephones number a HEIC and a JPEG alike.
    return name if name not in taken else f"{source.name}.jpg"


def _counted(path: Path) -> list[tuple[int, str]]:
    """Order by the numbers in a name, so that 10 comes after 9."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def read_still(path: Path) -> Pixels:
    """Return a picture upright, uint8 (height, width, 3) RGB, in its full size.

    Raises:
        SourceError: no such file, not readable, or no picture.
    """
    read = read_picture(path)
    if read.count > 1:
        log.warning(
            "%s holds %d pictures, of which the first is taken "
            "(a name that ends in .mp4 after -o makes a film of all)",
            path.name,
            read.count,
        )
    return read.pixels


def write_picture(path: Path, pixels: Pixels, alpha: Pixels | None = None) -> None:
    """Write a picture so that it is there as a whole or not at all.

    Args:
        path: its suffix says how.
        pixels: uint8 (height, width, 3), RGB.
        alpha: uint8 (height, width), 255 opaque, for suffixes of :data:`WITH_ALPHA` only.

    Raises:
        SinkError: it cannot be written there or under this suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITTEN:
        raise SinkError(
            f"a picture cannot be written as “{path.suffix or path.name}”",
            f"its name may end in {', '.join(sorted(WRITTEN))}",
        )
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix in (".jpg", ".jpeg") else []
    written = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    if alpha is not None and suffix in WITH_ALPHA:
        written = cv2.merge([*cv2.split(written), alpha])
    done, data = cv2.imencode(suffix, written, options)
    if not done:
        raise SinkError(f"{path.name} cannot be encoded", "try .png")
    try:
        write_whole(path, data.tobytes())
    except OSError as error:
        raise SinkError(
            f"cannot write {path}: {error.strerror}", "choose another folder"
        ) from error


def render_picture(source: Path, target: Path, style: Style, size: FrameSize | None) -> None:
    """Render one still picture.

    Raises:
        StylizerError: something is wrong with the picture, the style or the target.
    """
    picture = read_still(source)
    out_size = size or size_of(picture)
    cue_presets = CuePresets(style, out_size)
    try:
        clear = target.suffix.lower() in WITH_ALPHA
        if style.is_transparent and not clear:
            log.warning("%s holds no transparency: it becomes green (.png does)", target.name)
        director = Director(style.cues, cue_presets.load, out_size, keeps_alpha=clear)
        pixels = director.style(picture, 0.0, 0)
        write_picture(target, pixels, director.alpha)
    finally:
        cue_presets.close()


class PictureFilm(Footage):
    """The pictures of a folder as a film, in the order in which people count.

    Args:
        folder: its pictures become frames, each shown once.
        rate: frames a second.

    Raises:
        SourceError: there is no picture in it.
    """

    def __init__(self, folder: Path, rate: Fraction) -> None:
        self.name = folder.name
        self._paths = pictures_in(folder)
        first = read_still(self._paths[0])
        self.info = ClipInfo(
            name=folder.name,
            size=size_of(first),
            rate=rate,
            time_base=1 / rate,
            origin=0,
            colour=PICTURE_COLOUR,
            pixel_format="rgb24",
            aspect=None,
        )
        self._index = FrameIndex(
            np.arange(len(self._paths), dtype=np.int64), np.arange(len(self._paths), dtype=np.int64)
        )

    def frames(self, first: int = 0) -> Iterator[ClipFrame]:
        """See :class:`Footage`.

        Raises:
            SourceError: a picture cannot be read, or has another size than the first.
        """
        converter = FrameConverter(self.name)
        for number, path in enumerate(self._paths[first:], first):
            pixels = read_still(path)
            if size_of(pixels) != self.info.size:
                raise SourceError(
                    f"{path.name} is {size_of(pixels)}, the first picture {self.info.size}",
                    "a film needs pictures of one size; for single pictures give -o a folder",
                )
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, self.info.time_base
            seconds = float(number * self.info.time_base)
            picture = DecodedFrame(seconds, float(self.info.time_base), frame, converter)
            yield ClipFrame(number, number, 1, seconds, picture, frame)

    def frame_count(self) -> int | None:
        """See :class:`Footage`."""
        return len(self._paths)

    def index(self) -> FrameIndex | None:
        """See :class:`Footage`."""
        return self._index

    def stamp(self) -> object:
        """See :class:`Footage`."""
        return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in self._paths]

    def close(self) -> None:
        """See :class:`Footage`."""
