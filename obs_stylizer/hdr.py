"""What the numbers of HDR and of wide-gamut pictures mean, and what they are on an SDR screen.

The curve that presses bright light is Hable's filmic one as FFmpeg's ``tonemap`` filter applies it,
so that pictures are those that people get from FFmpeg.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.float64]

PQ: Final = 16
"""SMPTE ST 2084, FFmpeg's number of it; numbers mean light of up to 10000 cd/m²."""
HLG: Final = 18
"""ARIB STD-B67, the curve of broadcasts."""

# Light of SDR white in cd/m², to which everything below is relative.
_WHITE: Final = 100.0
# Of a usual HDR screen, and what is taken where a file does not say how bright it gets.
USUAL_PEAK: Final = 1000.0
# What such a screen makes of a scene by HLG, each channel for itself as FFmpeg's zscale does it.
_HLG_GAMMA: Final = 1.2
# Above this multiple of white, colours fade towards white; FFmpeg's usual value.
_DESATURATION: Final = 2.0
_TINY: Final = 1e-6
# Screens show SDR video with this exponent (ITU-R BT.1886).
_SCREEN_GAMMA: Final = 2.4

LUMA_2020: Final = np.array([0.2627, 0.6780, 0.0593])
"""Shares of red, green and blue in brightness, by BT.2020."""
_2020_TO_709: Final = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
P3: Final = 12
"""Display P3's primaries, the number that files give them."""
BT2020: Final = 9
"""BT.2020's primaries."""
_TO_709: Final = {
    BT2020: _2020_TO_709,
    P3: np.array([[1.2249, -0.2247, -0.0002], [-0.0421, 1.0421, 0.0], [-0.0196, -0.0786, 1.0982]]),
}


def wide_to_srgb(codes: Colours, primaries: int) -> Colours:
    """Return colours of SDR pictures with wide primaries as sRGB.

    Args:
        codes: (…, 3), R'G'B' with the curve of sRGB, 0 to 1.
        primaries: :data:`P3` or :data:`BT2020`.

    Returns:
        (…, 3), R'G'B' of sRGB, 0 to 1.
    """
    light = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    narrow = np.clip(light @ _TO_709[primaries].T, 0, 1)
    shown: Colours = np.where(
        narrow <= 0.0031308, narrow * 12.92, 1.055 * narrow ** (1 / 2.4) - 0.055
    )
    return shown


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
    luma = light @ LUMA_2020
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
    light: Colours = USUAL_PEAK * scene**_HLG_GAMMA
    return light


def _hable(light: Colours) -> Colours:
    """Return Hable's filmic curve."""
    a, b, c, d, e, f = 0.15, 0.50, 0.10, 0.20, 0.02, 0.30
    curve: Colours = (light * (light * a + b * c) + d * e) / (
        light * (light * a + b) + d * f
    ) - e / f
    return curve
