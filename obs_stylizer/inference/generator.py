"""A generator ready to run: a checked model, opened at one frame size on one device."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
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
from obs_stylizer.inference.style_packs import installed_packs

log = logging.getLogger(__name__)

StyleWeights = Mapping[str, float]
"""Weight of each style by name, in any proportion."""

_WARM_UP_RUNS: Final = 2
_AGAIN: Final = "learn the style again: obs-stylizer learn --quick PICTURE"


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
        self._model = model
        self._session = session

    def run(
        self,
        frame: Pixels,
        style: StyleWeights | NDArray[np.float32] | None = None,
        strength: float = 1.0,
    ) -> Pixels:
        """Stylize one frame.

        Args:
            frame: uint8 (height, width, 3), RGB, of exactly ``frame_size``.
            style: weights in any proportion, or what :meth:`style_vector` returned; None or an
                empty mapping for the first style. Ignored by a generator of one style.
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
        vector = None
        if length := self._model.style_length:
            vector = style if isinstance(style, np.ndarray) else self.style_vector(style)
            if vector.shape != (length,):
                raise ModelError(f"{self.spec.name} takes {length} numbers, not {vector.shape}")
        return self._session.run(frame, vector, strength if self.has_strength else None)

    def style_weights(self, weights: StyleWeights | None) -> dict[str, float]:
        """Return the weight of every style there is, of sum 1; see :func:`style_weights`."""
        return style_weights(self._model, weights)

    def style_vector(self, weights: StyleWeights | None) -> NDArray[np.float32]:
        """Return a mixture of styles as the model takes it; see :func:`style_vector`."""
        return style_vector(self._model, weights)

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

    def cancel(self) -> None:
        """See :meth:`Session.cancel`. Any thread."""
        self._session.cancel()

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


def known_styles(model: NativeModel) -> tuple[str, ...]:
    """Return the names of the styles that ``model`` can mix: its file's, then installed packs'."""
    own = model.spec.styles
    if model.rows is None:
        return own
    return (
        *own,
        *(name for name in installed_packs().rows(model.spec.weights_hash) if name not in own),
    )


def style_weights(model: NativeModel, weights: StyleWeights | None) -> dict[str, float]:
    """Return the weight of every style that ``model`` can mix, in order, of sum 1.

    Args:
        model: of the styles.
        weights: by name, in any proportion; None or empty for the first style alone.

    Raises:
        ModelError: a style is unknown, or the weights are negative, not finite, or all zero.
    """
    spec, known = model.spec, known_styles(model)
    if not weights:
        return {name: float(place == 0) for place, name in enumerate(known)}
    for name in weights:
        if name not in known:
            raise _unknown(spec, name, known)
    whole = {name: float(weights.get(name, 0.0)) for name in known}
    total = sum(whole.values())
    if not math.isfinite(total) or min(whole.values()) < 0 or total <= 0:
        raise ModelError(
            f"{spec.name}: style weights {list(whole.values())} cannot be mixed",
            "give at least one weight above zero, and none below",
        )
    return {name: weight / total for name, weight in whole.items()}


def style_vector(model: NativeModel, weights: StyleWeights | None) -> NDArray[np.float32]:
    """Return a mixture of styles as ``model`` takes it, float32.

    That is the mixture (R,) of their rows for a file with the input ``rows``, and the weights (S,)
    in the file's order, of sum 1, for an older one.

    Raises:
        ModelError: as :func:`style_weights`; or a pack of a style has gone.
    """
    whole = style_weights(model, weights)
    if model.rows is None:
        return np.array(list(whole.values()), np.float32)
    own = dict(zip(model.spec.styles, model.rows.values, strict=True))
    rows = {**installed_packs().rows(model.spec.weights_hash), **own}
    mixed = np.zeros(model.style_length, np.float32)
    for name, weight in whole.items():
        if not weight:
            continue
        row = rows.get(name)
        if row is None or row.shape != mixed.shape:
            raise ModelError(f"the style pack {name} does not fit {model.spec.name}", _AGAIN)
        mixed += np.float32(weight) * row
    return mixed


def _unknown(spec: ModelSpec, name: str, known: Sequence[str]) -> ModelError:
    pack = installed_packs().all().get(name)
    if pack is not None:
        return ModelError(
            f"the style pack {name} belongs to {pack.generator} {pack.weights_hash[:8]}, and this "
            f"is {spec.name} {spec.weights_hash[:8] or 'without rows'}",
            _AGAIN,
        )
    return ModelError(
        f"{spec.name} has no style “{name}”",
        f"it has {', '.join(known)}" if known else "it has only the one",
    )


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
