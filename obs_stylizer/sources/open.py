"""From a source as it is written to the source itself.

Each kind is imported only when it is asked for, so that starting costs no library unused.
"""

from __future__ import annotations

from pathlib import Path

from obs_stylizer.errors import SourceError
from obs_stylizer.sources.base import Source, SourceOptions
from obs_stylizer.sources.spec import SourceKind, SourceSpec


def make_source(spec: SourceSpec, options: SourceOptions) -> Source:
    """Make the source that ``spec`` describes; it is not open yet."""
    match spec.kind:
        case SourceKind.CAMERA:
            from obs_stylizer.sources.camera import CameraSource

            return CameraSource(spec.target, options)
        case SourceKind.SCREEN:
            from obs_stylizer.sources.screen import ScreenSource

            index = int(spec.target) if spec.target else None
            return ScreenSource(index, spec.region, options)
        case SourceKind.FILE:
            from obs_stylizer.sources.video_file import VideoFileSource

            return VideoFileSource(Path(spec.target).expanduser(), options, once=spec.once)
        case SourceKind.IMAGE:
            from obs_stylizer.sources.image import ImageSource

            return ImageSource(Path(spec.target).expanduser(), options)
        case SourceKind.PATTERN:
            from obs_stylizer.sources.pattern import PatternSource

            return PatternSource(options)
        case SourceKind.GENERATOR:
            from obs_stylizer.sources.generator import GeneratorSource

            return GeneratorSource(spec.target, spec.seed, spec.seconds, options)


def probe_fps(spec: SourceSpec) -> float | None:
    """Ask for the rate that a source has of its own, without keeping it open.

    Returns:
        Frames a second of a file; None for a source that takes the wished rate, and for a file
        that cannot be read, which opening it will explain.
    """
    if spec.kind is not SourceKind.FILE:
        return None
    from obs_stylizer.sources.video_decoder import VideoDecoder

    try:
        decoder = VideoDecoder(Path(spec.target).expanduser())
    except SourceError:
        return None
    decoder.close()
    return decoder.fps
