"""The picture of the next frame, begun while that of the present one is finished.

A frame is prepared, its picture made, and the picture finished, by processor, generator and
processor. One frame is in each stage at most, and they stay in order: the generator need not wait
while the processor scales.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from obs_stylizer.frames import Pixels
from obs_stylizer.realtime.followed_frame import FollowedFrame
from obs_stylizer.realtime.key_thread import KeyThread
from obs_stylizer.realtime.next_frame import NextFrame
from obs_stylizer.styling.loaded_preset import LoadedPreset, PresetState

_LOOK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Begun:
    pixels: Pixels
    frame: FollowedFrame
    loaded: LoadedPreset
    state: PresetState


class PictureAhead:
    """Begins pictures ahead of their frame's time. One thread only.

    Args:
        keys: makes them.
        frames: where the next frame is looked for; None begins nothing.
    """

    def __init__(self, keys: KeyThread, frames: NextFrame | None) -> None:
        self._keys = keys
        self._frames = frames
        self._seen: tuple[Pixels, float, FollowedFrame] | None = None
        self._begun: _Begun | None = None

    def wait(self, loaded: LoadedPreset) -> None:
        """Wait for the picture under way; prepare the next frame if it comes meanwhile."""
        frames, woken = self._frames, False
        while frames is not None and not self._keys.is_made:
            woken |= not self._look(loaded, _LOOK_SECONDS) and not self._keys.is_made
        if frames is not None and woken:
            # Somebody else wanted whoever takes the next frame to go on without one.
            frames.wake()

    def begin(self, loaded: LoadedPreset, state: PresetState) -> None:
        """Begin the picture of the next frame, if that is there already.

        Args:
            loaded: whose generator is to make it.
            state: with which strength and styles.
        """
        self._look(loaded, 0.0)
        if self._seen is None or not self._keys.is_idle:
            return
        pixels, moment, frame = self._seen
        self._begun = _Begun(pixels, frame, loaded, state)
        self._keys.make(loaded, state, moment, frame.prepared(loaded))

    def frame(self, pixels: Pixels) -> FollowedFrame:
        """Return the frame of ``pixels`` with what was found of it ahead.

        A picture that was begun of another frame is given up.
        """
        seen, self._seen = self._seen, None
        if self._begun is not None and self._begun.pixels is not pixels:
            self.give_up()
        return seen[2] if seen is not None and seen[0] is pixels else FollowedFrame(pixels)

    def take_over(self, loaded: LoadedPreset, state: PresetState) -> bool:
        """Return whether the picture of the present frame was begun; another one is given up."""
        begun, self._begun = self._begun, None
        if begun is None:
            return False
        if begun.loaded is loaded and begun.state == state:
            return True
        self._keys.give_up()
        return False

    def give_up(self) -> None:
        """Forget the next frame, and the picture of it that nobody took over."""
        self._seen = None
        if self._begun is not None:
            self._begun = None
            self._keys.give_up()

    def _look(self, loaded: LoadedPreset, seconds: float) -> bool:
        frame = None if self._frames is None else self._frames.look(seconds)
        if frame is None:
            return False
        self._seen = frame.pixels, frame.captured_at, FollowedFrame(frame.pixels)
        self._seen[2].prepared(loaded)
        return True
