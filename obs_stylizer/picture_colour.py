"""Colours of pictures as sRGB, by what their files say about them."""

from __future__ import annotations

import logging
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageCms, ImageFilter

from obs_stylizer.hdr import BT2020, HLG, P3, PQ, USUAL_PEAK, to_sdr, wide_to_srgb

log = logging.getLogger(__name__)

# Steps along each colour of the table that wide and HDR colours are looked up in.
_STEPS: Final = 49


def in_srgb(image: Image.Image, profile: object, data: bytes, path: Path) -> Image.Image:
    """Return a picture as sRGB, by its profile or else by the numbers that its file gives.

    Args:
        image: without transparency: L, RGB, CMYK or LAB.
        profile: its ICC profile as bytes, or nothing.
        data: the file.
        path: for people.
    """
    source: Any = None
    if image.mode == "LAB":
        source = ImageCms.createProfile("LAB")
    elif isinstance(profile, bytes) and profile:
        source = _usable_profile(profile, image.mode, path)
    if source is None:
        return _by_numbers(image.convert("RGB"), b"" if profile else data, path)
    try:
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, ValueError) as error:
        log.warning("%s: its colour profile cannot be followed: %s", path.name, error)
        return image.convert("RGB")
    assert converted is not None
    return converted


def _usable_profile(data: bytes, mode: str, path: Path) -> Any:
    """Return a profile that says something about a picture of ``mode``, else None."""
    try:
        profile: Any = ImageCms.ImageCmsProfile(BytesIO(data)).profile
    except (OSError, ValueError) as error:
        log.warning("%s: its colour profile is broken and not followed: %s", path.name, error)
        return None
    space = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}[mode]
    if str(profile.xcolor_space).strip() != space:
        return None
    # Nothing would change but the rounding.
    if "srgb" in (profile.profile_description or "").lower():
        return None
    return ImageCms.ImageCmsProfile(profile)


def _by_numbers(image: Image.Image, data: bytes, path: Path) -> Image.Image:
    """Follow the numbers of ITU-T H.273 that newer files have in place of a profile."""
    primaries, transfer = _numbers(data)
    if transfer in (PQ, HLG):
        log.info("%s is HDR and is tone-mapped to SDR", path.name)
    elif primaries not in (P3, BT2020):
        return image
    levels = np.linspace(0, 1, _STEPS)
    # Red runs fastest.
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    codes = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    if transfer in (PQ, HLG):
        shown = to_sdr(codes, transfer, USUAL_PEAK)
    else:
        shown = wide_to_srgb(codes, primaries)
    return image.filter(ImageFilter.Color3DLUT(_STEPS, shown.ravel().tolist()))


def _numbers(data: bytes) -> tuple[int, int]:
    """Return primaries and transfer curve of a PNG, HEIC or AVIF; 0 where it says nothing."""
    if data.startswith(b"\x89PNG"):
        at = data.find(b"cICP", 0, data.find(b"IDAT"))
        return (data[at + 4], data[at + 5]) if at > 0 else (0, 0)
    if data[4:8] == b"ftyp":
        at = data.find(b"colrnclx", 0, data.find(b"mdat"))
        if at > 0:
            return int.from_bytes(data[at + 8 : at + 10]), int.from_bytes(data[at + 10 : at + 12])
    return 0, 0
