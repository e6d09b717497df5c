"""Recordings and snapshots of what is on air, made without holding anything up."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import cv2

from obs_stylizer.clock import Clock
from obs_stylizer.daemon.presenter import Presenter
from obs_stylizer.daemon.sink_runner import SinkRunner
from obs_stylizer.errors import SinkError, UsageError
from obs_stylizer.frames import Frame
from obs_stylizer.realtime.events import Event, RecordingEnded, RecordingStarted
from obs_stylizer.segmentation.chroma import without_chroma
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.sinks.video_file import VideoFileSink

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_OPEN_SECONDS: Final = 5.0
_PLAIN_SECONDS: Final = 1.5
_POLL_SECONDS: Final = 0.01
_PAIRED: Final = 4


class Recorder:
    """Starts and ends recordings and saves snapshots, on a thread of its own.

    Args:
        presenter: offers its pictures to the recording.
        form: of those pictures.
        folder: for recordings; made when it is needed.
        suffix: ".mkv", ".mp4" or ".mov".
        pictures: folder for snapshots.
        plain: gives the newest frame without a style, as :meth:`ControlApi.plain`.
        tell: hears that a recording began or ended.
        codec: of :data:`~obs_stylizer.sinks.recording_codec.CODECS`.
    """

    def __init__(
        self,
        presenter: Presenter,
        form: SinkFormat,
        folder: Path,
        suffix: str,
        pictures: Path,
        plain: Callable[[], Frame | None],
        tell: Callable[[Event], None],
        clock: Clock,
        codec: str = "h264",
    ) -> None:
        self._presenter = presenter
        self._codec = codec
        self._form = form
        self._folder = folder
        self._suffix = suffix
        self._pictures = pictures
        self._plain = plain
        self._tell = tell
        self._clock = clock
        self._running: tuple[SinkRunner, Path] | None = None
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def start(self) -> Future[Path]:
        """Begin a recording; fails with SinkError where it cannot be written."""
        return self._submit(self._start)

    def stop(self) -> Future[Path]:
        """End the recording; the file is whole then."""
        return self._submit(self._stop, "")

    def snapshot(self) -> Future[Mapping[str, Path]]:
        """Save ``styled`` and, where the worker gives it, ``plain`` of one and the same frame."""
        return self._submit(self._snapshot)

    def check(self) -> None:
        """Notice that a recording ended by itself, as on a full disk; to be called now and then."""
        running = self._running
        if running is not None and running[0].statistics.state in ("ended", "closed"):
            self._submit(self._ended_by_itself, running[0])

    def close(self) -> None:
        """End the recording, if there is one, and the thread."""
        # On its own thread: it may be about to begin one.
        self._submit(self._finish)
        self._tasks.put(None)
        self._thread.join()

    def _submit(self, work: Callable[..., Result], *arguments: object) -> Future[Result]:
        future: Future[Result] = Future()

        def task() -> None:
            try:
                future.set_result(work(*arguments))
            except BaseException as error:
                future.set_exception(error)

        self._tasks.put(task)
        return future

    def _run(self) -> None:
        # Unlike an executor's, this thread keeps no process from ending.
        while (task := self._tasks.get()) is not None:
            task()

    def _start(self) -> Path:
        if self._running is not None:
            return self._running[1]
        _make_folder(self._folder, "recordings")
        path = _free_name(self._folder, self._suffix)
        file = VideoFileSink(path, codec=self._codec)
        runner = SinkRunner(f"recording {path.name}", file, self._form, self._clock)
        runner.start(_OPEN_SECONDS)
        self._presenter.add(runner)
        self._running = (runner, path)
        log.info("recording to %s", path)
        self._tell(RecordingStarted(path))
        return path

    def _stop(self, reason: str) -> Path:
        if self._running is None:
            raise UsageError("nothing is being recorded", "start with: record on")
        (runner, path), self._running = self._running, None
        self._presenter.remove(runner)
        runner.stop()
        log.info("recorded %s", path)
        self._tell(RecordingEnded(path, reason))
        return path

    def _finish(self) -> None:
        if self._running is not None:
            self._stop("the daemon ended")

    def _ended_by_itself(self, runner: SinkRunner) -> None:
        if self._running is not None and self._running[0] is runner:
            self._stop(runner.statistics.where)

    def _snapshot(self) -> dict[str, Path]:
        styled, plain = self._pair()
        _make_folder(self._pictures, "snapshots")
        stem = _free_name(self._pictures, "-styled.png").name.removesuffix("-styled.png")
        paths = {"styled": self._pictures / f"{stem}-styled.png"}
        _save(styled, paths["styled"])
        if plain is not None:
            paths["plain"] = self._pictures / f"{stem}-plain.png"
            _save(plain, paths["plain"])
        return paths

    def _pair(self) -> tuple[Frame, Frame | None]:
        """The newest styled frame and the plain one of the same number, if that comes in time."""
        until = self._clock.now() + _PLAIN_SECONDS
        seen: dict[int, Frame] = {}
        while True:
            styled = self._presenter.newest
            if styled is None:
                raise UsageError("there is no styled picture yet", "wait until the style is on air")
            seen[styled.sequence] = styled
            for sequence in sorted(seen)[:-_PAIRED]:
                del seen[sequence]
            plain = self._plain()
            if plain is not None and plain.sequence in seen:
                return seen[plain.sequence], plain
            if self._clock.now() > until:
                return styled, plain
            time.sleep(_POLL_SECONDS)


def _make_folder(folder: Path, what: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"the folder {folder} for {what} cannot be made: {error.strerror}",
            "name another in the settings, under “recording”",
        ) from error


def _free_name(folder: Path, suffix: str) -> Path:
    """Return a path with today's date and time that no file has yet."""
    stem = datetime.now().astimezone().strftime("%Y-%m-%d %H-%M-%S")
    path = folder / f"{stem}{suffix}"
    count = 1
    while path.exists():
        count += 1
        path = folder / f"{stem} {count}{suffix}"
    return path


def _save(frame: Frame, path: Path) -> None:
    """Write a PNG, transparent where the picture is, under its name only when it is whole."""
    alpha = frame.alpha
    if alpha is None:
        picture = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR)
    else:
        picture = cv2.cvtColor(without_chroma(frame.pixels, alpha), cv2.COLOR_RGB2BGRA)
        picture[..., 3] = alpha
    made, data = cv2.imencode(".png", picture)
    if not made:
        raise SinkError(f"{path.name} cannot be encoded", "choose another size")
    scratch = path.with_name(f".{path.name}")
    try:
        scratch.write_bytes(data.tobytes())
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise SinkError(
            f"{path} cannot be written: {error.strerror}", "free some space, or choose a folder"
        ) from error
