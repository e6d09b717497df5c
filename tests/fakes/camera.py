"""A camera that a test unplugs, blocks and breaks, in the place of OpenCV's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from obs_stylizer.listing import Listing
from obs_stylizer.sources import camera as camera_module
from obs_stylizer.sources.device_info import CameraInfo


@dataclass
class FakeDevice:
    """A device in the hands of a test.

    Attributes:
        width: of the pictures it gives, whatever it is asked for.
        height: the same.
        plugged: False: it cannot be opened, and an open one gives nothing.
        busy: it opens but gives no picture, as a camera does that another program uses.
        damaged: its pictures cannot be decoded.
        blocked: while set, it hangs in the driver until ``freed``.
        allocated: how often it was given no memory for a picture.
    """

    width: int = 64
    height: int = 48
    plugged: bool = True
    busy: bool = False
    damaged: bool = False
    blocked: threading.Event = field(default_factory=threading.Event)
    freed: threading.Event = field(default_factory=threading.Event)
    asked: dict[int, float] = field(default_factory=dict)
    opened: int = 0
    released: int = 0
    pictures: int = 0
    allocated: int = 0
    tick: threading.Event = field(default_factory=threading.Event)


class FakeCapture:
    """As much of cv2.VideoCapture as the reader uses."""

    def __init__(self, device: FakeDevice) -> None:
        self._device = device
        if device.plugged:
            device.opened += 1

    def isOpened(self) -> bool:  # noqa: N802
        return self._device.plugged

    def set(self, key: int, value: float) -> bool:
        self._device.asked[key] = value
        return True

    def get(self, key: int) -> float:
        values = {
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"MJPG")),
        }
        return values.get(key, 0.0)

    def getBackendName(self) -> str:  # noqa: N802
        return "FAKE"

    def grab(self) -> bool:
        device = self._device
        if device.blocked.is_set():
            device.freed.wait(20)
            return False
        # The pace of a device; nothing of what is tested depends on it.
        device.tick.wait(0.002)
        return device.plugged and not device.busy

    def retrieve(
        self, spare: NDArray[np.uint8] | None = None
    ) -> tuple[bool, NDArray[np.uint8] | None]:
        device = self._device
        if device.damaged:
            return False, None
        shape = (device.height, device.width, 3)
        picture = spare
        if picture is None or picture.shape != shape:
            picture = np.empty(shape, np.uint8)
            device.allocated += 1
        picture[:] = (200, 100, 50)  # BGR
        device.pictures += 1
        return True, picture

    def release(self) -> None:
        self._device.released += 1


def info(index: int, name: str, *, is_virtual: bool = False) -> CameraInfo:
    return CameraInfo(index, name, f"/dev/fake{index}", cv2.CAP_V4L2, index, is_virtual)


@contextmanager
def fake_cameras(**named: FakeDevice) -> Iterator[dict[str, FakeDevice]]:
    """Let there be these cameras and no others; "_" in a name stands for a space."""
    devices = {name.replace("_", " "): device for name, device in named.items()}
    by_index = dict(enumerate(devices.values()))

    def list_cameras() -> Listing[CameraInfo]:
        plugged = [
            info(index, name)
            for index, (name, device) in enumerate(devices.items())
            if device.plugged
        ]
        return Listing(plugged, "" if plugged else "no camera is connected")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(camera_module, "list_cameras", list_cameras)
        patch.setattr(camera_module, "_stuck", {})
        patch.setattr(
            camera_module.cv2, "VideoCapture", lambda index, _backend: FakeCapture(by_index[index])
        )
        yield devices
    for device in devices.values():
        device.freed.set()
