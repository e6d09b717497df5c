"""The pretended devices, as new for each test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes.shim import DEVICES, ShimDevice


@pytest.fixture(autouse=True)
def devices() -> tuple[ShimDevice, ...]:
    folder = Path(os.environ["SHIM_FOLDER"])
    pretended = tuple(ShimDevice(device, folder) for device in DEVICES)
    for device in pretended:
        device.forget()
    return pretended


@pytest.fixture
def device(devices: tuple[ShimDevice, ...]) -> ShimDevice:
    """The first device, with the second taken away."""
    devices[1].set("gone")
    return devices[0]
