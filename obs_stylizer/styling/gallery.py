"""Still pictures of what presets make: a sheet to choose from, and thumbnails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from obs_stylizer.errors import UsageError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.session import SessionOptions
from obs_stylizer.presets import NamedPreset
from obs_stylizer.styling.geometry import reshape
from obs_stylizer.styling.preset_loader import PresetLoader
from obs_stylizer.styling.stylizer import Stylizer

THUMBNAIL: Final = FrameSize(320, 180)
_QUALITY: Final = 88
_JPEG: Final = (".jpg", ".jpeg")
_GAP: Final = 8
_LABEL: Final = 30
_GROUND: Final = (24, 23, 30)
_INK: Final = (226, 224, 238)


def stylized_stills(
    pictures: Sequence[Pixels],
    presets: Sequence[NamedPreset],
    size: FrameSize,
    options: SessionOptions,
) -> Iterator[tuple[NamedPreset, list[Pixels]]]:
    """Yield each preset with what it makes of every picture, as it would be on air.

    Args:
        pictures: uint8 (height, width, 3), RGB, of any size.
        presets: what to apply.
        size: of the pictures made.
        options: what runs the generators.

    Raises:
        ModelError: a preset's generator is missing or broken.
        ProviderError: nothing here can run it.
    """
    loader = PresetLoader(size, options)
    try:
        for named in presets:
            loaded = loader.load(named)
            made = []
            stylizer = Stylizer(size, motion=False)
            stylizer.switch_to(loaded, 0)
            for picture in pictures:
                target = np.empty(size.shape, np.uint8)
                # No picture has anything to do with the one before.
                stylizer.reset()
                stylizer.process(picture, 0.0, target)
                made.append(target)
            yield named, made
    finally:
        loader.close()


def contact_sheet(
    columns: Sequence[tuple[str, Sequence[Pixels]]], across: int, size: FrameSize
) -> Pixels:
    """Lay labelled pictures out, ``across`` columns wide.

    Args:
        columns: a label, and pictures that go below each other.
        across: columns in a row of the sheet.
        size: that each picture is brought to.

    Returns:
        uint8 (height, width, 3), RGB.
    """
    cells = [_cell(label, pictures, size) for label, pictures in columns]
    empty = np.full_like(cells[0], _GROUND)
    cells += [empty] * (-len(cells) % across)
    rows = [np.hstack(cells[start : start + across]) for start in range(0, len(cells), across)]
    return _bordered(np.vstack(rows), left=_GAP)


def save_picture(pixels: Pixels, path: Path) -> None:
    """Write a picture, in the format that its suffix says.

    Raises:
        UsageError: the suffix is of no picture, or the file cannot be written.
    """
    try:
        made, data = cv2.imencode(
            path.suffix,
            cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR),
            [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if path.suffix.lower() in _JPEG else [],
        )
    except cv2.error:
        made = False
    if not made:
        raise UsageError(f"{path} has no suffix of a picture", "write .jpg or .png")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}", "choose another place"
        ) from error


def _cell(label: str, pictures: Sequence[Pixels], size: FrameSize) -> Pixels:
    parts = []
    for picture in pictures:
        fitted = reshape(picture, size)
        parts.append(_bordered(fitted, right=_GAP, below=_GAP))
    banner = np.full((_LABEL, size.width + _GAP, 3), _GROUND, np.uint8)
    plain = label.encode("ascii", "replace").decode()
    place = (2, _LABEL - 9)
    cv2.putText(banner, plain, place, cv2.FONT_HERSHEY_DUPLEX, 0.55, _INK, 1, cv2.LINE_AA)
    return np.vstack([banner, *parts])


def _bordered(picture: Pixels, *, left: int = 0, right: int = 0, below: int = 0) -> Pixels:
    made = cv2.copyMakeBorder(picture, 0, below, left, right, cv2.BORDER_CONSTANT, value=_GROUND)
    return np.asarray(made, np.uint8)
