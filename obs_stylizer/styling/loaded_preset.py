"""A preset made ready for frames, with its generator loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.generator import Generator
from obs_stylizer.motion.coherence import DEFAULT_COHERENCE, Coherence, run_up
from obs_stylizer.motion.flow import Motion, MotionEstimator
from obs_stylizer.motion.reprojection import Reprojector
from obs_stylizer.presets import Preset
from obs_stylizer.segmentation.person_mask import KEPT
from obs_stylizer.styling.adjustments import Adjuster
from obs_stylizer.styling.geometry import Fit, reshape, scale_into
from obs_stylizer.styling.sides import SIDES, SideName, Sides

Past = tuple[Pixels, ...]
"""What is kept of earlier frames, uint8: the last small frame and the last styled picture; of a
preset with a person's mask, the mask and the small frame it was found in go before them."""


_NOTHING: Final = (np.zeros(1, np.uint8),) * 2
"""Stands for what a layer without a past would keep."""


@dataclass(frozen=True, slots=True, eq=False)
class PresetState:
    """What of a loaded preset can move from frame to frame: its strength and its mix of styles.

    ``style`` is what the generator takes for the mix, float32, never changed in place; None for a
    generator without a choice of styles.
    """

    strength: float
    style: NDArray[np.float32] | None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PresetState) or self.strength != other.strength:
            return False
        if self.style is None or other.style is None:
            return self.style is other.style
        return self.style is other.style or np.array_equal(self.style, other.style)

    def toward(self, other: PresetState, share: float) -> PresetState:
        """Return the state ``share`` (0 to 1) of the way from here to ``other``."""
        style = None
        if self.style is not None and other.style is not None:
            style = self.style + (other.style - self.style) * np.float32(share)
        return PresetState(self.strength + (other.strength - self.strength) * share, style)


