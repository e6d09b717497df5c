"""The stylizer on air: a fresh picture for every frame, however slow the generator is.

While the generator keeps up, every frame is styled as in a file, and the generator begins the next
one while the processor finishes its picture. Where it does not, it makes *key pictures* as fast as
it can, and each frame shows the newest of them, carried to it along the motion
(:mod:`obs_stylizer.motion.reprojection`). Where nothing moves, none are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.motion.coherence import FADE_IN
from obs_stylizer.motion.flow import Motion
from obs_stylizer.realtime.followed_frame import FollowedFrame
from obs_stylizer.realtime.generator_pace import GeneratorPace
from obs_stylizer.realtime.key_thread import KeyThread
from obs_stylizer.realtime.next_frame import NextFrame
from obs_stylizer.realtime.picture_ahead import PictureAhead
from obs_stylizer.styling.loaded_preset import LoadedPreset, PresetState
from obs_stylizer.styling.stylizer import Crossfade, Stylizer

_AT_REST_SECONDS: Final = 1.0
"""Between key pictures of a frame that does not change."""
_HANGS_AFTER: Final = 1.5
"""Seconds after which a generator is waited for, so that one that hangs is noticed."""
_SMOOTHED: Final = 0.2


@dataclass(slots=True)
class KeyCounts:
    """What was made since the stylizer was.

    Attributes:
        generated: pictures that a generator made.
        reprojected: frames shown that a picture of an earlier frame was carried to.
    """

    generated: int = 0
    reprojected: int = 0


@dataclass(slots=True)
class _LayerKeys:
    """What is known of the key pictures of one layer.

    Attributes:
        last: moment and state of the newest; not the picture, which would keep the layer alive.
        seconds: that one takes, smoothed.
        age: frames since it came.
        asked: moment of the frame of which one was asked for last.
        shown: what was shown last, before it was calmed.
        rests: whether the last frame showed nothing new.
    """

    last: tuple[float, PresetState] | None = None
    seconds: float = 0.0
    age: int = 0
    asked: float = float("-inf")
    shown: Pixels | None = None
    rests: bool = False


class LiveStylizer(Stylizer):
    """A stylizer whose generators run on a thread of their own. One thread only.

    Args:
        size: of the pictures made.
        motion: follow the motion of the frames; False styles each frame by itself.
        carries: may show carried pictures where the generator is too slow.
        frames: where frames come from, so that the next picture can begin while one is finished;
            None where that is not known.
    """

    def __init__(
        self,
        size: FrameSize,
        *,
        motion: bool = True,
        carries: bool = True,
        frames: NextFrame | None = None,
    ) -> None:
        super().__init__(size, motion=motion)
        self.period = 0.0
        """Seconds between two frames of the source; 0 where unknown."""
        self.counts = KeyCounts()
        self._carries = carries
        self._keys = KeyThread(None if frames is None else frames.wake)
        self._keys.start()
        self._ahead = PictureAhead(self._keys, frames)
        self._of_layer: WeakKeyDictionary[LoadedPreset, _LayerKeys] = WeakKeyDictionary()
        self._frame = FollowedFrame()
        self._pace = GeneratorPace()
        self._own_now = self._own_seconds = 0.0
        self._newest_seconds = self._frame_seconds = 0.0
        self._waits = False

    @property
    def is_carrying(self) -> bool:
        """Whether the generator is too slow for the source, so that pictures are carried."""
        return self._pace.is_too_slow

    @property
    def waits_for_first(self) -> bool:
        """Whether the newest preset has no picture yet and the one before is still shown."""
        return self._waits

    def switch_to(self, loaded: LoadedPreset, crossfade_ms: float) -> None:
        """See :meth:`Stylizer.switch_to`.

        Where pictures are carried, nobody needs the one of the old preset any more that is being
        made, and the generator is free at once for the first one of the new preset.
        """
        last, fade = self._loaded, self._fade
        self._ahead.give_up()
        self._expect(loaded)
        # Even a cut is no sooner than the first picture of the new preset.
        super().switch_to(loaded, max(crossfade_ms, 1e-3) if self.is_carrying else crossfade_ms)
        if self._fade is None or last is None or not self.is_carrying:
            return
        if fade is not None and fade.began is None:
            # What it was to be faded to was never seen.
            self._fade.previous = fade.previous
        if not self.bypass and self._generated(loaded):
            self._keys.give_up()
            for layer in last.layers:
                layer.reprojector.give_up()

    def _expect(self, loaded: LoadedPreset) -> None:
        """Foresee from its warm-up whether a generator is too slow for the source."""
        last = self._loaded
        if last is None or loaded.generator is None or loaded.frame_seconds <= 0:
            return
        if last.generator is not loaded.generator:
            self._newest_seconds = loaded.frame_seconds / max(1, len(self._generated(loaded)))
        if self._carries:
            self._pace.expect(loaded.frame_seconds, self.period)

    def begin_first(self) -> None:
        """Begin the first picture of a preset with the last frame, in place of the next one.

        To be called after :meth:`switch_to` where no new frame is there yet, and only while the
        pixels given to :meth:`process` last are as they were. It is for carried pictures: where
        every frame waits for its own, nothing is done.
        """
        loaded, fade, moment = self._loaded, self._fade, self._last_moment
        if loaded is None or fade is None or moment is None or not self._frame.is_there:
            return
        if self._waits_with(loaded, fade) and self._keys.is_idle:
            layer = self._generated(loaded)[0]
            small, _ = self._follow(layer)
            self._ask(layer, layer.state, moment, small)

    def _waits_with(self, loaded: LoadedPreset, fade: Crossfade) -> bool:
        """Whether a preset that is faded to has to have a picture before the fade begins."""
        return (
            self.is_carrying
            and not self.bypass
            and bool(self._generated(loaded))
            and fade.began is None
        )

    def _generated(self, loaded: LoadedPreset) -> list[LoadedPreset]:
        """The layers of a preset that a generator makes."""
        return [layer for layer in loaded.layers if self._is_generated(layer, layer.state)]

    def process(self, pixels: Pixels, moment: float, target: Pixels) -> None:
        """See :meth:`Stylizer.process`.

        Args:
            pixels: see there; :meth:`begin_first` looks at them again.
            moment: see there.
            target: see there.
        """
        self._waits = False
        self.alpha = None
        self._frame = self._ahead.frame(pixels)
        loaded, fade = self._loaded, self._fade
        if loaded is not None and fade is not None and self._waits_with(loaded, fade):
            previous = fade.previous
            if previous.prepares_like(loaded) and self._is_generated(previous, previous.state):
                # It has a frame to come from, and the other goes on from where it is.
                self._follow(previous)
            seen = {layer: self._follow(layer)[0] for layer in self._generated(loaded)}
            self._collect()
            missing = [layer for layer in seen if not layer.reprojector.has_picture]
            if missing:
                self._ahead.give_up()
                self._ask(missing[0], missing[0].state, moment, seen[missing[0]])
                self._waits = True
                self._last_moment = moment
                self._apply(previous, previous, 1.0, pixels, target)
                return
        self._own_now = 0.0
        began = self.clock()
        super().process(pixels, moment, target)
        self._frame_seconds += _SMOOTHED * (self.clock() - began - self._frame_seconds)
        if self._own_now > 0:
            self._own_seconds += _SMOOTHED * (self._own_now - self._own_seconds)
        self._decide()

    def _is_generated(self, loaded: LoadedPreset, state: PresetState) -> bool:
        return self.motion and loaded.generator is not None and state.strength > 0

    def _mixes(self, previous: LoadedPreset, loaded: LoadedPreset) -> bool:
        # The last picture of the one can be carried while the other's are made.
        return not self.is_carrying and super()._mixes(previous, loaded)

    def _put_together(
        self,
        loaded: LoadedPreset,
        pixels: Pixels,
        pictures: Sequence[Pixels],
        motion: Motion | None,
        target: Pixels,
    ) -> None:
        began = self.clock()
        super()._put_together(loaded, pixels, pictures, motion, target)
        if loaded is self._loaded:
            self._own_now += self.clock() - began

    def _apply_layer(
        self,
        loaded: LoadedPreset,
        start: LoadedPreset,
        share: float,
        pixels: Pixels,
        target: Pixels,
    ) -> Motion | None:
        state = loaded.state if share >= 1 else start.state.toward(loaded.state, share)
        if not self._is_generated(loaded, state):
            if loaded.generator is None or state.strength <= 0:
                return super()._apply_layer(loaded, start, share, pixels, target)
            self._apply_alone(loaded, state, pixels, target)
            return None
        began = self.clock()
        begun = self._begin_early(loaded, state)
        small, motion = self._follow(loaded)
        self._keys_of(loaded).rests = loaded.reprojector.is_at_rest
        if begun:
            loaded.reprojector.announce()
        prepared = self.clock()
        picture, waited = self._picture(loaded, state, small, begun=begun)
        finishing = self.clock()
        if begun:
            self._begin_next(loaded, state)
        picture = self._calmed(loaded, motion, picture)
        loaded.finish(pixels, picture, state, target)
        if self._is_on_air(loaded):
            self._own_now += self.clock() - began - waited
        self.stages.prepare += prepared - began
        self.stages.generate += self._keys_of(loaded).seconds if self.is_carrying else waited
        self.stages.finish += self.clock() - finishing
        return motion

    def _apply_alone(
        self, loaded: LoadedPreset, state: PresetState, pixels: Pixels, target: Pixels
    ) -> None:
        """Make the picture of one layer from this frame alone."""
        began = self.clock()
        if not self._ahead.take_over(loaded, state):
            small = self._frame.prepared(loaded)
            self._keys.make(loaded, state, self._last_moment or 0.0, small)
        prepared = self.clock()
        self._ahead.wait(loaded)
        made = self._keys.take(wait=True)
        assert made is not None
        self.counts.generated += 1
        generated = self.clock()
        self._begin_next(loaded, state)
        loaded.finish(pixels, made.picture, state, target)
        self.stages.prepare += prepared - began
        self.stages.generate += generated - prepared
        self.stages.finish += self.clock() - generated

    def _begin_next(self, loaded: LoadedPreset, state: PresetState) -> None:
        """Begin the picture of the next frame, if that is there and it is known what it needs."""
        if (
            self._fade is None
            and not self.is_carrying
            and loaded is self._loaded
            and loaded.second is None
            and not self._keys_of(loaded).rests
        ):
            self._ahead.begin(loaded, state)

    def _keys_of(self, layer: LoadedPreset) -> _LayerKeys:
        return self._of_layer.setdefault(layer, _LayerKeys(seconds=self._newest_seconds))

    def _follow(self, loaded: LoadedPreset) -> tuple[Pixels, Motion]:
        return self._frame.followed(loaded)

    def _begin_early(self, loaded: LoadedPreset, state: PresetState) -> bool:
        """Begin the picture of a frame before its motion is known: the two go side by side.

        Returns:
            Whether it was begun: not where pictures are carried, nor where the last frame showed
            nothing new, because this one may show nothing new either.
        """
        if self._ahead.take_over(loaded, state):
            return True
        if self.is_carrying or self._keys_of(loaded).rests or not self._is_made_for(loaded):
            return False
        self._collect()
        if not self._keys.is_idle:
            return False
        small = self._frame.prepared(loaded)
        self._keys.make(loaded, state, self._last_moment or 0.0, small)
        return True

    def _is_made_for(self, loaded: LoadedPreset) -> bool:
        """Whether pictures of new frames are made: what is faded from only carries its last."""
        return self._is_on_air(loaded) or not loaded.reprojector.has_picture

    def _calmed(self, loaded: LoadedPreset, motion: Motion, picture: Pixels) -> Pixels:
        keys = self._keys_of(loaded)
        last, shown = loaded.last_calm, keys.shown
        keys.shown = picture
        if motion.still and picture is shown and last is not None:
            return last
        if self.is_carrying:
            share = FADE_IN[keys.age] if keys.age < len(FADE_IN) else 0.0
            keys.age += self._is_on_air(loaded)
            return loaded.fade_in(motion, picture, share)
        return loaded.calm(motion, picture) if loaded.coherence > 0 else picture

    def _is_on_air(self, layer: LoadedPreset) -> bool:
        return self._loaded is not None and layer in self._loaded.layers

    def _picture(
        self, loaded: LoadedPreset, state: PresetState, small: Pixels, *, begun: bool
    ) -> tuple[Pixels, float]:
        """Return the picture to show, and the seconds that it was waited for."""
        began = self.clock()
        moment = self._last_moment or 0.0
        reprojector = loaded.reprojector
        waited = 0.0
        if begun:
            self._ahead.wait(loaded)
        self._collect(wait=begun)
        if begun:
            waited = self.clock() - began
        elif self._is_made_for(loaded):
            if self.is_carrying and reprojector.has_picture:
                if self._is_its_turn(loaded, state, moment):
                    self._ask(loaded, state, moment, small)
            elif not self._is_at_rest(loaded, state, moment):
                self._collect(wait=True)
                self._ask(loaded, state, moment, small)
                self._collect(wait=True)
                waited = self.clock() - began
        picture = reprojector.picture()
        if picture is None:
            raise RuntimeError("a picture that was waited for is not there")
        self.counts.reprojected += not reprojector.is_of_newest_frame
        return picture, waited

    def _is_its_turn(self, layer: LoadedPreset, state: PresetState, moment: float) -> bool:
        """Whether a key picture of this layer is wanted, and not first one of the other's."""
        if self._is_at_rest(layer, state, moment) or self._loaded is None:
            return False
        asked = self._keys_of(layer).asked
        return not any(
            self._keys_of(other).asked < asked
            for other in self._loaded.layers
            if other is not layer
            and self._is_generated(other, other.state)
            and other.reprojector.has_picture
            and not self._is_at_rest(other, other.state, moment)
        )

    def _is_at_rest(self, loaded: LoadedPreset, state: PresetState, moment: float) -> bool:
        last = self._keys_of(loaded).last
        return (
            last is not None
            and last[1] == state
            and abs(moment - last[0]) < _AT_REST_SECONDS
            and loaded.reprojector.is_at_rest
        )

    def _ask(self, loaded: LoadedPreset, state: PresetState, moment: float, small: Pixels) -> None:
        """Begin a picture of the newest frame unless another is being made."""
        if self._keys.is_idle:
            loaded.reprojector.announce()
            self._keys_of(loaded).asked = moment
            self._keys.make(loaded, state, moment, small)

    def _collect(self, *, wait: bool = False) -> None:
        """Take over the picture that is finished, if there is one."""
        made = self._keys.take(wait=wait or self._keys.busy_seconds > _HANGS_AFTER)
        if made is None:
            return
        self.counts.generated += 1
        keys = self._keys_of(made.loaded)
        keys.age = 0
        share = 1.0 if keys.last is None else _SMOOTHED
        keys.seconds += share * (made.seconds - keys.seconds)
        keys.last = (made.moment, made.state)
        self._newest_seconds = made.seconds
        made.loaded.reprojector.take(made.picture)

    def _decide(self) -> None:
        """Begin to carry pictures, or end it, as the last frames suggest."""
        loaded = self._loaded
        if not (self._carries and self.motion) or loaded is None or loaded.generator is None:
            self._pace.is_too_slow = False
            return
        takes = sum(self._keys_of(layer).seconds for layer in loaded.layers) + self._own_seconds
        if not self.is_carrying:
            # Part of it goes side by side.
            takes = min(takes, self._frame_seconds)
        self._pace.observe(takes, self.period)

    def reset(self) -> None:
        """See :meth:`Stylizer.reset`."""
        super().reset()
        self._ahead.give_up()
        self._frame = FollowedFrame()
        if self._fade is not None:
            self._fade.previous.reset()
