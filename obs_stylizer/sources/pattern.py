"""An animated test picture for machines without a camera.

It is what a new user sees styled first, so it is a scene and not only bars: a slowly drifting
landscape, a figure that nods and blinks in front of it, and below them colour bars, a sweeping
line and a frame counter that show at a glance whether pictures are lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.errors import SourceError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.timing import FrameTimer

DEFAULT_FPS: Final = 30.0

Colour = tuple[int, int, int]
Values = NDArray[np.floating[Any]]

# The bars of SMPTE RP 219 at 75 %, as they are everywhere.
_BARS: Final[tuple[Colour, ...]] = (
    (191, 191, 191),
    (191, 191, 0),
    (0, 191, 191),
    (0, 191, 0),
    (191, 0, 191),
    (191, 0, 0),
    (0, 0, 191),
)
_SMOOTH: Final = 3
"""Times larger that the figure is painted, so that its edges come out smooth."""

_DRIFT_SECONDS: Final = 60.0
_BLINK_EVERY: Final = 3.2
_BLINK_SECONDS: Final = 0.16
_SWEEP_SECONDS: Final = 2.0
_BUFFERS: Final = 2


class PatternSource(Source):
    """Draws the test picture in the wished size and at the wished rate.

    Args:
        options: size, rate, pacing and clock.
    """

    def __init__(self, options: SourceOptions) -> None:
        self._size = options.frame_size
        self._fps = options.fps or DEFAULT_FPS
        self._timer = FrameTimer(options.clock, self._fps, paced=options.paced)
        self._scene: PatternScene | None = None
        self._sequence = 0

    def open(self) -> SourceInfo:
        """See :class:`Source`."""
        self._scene = PatternScene(self._size)
        self._timer.restart()
        return SourceInfo("test pattern", self._size, self._fps, "drawn, not captured")

    def read(self, timeout: float) -> Frame | None:
        """See :class:`Source`."""
        scene = self._scene
        if scene is None:
            raise SourceError("the test pattern is not open", "open the source before reading")
        due = self._timer.wait(timeout)
        if due is None:
            return None
        # Moved by the frame's number and not by the time, so that every run shows the same.
        pixels = scene.draw(self._sequence / self._fps, self._sequence)
        frame = Frame(pixels, self._sequence, due)
        self._sequence += 1
        return frame

    def close(self) -> None:
        """See :class:`Source`."""
        self._scene = None


# Drawn once for a size: whoever waits for the source to open again is to wait for no painter.
@lru_cache(maxsize=1)
def _draw_still_parts(size: FrameSize, bar_height: int) -> tuple[Pixels, Pixels, list[Sprite]]:
    width, height = size.width, size.height
    figures = [
        draw_figure(int(height * 0.62), eyes_open=True, smile=0.25),
        draw_figure(int(height * 0.62), eyes_open=True, smile=1.0),
        draw_figure(int(height * 0.62), eyes_open=False, smile=0.25),
    ]
    return draw_landscape(width, height - bar_height), draw_bars(width, bar_height), figures


class PatternScene:
    """The picture itself: everything that stands still is drawn once, when it is made."""

    def __init__(self, size: FrameSize) -> None:
        self._size = size
        height = size.height
        self._bar_height = max(2, height // 12)
        self._landscape, self._bars, self._figures = _draw_still_parts(size, self._bar_height)
        self._buffers = [np.empty(size.shape, dtype=np.uint8) for _ in range(_BUFFERS)]
        self._font_scale = height / 720 * 0.8

    def draw(self, seconds: float, number: int) -> Pixels:
        """Draw the moment ``seconds`` with ``number`` on the counter; uint8 (height, width, 3)."""
        pixels = self._buffers[number % _BUFFERS]
        width, height = self._size.width, self._size.height
        top = height - self._bar_height
        # The landscape is a ring: two copies show it from any point on.
        shift = int(seconds / _DRIFT_SECONDS * width) % width
        pixels[:top, : width - shift] = self._landscape[:, shift:]
        pixels[:top, width - shift :] = self._landscape[:, :shift]
        self._paste_figure(pixels[:top], seconds)
        pixels[top:] = self._bars
        self._draw_sweep(pixels, seconds)
        self._draw_counter(pixels, seconds, number)
        return pixels

    def _paste_figure(self, picture: Pixels, seconds: float) -> None:
        if seconds % _BLINK_EVERY > _BLINK_EVERY - _BLINK_SECONDS:
            figure = self._figures[2]
        else:
            figure = self._figures[1 if seconds % 8.0 > 5.0 else 0]
        height, width = picture.shape[:2]
        sway = math.sin(seconds * 2 * math.pi / 7) * width * 0.12
        nod = (1 + math.sin(seconds * 2 * math.pi / 3.5)) * height * 0.012
        left = int(width * 0.5 + sway - figure.width / 2)
        _paste(picture, figure, left, int(height - figure.height + nod))

    def _draw_sweep(self, pixels: Pixels, seconds: float) -> None:
        width, height = self._size.width, self._size.height
        at = int(seconds % _SWEEP_SECONDS / _SWEEP_SECONDS * width)
        pixels[height - self._bar_height :, at : at + max(1, width // 160)] = 255

    def _draw_counter(self, pixels: Pixels, seconds: float, number: int) -> None:
        minutes, rest = divmod(seconds, 60)
        text = f"{int(minutes):02}:{rest:05.2f}  {number:06}"
        scale = self._font_scale
        corner = (int(20 * scale), int(40 * scale))
        thick = max(1, round(2 * scale))
        for colour, width in (((20, 24, 48), thick * 3), ((255, 255, 255), thick)):
            cv2.putText(
                pixels, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, width, cv2.LINE_AA
            )


def _paste(picture: Pixels, sprite: Sprite, left: int, top: int) -> None:
    """Lay ``sprite`` into ``picture`` with its edges softened; what lies outside is cut off."""
    height, width = picture.shape[:2]
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(width, left + sprite.width), min(height, top + sprite.height)
    if x0 >= x1 or y0 >= y1:
        return
    window = picture[y0:y1, x0:x1]
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    behind = cv2.multiply(window, sprite.keep[part], scale=1 / 255)
    window[:] = cast(Pixels, cv2.add(behind, sprite.colour[part]))


@dataclass(frozen=True, slots=True)
class Sprite:
    """A cut-out picture.

    Attributes:
        colour: uint8 (height, width, 3) RGB, already multiplied by how much it covers.
        keep: uint8 (height, width, 3), how much of what lies behind shines through, of 255.
    """

    colour: Pixels
    keep: Pixels

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.colour.shape[1])

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.colour.shape[0])


def draw_bars(width: int, height: int) -> Pixels:
    """Paint the seven colour bars over a grey ramp; uint8 (height, width, 3)."""
    bars = np.empty((height, width, 3), dtype=np.uint8)
    edges = np.linspace(0, width, len(_BARS) + 1).astype(int)
    for colour, left, right in zip(_BARS, edges[:-1], edges[1:], strict=True):
        bars[:, left:right] = colour
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    bars[height * 2 // 3 :] = ramp[None, :, None]
    return bars


def draw_landscape(width: int, height: int) -> Pixels:
    """Paint sky, sun, clouds, mountains and meadow; left and right edge fit each other.

    Returns:
        uint8 (height, width, 3) RGB.
    """
    x = np.arange(width, dtype=np.float32)[None, :] / width
    y = np.arange(height, dtype=np.float32)[:, None] / height
    picture = _mix((72, 132, 214), (252, 214, 178), np.clip(y / 0.62, 0, 1) * np.ones_like(x))
    sun = np.hypot((x - 0.8) * width / height, y - 0.24)
    _lay(picture, (255, 244, 214), np.exp(-((sun / 0.16) ** 2)) * 0.8)
    _lay(picture, (255, 250, 232), np.clip((0.075 - sun) * height / 2, 0, 1))
    clouds = 0.62 * _ring_noise(width, height, 9, seed=3) + 0.38 * _ring_noise(
        width, height, 31, seed=5
    )
    clouds *= 1 - np.clip(y / 0.45, 0, 1)
    _lay(picture, (255, 252, 250), np.clip((clouds - 0.38) * 3.2, 0, 0.85))
    for base, rise, waves, near, far in (
        (0.52, 0.16, 3, (122, 134, 176), (168, 172, 200)),
        (0.62, 0.12, 4, (82, 112, 118), (128, 150, 150)),
        (0.74, 0.07, 5, (96, 148, 74), (142, 178, 92)),
        (0.86, 0.05, 6, (64, 118, 54), (112, 160, 70)),
    ):
        crest = base - rise * _ridge(width, waves)
        grain = _ring_noise(width, height, 24 + waves * 8, seed=waves)
        shade = np.clip((y - crest) / 0.3, 0, 1) * 0.7 + grain * 0.5
        _lay_picture(picture, _mix(far, near, np.clip(shade, 0, 1)), (y - crest) * height)
    return cast(Pixels, np.clip(picture + 0.5, 0, 255).astype(np.uint8))


def draw_figure(height: int, *, eyes_open: bool, smile: float) -> Sprite:
    """Paint head and shoulders, ``height`` pixels tall, with a smile from 0 to 1."""
    tall = max(8, height) * _SMOOTH
    wide = int(tall * 0.8)
    canvas = np.zeros((tall, wide, 3), dtype=np.uint8)
    cover = np.zeros((tall, wide), dtype=np.uint8)

    def oval(at: tuple[float, float], radii: tuple[float, float], colour: Colour) -> None:
        centre = (int(at[0] * wide), int(at[1] * tall))
        axes = (max(1, int(radii[0] * wide)), max(1, int(radii[1] * tall)))
        cv2.ellipse(canvas, centre, axes, 0, 0, 360, colour, cv2.FILLED)
        cv2.ellipse(cover, centre, axes, 0, 0, 360, 255, cv2.FILLED)

    def arc(at: tuple[float, float], radii: tuple[float, float], span: tuple[int, int]) -> None:
        centre = (int(at[0] * wide), int(at[1] * tall))
        axes = (max(1, int(radii[0] * wide)), max(1, int(radii[1] * tall)))
        cv2.ellipse(canvas, centre, axes, 0, *span, (92, 44, 40), max(2, tall // 90))

    skin, light, shadow, hair = (232, 184, 150), (246, 206, 174), (206, 148, 118), (74, 44, 36)
    oval((0.5, 0.36), (0.31, 0.29), hair)
    oval((0.5, 1.02), (0.46, 0.30), (178, 58, 64))
    oval((0.5, 1.00), (0.30, 0.26), (204, 78, 76))
    oval((0.5, 0.72), (0.11, 0.10), shadow)
    oval((0.25, 0.44), (0.045, 0.055), shadow)
    oval((0.75, 0.44), (0.045, 0.055), shadow)
    oval((0.5, 0.42), (0.25, 0.27), skin)
    oval((0.47, 0.40), (0.19, 0.21), light)
    oval((0.39, 0.19), (0.21, 0.09), hair)
    oval((0.63, 0.20), (0.17, 0.09), hair)
    for side in (0.39, 0.61):
        arc((side, 0.36), (0.06, 0.025), (200, 340))
        if eyes_open:
            oval((side, 0.42), (0.050, 0.028), (252, 252, 250))
            oval((side, 0.42), (0.026, 0.026), (58, 104, 138))
            oval((side, 0.42), (0.013, 0.014), (16, 18, 24))
            oval((side + 0.01, 0.412), (0.006, 0.006), (255, 255, 255))
        else:
            arc((side, 0.42), (0.050, 0.018), (10, 170))
        oval((side + (side - 0.5) * 0.35, 0.51), (0.042, 0.022), (240, 160, 142))
    oval((0.5, 0.49), (0.024, 0.026), shadow)
    if smile > 0.5:
        oval((0.5, 0.578), (0.085, 0.034 * smile), (134, 44, 52))
        oval((0.5, 0.566), (0.070, 0.014), (250, 246, 240))
    else:
        arc((0.5, 0.55), (0.085, 0.03), (20, 160))
    size = (wide // _SMOOTH, tall // _SMOOTH)
    colour = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    keep = cv2.resize(255 - cover, size, interpolation=cv2.INTER_AREA)
    return Sprite(colour, cast(Pixels, cv2.cvtColor(keep, cv2.COLOR_GRAY2RGB)))


def _ridge(width: int, waves: int) -> Values:
    """A mountain line between 0 and 1 that ends where it began; float32 (1, width)."""
    x = np.arange(width, dtype=np.float32)[None, :] / width * 2 * math.pi
    line = np.zeros_like(x)
    for octave in range(5):
        turns = waves * 2**octave
        line += np.abs(np.sin(x * turns / 2 + waves * 1.7 + octave)) / 1.8**octave
    return cast(Values, (line - line.min()) / (line.max() - line.min()))


def _ring_noise(width: int, height: int, cells: int, seed: int) -> Values:
    """Soft noise from 0 to 1 whose left and right edge fit each other; (height, width)."""
    random = np.random.default_rng(seed)
    rows = max(2, cells * height // max(1, width) * 2)
    coarse = random.random((rows, cells), dtype=np.float32)
    doubled = np.concatenate([coarse] * 3, axis=1)
    wide = cv2.resize(doubled, (width * 3, height), interpolation=cv2.INTER_CUBIC)
    return cast(Values, np.clip(wide[:, width : width * 2], 0, 1))


def _mix(first: Colour, second: Colour, amount: Values) -> Values:
    """Colours between two; ``amount`` 0 to 1 (height, width) gives float32 (height, width, 3)."""
    a, b = np.array(first, np.float32), np.array(second, np.float32)
    return cast(Values, a + (b - a) * amount[..., None])


def _lay(picture: Values, colour: Colour, amount: Values) -> None:
    """Lay one colour over ``picture``, as much of it as ``amount`` says; in place."""
    picture += (np.array(colour, np.float32) - picture) * amount[..., None]


def _lay_picture(picture: Values, over: Values, inside: Values) -> None:
    """Lay ``over`` where ``inside`` (pixels beyond its edge) is positive; in place."""
    picture += (over - picture) * np.clip(inside, 0, 1)[..., None]
