"""What the numbers in a video mean, and the way from RGB back to them.

The way in is that of the live source, so that both see the same picture. The way out uses the
same matrix and range, so that a picture nobody changed comes out as it went in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import av
import cv2
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.sources.frame_conversion import has_transparency, is_rgb
from obs_stylizer.sources.orientation import orientation_of
from obs_stylizer.sources.tone_mapping import is_hdr

# AVColorSpace of BT.709, FCC, BT.470BG, SMPTE 170M, SMPTE 240M and BT.2020.
_KNOWN_MATRICES: Final = frozenset({1, 4, 5, 6, 7, 9})
_BT709: Final = 1
_BT601: Final = 6
_RGB: Final = 0
_UNSPECIFIED: Final = 2
# What players do where a file does not say, as the live source does too.
_HD_HEIGHT: Final = 720

# Rounding as exact as swscale can, and colour taken from every pixel and not from every other.
_FLAGS: Final = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour tags, in FFmpeg's numbers.

    Attributes:
        matrix: between RGB and luma with chroma; 0 where the video is RGB itself.
        primaries: what red, green and blue are; 2 where nobody says.
        transfer: from numbers to light; 2 where nobody says.
        full_range: whether all levels are used, or 16 to 235 of 255.
    """

    matrix: int
    primaries: int
    transfer: int
    full_range: bool

    def for_format(self, pixel_format: str) -> Colour:
        """Return the tags that video of ``pixel_format`` has when it is made from this one."""
        if is_rgb(pixel_format):
            return Colour(_RGB, self.primaries, self.transfer, full_range=True)
        if self.matrix == _RGB:
            return Colour(_BT709, self.primaries, self.transfer, full_range=False)
        return self

    @property
    def range_tag(self) -> int:
        """The range in FFmpeg's numbers."""
        return int(ColorRange.JPEG if self.full_range else ColorRange.MPEG)


SDR: Final = Colour(_BT709, _BT709, _BT709, full_range=False)
"""What HDR becomes."""


def bits_of(pixel_format: str) -> int:
    """Return the bits of one value in a pixel format."""
    return int(av.VideoFormat(pixel_format).components[0].bits)


def colour_of(frame: VideoFrame) -> Colour:
    """Read the tags of a decoded frame; what is missing is taken as players take it.

    HDR is rendered as SDR, and has the tags of that.
    """
    name = frame.format.name
    if is_hdr(frame):
        return SDR
    full = frame.color_range == ColorRange.JPEG or name.startswith("yuvj")
    matrix = int(frame.colorspace)
    if is_rgb(name):
        matrix, full = _RGB, True
    elif matrix not in _KNOWN_MATRICES:
        matrix = _BT709 if frame.height >= _HD_HEIGHT else _BT601
    return Colour(matrix, _tag(frame.color_primaries), _tag(frame.color_trc), full)


def layout_of(frame: VideoFrame) -> str:
    """Return FFmpeg's name of the layout that the pictures of a clip have once they are rendered.

    Transparency and HDR do not outlive that, and with them go the bits beyond eight.
    """
    name = frame.format.name
    if not (is_hdr(frame) or has_transparency(frame)):
        return name
    if is_rgb(name):
        return "rgb24"
    found = re.match(r"yuva?(\d{3})p", name)
    return f"yuv{found[1]}p" if found else "yuv420p"


def _tag(value: object) -> int:
    number = int(value) if isinstance(value, int) else _UNSPECIFIED
    return number if number > 0 else _UNSPECIFIED


def has_alpha(pixel_format: str) -> bool:
    """Whether a layout holds transparency."""
    return any(part.is_alpha for part in av.VideoFormat(pixel_format).components)


class ToVideo:
    """Turns RGB pictures into frames for an encoder.

    Args:
        pixel_format: FFmpeg's name of the layout that the encoder takes.
        colour: the tags that the video has.
    """

    def __init__(self, pixel_format: str, colour: Colour) -> None:
        self._format = pixel_format
        self._colour = colour
        self._reformatter = VideoReformatter()

    def __call__(self, pixels: Pixels, alpha: Pixels | None = None) -> VideoFrame:
        """Return uint8 (height, width, 3) RGB as a frame of its own.

        Args:
            pixels: the picture.
            alpha: uint8 (height, width), 255 opaque, for layouts that have it; None all opaque.
        """
        if has_alpha(self._format):
            opaque = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA)
            if alpha is not None:
                opaque[..., 3] = alpha
            source = av.VideoFrame.from_ndarray(np.asarray(opaque, np.uint8), format="rgba")
        else:
            source = av.VideoFrame.from_numpy_buffer(pixels, format="rgb24")
        colour = self._colour
        matrix = colour.matrix or _BT709
        frame: VideoFrame = self._reformatter.reformat(
            source,
            format=self._format,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=colour.range_tag,
            interpolation=_FLAGS,
        )
        if frame is source:
            # Nothing had to be converted, but the picture's memory will be used again.
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        return self._tagged(frame)

    def unchanged(self, frame: VideoFrame, size: FrameSize) -> VideoFrame | None:
        """Return a decoded frame as it is, without a way through RGB; None where it does not fit.

        Only its layout may change, as from 4:4:4 to 4:2:0.
        """
        fits = (frame.width, frame.height) == (size.width, size.height)
        if not fits or not orientation_of(frame).is_upright:
            return None
        if is_hdr(frame) or has_transparency(frame):
            return None
        if colour_of(frame).for_format(self._format) != self._colour:
            return None
        if is_rgb(frame.format.name) != is_rgb(self._format):
            return None
        # Fewer bits are had by dithering, which strays further than the way through RGB.
        if bits_of(frame.format.name) > bits_of(self._format):
            return None
        matrix = self._colour.matrix or _BT709
        kept: VideoFrame = self._reformatter.reformat(
            frame,
            format=self._format,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=self._colour.range_tag,
            dst_color_range=self._colour.range_tag,
            interpolation=_FLAGS,
        )
        # What kind of frame it was in the source would be forced on the encoder.
        kept.pict_type = PictureType.NONE
        return self._tagged(kept)

    def _tagged(self, frame: VideoFrame) -> VideoFrame:
        colour = self._colour
        frame.color_range = colour.range_tag
        frame.colorspace = colour.matrix
        frame.color_primaries = colour.primaries
        frame.color_trc = colour.transfer
        return frame
