"""Pixels from and to the layouts of PipeWire."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.pipewire.formats import PictureReader, VideoFormat, Yuy2Writer

SIZE = FrameSize(32, 16)


def picture() -> Pixels:
    """Three ramps, which halved colour does little to."""
    down, across = np.mgrid[60 : 60 + SIZE.height, 60 : 60 + SIZE.width]
    return np.stack((down * 2, across, down + across), axis=2).astype(np.uint8)


def memory_of(form: VideoFormat, rgb: Pixels, gap: int = 0) -> tuple[Pixels, int]:
    """The picture in that layout, with ``gap`` bytes between its rows; and the stride."""
    if form is VideoFormat.YUY2:
        rows = Yuy2Writer(SIZE).write(rgb).reshape(SIZE.height, -1)
    elif form in (VideoFormat.I420, VideoFormat.NV12):
        rows = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
        if form is VideoFormat.NV12:
            blue, red = rows[SIZE.height :].reshape(2, -1)
            colour = np.stack((blue, red), axis=1).reshape(SIZE.height // 2, SIZE.width)
            rows = np.vstack((rows[: SIZE.height], colour))
        elif gap:
            # The rows of colour are half as long, and so are the gaps between them.
            light = np.pad(rows[: SIZE.height], ((0, 0), (0, gap)))
            colour = rows[SIZE.height :].reshape(SIZE.height, SIZE.width // 2)
            colour = np.pad(colour, ((0, 0), (0, gap // 2)))
            return np.concatenate((light.ravel(), colour.ravel())), SIZE.width + gap
    else:
        order = {
            VideoFormat.RGB: (0, 1, 2),
            VideoFormat.BGR: (2, 1, 0),
            VideoFormat.RGBX: (0, 1, 2, 0),
            VideoFormat.RGBA: (0, 1, 2, 0),
            VideoFormat.BGRX: (2, 1, 0, 0),
            VideoFormat.BGRA: (2, 1, 0, 0),
        }[form]
        rows = rgb[:, :, order].reshape(SIZE.height, -1)
    rows = np.pad(rows, ((0, 0), (0, gap)))
    return np.ascontiguousarray(rows).ravel(), rows.shape[1]


@pytest.mark.parametrize("gap", [0, 64])
@pytest.mark.parametrize("form", list(VideoFormat))
def test_every_layout_is_read(form: VideoFormat, gap: int) -> None:
    rgb = picture()
    memory, stride = memory_of(form, rgb, gap)
    read = PictureReader().read(memory, form, SIZE, stride)
    assert read is not None
    assert read.shape == SIZE.shape
    allowed = 1 if form not in (VideoFormat.YUY2, VideoFormat.I420, VideoFormat.NV12) else 8
    assert np.abs(read.astype(int) - rgb).max() <= allowed


def test_a_window_is_cut_out_of_its_buffer() -> None:
    rgb = picture()
    memory, stride = memory_of(VideoFormat.BGRA, rgb)
    read = PictureReader().read(memory, VideoFormat.BGRA, SIZE, stride, (4, 2, 10, 6))
    assert read is not None
    assert np.array_equal(read, rgb[2:8, 4:14])


def test_a_crop_that_makes_no_sense_is_left_alone() -> None:
    memory, stride = memory_of(VideoFormat.BGRA, picture())
    read = PictureReader().read(memory, VideoFormat.BGRA, SIZE, stride, (400, 2, 10, 6))
    assert read is not None
    assert read.shape == SIZE.shape


@pytest.mark.parametrize("form", list(VideoFormat))
def test_a_block_that_is_too_small_is_no_picture(form: VideoFormat) -> None:
    memory, stride = memory_of(form, picture())
    assert PictureReader().read(memory[:-1], form, SIZE, stride) is None
    assert PictureReader().read(memory, form, SIZE, 3) is None


def test_the_last_picture_of_another_size_stays_as_it_was() -> None:
    reader = PictureReader()
    rgb = picture()
    memory, stride = memory_of(VideoFormat.BGRX, rgb)
    first = reader.read(memory, VideoFormat.BGRX, SIZE, stride)
    assert first is not None
    reader.read(np.zeros(8 * 8 * 4, np.uint8), VideoFormat.BGRX, FrameSize(8, 8), 32)
    assert np.array_equal(first, rgb)


def test_yuy2_is_what_opencv_makes_of_plain_colours() -> None:
    writer = Yuy2Writer(SIZE)
    for colour in ((200, 40, 40), (40, 200, 40), (0, 0, 0), (255, 255, 255), (13, 99, 240)):
        rgb = np.full(SIZE.shape, colour, np.uint8)
        known = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_YUY2)
        assert np.abs(writer.write(rgb).astype(int) - known).max() <= 1


def test_yuy2_has_the_light_of_every_pixel() -> None:
    rgb = picture()
    written = Yuy2Writer(SIZE).write(rgb)
    known = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)[: SIZE.height]
    assert np.array_equal(written[:, :, 0], known)
