"""A video file, played at its own rate and over again, or frame by frame as fast as it is read."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from obs_stylizer.errors import SourceEndedError, SourceError
from obs_stylizer.frames import Frame, Pixels
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.video_decoder import DecodedFrame, VideoDecoder

log = logging.getLogger(__name__)

_WAIT_SECONDS: Final = 1.0
"""How far the reader may fall behind before the film waits for it instead of skipping."""

_SKIP_SECONDS: Final = 0.05
"""How long one read may decode frames only to drop them: beyond it, showing one is better."""

_STANDING_SECONDS: Final = 1.0
"""How long a picture may stand in the film before it is given again, as a sign of life."""


class VideoFileSource(Source):
    """Plays the first video stream of a file.

    Paced, a frame is given when it falls due by its own time stamp, so a variable frame rate
    is kept; frames that are overdue because the reader is slow are dropped, which shows as a
    gap in ``sequence``, and are not even converted. Not paced, every frame is given.

    Args:
        path: any container and codec that FFmpeg reads.
        options: pacing and clock; size and rate are the file's own.
        once: end with :class:`SourceEndedError` after the last frame instead of starting over.
    """

    def __init__(self, path: Path, options: SourceOptions, *, once: bool = False) -> None:
        self._path = path
        self._clock = options.clock
        self._paced = options.paced
        self._once = once
        self._lock = threading.Lock()
        self._film: Film | None = None
        self._epoch: float | None = None
        self._sequence = 0
        self._standing: Pixels | None = None
        self._standing_since = 0.0
        self._said_slow = False

    def open(self) -> SourceInfo:
        """See :class:`Source`."""
        self.close()
        decoder = VideoDecoder(self._path)
        film = Film(decoder, once=self._once)
        try:
            first = film.peek(0)
        except BaseException:
            film.close()
            raise
        if first is None:
            film.close()
            name, made = self._path.name, f"{self._path.stem}.mp4"
            raise SourceError(
                f"there is not one frame in {name}",
                # FFmpeg does not decode these, but rendering reads them otherwise.
                f"make a film of it: obs-stylizer render {name} -o {made} --preset plain"
                if self._path.suffix.lower() == ".webp"
                else "it may be cut off; choose another file",
            )
        with self._lock:
            self._film = film
            self._epoch = None
            self._standing = None
        return SourceInfo(self._path.name, first.picture.size, decoder.fps, decoder.detail)

    def read(self, timeout: float) -> Frame | None:
        """See :class:`Source`."""
        with self._lock:
            film = self._require_film()
            if not self._paced:
                return self._give(film, self._clock.now())
            moment = self._prepare(film, timeout)
        # Outside the lock, so that close() never has to wait for a picture to fall due.
        self._clock.wait_until(moment)
        with self._lock:
            return None if self._film is not film else self._give_due(film)

    def close(self) -> None:
        """See :class:`Source`."""
        with self._lock:
            film, self._film = self._film, None
            self._standing = None
            if film is not None:
                film.close()

    def _require_film(self) -> Film:
        if self._film is None:
            raise SourceError(f"{self._path.name} is not open", "open the source before reading")
        return self._film

    def _prepare(self, film: Film, timeout: float) -> float:
        """Drop what is overdue, make the next picture ready, say until when to wait."""
        now = self._clock.now()
        head = self._head(film)
        if self._epoch is None:
            self._epoch = now - head.at
        late = now - self._due(head)
        if late > _WAIT_SECONDS:
            self._epoch += late
            self._say_slow(late)
        self._drop_overdue(film, now)
        head = self._head(film)
        # Made ready before it falls due, so that this takes nothing from the latency.
        head.picture.to_rgb()
        until = now + timeout
        if self._standing is not None:
            until = min(until, self._standing_since + _STANDING_SECONDS)
        return min(self._due(head), until)

    def _drop_overdue(self, film: Film, now: float) -> None:
        """Leave the newest frame that is due at the head."""
        while self._due(self._head(film)) <= now:
            following = film.peek(1)
            if following is None or self._due(following) > now:
                return
            if self._clock.now() - now > _SKIP_SECONDS:
                return
            film.take()
            self._sequence += 1

    def _give_due(self, film: Film) -> Frame | None:
        now = self._clock.now()
        due = self._due(self._head(film))
        if due <= now:
            return self._give(film, due)
        if self._standing is not None and now >= self._standing_since + _STANDING_SECONDS:
            self._standing_since = now
            return self._numbered(self._standing, now, None)
        return None

    def _give(self, film: Film, moment: float) -> Frame:
        shown = self._head(film)
        film.take()
        pixels = shown.picture.to_rgb()
        self._standing, self._standing_since = pixels, moment
        return self._numbered(pixels, moment, shown.picture.time)

    def _numbered(self, pixels: Pixels, moment: float, timestamp: float | None) -> Frame:
        frame = Frame(pixels, self._sequence, moment, timestamp)
        self._sequence += 1
        return frame

    def _head(self, film: Film) -> FilmFrame:
        head = film.peek(0)
        if head is None:
            raise SourceEndedError(f"{self._path.name} has ended")
        return head

    def _due(self, frame: FilmFrame) -> float:
        assert self._epoch is not None
        return self._epoch + frame.at

    def _say_slow(self, late: float) -> None:
        if not self._said_slow:
            self._said_slow = True
            log.info("%s waited %.1f seconds for its reader", self._path.name, late)


@dataclass(frozen=True, slots=True)
class FilmFrame:
    """A picture and the second, since the film began for the first time, at which it is due."""

    picture: DecodedFrame
    at: float


class Film:
    """The frames of a decoder, over and over unless ``once``, with a glance at those ahead."""

    def __init__(self, decoder: VideoDecoder, *, once: bool) -> None:
        self._decoder = decoder
        self._once = once
        self._ahead: deque[FilmFrame] = deque()
        self._round_began = 0.0
        self._end = 0.0
        self._is_over = False

    def peek(self, index: int) -> FilmFrame | None:
        """Return the frame ``index`` places ahead without taking it; None after the end."""
        while len(self._ahead) <= index and not self._is_over:
            self._fetch()
        return self._ahead[index] if index < len(self._ahead) else None

    def take(self) -> None:
        """Go on to the next frame."""
        self._ahead.popleft()

    def close(self) -> None:
        """Let go of the file."""
        self._ahead.clear()
        self._is_over = True
        self._decoder.close()

    def _fetch(self) -> None:
        picture = self._decoder.next_frame()
        if picture is None and not self._once and self._end > self._round_began:
            self._round_began = self._end
            self._decoder.rewind()
            picture = self._decoder.next_frame()
        if picture is None:
            self._is_over = True
            return
        at = self._round_began + picture.time
        self._end = at + max(picture.duration, 1e-3)
        self._ahead.append(FilmFrame(picture, at))
