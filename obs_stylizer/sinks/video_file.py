"""A recording."""

from __future__ import annotations

import errno
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av

from obs_stylizer.clock import Clock, SystemClock
from obs_stylizer.errors import SinkEndedError, SinkError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.locks import ResourceLock
from obs_stylizer.sinks.base import Sink, SinkFormat
from obs_stylizer.sinks.recording_file import RecordingFile, dated

log = logging.getLogger(__name__)

_STANDING_SECONDS: Final = 1.0
"""How long a picture may stand before it is written again, so that little is lost at the end."""

_CLOSE_SECONDS: Final = 10.0

_DISK_ERRORS: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EFBIG: "the file may not become larger",
    errno.EDQUOT: "your share of the disk is full",
}


class VideoFileSink(Sink):
    """Records frames (.mkv, .mp4, .mov, .webm), each shown when it was sent.

    A thread of its own encodes; a frame that comes while it is busy takes the place of the one
    that waits, and is counted in :attr:`frames_dropped`. A repeated frame costs nothing. What
    is on the disk can be played at any moment, even if this process is killed.

    Args:
        path: where; ``%Y %m %d %H %M %S`` in its name become date and time. A file that has
            anything in it is never overwritten.
        clock: where time comes from.
        codec: of :data:`~obs_stylizer.sinks.recording_codec.CODECS`.
    """

    def __init__(self, path: Path, clock: Clock | None = None, codec: str = "h264") -> None:
        self._path, self._codec = path, codec
        self._clock = clock or SystemClock()
        self._recorder: _Recorder | None = None
        self._lock: ResourceLock | None = None
        self._size = FrameSize(0, 0)
        self._began: float | None = None
        self._last_written = 0.0

    @property
    def frames_dropped(self) -> int:
        """Frames that were not recorded because the encoder was busy, since ``open``."""
        return self._recorder.dropped if self._recorder is not None else 0

    def open(self, form: SinkFormat) -> str:
        """See :class:`Sink`.

        Raises:
            BusyError: another obs-stylizer records to the same file.
        """
        self.close()
        path = dated(self._path)
        lock = ResourceLock.take(f"recording {path.absolute()}", remedy="choose another name")
        try:
            self._recorder = _Recorder(RecordingFile(path, form.frame_size, form.fps, self._codec))
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        self._size = form.frame_size
        self._began = None
        return str(path)

    def send(self, frame: Frame, *, repeated: bool) -> None:
        """See :class:`Sink`."""
        recorder = self._recorder
        if recorder is None:
            raise SinkError(f"{self._path.name} is not open", "open it first")
        if recorder.error is not None:
            raise recorder.error
        if frame.size != self._size:
            raise SinkError(
                f"a frame of {frame.size} came to a recording of {self._size}",
                "open it again for the new size",
            )
        now = self._clock.now()
        is_first = self._began is None
        if self._began is None:
            self._began = now
        if repeated and not is_first and now - self._last_written < _STANDING_SECONDS:
            recorder.extend(now - self._began)
            return
        self._last_written = now
        recorder.put(frame, now - self._began)

    @property
    def watched(self) -> bool | None:
        """See :class:`Sink`: what is kept will be looked at."""
        return True

    def close(self) -> None:
        """See :class:`Sink`."""
        recorder, self._recorder = self._recorder, None
        lock, self._lock = self._lock, None
        if recorder is not None:
            recorder.close()
        if lock is not None:
            lock.release()


@dataclass(frozen=True, slots=True)
class _Due:
    """A frame, and the second of the recording at which it is shown."""

    frame: Frame
    seconds: float


class _Recorder:
    """The encoding thread and the one slot before it."""

    def __init__(self, file: RecordingFile) -> None:
        self._file = file
        self._changed = threading.Condition()
        self._slot: _Due | None = None
        self._end = 0.0
        self._is_closing = False
        self.dropped = 0
        self.error: SinkEndedError | None = None
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def put(self, frame: Frame, seconds: float) -> None:
        """Hand a frame over; one that still waits is dropped."""
        with self._changed:
            if self._slot is not None:
                self.dropped += 1
            self._slot = _Due(frame, seconds)
            self._end = seconds
            self._changed.notify_all()

    def extend(self, seconds: float) -> None:
        """Let the last frame stand until ``seconds``."""
        with self._changed:
            self._end = seconds

    def close(self) -> None:
        """Write what waits, and finish the file."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            log.warning("%s is still being written; its disk is slow", self._file.path)
        if self.dropped:
            log.warning(
                "%s lacks %d frames, the encoder was too slow", self._file.path, self.dropped
            )

    def _run(self) -> None:
        try:
            try:
                self._write_until_closed()
            finally:
                self._file.close()
        except (av.FFmpegError, OSError) as error:
            reason = _DISK_ERRORS.get(getattr(error, "errno", None) or 0, str(error))
            log.warning("the recording %s has ended: %s", self._file.path, reason)
            with self._changed:
                self.error = SinkEndedError(
                    f"the recording {self._file.path} has ended: {reason}",
                    "what was written so far can be played; make room and start again",
                )

    def _write_until_closed(self) -> None:
        last: _Due | None = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._slot is not None or self._is_closing)
                due, self._slot = self._slot, None
                end = self._end
            if due is None:
                break
            self._file.write(due.frame.pixels, due.seconds, due.frame.alpha)
            last = due
        if last is not None and end > last.seconds:
            # The time that a picture stands is told only by the next one.
            self._file.write(last.frame.pixels, end, last.frame.alpha)
