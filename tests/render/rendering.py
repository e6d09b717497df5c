"""Renderings for tests: whole ones, and ones that are stopped in the middle."""

from __future__ import annotations

import threading
from pathlib import Path

from obs_stylizer.render.clip import Clip
from obs_stylizer.render.cue_presets import Style
from obs_stylizer.render.file_render import Output, Result, render_file
from obs_stylizer.render.progress import Progress


class Stopper:
    """Sets the stop once so many frames are done."""

    def __init__(self, frames: int) -> None:
        self.event = threading.Event()
        self._frames = frames

    def __call__(self, progress: Progress) -> None:
        if progress.frame >= self._frames:
            self.event.set()


def render(source: Path, target: Path, style: Style, **output: object) -> Result:
    """Render a file without looking at the progress."""
    with Clip(source) as clip:
        return render_file(
            clip,
            target,
            style,
            Output(**output),  # type: ignore[arg-type]
            lambda progress: None,
            threading.Event(),
        )
