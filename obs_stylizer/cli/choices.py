"""From settings and options to what the daemon starts with, and in words why."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from obs_stylizer.errors import PresetError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import RecordingSettings, Settings, preset_folders
from obs_stylizer.sinks.listing import READER_HINT, list_pipewire_cameras, list_virtual_cameras
from obs_stylizer.sinks.recording_codec import codec_for
from obs_stylizer.sinks.spec import SinkKind, SinkSpec
from obs_stylizer.sources.listing import list_cameras
from obs_stylizer.sources.open import probe_fps
from obs_stylizer.sources.spec import SourceKind, SourceSpec

if TYPE_CHECKING:
    from obs_stylizer.daemon.options import DaemonOptions

DEFAULT_FPS = 30.0


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says; None or empty leaves it to the settings."""

    source: SourceSpec | None = None
    sinks: tuple[SinkSpec, ...] = ()
    preset: str | None = None
    strength: float | None = None
    size: FrameSize | None = None
    process_size: FrameSize | None = None
    fps: float | None = None
    provider: Provider | None = None
    device: str | None = None
    precision: Precision | None = None
    motion: bool | None = None
    frames: int | None = None
    duration: float | None = None
    stats_file: Path | None = None
    codec: str | None = None


@dataclass(slots=True)
class Chosen:
    """The daemon's options, and a line for people about each choice that was made for them."""

    options: DaemonOptions
    reasons: list[str] = field(default_factory=list)


def choose(settings: Settings, overrides: Overrides, library: PresetLibrary) -> Chosen:
    """Decide everything that a daemon needs.

    Raises:
        PresetError: the preset asked for does not exist or is wrong.
        UsageError: a source, sink or size in the settings cannot be read.
    """
    from obs_stylizer.daemon.options import DaemonOptions

    reasons: list[str] = []
    source = overrides.source or _source(settings, reasons)
    sinks = overrides.sinks or _sinks(settings, source, reasons)
    wished = overrides.fps or settings.fps
    fps = wished or _fps(source, reasons)
    process = overrides.process_size or (
        FrameSize.parse(settings.process_size) if settings.process_size else None
    )
    options = DaemonOptions(
        source=source,
        sinks=sinks,
        preset=_preset(overrides.preset or settings.preset, library, reasons),
        size=overrides.size or FrameSize.parse(settings.size),
        fps=fps,
        strength=settings.strength if overrides.strength is None else overrides.strength,
        source_fps=None if source.kind is SourceKind.FILE else fps,
        process_size=process,
        adapt=settings.adapt and process is None,
        motion=settings.motion == "auto" if overrides.motion is None else overrides.motion,
        session=SessionOptions(
            provider=overrides.provider or Provider(settings.provider),
            device=settings.device if overrides.device is None else overrides.device,
            precision=overrides.precision or Precision(settings.precision),
            threads=settings.threads,
            spin=settings.spin,
        ),
        worker=settings.worker,
        standby_seconds=settings.standby_seconds,
        preload=settings.preload,
        stats_file=overrides.stats_file,
        frames=overrides.frames,
        duration=overrides.duration,
        recording=_recording(settings, overrides),
        filter_presets=settings.obs.filters,
        sleep_seconds=_sleep_seconds(settings, overrides, source),
    )
    return Chosen(options, reasons)


def _recording(settings: Settings, overrides: Overrides) -> RecordingSettings:
    chosen = settings.recording
    if overrides.codec is not None:
        chosen = chosen.model_copy(update={"codec": overrides.codec})
    codec_for(chosen.codec, f".{chosen.container}")
    return chosen


def _sleep_seconds(settings: Settings, overrides: Overrides, source: SourceSpec) -> float | None:
    """Whoever counts frames or seconds, or plays a file to its end, wants all of it."""
    counts = overrides.frames is not None or overrides.duration is not None
    return None if settings.sleep == "off" or counts or source.once else settings.sleep


def _source(settings: Settings, reasons: list[str]) -> SourceSpec:
    if settings.source:
        return SourceSpec.parse(settings.source)
    # A virtual camera is listed too, but shows only what somebody sends to it.
    cameras = [camera for camera in list_cameras() if not camera.is_virtual]
    if cameras:
        reasons.append(
            f"source: camera “{cameras[0].name}”, the first there is "
            "(another: --source camera:NAME, see obs-stylizer devices)"
        )
        return SourceSpec(SourceKind.CAMERA)
    reasons.append(
        "source: test pattern, because no camera was found "
        "(plug one in and start again, or use --source screen or --source file:PATH)"
    )
    return SourceSpec(SourceKind.PATTERN)


def _sinks(settings: Settings, source: SourceSpec, reasons: list[str]) -> tuple[SinkSpec, ...]:
    if settings.sinks:
        return tuple(SinkSpec.parse(text) for text in settings.sinks)
    if source.kind is SourceKind.OBS_FILTER:
        reasons.append(
            "sink: the filter in OBS shows the picture itself; the stream shows it too, at "
            f"http://127.0.0.1:{settings.web.port}/stream.mjpg (others: --sink)"
        )
        return (SinkSpec(SinkKind.HTTP, str(settings.web.port)),)
    cameras = list_virtual_cameras()
    if cameras:
        reasons.append(
            f"sink: virtual camera “{cameras[0].name}”, the first there is "
            "(another: --sink virtual-camera:DEVICE)"
        )
        if list_pipewire_cameras():
            reasons[-1] += "; one in PipeWire can be had too: --sink pipewire-camera"
        return (SinkSpec(SinkKind.VIRTUAL_CAMERA),)
    port = settings.web.port
    if list_pipewire_cameras():
        reasons.append(
            "sink: a camera in PipeWire, as there is no v4l2loopback device, and the stream at "
            f"http://127.0.0.1:{port}/stream.mjpg for programs that do not see it ({READER_HINT})"
        )
        return SinkSpec(SinkKind.PIPEWIRE_CAMERA), SinkSpec(SinkKind.HTTP, str(port))
    reasons.append(
        f"sink: stream at http://127.0.0.1:{port}/stream.mjpg, because no virtual camera was "
        "found (for OBS: obs-stylizer panel --show; README, “Install”, tells how to get one)"
    )
    return (SinkSpec(SinkKind.HTTP, str(port)),)


def _fps(source: SourceSpec, reasons: list[str]) -> float:
    own = probe_fps(source) if source.kind is SourceKind.FILE else None
    if own is None or not 1 <= own <= 240:
        return DEFAULT_FPS
    reasons.append(f"fps: {own:g}, the file's own (another: --fps)")
    return own


def _preset(name: str, library: PresetLibrary, reasons: list[str]) -> str:
    if name:
        library.get(name)
        return name
    names = library.names()
    if not names:
        raise PresetError(
            "there is no usable preset", f"put one into {preset_folders()[1]}, or reinstall"
        )
    first = next((n for n in ("great-wave",) if n in names), names[0])
    reasons.append(f"preset: {first} (another: --preset NAME, see obs-stylizer presets list)")
    return first
