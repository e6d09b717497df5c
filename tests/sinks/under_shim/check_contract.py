"""The virtual camera against the contract of every sink."""

from __future__ import annotations

from pathlib import Path

from obs_stylizer.clock import ManualClock
from obs_stylizer.sinks.base import Sink
from obs_stylizer.sinks.virtual_camera import VirtualCameraSink
from tests.contracts.sink_contract import SizedSinkContract


class TestVirtualCameraSink(SizedSinkContract):
    def make(self, folder: Path, clock: ManualClock) -> Sink:
        return VirtualCameraSink("", clock)
