"""Pictures with alpha: OBS's are premultiplied, a generator wants colours as they are.

OBS blends in linear light, so both ways go through it: a pixel of alpha *a* and colour *c* is given
as ``encode(decode(c) * a)`` with the curves of sRGB (IEC 61966-2-1). A picture whose colours nobody
changed comes back bit for bit.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels


def straight(pixels: Pixels) -> tuple[Pixels, Pixels | None]:
    """Return a premultiplied picture's colours as they are, and its alpha.

    Args:
        pixels: uint8 (height, width, 4), RGBA, C-contiguous.

    Returns:
        uint8 (height, width, 3), RGB, and uint8 (height, width), or None where all is opaque.
    """
    rgb: Pixels = cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)
    if int(np.bitwise_and.reduce(pixels.view(np.uint32), axis=None)) >> 24 == 255:
        return rgb, None
    alpha: Pixels = np.ascontiguousarray(pixels[..., 3])
    partial = (alpha > 0) & (alpha < 255)
    rgb[partial] = _divided()[alpha[partial][:, np.newaxis], rgb[partial]]
    return rgb, alpha


def premultiply(pixels: Pixels, alpha: Pixels) -> None:
    """Lay colours in an alpha, in place.

    Args:
        pixels: uint8 (height, width, 4), RGBA.
        alpha: uint8 (height, width).
    """
    pixels[..., 3] = alpha
    partial = (alpha > 0) & (alpha < 255)
    pixels[partial, :3] = _multiplied()[alpha[partial][:, np.newaxis], pixels[partial, :3]]
    pixels[alpha == 0] = 0


@cache
def _multiplied() -> Pixels:
    """What a colour becomes, uint8 (256, 256), by alpha and colour."""
    shares = np.arange(256)[:, np.newaxis] / 255
    return _encoded(_decoded() * shares)


@cache
def _divided() -> Pixels:
    """What a colour was, uint8 (256, 256), by alpha and what it became; alpha 0 gives black."""
    shares = np.arange(256)[:, np.newaxis] / 255
    light = np.divide(_decoded(), shares, out=np.zeros((256, 256)), where=shares > 0)
    return _encoded(np.minimum(light, 1.0))


def _decoded() -> NDArray[np.float64]:
    """Linear light of each byte."""
    values = np.arange(256) / 255
    light: NDArray[np.float64] = np.where(
        values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
    )
    return light


def _encoded(light: NDArray[np.float64]) -> Pixels:
    values = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    encoded: Pixels = np.rint(values * 255).astype(np.uint8)
    return encoded
