"""A bus and a portal that no other program knows."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def bus_address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if sys.platform != "linux" or shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed (apt install dbus-daemon)")
    from tests.fakes.portal import session_bus

    # The path of a socket may have 107 letters, and that of a test's own folder is long.
    with tempfile.TemporaryDirectory(prefix="bus-") as folder, session_bus(Path(folder)) as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield address


@pytest.fixture
def portal(bus_address: str) -> Iterator[object]:
    from tests.fakes.portal import fake_portal

    with fake_portal() as running:
        yield running
