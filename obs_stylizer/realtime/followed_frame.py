"""One frame as several presets see it: prepared once, and followed once, where they do so alike.

In a crossfade both presets follow each frame, as do the two layers of a preset with a mask.
"""

from __future__ import annotations

from dataclasses import dataclass

from obs_stylizer.frames import Pixels
from obs_stylizer.motion.flow import Motion
from obs_stylizer.styling.loaded_preset import LoadedPreset


@dataclass(frozen=True, slots=True)
class _Followed:
    """What was found for one preset; ``before`` is the small frame that the motion comes from."""

    loaded: LoadedPreset
    before: Pixels | None
    small: Pixels
    motion: Motion


class FollowedFrame:
    """A frame, and what was found of it so far.

    Args:
        pixels: uint8 (height, width, 3); None where there was no frame yet.
    """

    def __init__(self, pixels: Pixels | None = None) -> None:
        self._pixels = pixels
        self._prepared: list[tuple[LoadedPreset, Pixels]] = []
        self._followed: list[_Followed] = []

    @property
    def is_there(self) -> bool:
        """Whether there is a frame."""
        return self._pixels is not None

    def prepared(self, loaded: LoadedPreset) -> Pixels:
        """Return the frame as ``loaded`` prepares it.

        Raises:
            RuntimeError: there is no frame.
        """
        for other, small in self._prepared:
            if loaded.prepares_like(other):
                return small
        if self._pixels is None:
            raise RuntimeError("there is no frame yet")
        small = loaded.prepare(self._pixels)
        self._prepared.append((loaded, small))
        return small

    def followed(self, loaded: LoadedPreset) -> tuple[Pixels, Motion]:
        """Return the frame as ``loaded`` prepares it, and the motion that led to it.

        The preset's key pictures are carried on to it.

        Args:
            loaded: the preset.

        Raises:
            RuntimeError: there is no frame.
        """
        before = loaded.followed
        for done in self._followed:
            if done.loaded is loaded:
                return done.small, done.motion
        for done in self._followed:
            if (before is None or before is done.before) and loaded.prepares_like(done.loaded):
                loaded.follow_as(done.loaded)
                small, motion = done.small, done.motion
                break
        else:
            small = self.prepared(loaded)
            motion = loaded.follow(small)
        self._followed.append(_Followed(loaded, before, small, motion))
        loaded.reprojector.advance(motion, loaded.last_small)
        return small, motion
