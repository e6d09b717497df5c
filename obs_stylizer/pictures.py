"""Pictures out of files of any kind, as they are meant to be seen.

Whatever a camera, a telephone or a painting program wrote comes out the same way: upright, 8 bits
a channel, sRGB, opaque. Pillow decodes; libheif (pi-heif) adds what telephones write, and OpenCV
the floating-point TIFFs that Pillow does not know.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    PsdImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from obs_stylizer.errors import SourceError
from obs_stylizer.frames import Pixels
from obs_stylizer.picture_colour import in_srgb

log = logging.getLogger(__name__)

SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm"}
    | {".heic", ".heif", ".hif", ".avif"}
)
"""Names of files that are taken for pictures."""

_LEFTOVER_FOLDERS: Final = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information"}
)

MAX_PIXELS: Final = 1 << 29
"""A larger picture is refused: it would need gigabytes."""

# What is decoded at all; others of Pillow's plug-ins start programs or fetch files.
_PLUGINS: Final = (
    PngImagePlugin.PngImageFile,
    JpegImagePlugin.JpegImageFile,
    WebPImagePlugin.WebPImageFile,
    TiffImagePlugin.TiffImageFile,
    AvifImagePlugin.AvifImageFile,
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
    PpmImagePlugin.PpmImageFile,
    Jpeg2KImagePlugin.Jpeg2KImageFile,
    PsdImagePlugin.PsdImageFile,
    TgaImagePlugin.TgaImageFile,
)
# More than one picture in these is an extra such as a preview, not a sequence.
_WITH_EXTRAS: Final = frozenset({"MPO", "HEIF", "PSD"})
_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"hevc"})
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DEFAULT_SECONDS: Final = 0.1
# Browsers show shorter frames of a GIF as long as this, since few were meant.
_LEAST_MS: Final = 11

# The check on the number of pixels is done here, with a limit that photographs do not reach.
Image.MAX_IMAGE_PIXELS = None

try:
    import pi_heif
except ImportError:
    # There is no build of it for Windows on ARM.
    _reads_heif = False
else:
    pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    _reads_heif = True

_FORMATS: Final = (*(plugin.format for plugin in _PLUGINS), *(["HEIF"] if _reads_heif else []))


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture.

    Attributes:
        pixels: uint8 (height, width, 3), sRGB, upright, C-contiguous.
        count: pictures in the file, of which this is the first.
        seconds: how long it is shown, where it belongs to an animation; else 0.
    """

    pixels: Pixels
    count: int
    seconds: float = 0.0


def is_picture(path: Path) -> bool:
    """Whether a file is a still picture, by its name."""
    return path.suffix.lower() in SUFFIXES


def is_leftover(path: Path) -> bool:
    """Whether a name is that of something which systems leave beside pictures.

    Such are hidden files, the twins that a Mac leaves on other disks, lists of thumbnails, and
    what lies in the folders of network disks and of bins.
    """
    return (
        path.name.startswith(".")
        or path.name.lower() in ("thumbs.db", "desktop.ini", "ehthumbs.db")
        or not _LEFTOVER_FOLDERS.isdisjoint(path.parts)
    )


def read_picture(path: Path, ground: int = 0) -> Picture:
    """Read the first picture of a file, whatever kind it is of.

    The orientation that was noted is applied, whether the picture is transparent or not; a colour
    profile is followed, so that the values are those of sRGB; more than 8 bits are reduced.

    Args:
        path: the file.
        ground: level, 0 to 255, of the grey that transparent pictures are laid on.

    Raises:
        SourceError: there is no such file, it cannot be read, or it is no whole picture.
    """
    return next(read_animation(path, ground))


def read_animation(path: Path, ground: int = 0) -> Iterator[Picture]:
    """Yield all pictures of a file one after another; see :func:`read_picture`.

    Raises:
        SourceError: there is no such file, it cannot be read, or it is no whole picture.
    """
    data = _read_bytes(path)
    image = _opened(data, path)
    if image is None:
        yield Picture(_decoded_by_opencv(data, path, ground), 1)
        return
    with image:
        count = _count(image)
        for number in range(count):
            yield _decoded(image, data, number, count, path, ground)


def _opened(data: bytes, path: Path) -> Image.Image | None:
    """Return what Pillow makes of a file; None where it does not know it."""
    try:
        with _silence():
            image = Image.open(BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        return None
    except Exception as error:
        raise _broken(path, error) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise SourceError(
            f"{path.name} is {width}x{height}, more than can be worked on", "make it smaller"
        )
    return image


def _decoded(
    image: Image.Image, data: bytes, number: int, count: int, path: Path, ground: int
) -> Picture:
    try:
        with _silence():
            if count > 1:
                image.seek(number)
            image.load()
            return Picture(
                _as_seen(image, data, path, ground), count, _seconds(image) if count > 1 else 0.0
            )
    except SourceError:
        raise
    except Exception as error:
        # Foreign bytes make decoders fail in any way they like.
        raise _broken(path, error) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep to oneself what decoders find odd: what matters is what they cannot read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"there is no file {path}", "check the path") from None
    except IsADirectoryError:
        raise SourceError(f"{path} is a folder", "name one picture in it") from None
    except OSError as error:
        # Windows says "permission denied" of a folder.
        if path.is_dir():
            raise SourceError(f"{path} is a folder", "name one picture in it") from None
        raise SourceError(
            f"cannot read {path}: {error.strerror}", "check that you may read the file"
        ) from error
    if not data:
        raise SourceError(f"{path.name} is empty", "choose another picture")
    return data


