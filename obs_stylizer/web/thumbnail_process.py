"""The process that paints thumbnails: every preset's generator on one frame, at lowest priority.

It never touches the worker, its GPU or its memory: a thumbnail that takes long harms nobody.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from obs_stylizer.errors import StylizerError
from obs_stylizer.frames import Frame, FrameSize, Pixels, size_of
from obs_stylizer.presets import NamedPreset
from obs_stylizer.realtime.priority import take_lowest_priority

_QUALITY: Final = 82


@dataclass(frozen=True, slots=True)
class Paint:
    """Asked of the process: this frame, uint8 (height, width, 3), in each of these presets."""

    pixels: Pixels
    presets: tuple[NamedPreset, ...]


@dataclass(frozen=True, slots=True)
class Painted:
    """What comes of each preset: a JPEG, or why there is none."""

    name: str
    jpeg: bytes = b""
    trouble: str = ""


def run_thumbnail_process(connection: Connection) -> None:
    """Answer every :class:`Paint` with one :class:`Painted` a preset, until the pipe closes."""
    # Ctrl-C is for the daemon, which closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger().addHandler(logging.NullHandler())
    take_lowest_priority()
    with contextlib.suppress(EOFError, OSError):
        _answer(connection)


def _answer(connection: Connection) -> None:
    from obs_stylizer.inference.session import Precision, Provider, SessionOptions
    from obs_stylizer.styling.preset_loader import PresetLoader
    from obs_stylizer.styling.stylizer import Stylizer
    from obs_stylizer.web.stream_hub import encode_jpeg

    options = SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1)
    loaders: dict[FrameSize, PresetLoader] = {}
    while True:
        asked: Paint = connection.recv()
        size = size_of(asked.pixels)
        if size not in loaders:
            loaders.clear()
            loaders[size] = PresetLoader(size, options, size)
        for named in asked.presets:
            try:
                stylizer = Stylizer(size)
                stylizer.switch_to(loaders[size].load(named), 0)
                target = asked.pixels.copy()
                stylizer.process(asked.pixels, 0.0, target)
            except StylizerError as error:
                connection.send(Painted(named.name, trouble=error.message))
                continue
            connection.send(Painted(named.name, encode_jpeg(Frame(target, 0, 0.0), _QUALITY)))
