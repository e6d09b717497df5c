"""Thumbnails of all presets, painted from the live picture while somebody looks at them."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from obs_stylizer.control.api import ControlApi
from obs_stylizer.errors import StylizerError
from obs_stylizer.frames import Pixels
from obs_stylizer.presets import NamedPreset
from obs_stylizer.web.thumbnail_process import Paint, Painted, run_thumbnail_process

log = logging.getLogger(__name__)

THUMBNAIL_WIDTH: Final = 256

_EVERY_SECONDS: Final = 20.0
_AGAIN_SECONDS: Final = 1.0
_WANTED_SECONDS: Final = 60.0
_FRAME_SECONDS: Final = 10.0
_PRESET_SECONDS: Final = 60.0
_MAX_FAILURES: Final = 3
_REST_SECONDS: Final = 60.0
_LARGEST_FILE: Final = 2_000_000


class Thumbnails:
    """Keeps a JPEG for each preset. The process that paints lives only while it is wanted.

    Args:
        on_painted: hears, from this object's thread, the names that have a new picture.
    """

    def __init__(self, api: ControlApi, on_painted: Callable[[list[str]], None]) -> None:
        self._api = api
        self._on_painted = on_painted
        self._lock = threading.Lock()
        self._jpegs: dict[str, bytes] = {}
        self._wanted_at = float("-inf")
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._renew = threading.Event()
        self._failures = 0
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Be ready; nothing runs before somebody looks."""
        self._thread = threading.Thread(target=self._run, name="thumbnails", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process too; a second call does nothing."""
        self._stopping.set()
        self._wanted.set()
        self._renew.set()
        self._end_process()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._end_process()

    def get(self, named: NamedPreset) -> bytes | None:
        """Return a preset's picture: of the live one, else the one that came with it."""
        self._wanted_at = time.monotonic()
        self._wanted.set()
        with self._lock:
            live = self._jpegs.get(named.name)
        return live or picture_beside(named.path)

    def renew(self) -> None:
        """Paint all anew now: the presets or the source have changed."""
        self._failures = 0
        self._renew.set()

    @property
    def process_id(self) -> int | None:
        """Number of the process that paints; None while there is none."""
        process = self._process
        return process.pid if process is not None else None

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wanted.wait()
            self._wanted.clear()
            while self._is_wanted():
                self._renew.wait(self._paint_or_fail())
                self._renew.clear()
            self._end_process()

    def _paint_or_fail(self) -> float:
        """Paint all; return the seconds until the next time, many after several failures."""
        try:
            self._paint_all()
        except Exception as error:
            self._end_process()
            self._failures += 1
            if not self._stopping.is_set():
                # What a dying process causes is known; anything else is told, but not for ever.
                known = isinstance(error, OSError | EOFError)
                told = not known and self._failures == 1
                log.log(
                    logging.ERROR if told else logging.DEBUG,
                    "thumbnails were not painted: %s",
                    error,
                    exc_info=not known,
                )
            return _AGAIN_SECONDS if self._failures % _MAX_FAILURES else _REST_SECONDS
        self._failures = 0
        return _EVERY_SECONDS

    def _is_wanted(self) -> bool:
        recently = time.monotonic() - self._wanted_at < _WANTED_SECONDS
        return recently and not self._stopping.is_set()

    def _paint_all(self) -> None:
        pixels = self._plain_frame()
        quarantined = self._api.on_air.quarantined
        presets = tuple(named for named in self._api.library.all() if named.name not in quarantined)
        if pixels is None or not presets:
            return
        connection = self._running_process()
        connection.send(Paint(pixels, presets))
        new = []
        for _ in presets:
            if not connection.poll(_PRESET_SECONDS):
                raise OSError("the process does not answer")
            painted: Painted = connection.recv()
            if painted.trouble:
                log.debug("no thumbnail of %s: %s", painted.name, painted.trouble)
                continue
            with self._lock:
                self._jpegs[painted.name] = painted.jpeg
            new.append(painted.name)
        with self._lock:
            for name in self._jpegs.keys() - {named.name for named in presets}:
                del self._jpegs[name]
        self._on_painted(new)

    def _plain_frame(self) -> Pixels | None:
        """Return the live picture, small and without any style; None if there is none."""
        end = time.monotonic() + _FRAME_SECONDS
        while (frame := self._api.plain()) is None:
            # The first call only lets the worker begin.
            if time.monotonic() > end or self._stopping.wait(0.1):
                return None
        height, width = frame.pixels.shape[:2]
        wanted = THUMBNAIL_WIDTH - THUMBNAIL_WIDTH % 8
        size = (wanted, max(16, 8 * round(height * wanted / width / 8)))
        return np.asarray(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _running_process(self) -> Connection:
        with self._lock:
            if self._stopping.is_set():
                raise OSError("ending")
            if self._connection is not None and self._process is not None:
                if self._process.is_alive():
                    return self._connection
                self._connection.close()
            # On Linux the daemon has a small server that forks for it; see daemon/launch.py.
            method = "forkserver" if sys.platform.startswith("linux") else "spawn"
            context = multiprocessing.get_context(method)
            ours, theirs = context.Pipe()
            process = context.Process(  # type: ignore[attr-defined]
                target=run_thumbnail_process, args=(theirs,), name="thumbnails", daemon=True
            )
            process.start()
            theirs.close()
            self._process, self._connection = process, ours
            return ours

    def _end_process(self) -> None:
        with self._lock:
            process, self._process = self._process, None
            connection, self._connection = self._connection, None
        if process is not None:
            process.kill()
            process.join(5)
            with contextlib.suppress(ValueError):
                process.close()
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def picture_beside(preset: Path) -> bytes | None:
    """Return the picture that came with a preset: NAME.jpg beside NAME.yaml."""
    path = preset.with_suffix(".jpg")
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except OSError:
        return None
    return data if data.startswith(b"\xff\xd8") and len(data) <= _LARGEST_FILE else None


def find_preset(api: ControlApi, name: str) -> NamedPreset | None:
    """Return a preset by name, or None."""
    try:
        return api.library.get(name)
    except StylizerError:
        return None
