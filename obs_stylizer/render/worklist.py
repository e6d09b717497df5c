"""One piece of work after another, whatever kind each is."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from obs_stylizer.errors import SinkError
from obs_stylizer.render.animation import Animation
from obs_stylizer.render.clip import Clip, Footage
from obs_stylizer.render.cue_presets import Style
from obs_stylizer.render.file_render import Output, Result, check_target, render_file
from obs_stylizer.render.pictures import PictureFilm, render_picture
from obs_stylizer.render.progress import Progress, Report
from obs_stylizer.render.requests import Kind, Request
from obs_stylizer.render.work_folder import WorkFolder
from obs_stylizer.render.yuv4mpeg import FORM, render_to_stream

log = logging.getLogger(__name__)

DEFAULT_FILM_RATE: Final = Fraction(25)

FileRenderer = Callable[..., Result]
"""Renders footage into a file, as :func:`render_file` does."""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What holds for every piece of work.

    Attributes:
        style: the presets and what runs them.
        output: codec and the like.
        film_rate: frames a second of folders of pictures.
        render_file: what makes files: this machine, or several.
    """

    style: Style
    output: Output
    film_rate: Fraction = DEFAULT_FILM_RATE
    render_file: FileRenderer = render_file


def do_request(
    request: Request, options: RenderOptions, report: Report, stop: threading.Event
) -> Result:
    """Render one thing.

    Raises:
        RenderStoppedError: ``stop`` was set.
        StylizerError: something is wrong with the source, the style or the target.
    """
    if request.target is not None:
        _make_folder(request)
    if request.kind is Kind.PICTURE:
        return _do_picture(request, options, report)
    with _open(request, options) as footage:
        if request.target is None:
            size = options.output.size
            stream = sys.stdout.buffer
            return render_to_stream(footage, stream, options.style, size, report, stop)
        return options.render_file(
            footage, request.target, options.style, options.output, report, stop
        )


def is_finished(request: Request, options: RenderOptions) -> bool:
    """Whether an earlier run, which is gone on with, came to the end of this one."""
    target, output = request.target, options.output
    if target is None or not output.resume or output.overwrite:
        return False
    return target.exists() and not WorkFolder(target).path.exists()


def _open(request: Request, options: RenderOptions) -> Footage:
    if request.source is None:
        return Clip(sys.stdin.buffer, "stdin", FORM)
    if request.kind is Kind.ANIMATION:
        return Animation(request.source)
    if request.kind is Kind.FILM:
        return PictureFilm(request.source, options.film_rate)
    return Clip(request.source)


def _do_picture(request: Request, options: RenderOptions, report: Report) -> Result:
    assert request.source is not None
    assert request.target is not None
    began = time.perf_counter()
    check_target(request.target, overwrite=options.output.overwrite)
    render_picture(request.source, request.target, options.style, options.output.size)
    seconds = time.perf_counter() - began
    report(Progress(1, 1, 1 / seconds, 0.0))
    return Result(request.target, 1, 1, seconds)


def _make_folder(request: Request) -> None:
    assert request.target is not None
    try:
        request.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"cannot make the folder {request.target.parent}: {error.strerror}",
            "choose another folder",
        ) from error
