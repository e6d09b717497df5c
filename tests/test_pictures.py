"""Pictures of every kind that cameras, telephones and programs write."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from obs_stylizer.errors import SourceError
from obs_stylizer.frames import Pixels
from obs_stylizer.pictures import is_leftover, read_animation, read_picture
from tests.fakes.heic import write_heic

# How a picture lies: a white corner top left, a red left edge, the rest blue.
WHITE, RED, BLUE = (255, 255, 255), (220, 20, 20), (20, 40, 200)
# Each with and without transparency, which a JPEG cannot have.
FORMS = [
    *((form, False) for form in ("PNG", "WEBP", "TIFF", "AVIF", "JPEG")),
    *((form, True) for form in ("PNG", "WEBP", "TIFF", "AVIF")),
]
# What undoes each EXIF orientation, so that the stored picture is seen as the chart.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def chart(width: int = 60, height: int = 40) -> Image.Image:
    picture = Image.new("RGB", (width, height), BLUE)
    picture.paste(RED, (0, 0, width // 6, height))
    picture.paste(WHITE, (0, 0, width // 3, height // 4))
    return picture


def wide_gamut_profile(colour_space: bytes = b"RGB ") -> bytes:
    """A profile with the primaries of Display P3 and gamma 2.2, or one of grey alone."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def place(x: float, y: float, z: float) -> bytes:
        return b"XYZ " + bytes(4) + fixed(x) + fixed(y) + fixed(z)

    gamma = 2.2 if colour_space == b"RGB " else 1.0
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"wide for a test\0"
    name = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
    tags = {
        b"desc": name,
        b"cprt": b"text" + bytes(4) + b"CC0\0",
        b"wtpt": place(0.9642, 1, 0.8249),
    }
    if colour_space == b"RGB ":
        tags |= {
            b"rXYZ": place(0.5151, 0.2412, -0.0011),
            b"gXYZ": place(0.2920, 0.6922, 0.0419),
            b"bXYZ": place(0.1571, 0.0666, 0.7841),
            b"rTRC": curve,
            b"gTRC": curve,
            b"bTRC": curve,
        }
    else:
        tags |= {b"kTRC": curve}
    start, body, table = 132 + 12 * len(tags), b"", b""
    for key, value in tags.items():
        padded = value + bytes(-len(value) % 4)
        table += key + struct.pack(">II", start + len(body), len(padded))
        body += padded
    head = struct.pack(">I", start + len(body)) + bytes(4) + struct.pack(">I", 0x02400000)
    head += b"mntr" + colour_space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


def seen(path: Path, ground: int = 0) -> Pixels:
    return read_picture(path, ground).pixels


def at(pixels: Pixels, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(value) for value in pixels[y, x])


def near(pixels: Pixels, x: int, y: int, colour: tuple[int, int, int], by: int = 4) -> bool:
    return all(abs(a - b) <= by for a, b in zip(at(pixels, x, y), colour, strict=True))


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(("form", "transparent"), FORMS)
def test_every_orientation_is_applied(
    tmp_path: Path, orientation: int, form: str, transparent: bool
) -> None:
    turn = STORED[orientation]
    picture = chart()
    if transparent:
        picture.putalpha(255)
        # Hidden green under the right edge.
        picture.paste((0, 255, 0, 0), (54, 0, 60, 40))
    stored = picture if turn is None else picture.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{form.lower()}"
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form != "PNG" else {}
    stored.save(path, form, exif=exif, **options)
    pixels = seen(path)
    assert pixels.shape == (40, 60, 3)
    assert pixels.flags["C_CONTIGUOUS"]
    assert near(pixels, 3, 3, WHITE, 12)
    assert near(pixels, 3, 30, RED, 12)
    assert near(pixels, 35, 25, BLUE, 12)
    assert near(pixels, 57, 20, (0, 0, 0) if transparent else BLUE, 12)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "keyed"])
def test_what_lies_under_transparency_stays_hidden(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (40, 20), (255, 255, 255, 0))
    picture.paste((90, 90, 90, 255), (0, 0, 20, 20))
    path = tmp_path / "hidden.png"
    if mode == "keyed":
        # One colour of an opaque picture is declared to be see-through.
        picture.convert("RGB").save(path, transparency=(255, 255, 255))
    elif mode == "P":
        indexed = Image.new("P", (40, 20), 1)
        indexed.putpalette([90, 90, 90, 255, 255, 255])
        indexed.paste(0, (0, 0, 20, 20))
        indexed.save(path, transparency=1)
    else:
        picture.convert(mode).save(path)
    assert at(seen(path), 5, 5) == (90, 90, 90)
    assert at(seen(path), 30, 5) == (0, 0, 0)
    assert at(seen(path, 255), 30, 5) == (255, 255, 255)


