"""How pictures lie in PipeWire's memory, and the way from and to RGB.

Numbers are those of spa/param/video/raw.h. Of what is YUV, BT.601 in limited range is meant, as
OpenCV computes it and as our camera announces.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import cv2
import numpy as np

from obs_stylizer.frames import FrameSize, Pixels


class VideoFormat(IntEnum):
    """The layouts that are read or written here."""

    I420 = 2
    YUY2 = 4
    RGBX = 7
    BGRX = 8
    RGBA = 11
    BGRA = 12
    RGB = 15
    BGR = 16
    NV12 = 23


SCREEN_FORMATS: Final = (VideoFormat.BGRX, VideoFormat.BGRA, VideoFormat.RGBX, VideoFormat.RGBA)
CAMERA_FORMATS: Final = (
    VideoFormat.YUY2,
    VideoFormat.NV12,
    VideoFormat.I420,
    VideoFormat.BGRX,
    VideoFormat.BGRA,
    VideoFormat.RGBX,
    VideoFormat.RGBA,
    VideoFormat.RGB,
    VideoFormat.BGR,
)

_PACKED: Final = {
    VideoFormat.RGBX: (4, cv2.COLOR_RGBA2RGB),
    VideoFormat.RGBA: (4, cv2.COLOR_RGBA2RGB),
    VideoFormat.BGRX: (4, cv2.COLOR_BGRA2RGB),
    VideoFormat.BGRA: (4, cv2.COLOR_BGRA2RGB),
    VideoFormat.RGB: (3, None),
    VideoFormat.BGR: (3, cv2.COLOR_BGR2RGB),
    VideoFormat.YUY2: (2, cv2.COLOR_YUV2RGB_YUY2),
}
_PLANAR: Final = {
    VideoFormat.I420: cv2.COLOR_YUV2RGB_I420,
    VideoFormat.NV12: cv2.COLOR_YUV2RGB_NV12,
}


class PictureReader:
    """Turns a block of memory into RGB, into an array of its own that it uses again."""

    def __init__(self) -> None:
        self._rgb: Pixels = np.empty((0, 0, 3), np.uint8)

    def read(
        self,
        memory: Pixels,
        form: VideoFormat,
        size: FrameSize,
        stride: int,
        crop: tuple[int, int, int, int] | None = None,
    ) -> Pixels | None:
        """Return uint8 (height, width, 3), or None where the block is too small for a picture.

        Args:
            memory: uint8, one dimension.
            form: of the pixels in it.
            size: of the whole picture.
            stride: bytes from row to row; 0 where they follow closely.
            crop: x, y, width, height of what counts; None for all of it.
        """
        planar = _PLANAR.get(form)
        if planar is not None:
            return self._read_planar(memory, form, size, stride, planar)
        depth, code = _PACKED[form]
        stride = stride or size.width * depth
        needed = stride * (size.height - 1) + size.width * depth
        if stride < size.width * depth or memory.nbytes < needed:
            return None
        shape = (size.height, size.width, depth)
        whole: Pixels = np.ndarray(shape, np.uint8, memory.data, strides=(stride, depth, 1))
        part = whole if crop is None else _cropped(whole, crop)
        self._fit(part.shape[0], part.shape[1])
        if code is None:
            np.copyto(self._rgb, part)
        else:
            cv2.cvtColor(part, code, dst=self._rgb)
        return self._rgb

    def _read_planar(
        self, memory: Pixels, form: VideoFormat, size: FrameSize, stride: int, code: int
    ) -> Pixels | None:
        stride = stride or size.width
        height, width = size.height, size.width
        if width % 2 or height % 2 or stride < width or memory.nbytes < stride * height * 3 // 2:
            return None
        if stride == width:
            planes = memory[: width * height * 3 // 2].reshape(height * 3 // 2, width)
        elif form is VideoFormat.NV12:
            shape = (height * 3 // 2, width)
            planes = np.ndarray(shape, np.uint8, memory.data, strides=(stride, 1))
        else:
            planes = _closed_up(memory, size, stride)
        self._fit(height, width)
        cv2.cvtColor(planes, code, dst=self._rgb)
        return self._rgb

    def _fit(self, height: int, width: int) -> None:
        if self._rgb.shape[:2] != (height, width):
            # A new one: whoever has the last picture may still look at it.
            self._rgb = np.empty((height, width, 3), np.uint8)


class Yuy2Writer:
    """Turns RGB into YUY2: of two pixels Y0 U Y1 V, BT.601, limited range.

    OpenCV's own conversion is three times as slow; the colour is averaged over two rows here.

    Args:
        size: of the pictures; its sides must be even.
    """

    def __init__(self, size: FrameSize) -> None:
        self._size = size
        self._planes = np.empty((size.height * 3 // 2, size.width), np.uint8)
        self._colour = np.empty((size.height // 2, size.width // 2, 2), np.uint8)
        self.picture: Pixels = np.empty((size.height, size.width, 2), np.uint8)

    def write(self, pixels: Pixels) -> Pixels:
        """Return uint8 (height, width, 2), which the next call overwrites."""
        width, height = self._size.width, self._size.height
        cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420, dst=self._planes)
        light = self._planes[:height]
        blue, red = self._planes[height:].reshape(2, height // 2, width // 2)
        cv2.merge((blue, red), dst=self._colour)
        colour = self._colour.reshape(height // 2, width)
        for row in (0, 1):
            cv2.merge((light[row::2], colour), dst=self.picture[row::2])
        return self.picture


def _cropped(picture: Pixels, crop: tuple[int, int, int, int]) -> Pixels:
    """The part that counts; all of it where that makes no sense."""
    x, y, width, height = crop
    part = picture[max(0, y) : y + height, max(0, x) : x + width]
    return part if part.size else picture


def _closed_up(memory: Pixels, size: FrameSize, stride: int) -> Pixels:
    """Copy an I420 picture with gaps between its rows into one without."""
    height, width = size.height, size.width
    light = memory[: stride * height].reshape(height, stride)[:, :width]
    colour = memory[stride * height : stride * height * 3 // 2]
    rows = colour.reshape(height, stride // 2)[:, : width // 2]
    return np.vstack((light, np.ascontiguousarray(rows).reshape(height // 2, width)))