def _broken(path: Path, error: Exception) -> SourceError:
    detail = str(error) or type(error).__name__
    return SourceError(f"{path.name} cannot be decoded: {detail}", "save it again as PNG or JPEG")


def _count(image: Image.Image) -> int:
    if image.format in _WITH_EXTRAS:
        return 1
    return int(getattr(image, "n_frames", 1))


def _seconds(image: Image.Image) -> float:
    milliseconds = float(image.info.get("duration") or 0)
    return milliseconds / 1000 if milliseconds >= _LEAST_MS else _DEFAULT_SECONDS


def _as_seen(image: Image.Image, data: bytes, path: Path, ground: int) -> Pixels:
    profile = image.info.get("icc_profile")
    try:
        image = ImageOps.exif_transpose(image)
    except Exception as error:
        log.warning("%s: what it notes about its orientation is broken: %s", path.name, error)
    image = _reduced(image, path)
    alpha: NDArray[np.uint8] | None = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
        image = image.convert("RGB")
    elif image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    pixels = np.asarray(in_srgb(image, profile, data, path))
    return _laid_on(pixels, alpha, ground)


def _reduced(image: Image.Image, path: Path) -> Image.Image:
    """Return 8 bits of a grey picture with more; Pillow reduces those in colour itself."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode == "F":
        return Image.fromarray(_from_floats(np.asarray(image)))
    if image.mode == "I":
        raise _too_deep(path, "32 bits a channel")
    return image


def _from_floats(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return numbers from 0 to 1, and beyond, as 0 to 255."""
    scaled = np.clip(np.nan_to_num(values.astype(np.float32)), 0, 1) * 255 + 0.5
    reduced: NDArray[np.uint8] = scaled.astype(np.uint8)
    return reduced


def _too_deep(path: Path, depth: str) -> SourceError:
    return SourceError(
        f"{path.name} has {depth}, which is not read", "save it with 8 or 16 bits a channel"
    )


def _laid_on(
    pixels: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, ground: int
) -> NDArray[np.uint8]:
    """Lay RGB on a grey ground by how opaque each pixel is."""
    if alpha is None:
        return np.ascontiguousarray(pixels)
    share = alpha.astype(np.uint16)[..., None]
    rest = np.uint16(ground) * (255 - share)
    laid: NDArray[np.uint8] = ((pixels * share + rest + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(laid)


def _decoded_by_opencv(data: bytes, path: Path, ground: int) -> Pixels:
    """Decode what Pillow does not know: TIFFs of floats, and Radiance pictures."""
    if not data.startswith((*_TIFF, b"#?")):
        raise _unknown(data, path)
    raw: NDArray[Any] | None
    try:
        raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError):
        raw = None
    if raw is None or not raw.size:
        raise _too_deep(path, _depth_of(data))
    if raw.dtype.kind == "f":
        raw = _from_floats(raw)
    elif raw.dtype == np.uint16:
        raw = (raw >> 8).astype(np.uint8)
    elif raw.dtype != np.uint8:
        raise _too_deep(path, _depth_of(data))
    if raw.ndim == 2 or raw.shape[2] == 1:
        raw = cv2.cvtColor(raw, cv2.COLOR_GRAY2BGR)
    upright = _turned(raw, _tiff_tag(data, 274))
    alpha = upright[..., 3] if upright.shape[2] == 4 else None
    return _laid_on(np.ascontiguousarray(upright[..., 2::-1]), alpha, ground)


def _unknown(data: bytes, path: Path) -> SourceError:
    """Say what a file is, where that can be told, if it is not read."""
    kind = ""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and not _reads_heif:
        kind = "a HEIC picture, which is not read on this system"
    elif data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        kind = "a JPEG XL picture, which is not read"
    elif data.lstrip()[:5].lower() in (b"<svg ", b"<?xml"):
        kind = "a drawing, which is not read"
    if kind:
        return SourceError(f"{path.name} is {kind}", "save it as PNG or JPEG")
    return SourceError(
        f"{path.name} is no picture", "choose a PNG, JPEG, WebP, TIFF, BMP, HEIC or AVIF"
    )


def _tiff_tag(data: bytes, tag: int) -> Any:
    """Return a value of a TIFF's first directory, or None."""
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        stream = BytesIO(data)
        stream.seek(directory.next)
        directory.load(stream)
        return directory.get(tag)
    except Exception:
        # A Radiance picture, or rubbish: it says nothing.
        return None


def _depth_of(data: bytes) -> str:
    bits, form = _tiff_tag(data, 258), _tiff_tag(data, 339)
    number = bits[0] if isinstance(bits, tuple) else bits
    kind = form[0] if isinstance(form, tuple) else form
    if not number:
        return "an unknown depth"
    what = {2: "signed numbers", 3: "floating-point numbers", 5: "complex numbers"}.get(kind, "")
    return f"{number} bits a channel{f' as {what}' if what else ''}"


def _turned(picture: NDArray[Any], orientation: object) -> NDArray[Any]:
    """Return a picture upright by its EXIF orientation, 1 to 8."""
    number = orientation if isinstance(orientation, int) else 1
    if number in (5, 6, 7, 8):
        picture = picture.swapaxes(0, 1)
    if number in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if number in (3, 4, 7, 8):
        picture = picture[::-1]
    return np.ascontiguousarray(picture)
