"""HDR video as SDR: light beyond a screen's white is pressed below it, wide colour into sRGB's.

What becomes of a colour is worked out once for a grid of them, which FFmpeg's ``haldclut`` filter
then looks up for every pixel.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from obs_stylizer.hdr import HLG, LUMA_2020, PQ, USUAL_PEAK, to_sdr
from obs_stylizer.sources.side_data import side_data

_BT2020: Final = 9

# The table has this number of steps, squared, along every colour.
_LEVEL: Final = 7


def is_hdr(frame: VideoFrame) -> bool:
    """Whether a decoded frame is HDR by its tags."""
    return frame.color_trc in (PQ, HLG)


def name_of(transfer: int) -> str:
    """Return what people call a curve of HDR video."""
    return "PQ" if transfer == PQ else "HLG"


def peak_of(frame: VideoFrame) -> float:
    """Return the light of the brightest pixel in cd/m², as the file says or as is usual."""
    light = side_data(frame, Type.CONTENT_LIGHT_LEVEL)
    if light is not None:
        (level,) = struct.unpack_from("=I", light)
        if level:
            return float(level)
    mastering = side_data(frame, Type.MASTERING_DISPLAY_METADATA)
    if mastering is not None:
        # Eight chromaticities as pairs of int, then the least and the greatest light.
        numerator, denominator = struct.unpack_from("=ii", mastering, 72)
        if numerator > 0 and denominator > 0:
            return float(numerator / denominator)
    return USUAL_PEAK


class ToneMap:
    """Turns HDR frames into SDR pictures. One thread at a time.

    Args:
        transfer: :data:`PQ` or :data:`HLG`.
        peak: light of the brightest pixel in cd/m².
    """

    def __init__(self, transfer: int, peak: float) -> None:
        self.transfer = transfer
        self._peak = peak
        self._is_full_range = False
        self._table = _hald_table(transfer, peak, full_range=False)
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._graph: Graph | None = None
        self._entry: Any = None

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """Return a frame of the format rgb24, sRGB as a screen takes it."""
        # What is red, green and blue already has all levels, whatever else is said.
        full_range = frame.color_range == ColorRange.JPEG or frame.format.is_rgb
        if full_range != self._is_full_range:
            self._table = _hald_table(self.transfer, self._peak, full_range=full_range)
            self._is_full_range, self._graph = full_range, None
        # Taken for full range in any case, so that colours beyond the limited one, which the table
        # knows what to do with, are not cut off here.
        deep: VideoFrame = self._reformatter.reformat(
            frame,
            format="rgb48le",
            src_colorspace=_BT2020,
            dst_colorspace=_BT2020,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG,
        )
        size = (deep.width, deep.height)
        if self._graph is None or size != self._size:
            self._graph, self._entry = self._make_graph(deep)
            self._size = size
        self._entry.push(deep)
        mapped = self._graph.pull()
        assert isinstance(mapped, VideoFrame)
        return mapped

    def _make_graph(self, frame: VideoFrame) -> tuple[Graph, Any]:
        graph = Graph()
        base = frame.time_base or Fraction(1, 1000)
        deep = av.VideoFormat("rgb48le")
        entry = graph.add_buffer(
            width=frame.width, height=frame.height, format=deep, time_base=base
        )
        side = len(self._table)
        table = graph.add_buffer(width=side, height=side, format=deep, time_base=base)
        lookup = graph.add("haldclut", clut="first")
        reduce = graph.add("format", "rgb24")
        end = graph.add("buffersink")
        entry.link_to(lookup, 0, 0)
        table.link_to(lookup, 0, 1)
        lookup.link_to(reduce)
        reduce.link_to(end)
        graph.configure()
        colours = av.VideoFrame.from_ndarray(self._table, format="rgb48le")
        colours.pts, colours.time_base = 0, base
        table.push(colours)
        table.push(None)
        return graph, entry


def _hald_table(transfer: int, peak: float, *, full_range: bool) -> NDArray[np.uint16]:
    """Return what becomes of every colour of a grid, as the picture that ``haldclut`` reads."""
    steps = _LEVEL * _LEVEL
    levels = np.linspace(0, 1, steps)
    # Red runs fastest.
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    codes = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    if not full_range:
        luma = (codes @ LUMA_2020)[:, None]
        codes = (255 * luma - 16) / 219 + (codes - luma) * 255 / 224
    shown = to_sdr(codes, transfer, peak)
    side = _LEVEL**3
    return (shown * 65535 + 0.5).astype(np.uint16).reshape(side, side, 3)