def test_half_transparent_is_half_the_ground(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (200, 100, 0, 128)).save(tmp_path / "half.png")
    assert at(seen(tmp_path / "half.png"), 0, 0) == (100, 50, 0)
    assert at(seen(tmp_path / "half.png", 255), 0, 0) == (227, 177, 127)


def test_a_heic_of_many_tiles_is_read_whole(tmp_path: Path) -> None:
    picture = read_picture(write_heic(tmp_path / "IMG_1.HEIC"))
    assert picture.pixels.shape == (48, 96, 3)
    assert picture.count == 1
    assert near(picture.pixels, 8, 24, (200, 40, 40), 10)
    assert near(picture.pixels, 88, 24, (40, 40, 200), 10)


def test_where_heic_is_not_read_it_is_said_so(tmp_path: Path) -> None:
    path = write_heic(tmp_path / "IMG_1.HEIC")
    script = (
        "import sys; sys.modules['pi_heif'] = None\n"
        "from pathlib import Path\n"
        "from obs_stylizer.errors import SourceError\n"
        "from obs_stylizer.pictures import read_picture\n"
        "try: read_picture(Path(sys.argv[1]))\n"
        "except SourceError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert "IMG_1.HEIC is a HEIC picture, which is not read on this system" in done.stdout
    assert "save it as PNG or JPEG" in done.stdout


def test_a_heic_under_the_name_of_a_jpeg(tmp_path: Path) -> None:
    assert seen(write_heic(tmp_path / "IMG_1.jpg")).shape == (48, 96, 3)


@pytest.mark.parametrize(("form", "transparent"), FORMS)
def test_a_profile_is_followed(tmp_path: Path, form: str, transparent: bool) -> None:
    profile = wide_gamut_profile()
    patch = Image.new("RGB", (16, 16), (200, 60, 60))
    wanted = ImageCms.profileToProfile(
        patch, ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    assert wanted is not None
    red, green, blue = wanted.getpixel((8, 8))
    assert red > 212
    if transparent:
        patch.putalpha(255)
    path = tmp_path / f"wide.{form.lower()}"
    options = {"lossless": True} if form == "WEBP" else {"quality": 98} if form != "PNG" else {}
    patch.save(path, form, icc_profile=profile, **options)
    assert near(seen(path), 8, 8, (red, green, blue), 6)


def signalled(path: Path, primaries: int, transfer: int) -> Path:
    """Write a patch of one colour whose file says by numbers what they mean."""
    patch = Image.new("RGB", (32, 32), (200, 60, 60))
    if path.suffix == ".png":
        patch.save(path)
        data = path.read_bytes()
        body = b"cICP" + bytes([primaries, transfer, 0, 1])
        chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
        path.write_bytes(data[:33] + chunk + data[33:])
    else:
        patch.save(path, quality=95)
        avif = bytearray(path.read_bytes())
        at = avif.index(b"colrnclx") + 8
        avif[at : at + 4] = struct.pack(">HH", primaries, transfer)
        path.write_bytes(avif)
    return path


@pytest.mark.parametrize("suffix", [".png", ".avif"])
def test_numbers_in_place_of_a_profile_are_followed(tmp_path: Path, suffix: str) -> None:
    # The same patch with a profile of those primaries is (219, 37, 49) by gamma 2.2.
    wide = seen(signalled(tmp_path / f"p3{suffix}", 12, 13))
    assert near(wide, 16, 16, (219, 37, 49), 6)
    assert near(seen(signalled(tmp_path / f"plain{suffix}", 1, 13)), 16, 16, (200, 60, 60), 4)
    bright, _, _ = at(seen(signalled(tmp_path / f"hdr{suffix}", 9, 16)), 16, 16)
    assert bright == 255


def test_profiles_of_grey_and_of_ink(tmp_path: Path) -> None:
    grey = Image.new("L", (16, 16), 55)
    grey.save(tmp_path / "grey.png", icc_profile=wide_gamut_profile(b"GRAY"))
    # Linear light: 55 of 255 is a middle grey to the eye.
    assert 120 < at(seen(tmp_path / "grey.png"), 3, 3)[0] < 136
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(tmp_path / "ink.jpg", quality=95)
    red, green, _ = at(seen(tmp_path / "ink.jpg"), 3, 3)
    assert red < 60 < green


@pytest.mark.parametrize("profile", [b"no profile at all", wide_gamut_profile(b"GRAY")])
def test_a_profile_that_does_not_fit_is_left_alone(tmp_path: Path, profile: bytes) -> None:
    Image.new("RGB", (8, 8), (200, 60, 60)).save(tmp_path / "odd.png", icc_profile=profile)
    assert at(seen(tmp_path / "odd.png"), 3, 3) == (200, 60, 60)


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (np.full((9, 8), 0x8000, np.uint16), (128, 128, 128)),
        (np.full((9, 8, 3), 0x4000, np.uint16), (64, 64, 64)),
        (
            np.dstack([np.full((9, 8, 3), 0x4000, np.uint16), np.zeros((9, 8), np.uint16)]),
            (0, 0, 0),
        ),
        (np.full((9, 8), 0.5, np.float32), (128, 128, 128)),
        (np.full((9, 8, 3), (0.25, 2.0, 0.5), np.float32), (128, 255, 64)),
        (np.full((9, 8, 3), (-1.0, np.nan, 1.0), np.float32), (255, 0, 0)),
        (np.full((9, 8, 3), 0.5, np.float64), (128, 128, 128)),
    ],
)
def test_more_than_eight_bits(
    tmp_path: Path, array: np.ndarray, wanted: tuple[int, int, int]
) -> None:
    for suffix in (".tif", ".png"):
        if array.dtype.kind == "f" and suffix == ".png":
            continue
        ok, data = cv2.imencode(suffix, array)
        assert ok
        (tmp_path / f"deep{suffix}").write_bytes(data.tobytes())
        pixels = seen(tmp_path / f"deep{suffix}")
        assert pixels.shape == (9, 8, 3)
        assert at(pixels, 2, 2) == wanted