class LoadedPreset:
    """Turns frames of any size into pictures of the output size in one preset's style.

    Args:
        preset: what to apply.
        generator: its generator, warmed; None for a preset that only adjusts.
        size: of the pictures made.
        frame_seconds: what the generator needs for one frame, as warmed up.
    """

    def __init__(
        self,
        preset: Preset,
        generator: Generator | None,
        size: FrameSize,
        frame_seconds: float = 0.0,
    ) -> None:
        self.preset = preset
        self.generator = generator
        self.frame_seconds = frame_seconds
        self._size = size
        self._fit: Fit = preset.fit
        self._before = Adjuster(preset.before)
        self._after = Adjuster(preset.after)
        self.reprojector = Reprojector()
        """Carries pictures to frames the generator has not seen; for whoever shows those."""
        self.sides: Sides | None = None
        """Puts person and background together, where the preset shows them differently."""
        self.second: LoadedPreset | None = None
        """Makes the other side's picture, where that has a style of its own."""
        self._motion = MotionEstimator()
        self._coherence = Coherence(_coherence_of(preset, generator))
        self._weights: dict[str, float] = {}
        style = None
        if generator is not None and generator.spec.styles:
            self._weights = generator.style_weights(preset.styles)
            style = generator.style_vector(preset.styles)
        self.state = PresetState(preset.strength, style)

    @property
    def process_size(self) -> FrameSize:
        """Size at which the work is done."""
        return self._size if self.generator is None else self.generator.frame_size

    @property
    def layers(self) -> tuple[LoadedPreset, ...]:
        """This one, and the second where there is one."""
        return (self,) if self.second is None else (self, self.second)

    def with_strength(self, strength: float) -> None:
        """Change the strength (0 to 1) from the next frame on, of both sides where there are."""
        self.state = replace(self.state, strength=strength)
        for side in SIDES if self.sides is not None else ():
            self.with_side_strength(side, strength)

    def with_side_strength(self, side: SideName, strength: float) -> None:
        """Change the strength (0 to 1) of one side; no effect on a preset without sides."""
        if self.sides is None:
            return
        picture, layer = self.sides.picture_of(side), self.sides.layer_of(side)
        if picture is not None:
            picture.strength = strength
        if layer is not None:
            shown = self.layers[layer]
            shown.state = replace(shown.state, strength=strength)

    @property
    def side_strengths(self) -> dict[str, float]:
        """Strength of person and background; empty for a preset without sides."""
        if self.sides is None:
            return {}
        found: dict[str, float] = {}
        for side in SIDES:
            picture, layer = self.sides.picture_of(side), self.sides.layer_of(side)
            if picture is not None:
                found[side] = picture.strength
            elif layer is not None:
                found[side] = self.layers[layer].state.strength
        return found

    @property
    def run_up(self) -> int:
        """Frames after which earlier ones no longer matter."""
        kept = [layer.coherence for layer in self.layers]
        return max(run_up(share) for share in ([*kept, KEPT] if self.sides else kept))

    def with_styles(self, styles: Mapping[str, float]) -> None:
        """Change the weights of the styles from the next frame on; no effect without any."""
        if self.generator is not None and self.state.style is not None:
            style = self.generator.style_vector(styles)
            self._weights = self.generator.style_weights(styles)
            self.state = replace(self.state, style=style)

    def with_coherence(self, coherence: float) -> None:
        """Change the coherence (0 to 1) from the next frame on."""
        for layer in self.layers:
            layer._coherence.share = coherence

    @property
    def coherence(self) -> float:
        """The coherence as it is now, 0 to 1."""
        return self._coherence.share

    @property
    def styles(self) -> dict[str, float]:
        """Weight of each style as it is now; empty for a generator without a choice."""
        return dict(self._weights)

    def prepare(self, pixels: Pixels) -> Pixels:
        """Bring a frame to the process size and adjust it: the part before the generator."""
        small = reshape(pixels, self.process_size, self._fit, mirror=self.preset.mirror)
        return self._before(small)

    def generate(self, small: Pixels, state: PresetState) -> Pixels:
        """Run the generator on what :meth:`prepare` returned."""
        if self.generator is None:
            return small
        return self.generator.run(small, state.style, state.strength)

    def prepares_like(self, other: LoadedPreset) -> bool:
        """Whether :meth:`prepare` gives the same for both."""
        mine, its = self.preset, other.preset
        return self.process_size == other.process_size and (
            (mine.mirror, mine.fit, mine.before) == (its.mirror, its.fit, its.before)
        )

    def follow(self, small: Pixels) -> Motion:
        """Return the motion that led to what :meth:`prepare` returned.

        Args:
            small: the frame.
        """
        return self._motion.observe(small)

    def follow_as(self, other: LoadedPreset) -> None:
        """Be where ``other`` is, which :meth:`prepares_like` this and followed the same frames."""
        self._motion.go_on(other._motion)

    @property
    def followed(self) -> Pixels | None:
        """The small frame that was followed last; None at the beginning and after a cut."""
        return self._motion.before

    @property
    def last_small(self) -> Pixels:
        """The small frame that :meth:`follow` saw last.

        Raises:
            RuntimeError: it saw none since a cut.
        """
        if self._motion.before is None:
            raise RuntimeError("no frame was followed")
        return self._motion.before

    def calm(self, motion: Motion, styled: Pixels) -> Pixels:
        """Return the picture of a frame with strokes kept from the one before, read only.

        Args:
            motion: that led to the frame.
            styled: of the frame, uint8 (height, width, 3).
        """
        return self._coherence(motion, styled)

    def fade_in(self, motion: Motion, styled: Pixels, share: float) -> Pixels:
        """Return the picture of a frame with ``share`` of the one before in it, read only."""
        return (
            self._coherence.fade(motion, styled, share) if share else self._coherence.show(styled)
        )

    @property
    def last_calm(self) -> Pixels | None:
        """What :meth:`calm` returned last; None after a cut."""
        return self._coherence.last

    def finish(self, pixels: Pixels, styled: Pixels, state: PresetState, target: Pixels) -> None:
        """Adjust, scale and blend into ``target``, uint8 (height, width, 3).

        The plain frame is blended at the output's size, so that it stays as sharp as it came.
        """
        styled = self._after(styled)
        on_host = self.generator is None or not self.generator.has_strength
        enlarging = "smooth" if self.generator is None else self.generator.spec.enlarging
        if not on_host or state.strength >= 1:
            scale_into(styled, target, enlarging)
            return
        plain = reshape(pixels, self._size, self._fit, mirror=self.preset.mirror)
        if state.strength <= 0:
            np.copyto(target, plain)
            return
        scale_into(styled, target, enlarging)
        cv2.addWeighted(target, state.strength, plain, 1 - state.strength, 0, target)

    def frame(self, pixels: Pixels) -> Pixels:
        """Return the frame without any style, in the preset's geometry, to be read only."""
        return reshape(pixels, self._size, self._fit, mirror=self.preset.mirror)

    def plain(self, pixels: Pixels, target: Pixels) -> None:
        """Write the frame without any style, in the preset's geometry."""
        np.copyto(target, self.frame(pixels))

    def mixes_with(self, other: LoadedPreset) -> bool:
        """Whether a crossfade to ``other`` can go through the style weights alone."""
        return (
            self.generator is not None
            and self.generator is other.generator
            and self.sides is None
            and other.sides is None
            and (self.state.style is None) == (other.state.style is None)
            and self.prepares_like(other)
            and self.preset.after == other.preset.after
        )

    def memory(self) -> Past | None:
        """Return what is kept of earlier frames, if anything is."""
        before, last = self._motion.before, self._coherence.last
        own = None if before is None or last is None else (before.copy(), last.copy())
        if self.sides is None:
            return own
        mask = self.sides.mask.memory()
        second = _NOTHING if self.second is None else self.second.memory() or _NOTHING
        return None if mask is None else (*mask, *(own or _NOTHING), *second)

    def recall(self, past: Past) -> None:
        """Go on from the memory of another one of the same preset."""
        if self.sides is not None:
            self.sides.mask.recall((past[0], past[1]))
            past = past[2:]
        for layer in self.layers:
            kept, past = past[:2], past[2:]
            if kept[0].ndim > 1:
                layer._motion.recall(kept[0])
                layer._coherence.recall(kept[1])

    def reset(self) -> None:
        """Forget earlier frames, after a cut in the source."""
        for layer in self.layers:
            layer.forget()
        if self.sides is not None:
            self.sides.reset()

    def forget(self) -> None:
        """Forget earlier frames of this layer alone."""
        self._motion.reset()
        self._coherence.reset()
        self.reprojector.reset()

    def begin_anew(self) -> None:
        """See :meth:`~obs_stylizer.motion.coherence.Coherence.begin_anew`."""
        for layer in self.layers:
            layer._coherence.begin_anew()
        if self.sides is not None:
            self.sides.mask.begin_anew()

    def change_over(self) -> None:
        """See :meth:`~obs_stylizer.motion.coherence.Coherence.change_over`."""
        for layer in self.layers:
            layer._coherence.change_over()
        if self.sides is not None:
            self.sides.mask.change_over()


def _coherence_of(preset: Preset, generator: Generator | None) -> float:
    """Return the coherence that a preset states, or that suits its generator."""
    if preset.coherence is not None:
        return preset.coherence
    if generator is None:
        return 0.0
    suits = generator.spec.coherence
    return DEFAULT_COHERENCE if suits is None else suits
