"""A picture that never stands still and never repeats: a generator's walk through its noise."""

from __future__ import annotations

from typing import Final

from obs_stylizer.errors import ModelError, ProviderError, SourceError
from obs_stylizer.frames import Frame
from obs_stylizer.inference.latent_model import LatentSession, find_latent_model
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.latent_walk import LatentWalk
from obs_stylizer.sources.timing import FrameTimer

DEFAULT_FPS: Final = 30.0


class GeneratorSource(Source):
    """Shows what a generator makes of noise that slowly changes.

    Args:
        model: name of a bundled or own generator, or path of its ONNX file.
        seed: which walk; the same one shows the same pictures in every run.
        seconds: how long from one random picture to the next.
        options: rate, pacing and clock; the size is the generator's own.
    """

    def __init__(self, model: str, seed: int, seconds: float, options: SourceOptions) -> None:
        self._model = model
        self._seed = seed
        self._fps = options.fps or DEFAULT_FPS
        self._step = 1.0 / (self._fps * seconds)
        self._detail = f"a new picture every {seconds:g} s, walk {seed}"
        self._timer = FrameTimer(options.clock, self._fps, paced=options.paced)
        self._session: LatentSession | None = None
        self._walk: LatentWalk | None = None
        self._sequence = 0

    def open(self) -> SourceInfo:
        """See :class:`Source`."""
        try:
            model = find_latent_model(self._model)
            self._session = LatentSession(model)
        except (ModelError, ProviderError) as error:
            raise SourceError(error.message, error.remedy) from error
        self._walk = LatentWalk(model.spec.latent, self._seed)
        self._timer.restart()
        name = model.spec.title or model.spec.name
        return SourceInfo(name, model.frame_size, self._fps, self._detail)

    def read(self, timeout: float) -> Frame | None:
        """See :class:`Source`."""
        session, walk = self._session, self._walk
        if session is None or walk is None:
            raise SourceError(
                f"the generator {self._model} is not open", "open the source before reading"
            )
        due = self._timer.wait(timeout)
        if due is None:
            return None
        # Moved by the frame's number and not by the time, so that every run shows the same.
        try:
            pixels = session.run(walk.at(self._sequence * self._step))
        except ProviderError as error:
            raise SourceError(error.message, error.remedy) from error
        frame = Frame(pixels, self._sequence, due)
        self._sequence += 1
        return frame

    def close(self) -> None:
        """See :class:`Source`."""
        self._session = None
        self._walk = None
