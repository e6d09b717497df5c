"""An animated test picture for machines without a camera.

It is what a new user sees styled first, so it is a scene and not only bars: a slowly drifting
landscape, a figure that nods and blinks in front of it, and below them colour bars, a sweeping
line and a frame counter that show at a glance whether pictures are lost.
"""

from __future__ import annotations

import math
from typing import Final, cast

import cv2
import numpy as np

from obs_stylizer.errors import SourceError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.pattern_scene import Sprite, draw_bars, draw_figure, draw_landscape
from obs_stylizer.sources.timing import FrameTimer

DEFAULT_FPS: Final = 30.0

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


class PatternScene:
    """The picture itself: everything that stands still is drawn once, when it is made."""

    def __init__(self, size: FrameSize) -> None:
        self._size = size
        width, height = size.width, size.height
        self._bar_height = max(2, height // 12)
        self._landscape = draw_landscape(width, height - self._bar_height)
        self._bars = draw_bars(width, self._bar_height)
        self._figures = [
            draw_figure(int(height * 0.62), eyes_open=True, smile=0.25),
            draw_figure(int(height * 0.62), eyes_open=True, smile=1.0),
            draw_figure(int(height * 0.62), eyes_open=False, smile=0.25),
        ]
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
