"""HDR video as SDR: light beyond a screen's white is pressed below it, wide colour into sRGB's.

The curve is Hable's filmic one as FFmpeg's ``tonemap`` filter applies it, so that the picture is
the one people get from FFmpeg. It is worked out once for a grid of colours, which FFmpeg's
``haldclut`` filter then looks up for every pixel.
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

from obs_stylizer.sources.side_data import side_data

Colours = NDArray[np.float64]

PQ: Final = 16
"""SMPTE ST 2084, FFmpeg's number of it; numbers mean light of up to 10000 cd/m²."""
HLG: Final = 18
"""ARIB STD-B67, the curve of broadcasts."""

# Light of SDR white in cd/m², to which everything below is relative.
_WHITE: Final = 100.0
# Of a usual HDR screen, and what is taken where a file does not say how bright it gets.
_USUAL_PEAK: Final = 1000.0
# What such a screen makes of a scene by HLG, each channel for itself as FFmpeg's zscale does it.
_HLG_GAMMA: Final = 1.2
# Above this multiple of white, colours fade towards white; FFmpeg's usual value.
_DESATURATION: Final = 2.0
_TINY: Final = 1e-6
# Screens show SDR video with this exponent (ITU-R BT.1886).
_SCREEN_GAMMA: Final = 2.4

_LUMA_2020: Final = np.array([0.2627, 0.6780, 0.0593])
_2020_TO_709: Final = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
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
    return _USUAL_PEAK


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
        full_range = frame.color_range == ColorRange.JPEG
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
        luma = (codes @ _LUMA_2020)[:, None]
        codes = (255 * luma - 16) / 219 + (codes - luma) * 255 / 224
    shown = to_sdr(codes, transfer, peak)
    side = _LEVEL**3
    return (shown * 65535 + 0.5).astype(np.uint16).reshape(side, side, 3)


def to_sdr(codes: Colours, transfer: int, peak: float) -> Colours:
    """Return colours of HDR video as SDR.

    Args:
        codes: (…, 3), R'G'B' of BT.2020 primaries, 0 to 1 and a little beyond.
        transfer: :data:`PQ` or :data:`HLG`.
        peak: light of the brightest pixel in cd/m².

    Returns:
        (…, 3), R'G'B' of BT.709 primaries, 0 to 1.
    """
    light = (_light_of_pq(codes) if transfer == PQ else _light_of_hlg(codes)) / _WHITE
    luma = light @ _LUMA_2020
    overbright = np.maximum(luma - _DESATURATION, _TINY) / np.maximum(luma, _TINY)
    light += (luma[..., None] - light) * overbright[..., None]
    # The brightest channel is pressed, the others follow it, so that no colour shifts.
    signal = np.maximum(light.max(axis=-1), _TINY)
    pressed = _hable(signal) / _hable(np.array(peak / _WHITE))
    light *= (pressed / signal)[..., None]
    shown: Colours = np.clip(light @ _2020_TO_709.T, 0, 1) ** (1 / _SCREEN_GAMMA)
    return shown


def _light_of_pq(codes: Colours) -> Colours:
    """Return cd/m² by SMPTE ST 2084."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    powered = np.maximum(codes, 0) ** (1 / m2)
    light: Colours = 10000 * (np.maximum(powered - c1, 0) / (c2 - c3 * powered)) ** (1 / m1)
    return light


def _light_of_hlg(codes: Colours) -> Colours:
    """Return cd/m² on a screen of 1000 cd/m² by ITU-R BT.2100."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    codes = np.maximum(codes, 0)
    scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
    light: Colours = _USUAL_PEAK * scene**_HLG_GAMMA
    return light


def _hable(light: Colours) -> Colours:
    """Return Hable's filmic curve."""
    a, b, c, d, e, f = 0.15, 0.50, 0.10, 0.20, 0.02, 0.30
    curve: Colours = (light * (light * a + b * c) + d * e) / (
        light * (light * a + b) + d * f
    ) - e / f
    return curve
