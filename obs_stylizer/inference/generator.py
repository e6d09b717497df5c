"""A generator ready to run: a checked model, opened at one frame size on one device."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.choose import Trying, open_session
from obs_stylizer.inference.locate import find_model
from obs_stylizer.inference.model_spec import ModelSpec
from obs_stylizer.inference.native_model import NativeModel, load_native_model
from obs_stylizer.inference.session import RunsOn, Session, SessionOptions

log = logging.getLogger(__name__)

StyleWeights = Mapping[str, float] | NDArray[np.float32]
"""Weight of each style by name, or all weights in the model's order."""

_WARM_UP_RUNS: Final = 2


class Generator:
    """Turns frames of one size. Made by :func:`open_generator`.

    Not safe for two threads at once.

    Attributes:
        spec: what the model says about itself.
        path: its file.
        frame_size: the size of the frames it takes and gives.
        runs_on: what it really runs on.
        has_strength: whether the graph mixes in the plain frame itself; if not, the caller does.
    """

    def __init__(self, model: NativeModel, session: Session) -> None:
        self.spec: ModelSpec = model.spec
        self.path: Path = model.path
        self.frame_size: FrameSize = session.frame_size
        self.runs_on: RunsOn = session.runs_on
        self.has_strength: bool = model.has_strength
        self._style_count = model.style_count
        self._session = session

    def run(
        self,
        frame: Pixels,
        style_weights: StyleWeights | None = None,
        strength: float = 1.0,
    ) -> Pixels:
        """Stylize one frame.

        Args:
            frame: uint8 (height, width, 3), RGB, of exactly ``frame_size``.
            style_weights: in any proportion; None or an empty mapping for the first style.
                Ignored by a generator of one style.
            strength: 0 to 1; ignored unless ``has_strength``.

        Returns:
            uint8, the shape of ``frame``. The array is overwritten by the next call.

        Raises:
            ModelError: the frame is of another shape or dtype, or a style is unknown.
            DeviceLostError: the device went away; the process must be replaced.
            ProviderError: the run failed otherwise.
        """
        if frame.shape != self.frame_size.shape or frame.dtype != np.uint8:
            raise ModelError(
                f"{self.spec.name} was opened for uint8 frames of {self.frame_size.shape}, "
                f"not {frame.dtype} {frame.shape}",
                "resize the frame first",
            )
        weights = self.style_vector(style_weights) if self._style_count else None
        return self._session.run(frame, weights, strength if self.has_strength else None)

    def style_vector(self, weights: StyleWeights | None) -> NDArray[np.float32]:
        """Return the weights as the model takes them: float32 (S,), in order, of sum 1.

        Raises:
            ModelError: a style is unknown, or the weights are negative, not finite, or all zero.
        """
        return style_vector(self.spec, weights)

    def warm_up(self) -> float:
        """Run a few frames, so that the first one on air is no slower than the next.

        Returns:
            Seconds that the last of them took.

        Raises:
            ModelError: the output is one flat colour, as NaN inside the graph gives.
            DeviceLostError: the device went away.
            ProviderError: the run failed otherwise.
        """
        frame = _chart(self.frame_size)
        seconds = 0.0
        for _ in range(_WARM_UP_RUNS):
            started = time.perf_counter()
            stylized = self.run(frame)
            seconds = time.perf_counter() - started
        if stylized.min() == stylized.max():
            raise ModelError(
                f"{self.path}: gives one flat colour for any picture "
                f"({self.runs_on.precision} on {self.runs_on.device})",
                "its weights or this precision yield NaN; try --provider cpu, or another model",
            )
        return seconds

    def close(self) -> None:
        """Give the device's memory back. May be called twice."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_generator(
    model: str | Path | NativeModel,
    frame_size: FrameSize,
    options: SessionOptions | None = None,
    *,
    relative_to: Path | None = None,
    trying: Trying | None = None,
) -> Generator:
    """Open a generator for frames of ``frame_size``.

    Args:
        model: a bundled or user model's name, a path (both as :func:`find_model` takes them), or
            a model already loaded.
        frame_size: multiples of what the model states.
        options: provider, device, precision, threads.
        relative_to: folder that relative paths start from.
        trying: hears of each adapter before it is tried.

    Raises:
        ModelError: there is no such model, it is no native generator, or the size does not fit.
        ProviderError: it cannot run on what ``options`` asks for.
        UsageError: the size is out of range, or the device does not exist.
    """
    if not isinstance(model, NativeModel):
        model = load_native_model(find_model(model, relative_to))
    model.check_size(frame_size)
    session = open_session(model, frame_size, options or SessionOptions(), trying)
    log.debug("%s at %s runs on %s", model.spec.name, frame_size, session.runs_on)
    return Generator(model, session)


def style_vector(spec: ModelSpec, weights: StyleWeights | None) -> NDArray[np.float32]:
    """Return ``weights`` as ``spec``'s model takes them: float32 (S,), in order, of sum 1.

    Raises:
        ModelError: a style is unknown, or the weights are negative, not finite, or all zero.
    """
    known = spec.styles
    vector = np.zeros(len(known), np.float32)
    if weights is None or len(weights) == 0:
        vector[:1] = 1
        return vector
    if isinstance(weights, Mapping):
        for name, weight in weights.items():
            if name not in known:
                raise ModelError(
                    f"{spec.name} has no style “{name}”",
                    f"it has {', '.join(known)}" if known else "it has only the one",
                )
            vector[known.index(name)] = weight
    elif weights.shape == vector.shape:
        vector[:] = weights
    else:
        raise ModelError(f"{spec.name} takes {len(known)} style weights, not {weights.shape}")
    total = float(vector.sum())
    if not np.isfinite(total) or vector.min(initial=0) < 0 or total <= 0:
        raise ModelError(
            f"{spec.name}: style weights {vector.tolist()} cannot be mixed",
            "give at least one weight above zero, and none below",
        )
    return vector / np.float32(total)


def _chart(size: FrameSize) -> Pixels:
    """Return a picture of ramps and edges, the same for every call."""
    x = np.linspace(0, 255, size.width)[np.newaxis, :]
    y = np.linspace(0, 255, size.height)[:, np.newaxis]
    checks = 255 * ((np.arange(size.width)[np.newaxis, :] // 16 + y // 16) % 2)
    picture = np.empty(size.shape, np.uint8)
    picture[..., 0] = x
    picture[..., 1] = y
    picture[..., 2] = checks
    return picture
