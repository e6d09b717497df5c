"""What the controller needs of the rest of the daemon. Nothing here blocks."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from obs_stylizer.realtime.requests import Request


class Pipeline(Protocol):
    """What the controller needs of the live path. Nothing here blocks."""

    def request(self, request: Request) -> None:
        """Pass a request to the worker, if there is one."""

    def replace_worker(self, reason: str) -> None:
        """End the worker and start another."""

    def freeze(self, frozen: bool) -> None:
        """Hold the picture that is shown now, or let it go on."""

    def start_recording(self) -> Future[Path]:
        """Begin a recording of what is sent; its end is told by an event."""

    def stop_recording(self) -> Future[Path]:
        """End the recording."""

    def take_snapshot(self) -> Future[Mapping[str, Path]]:
        """Save the plain and the styled picture; returns the path of each."""

    def quit(self) -> None:
        """End everything; returns at once."""


class StyleLearning(Protocol):
    """What the controller needs to have styles learnt; see the daemon's own."""

    def learn(self, picture: str, name: str, seconds: float) -> str:
        """Begin to learn the style of a picture; returns its name."""

    def learn_keyframe(self, frame: str, painted: str, name: str, seconds: float) -> str:
        """Begin to learn what was painted on a frame; returns its name."""

    def more(self, seconds: float) -> str:
        """Go on with the style learnt last; returns its name."""

    def keep(self) -> str:
        """Take the style as it is; returns its name."""

    def forget(self) -> str:
        """Stop, and keep nothing; returns its name."""