def test_a_depth_that_is_not_read_is_named(tmp_path: Path) -> None:
    Image.new("I", (8, 8), 70000).save(tmp_path / "deep.tif")
    with pytest.raises(SourceError, match=r"deep\.tif has 32 bits a channel") as caught:
        read_picture(tmp_path / "deep.tif")
    assert "8 or 16 bits" in caught.value.remedy


@pytest.mark.parametrize("form", ["WEBP", "GIF", "PNG"])
def test_animations_are_read_whole(tmp_path: Path, form: str) -> None:
    frames = []
    for number in range(4):
        frame = Image.new("RGBA", (48, 24), (255, 0, 255, 0))
        frame.paste((0, 160, 0, 255), (12 * number, 0, 12 * number + 12, 24))
        frames.append(frame)
    path = tmp_path / f"moving.{form.lower()}"
    options = {"lossless": True} if form == "WEBP" else {"disposal": 2} if form == "GIF" else {}
    times = [500, 50, 20, 1000]
    frames[0].save(path, form, save_all=True, append_images=frames[1:], duration=times, **options)
    assert read_picture(path).count == 4
    pictures = list(read_animation(path))
    assert [round(picture.seconds * 1000) for picture in pictures] == times
    for number, picture in enumerate(pictures):
        assert at(picture.pixels, 12 * number + 6, 12) == (0, 160, 0)
        assert at(picture.pixels, 12 * ((number + 2) % 4) + 6, 12) == (0, 0, 0)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "GIF"])
def test_a_picture_that_is_cut_off_is_told(tmp_path: Path, form: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = tmp_path / f"cut.{form.lower()}"
    Image.fromarray(noise).save(path, form)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"cut\.") as caught:
        read_picture(path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drawing"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
        (b"II*\0" + bytes(40), "odd"),
    ],
)
def test_what_is_not_read_is_said_in_words(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=what):
        read_picture(path)


def test_too_large_a_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "vast.png"
    Image.new("1", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)
    with pytest.raises(SourceError, match="60000x60000"):
        read_picture(path)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("._IMG_0001.jpg", True),
        (".DS_Store", True),
        ("Thumbs.db", True),
        ("__MACOSX/IMG_0001.jpg", True),
        ("IMG_0001.jpg", False),
    ],
)
def test_what_systems_leave_beside_pictures(name: str, left: bool) -> None:
    assert is_leftover(Path(name)) is left
