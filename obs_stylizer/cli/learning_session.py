"""How learning a style begins, what it tells while it runs, and what it takes orders by."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from obs_stylizer.cli.training import need_torch
from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.realtime.priority import take_low_priority, take_lowest_priority
from obs_stylizer.styling.geometry import reshape

THUMBNAIL: Final = FrameSize(256, 144)
_THUMBNAIL_SECONDS: Final = 4.0
_ROOM: Final = 20_000_000
"""Bytes; a generator with its preset takes a quarter of it."""


def begin_learning(folder: Path, *, on_air: bool) -> None:
    """Make ready for learning: the time it takes must not be lost in the end.

    Args:
        folder: where what was learnt will be kept; it need not be there yet.
        on_air: whether a picture on air goes before all of it.

    Raises:
        TrainingError: torch is missing, or the disk is full.
    """
    need_torch()
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if free < _ROOM:
        raise TrainingError(
            f"{folder} has {free / 1e6:.0f} MB of room, and what is learnt may take "
            f"{_ROOM / 1e6:.0f}",
            "make room on the disk",
        )
    if on_air:
        take_lowest_priority()
    else:
        take_low_priority()


class LearningReport:
    """Tells how far learning is: a line that is written over, or a JSON object a line.

    Args:
        paint: makes of a picture what has been learnt so far.
        preview: a picture to show it on, read anew each time; None for a photograph of ours.
        as_json: a JSON object a line, on the output stream.
    """

    def __init__(
        self, paint: Callable[[Pixels], Pixels], preview: Path | None, *, as_json: bool
    ) -> None:
        self._paint = paint
        self._preview = preview
        self._as_json = as_json
        self._shown = 0.0

    def show(
        self,
        figures: Mapping[str, object],
        text: Callable[[], str],
        share: float,
        seconds_left: float,
    ) -> None:
        """Report, at most every few seconds.

        Args:
            figures: for programs.
            text: gives the same for people.
            share: how much of the learning is done, 0 to 1.
            seconds_left: how long the rest will take.
        """
        now = time.monotonic()
        if self._shown and now - self._shown < (_THUMBNAIL_SECONDS if self._as_json else 0.5):
            return
        self._shown = now
        if self._as_json:
            self.write(
                state="learning",
                share=round(share, 3),
                seconds_left=round(seconds_left, 1),
                **figures,
                thumbnail=base64.b64encode(self.thumbnail()).decode("ascii"),
            )
        elif sys.stderr.isatty():
            sys.stderr.write(f"\rlearning {min(1.0, share):4.0%}  {text()} ")
            sys.stderr.flush()

    def thumbnail(self) -> bytes:
        """Return a JPEG of the preview picture as it is painted now."""
        from obs_stylizer.web.stream_hub import encode_jpeg

        made = self._paint(reshape(self._picture(), THUMBNAIL))
        return encode_jpeg(Frame(made, 0, 0.0), 80)

    def end_line(self) -> None:
        """End the line that is written over, if there is one."""
        if not self._as_json and sys.stderr.isatty():
            sys.stderr.write("\n")

    def write(self, **values: object) -> None:
        """Write a JSON object."""
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()

    def _picture(self) -> Pixels:
        from obs_stylizer.training.bundled_data import bundled_photographs
        from obs_stylizer.training.pictures import read_picture

        if self._preview is not None:
            with contextlib.suppress(TrainingError):
                return read_picture(self._preview)
        return bundled_photographs()[0]


class Orders:
    """What is told through the input stream.

    Args:
        listen: whether anything is.

    Attributes:
        keep: a line ``keep``: take what was learnt as it is.
        forget: a line ``forget``: keep nothing.
        gone: the stream has ended, and with it who listens.
    """

    def __init__(self, *, listen: bool) -> None:
        self.keep = False
        self.forget = False
        self.gone = False
        if listen:
            threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in sys.stdin:
                if line.strip() in ("keep", "forget"):
                    setattr(self, line.strip(), True)
                    return
        self.gone = True


class Sitting:
    """A time that is given to learning.

    Args:
        seconds: how long it is meant to last.
        enough: steps after which most has been learnt.
        now: gives the time, in seconds.
    """

    LONGEST: Final = 4
    """Where a picture on air leaves it little of the processor, it goes on until it has seen
    enough, for at most this many times as long."""

    def __init__(
        self, seconds: float, enough: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._enough, self._now = seconds, enough, now
        self._began = now()

    def share(self, steps: int) -> float:
        """Return how much of the learning is done after so many steps, 0 to 1 and beyond."""
        gone = self._now() - self._began
        return max(
            min(gone / self._seconds, steps / self._enough), gone / (self.LONGEST * self._seconds)
        )

    def seconds_left(self, share: float) -> float:
        """Return the seconds that are left, going by how quick it was so far."""
        gone = self._now() - self._began
        return gone * (1 - share) / share if 0 < share < 1 else self._seconds * (1 - min(share, 1))
