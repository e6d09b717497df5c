"""The thread that runs generators beside the one that styles: one picture at a time.

The runtimes let go of Python's lock while they compute, so frames are captured, carried and sent
meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from obs_stylizer.frames import Pixels
from obs_stylizer.styling.loaded_preset import LoadedPreset, PresetState


@dataclass(frozen=True, slots=True)
class KeyPicture:
    """What a generator made of a frame.

    Attributes:
        loaded: whose generator.
        state: strength and styles it was made with.
        moment: of the frame, in seconds.
        picture: uint8 (height, width, 3), of whoever takes it.
        seconds: that it took.
    """

    loaded: LoadedPreset
    state: PresetState
    moment: float
    picture: Pixels
    seconds: float


@dataclass(frozen=True, slots=True)
class _Job:
    loaded: LoadedPreset
    state: PresetState
    moment: float
    frame: Pixels
    began: float


class KeyThread:
    """Makes key pictures. Another thread, always the same, gives and takes them.

    Args:
        made: called on this thread whenever one is finished, or failed.
    """

    def __init__(self, made: Callable[[], None] | None = None) -> None:
        self._tell = made
        self._changed = threading.Condition()
        self._job: _Job | None = None
        self._running: _Job | None = None
        self._made: KeyPicture | Exception | None = None
        self._thread = threading.Thread(target=self._run, name="generator", daemon=True)

    def start(self) -> None:
        """Begin to wait for frames."""
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being made and nothing waits to be taken."""
        with self._changed:
            return self._job is None and self._made is None

    @property
    def is_made(self) -> bool:
        """Whether nothing is being made any more."""
        with self._changed:
            return self._job is None

    @property
    def busy_seconds(self) -> float:
        """For how long the generator has been running; 0 where it is not."""
        with self._changed:
            job = self._running or self._job
        return 0.0 if job is None else time.perf_counter() - job.began

    def make(self, loaded: LoadedPreset, state: PresetState, moment: float, frame: Pixels) -> None:
        """Begin a picture; nothing else may be under way.

        Args:
            loaded: whose generator makes it.
            state: its strength and styles.
            moment: of the frame, in seconds.
            frame: as prepared; copied, so the caller may write to it again.
        """
        job = _Job(loaded, state, moment, frame.copy(), time.perf_counter())
        with self._changed:
            if self._job is not None or self._made is not None:
                raise RuntimeError("one picture at a time")
            self._job = job
            self._changed.notify_all()

    def take(self, *, wait: bool = False) -> KeyPicture | None:
        """Return the finished picture, if there is one.

        Args:
            wait: for the one that is being made, however long that takes.

        Raises:
            StylizerError: the generator failed.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._job is None)
            made, self._made = self._made, None
        if isinstance(made, Exception):
            raise made
        return made

    def give_up(self) -> None:
        """Have no more use for the picture that is being made; another may begin at once."""
        with self._changed:
            job, self._job = self._job, None
            if not isinstance(self._made, Exception):
                self._made = None
        if job is not None and job.loaded.generator is not None:
            job.loaded.generator.cancel()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._job is not None)
                job = self._running = self._job
            assert job is not None
            made: KeyPicture | Exception
            try:
                picture = job.loaded.generate(job.frame, job.state).copy()
                seconds = time.perf_counter() - job.began
                made = KeyPicture(job.loaded, job.state, job.moment, picture, seconds)
            except Exception as error:
                made = error
            with self._changed:
                self._running = None
                if self._job is job:
                    self._job, self._made = None, made
                    self._changed.notify_all()
            if self._tell is not None:
                self._tell()
