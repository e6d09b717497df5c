"""The stylizer: frames in, styled pictures out, with a crossfade wherever the preset changes.

It is the one piece that live and file rendering share. What it does depends on the frames and
their times alone, so the same frames give the same pictures in both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.motion.flow import Motion
from obs_stylizer.styling.loaded_preset import LoadedPreset


@dataclass(slots=True)
class StageSeconds:
    """Seconds that one frame spent in each part."""

    prepare: float = 0.0
    generate: float = 0.0
    finish: float = 0.0


@dataclass(slots=True)
class Crossfade:
    """The way from one preset to another; ``began`` is the moment of its first frame."""

    previous: LoadedPreset
    seconds: float
    began: float | None = None

    def share(self, moment: float, period: float) -> float:
        """Return how much of the new preset is shown at ``moment``, 0 to 1.

        The first frame is already one period into it, so that a change is seen at once.
        """
        if self.began is None:
            self.began = moment - period
        return min(1.0, max(0.0, (moment - self.began) / self.seconds))


@dataclass(slots=True)
class Stylizer:
    """Applies the current preset to frames. One thread only.

    Attributes:
        size: of the pictures made.
        bypass: show frames without any style; the preset stays loaded.
        keeps_alpha: make pictures of presets with a transparent side as straight alpha, and not
            over the colour that stands for nothing.
        alpha: of the last picture, uint8 (height, width), 255 opaque; None where all of it is.
        shows_mask: show who is taken for a person, of presets that tell person and background
            apart.
        motion: follow the motion of the frames, so that pictures are coherent.
        stages: times of the last frame.
    """

    size: FrameSize
    bypass: bool = False
    shows_mask: bool = False
    keeps_alpha: bool = False
    alpha: Pixels | None = None
    motion: bool = True
    stages: StageSeconds = field(default_factory=StageSeconds)
    clock: Callable[[], float] = time.perf_counter
    _loaded: LoadedPreset | None = None
    _fade: Crossfade | None = None
    _last_moment: float | None = None
    _scratch: Pixels | None = None
    _second: Pixels | None = None

    @property
    def loaded(self) -> LoadedPreset | None:
        """The preset on air or being faded to."""
        return self._loaded

    @property
    def crossfade(self) -> tuple[float, float] | None:
        """Moment of the beginning and seconds of the crossfade in progress."""
        fade = self._fade
        return None if fade is None or fade.began is None else (fade.began, fade.seconds)

    @property
    def last_moment(self) -> float | None:
        """Moment of the last frame."""
        return self._last_moment

    def go_on(
        self,
        loaded_presets: Sequence[LoadedPreset],
        crossfade: tuple[float, float] | None,
        last_moment: float | None,
    ) -> None:
        """Continue where another stylizer was.

        Args:
            loaded_presets: the one on air last, and before it the one that is faded from, if any.
            crossfade: as the other had it.
            last_moment: of the other's last frame.
        """
        self._loaded = loaded_presets[-1] if loaded_presets else None
        self._fade = None
        if crossfade is not None:
            began, seconds = crossfade
            self._fade = Crossfade(loaded_presets[0], seconds, began)
        self._last_moment = last_moment

    def switch_to(self, loaded: LoadedPreset, crossfade_ms: float) -> None:
        """Show ``loaded`` from the next frame on, blended over ``crossfade_ms`` milliseconds.

        A switch in the middle of a crossfade starts from the preset that was being faded to.
        """
        previous, self._loaded = self._loaded, loaded
        fades = previous is not None and crossfade_ms > 0
        self._fade = Crossfade(previous, crossfade_ms / 1000) if fades and previous else None

    def process(self, pixels: Pixels, moment: float, target: Pixels) -> None:
        """Write the styled picture of a frame into ``target``.

        Args:
            pixels: uint8 (height, width, 3), RGB, of any size.
            moment: the frame's time in seconds (capture time live, its own time in a file).
            target: uint8, of :attr:`size`.
        """
        loaded = self._loaded
        if loaded is None:
            raise RuntimeError("no preset was ever set")
        self.stages = StageSeconds()
        self.alpha = None
        period = 0.0 if self._last_moment is None else max(0.0, moment - self._last_moment)
        self._last_moment = moment
        if self.bypass:
            began = self.clock()
            loaded.plain(pixels, target)
            self.stages.finish = self.clock() - began
            return
        if self._fade is not None:
            share = self._fade.share(moment, min(period, 0.1))
            if share < 1:
                self._process_fading(self._fade.previous, loaded, share, pixels, target)
                return
            self._fade = None
        self._apply(loaded, loaded, 1.0, pixels, target)

    def _process_fading(
        self,
        previous: LoadedPreset,
        loaded: LoadedPreset,
        share: float,
        pixels: Pixels,
        target: Pixels,
    ) -> None:
        if self._mixes(previous, loaded):
            self._apply(loaded, previous, share, pixels, target)
            return
        if self._scratch is None:
            self._scratch = np.empty(self.size.shape, np.uint8)
        self._apply(previous, previous, 1.0, pixels, self._scratch)
        before, self.alpha = self.alpha, None
        self._apply(loaded, loaded, 1.0, pixels, target)
        began = self.clock()
        cv2.addWeighted(target, share, self._scratch, 1 - share, 0, target)
        if before is not None or self.alpha is not None:
            opaque: Pixels = np.full(target.shape[:2], 255, np.uint8)
            now = opaque if self.alpha is None else self.alpha
            then = opaque if before is None else before
            self.alpha = np.asarray(cv2.addWeighted(now, share, then, 1 - share, 0), np.uint8)
        self.stages.finish += self.clock() - began

    def _mixes(self, previous: LoadedPreset, loaded: LoadedPreset) -> bool:
        return previous.mixes_with(loaded)

    def _apply(
        self,
        loaded: LoadedPreset,
        start: LoadedPreset,
        share: float,
        pixels: Pixels,
        target: Pixels,
    ) -> None:
        """Run ``loaded`` with its state ``share`` of the way from that of ``start``."""
        sides = loaded.sides
        if sides is None:
            self._apply_layer(loaded, start, share, pixels, target)
            return
        if self._second is None:
            self._second = np.empty(self.size.shape, np.uint8)
        pictures = (target, self._second)
        motion: Motion | None = None
        for number in sides.layers:
            layer = loaded.layers[number]
            found = self._apply_layer(layer, layer, 1.0, pixels, pictures[number])
            motion = found or motion
        self._put_together(loaded, pixels, pictures, motion, target)

    def _put_together(
        self,
        loaded: LoadedPreset,
        pixels: Pixels,
        pictures: Sequence[Pixels],
        motion: Motion | None,
        target: Pixels,
    ) -> None:
        """Put the pictures of a preset's layers together by who is in the frame."""
        assert loaded.sides is not None
        began = self.clock()
        moment = self._last_moment or 0.0
        loaded.sides.shows_mask = self.shows_mask
        loaded.sides.keeps_alpha = self.keeps_alpha
        loaded.sides.put_together(loaded.frame(pixels), pictures, motion, moment, target)
        self.alpha = loaded.sides.alpha
        self.stages.finish += self.clock() - began

    def _apply_layer(
        self,
        loaded: LoadedPreset,
        start: LoadedPreset,
        share: float,
        pixels: Pixels,
        target: Pixels,
    ) -> Motion | None:
        """Make the picture of one layer; return the motion that led to the frame, if found."""
        state = loaded.state if share >= 1 else start.state.toward(loaded.state, share)
        began = self.clock()
        small = loaded.prepare(pixels)
        prepared = self.clock()
        styled = small if state.strength <= 0 else loaded.generate(small, state)
        generated = self.clock()
        motion: Motion | None = None
        if state.strength <= 0:
            loaded.forget()
        elif self.motion and loaded.coherence > 0:
            motion = loaded.follow(small)
            styled = loaded.calm(motion, styled)
        loaded.finish(pixels, styled, state, target)
        self.stages.prepare += prepared - began
        self.stages.generate += generated - prepared
        self.stages.finish += self.clock() - generated
        return motion

    def reset(self) -> None:
        """Forget earlier frames, after a change of source."""
        if self._loaded is not None:
            self._loaded.reset()
