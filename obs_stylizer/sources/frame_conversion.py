"""Decoded frames as the RGB pictures they are meant to be: upright, opaque, of an SDR screen."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.sources.letterbox import letterboxed
from obs_stylizer.sources.orientation import orientation_of
from obs_stylizer.sources.tone_mapping import ToneMap, is_hdr, name_of, peak_of

log = logging.getLogger(__name__)

# What players do where a file does not say: pictures this high are BT.709, smaller ones BT.601.
_HD_HEIGHT: Final = 720
# AVColorSpace of BT.709, FCC, BT.470BG, SMPTE 170M, SMPTE 240M and BT.2020.
_KNOWN_MATRICES: Final = frozenset({1, 4, 5, 6, 7, 9})
_RGB_NAMES: Final = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8")


def is_rgb(pixel_format: str) -> bool:
    """Whether a pixel format, by FFmpeg's name, holds red, green and blue."""
    return pixel_format.startswith(_RGB_NAMES)


def has_transparency(frame: VideoFrame) -> bool:
    """Whether a frame can be see-through."""
    form = frame.format
    return form.name == "pal8" or any(component.is_alpha for component in form.components)


class FrameConverter:
    """Turns frames of one video into RGB. One thread at a time.

    Args:
        name: of the video, for people.
        fit: size of the pictures where the video changes its own: those of another shape are
            shown whole between bars. None gives each in its own size.
    """

    def __init__(self, name: str, fit: FrameSize | None = None) -> None:
        self._name = name
        self._fit = fit
        self._reformatter = VideoReformatter()
        self._tone_map: ToneMap | None = None
        self._told_transparent = False

    def look_at(self, frame: VideoFrame) -> None:
        """Decide by the first frame how brightness is pressed, the same for the whole video."""
        if is_hdr(frame):
            transfer, peak = int(frame.color_trc), peak_of(frame)
            self._tone_map = ToneMap(transfer, peak)
            log.info(
                "%s is HDR (%s, up to %.0f cd/m²) and is tone-mapped to SDR",
                self._name,
                name_of(transfer),
                peak,
            )

    def own_size(self, frame: VideoFrame) -> FrameSize:
        """Return the size of a frame that is upright, before it is fitted."""
        return orientation_of(frame).size(frame.width, frame.height)

    def size(self, frame: VideoFrame) -> FrameSize:
        """Return the size that the picture of a frame will have."""
        return self._fit or self.own_size(frame)

    def __call__(self, frame: VideoFrame) -> Pixels:
        """Return uint8 (height, width, 3) RGB."""
        picture = orientation_of(frame).upright(self._to_rgb(frame))
        return picture if self._fit is None else letterboxed(picture, self._fit)

    def _to_rgb(self, frame: VideoFrame) -> Pixels:
        if is_hdr(frame):
            if self._tone_map is None or self._tone_map.transfer != frame.color_trc:
                self.look_at(frame)
            assert self._tone_map is not None
            return _array(self._tone_map(frame), 3)
        transparent = has_transparency(frame)
        matrix = frame.colorspace
        if matrix not in _KNOWN_MATRICES:
            matrix = Colorspace.ITU709 if frame.height >= _HD_HEIGHT else Colorspace.ITU601
        rgb = self._reformatter.reformat(
            frame,
            format="rgba" if transparent else "rgb24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            # Only a stream that says so uses all 256 levels.
            src_color_range=ColorRange.JPEG if _is_full_range(frame) else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        )
        return self._on_black(_array(rgb, 4)) if transparent else _array(rgb, 3)

    def _on_black(self, pixels: Pixels) -> Pixels:
        alpha = pixels[..., 3:]
        if alpha.min(initial=255) == 255:
            return np.ascontiguousarray(pixels[..., :3])
        if not self._told_transparent:
            self._told_transparent = True
            log.info("%s is transparent in parts, which is laid on black", self._name)
        laid: Pixels = ((pixels[..., :3].astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
        return laid


def _is_full_range(frame: VideoFrame) -> bool:
    name = frame.format.name
    return frame.color_range == ColorRange.JPEG or name.startswith("yuvj") or is_rgb(name)


def _array(frame: VideoFrame, channels: int) -> Pixels:
    """Return the pixels of a packed frame without copying them."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    pixels = rows[: frame.height, : frame.width * channels]
    return pixels.reshape(frame.height, frame.width, channels)
