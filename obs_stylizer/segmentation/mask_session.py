"""The network that finds people, opened for frames of one shape."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Final

import numpy as np

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.choose import Trying, open_session
from obs_stylizer.inference.locate import find_model
from obs_stylizer.inference.native_model import NativeModel, load_mask_model
from obs_stylizer.inference.session import Precision, RunsOn, Session, SessionOptions

log = logging.getLogger(__name__)

MASK_MODEL: Final = "person-mask"
_PIXELS: Final = 256 * 144
"""Of the frames that the network sees."""


class MaskSession:
    """Finds people in frames. Not safe for two threads at once; made by :func:`open_mask`.

    Attributes:
        size: of the masks.
        runs_on: what it really runs on.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.size: FrameSize = session.frame_size
        self.runs_on: RunsOn = session.runs_on

    def run(self, frame: Pixels) -> Pixels:
        """Return how surely each pixel of a frame is a person's.

        Args:
            frame: uint8 (height, width, 3), RGB, of :attr:`size`.

        Returns:
            uint8 (height, width); 255 is a person. Overwritten by the next call.

        Raises:
            DeviceLostError: the device went away; the process must be replaced.
            ProviderError: the run failed otherwise.
        """
        found: Pixels = self._session.run(frame)[..., 0]
        return found

    def close(self) -> None:
        """Give the device's memory back. May be called twice."""
        self._session.close()


def mask_size(model: NativeModel, frame: FrameSize) -> FrameSize:
    """Return the size at which ``model`` looks at frames of that shape."""
    scale = math.sqrt(_PIXELS / (frame.width * frame.height))
    wanted = FrameSize(max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    return model.nearest_size(wanted)


def open_mask(
    frame: FrameSize, options: SessionOptions, trying: Trying | None = None
) -> MaskSession:
    """Open the network that finds people, for frames of one shape, and run it once.

    Raises:
        ModelError: it is missing, broken or of another form.
        ProviderError: it cannot run on what ``options`` asks for.
    """
    try:
        model = load_mask_model(find_model(MASK_MODEL))
    except ModelError as error:
        raise ModelError(
            f"person and background cannot be told apart: {error.message}", error.remedy
        ) from error
    # What is asked for is meant for generators; this one is of eight bits, and has no variants.
    # On one thread, the one that shows the frames: it is due at once, while a generator that has
    # the other cores would be waited for.
    options = replace(options, precision=Precision.AUTO, threads=1)
    session = MaskSession(open_session(model, mask_size(model, frame), options, trying))
    session.run(np.zeros(session.size.shape, np.uint8))
    log.debug("people are found at %s on %s", session.size, session.runs_on)
    return session
