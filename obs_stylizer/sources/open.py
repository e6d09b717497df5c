"""From a source as it is written to the source itself.

Each kind is imported only when it is asked for, so that starting costs no library unused.
"""

from __future__ import annotations

from pathlib import Path

from obs_stylizer.errors import SourceError
from obs_stylizer.portal.session import is_wayland
from obs_stylizer.settings import state_folder
from obs_stylizer.sources.base import Source, SourceOptions
from obs_stylizer.sources.spec import PIPEWIRE_PREFIX, SourceKind, SourceSpec


def make_source(spec: SourceSpec, options: SourceOptions) -> Source:
    """Make the source that ``spec`` describes; it is not open yet."""
    match spec.kind:
        case SourceKind.CAMERA:
            if spec.target.startswith(PIPEWIRE_PREFIX):
                from obs_stylizer.sources.pipewire_camera import PipewireCameraSource

                return PipewireCameraSource(spec.target.removeprefix(PIPEWIRE_PREFIX), options)
            from obs_stylizer.sources.camera import CameraSource

            return CameraSource(spec.target, options)
        case SourceKind.SCREEN | SourceKind.WINDOW if is_wayland():
            return _make_shared(spec, options)
        case SourceKind.WINDOW:
            raise SourceError(
                "a window is shared by the portal of a Wayland desktop alone",
                "capture the part of the screen where it is: --source screen@X,Y,WIDTHxHEIGHT",
            )
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
        case SourceKind.OBS_FILTER:
            from obs_stylizer.sources.obs_filter import ObsFilterSource

            return ObsFilterSource(spec.target, options)


def _make_shared(spec: SourceSpec, options: SourceOptions) -> Source:
    """Make the source of what the user shares of a Wayland desktop.

    Raises:
        SourceError: a screen was named, which no program can choose there.
    """
    from obs_stylizer.portal.screencast import RestoreToken, Shared
    from obs_stylizer.sources.portal_screen import PortalScreenSource

    if spec.target:
        raise SourceError(
            "on a Wayland desktop it is you who chooses the screen, in the desktop's dialog",
            f"write {spec.kind}, or {spec.kind}?ask to be asked again",
        )
    token = RestoreToken(state_folder() / f"{spec.kind}.token")
    if spec.ask:
        token.forget()
    shared = Shared.WINDOW if spec.kind is SourceKind.WINDOW else Shared.SCREEN
    return PortalScreenSource(shared, spec.region, options, token)


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
