"""The director: plays a list of cues on the stylizer, as somebody at the live program would."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.motion.coherence import run_up
from obs_stylizer.render.cues import Cue
from obs_stylizer.render.memory import Memory, recall, remember
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.stylizer import Stylizer

CueLoader = Callable[[int], LoadedPreset]
"""Loads the preset of the cue of that number; a fresh one at every call, as live."""

SEGMENT_FRAMES: Final = 240
"""Frames of a segment: what an interrupted rendering loses at most. At its end the coherence of
every preset changes over to a past that is no longer than its run-up, so that each segment can be
made without those before and joins them exactly."""


class Director:
    """Turns the frames of one clip, in order, into styled pictures. One thread only.

    Args:
        cues: by time; the first is for the beginning.
        load_cue: gives the loaded preset of a cue.
        size: of the pictures made.
        keeps_alpha: make transparent sides of presets transparent, see :attr:`alpha`.
    """

    def __init__(
        self,
        cues: Sequence[Cue],
        load_cue: CueLoader,
        size: FrameSize,
        *,
        keeps_alpha: bool = False,
    ) -> None:
        self._cues = cues
        self._load_cue = load_cue
        self._times = [cue.seconds for cue in cues]
        self._stylizer = Stylizer(size, keeps_alpha=keeps_alpha)
        self._shown: int | None = None
        self._loaded: dict[int, LoadedPreset] = {}
        self._order: list[int] = []

    @property
    def alpha(self) -> Pixels | None:
        """Of the last picture, uint8 (height, width), 255 opaque; None where all of it is."""
        return self._stylizer.alpha

    def style(self, pixels: Pixels, seconds: float, ordinal: int) -> Pixels:
        """Return the picture of the frame shown ``seconds`` after the first one.

        Args:
            pixels: uint8 (height, width, 3), RGB.
            seconds: rises from call to call.
            ordinal: number of the frame in the clip.
        """
        cue = max(0, bisect_right(self._times, seconds) - 1)
        if cue != self._shown:
            self._take(cue)
        target: Pixels = np.empty(self._stylizer.size.shape, np.uint8)
        left = SEGMENT_FRAMES - ordinal % SEGMENT_FRAMES
        for loaded in self._loaded.values():
            if left == min(loaded.run_up, SEGMENT_FRAMES - 1):
                loaded.begin_anew()
        self._stylizer.process(pixels, seconds, target)
        if left == 1:
            for loaded in self._loaded.values():
                loaded.change_over()
        return target

    def memory(self) -> Memory:
        """Return all that the next picture depends on besides its own frame."""
        return remember(self._stylizer, self._shown, self._loaded, self._order)

    def go_on_from(self, memory: Memory) -> None:
        """Continue where another director was when it gave its memory."""
        self._loaded = {number: self._load_cue(number) for number in memory.order}
        self._order = list(memory.order)
        self._shown = memory.shown
        recall(memory, self._stylizer, self._loaded)

    def _take(self, number: int) -> None:
        self._shown = number
        loaded = self._load_cue(number)
        self._stylizer.switch_to(loaded, loaded.preset.crossfade_ms)
        # The one that is faded from, and the one that is shown.
        self._order = [*self._order[-1:], number]
        self._loaded = {kept: self._loaded.get(kept, loaded) for kept in self._order}


def warm_up_frames(coherences: Sequence[float]) -> int:
    """Return how many frames to play ahead of a segment, so that older ones do not matter.

    Args:
        coherences: of each preset that may be shown.
    """
    # Two more: for the time and the motion between frames.
    return 2 + max((run_up(coherence) for coherence in coherences), default=0)


def warm_up_begin(
    seconds: float, cues: Sequence[Cue], crossfade_ms: Sequence[int], period: float
) -> float:
    """Return the moment to begin at, at or before ``seconds``, that lies in no crossfade.

    Args:
        seconds: from where the past should be known.
        cues: by time.
        crossfade_ms: of the preset of each cue.
        period: seconds of a frame.
    """
    begin = seconds
    for cue, fade in reversed(list(zip(cues, crossfade_ms, strict=True))):
        if cue.seconds <= begin + 2 * period and begin < cue.seconds + fade / 1000 + 2 * period:
            begin = min(begin, cue.seconds - 2 * period)
    return max(0.0, begin)
