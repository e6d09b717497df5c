"""What the configuration is: ``config.yaml``, and where the program's folders are."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, field_validator

from obs_stylizer.documents import Section, load_document
from obs_stylizer.errors import SettingsError, UsageError
from obs_stylizer.frames import FrameSize

_APP = "obs-stylizer"


def config_folder() -> Path:
    """Where ``config.yaml`` and the user's ``presets`` folder are."""
    return platformdirs.user_config_path(_APP, appauthor=False)


def config_file() -> Path:
    """The configuration file that is read where ``--config`` names no other."""
    return config_folder() / "config.yaml"


def runtime_folder() -> Path:
    """Where a running daemon leaves its locks on ports and devices."""
    return platformdirs.user_cache_path(_APP, appauthor=False) / "run"


def state_folder() -> Path:
    """What is remembered between two runs, and is of no use on another machine."""
    return platformdirs.user_state_path(_APP, appauthor=False)


def bundled_folder(name: str) -> Path:
    """Return the program's own ``onnx`` or ``presets`` folder.

    In an installed package they are in ``_bundled``; in a checkout at its root.
    """
    packaged = Path(__file__).parent / "_bundled" / name
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / name


def preset_folders() -> tuple[Path, Path]:
    """The bundled presets and the user's own; the latter win."""
    return bundled_folder("presets"), config_folder() / "presets"


def host_name(value: str, port_key: str) -> str:
    """Return the name or address of a machine without brackets and blanks around it.

    Args:
        value: as people write it: ``::1``, ``[::1]``, ``studio.local``.
        port_key: where the port belongs, which may stand here by mistake.

    Raises:
        ValueError: it is more than that: an address of a page, or one with a port.
    """
    name = value.strip()
    if "://" in name or "/" in name:
        inner = urlsplit(name if "://" in name else f"//{name}").hostname or "localhost"
        raise ValueError(f"“{value}” is more than a machine: write only its name, as in {inner}")
    # In brackets, or with a single colon; an IPv6 address has two and more.
    parts = re.fullmatch(r"\[([^\[\]]*)\](?::(\d*))?", name) or re.fullmatch(r"([^:]*):(\d*)", name)
    inner, port = parts.groups() if parts else (name, "")
    if not inner or re.search(r"[\s\[\]@?#]", inner):
        raise ValueError(f"“{value}” is no name of a machine, as localhost is, and no address")
    if port:
        raise ValueError(
            f"“{value}” has a port in it: write {inner} here, and {port_key}: {port} in a line of "
            "its own"
        )
    return inner


def is_this_machine(host: str) -> bool:
    """Whether a name or address, as in the settings, is that of this machine."""
    return host in ("127.0.0.1", "localhost", "::1")


class WebSettings(Section):
    """The web server: panel, commands, and the stream where it is a sink."""

    enabled: bool = True
    """Serve the panel and take commands over HTTP."""
    address: str = "127.0.0.1"
    """Address to listen at. 127.0.0.1 is reached from this machine alone, which may switch presets
    without the token in the file ``token`` beside the settings; at any other, such as 0.0.0.0 for
    all, everything needs it."""
    port: int = Field(default=8765, ge=1, le=65535)
    """TCP port."""

    @field_validator("address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        name = host_name(value, "port")
        try:
            return name if name == "localhost" else str(ip_address(name))
        except ValueError as error:
            raise ValueError(f"“{value}” is no IP address, as 127.0.0.1 is") from error


class ScenePreset(Section):
    """What an OBS scene asks for. Nothing given, or the word “leave”: all stays as it is."""

    preset: str = ""
    """Preset to go over to; empty leaves the one on air."""
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    """0 to 1; empty: the preset's own."""
    crossfade_ms: Annotated[float, Field(ge=0, le=10_000)] | None = None
    """Milliseconds to blend; empty: the preset's own."""


def _scene_preset(value: object) -> object:
    """Read the short forms: the name of a preset, “leave”, or nothing."""
    if value is None or value == "leave":
        return {}
    if isinstance(value, str):
        return {"preset": value}
    if not isinstance(value, dict | ScenePreset):
        quoted = isinstance(value, bool | int | float)
        raise ValueError(
            "must be a preset, leave, or {preset:, strength:, crossfade_ms:}"
            + ("; a name such as this belongs in quotation marks" if quoted else "")
        )
    return value


def _password(value: object) -> object:
    if not isinstance(value, str | SecretStr):
        raise ValueError("must be text: put it in quotation marks")
    return value


class ObsSettings(Section):
    """OBS: how to reach it, and what its scenes and our presets do to each other."""

    enabled: bool | None = None
    """Connect to OBS; empty: if anything else here or OBS_WEBSOCKET_PASSWORD is set."""
    host: str = "127.0.0.1"
    """Machine that OBS runs on."""
    port: int = Field(default=4455, ge=1, le=65535)
    """Port of obs-websocket."""
    password: Annotated[SecretStr, BeforeValidator(_password)] = SecretStr("")
    """Its password; the environment variable OBS_WEBSOCKET_PASSWORD goes before it."""
    scenes: dict[str, Annotated[ScenePreset, BeforeValidator(_scene_preset)]] = Field(
        default_factory=dict
    )
    """For each OBS scene, by name: a preset, or {preset:, strength:, crossfade_ms:}, or leave."""
    default: Annotated[ScenePreset, BeforeValidator(_scene_preset)] = ScenePreset()
    """The same for all scenes that are not named; leave if not given."""
    warm_preview: bool = True
    """In studio mode, load the preset of the preview scene before the cut."""
    presets: dict[str, str] = Field(default_factory=dict)
    """OBS scene to switch to when a preset is chosen elsewhere, by the preset's name."""
    filters: dict[str, str] = Field(default_factory=dict)
    """Preset of our filter on an OBS source, by the source's name; a preset that is chosen in the
    filter's properties goes before it."""
    audio_inputs: tuple[str, ...] = ()
    """OBS inputs whose sound is delayed as much as our picture is."""
    audio_extra_ms: int = Field(default=0, ge=-950, le=10_000)
    """Added to the measured delay, for what comes after us (the virtual camera, OBS itself)."""
    text_input: str = ""
    """OBS text input that shows the title of the preset on air."""

    @field_validator("host")
    @classmethod
    def _check_host(cls, value: str) -> str:
        return host_name(value, "port")

    @property
    def address(self) -> str:
        """Host and port, for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_wanted(self) -> bool:
        """Whether to connect at all."""
        if self.enabled is not None:
            return self.enabled
        return self != ObsSettings() or bool(os.environ.get("OBS_WEBSOCKET_PASSWORD"))

    @property
    def secret(self) -> str:
        """The password that counts. Never to be shown."""
        return os.environ.get("OBS_WEBSOCKET_PASSWORD") or self.password.get_secret_value()


class RecordingSettings(Section):
    """Where recordings and snapshots go."""

    folder: str = ""
    """For recordings; empty: “obs-stylizer” in the folder of your videos."""
    container: Literal["mkv", "mp4", "mov", "webm"] = "mkv"
    """Kind of file."""
    codec: Literal["h264", "ffv1", "prores", "vp9"] = "h264"
    """What recordings are encoded as. ffv1 (mkv), prores (mov, mkv) and vp9 (webm, mkv) keep what
    is transparent, as a cut-out background is; in h264 it is green."""
    snapshots: str = ""
    """For snapshots; empty: “obs-stylizer” in the folder of your pictures."""

    @property
    def recordings_folder(self) -> Path:
        """The folder for recordings."""
        chosen = Path(self.folder).expanduser() if self.folder else None
        return chosen or platformdirs.user_videos_path() / _APP

    @property
    def snapshots_folder(self) -> Path:
        """The folder for snapshots."""
        chosen = Path(self.snapshots).expanduser() if self.snapshots else None
        return chosen or platformdirs.user_pictures_path() / _APP


class WorkerSettings(Section):
    """When the worker process is replaced."""

    hang_seconds: float = Field(default=3.0, ge=0.5, le=60)
    """Seconds without a sign of life after which it is replaced."""
    start_seconds: float = Field(default=60.0, ge=5, le=600)
    """Seconds it may take to start."""
    load_seconds: float = Field(default=45.0, ge=1, le=1800)
    """Seconds after which loading a generator is given up, and the worker replaced."""
    gpu_failures: int = Field(default=3, ge=1, le=20)
    """Failures in a row on a GPU after which ``on_gpu_failure`` is done."""
    on_gpu_failure: Literal["cpu", "bypass", "stop"] = "cpu"
    """Go on with the CPU, with the plain picture, or with the standby picture."""


class Settings(Section):
    """All of ``config.yaml``. Every key may be left out."""

    source: str = ""
    """camera[:INDEX|:NAME|:pipewire:NODE], screen[:INDEX][@X,Y,WxH], window, file:PATH, image:PATH,
    pattern, generator:NAME or obs-filter[:NAME]; empty: the first camera, else the pattern."""
    sinks: tuple[str, ...] = ()
    """virtual-camera[:DEVICE], pipewire-camera[:NAME], http[:PORT], file:PATH or null;
    empty: the virtual camera, else that of PipeWire, else the stream."""
    preset: str = ""
    """Name of the preset to start with; empty: the first by name."""
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    """0 to 1; empty: the preset's own."""
    size: str = "1280x720"
    """WIDTHxHEIGHT of the picture sent."""
    process_size: str | None = None
    """WIDTHxHEIGHT at which the generator works; empty: the preset's own."""
    fps: float | None = Field(default=None, ge=1, le=240)
    """Frames a second sent; empty: the source's rate, or 30."""
    provider: Literal["auto", "cpu", "cuda", "dml", "tensorrt", "coreml", "openvino", "webgpu"] = (
        "auto"
    )
    """What runs the generator."""
    device: str = ""
    """Which of several adapters, by name or index."""
    precision: Literal["auto", "f32", "bf16", "f16", "int8"] = "auto"
    """Number format; auto is the fastest that keeps the picture."""
    threads: int = Field(default=0, ge=0, le=256)
    """CPU threads of the generator; 0 for all cores."""
    spin: bool = False
    """Let idle threads wait busily: a little quicker alone, worse beside a game."""
    preload: bool = True
    """Load every preset's generator in idle moments, so that switching is instant."""
    motion: Literal["auto", "off"] = "auto"
    """Follow the motion of the picture: strokes that stay calm, and a fresh picture for every
    frame where the generator is too slow for that. ``off`` styles each frame by itself."""
    adapt: bool = True
    """Where the machine is too slow, take a generator's lite variant, and let it work on smaller
    frames. Not done where ``process_size`` is given."""
    standby_seconds: float = Field(default=2.0, ge=0.2, le=3600)
    """Seconds without a fresh frame after which the standby picture is shown."""
    sleep: Annotated[float, Field(ge=5, le=86_400)] | Literal["off"] = 60.0
    """Seconds without anybody watching after which the source is closed (a camera's light goes
    out) until somebody does; off for never."""
    worker: WorkerSettings = WorkerSettings()
    """When the worker process is replaced."""
    recording: RecordingSettings = RecordingSettings()
    """Recordings and snapshots."""
    web: WebSettings = WebSettings()
    """The web server."""
    obs: ObsSettings = ObsSettings()
    """OBS."""
    hotkeys: dict[str, str] = Field(default_factory=dict)
    """Key combination for each command, as in ``strength +0.1: ctrl+alt+up``; “hold bypass” and
    “hold freeze” last while held, and ``preset NAME`` stands in place of that preset's own."""
    listen_for_keys: bool = True
    """Listen for hotkeys; false leaves every key to other programs."""

    @field_validator("size", "process_size")
    @classmethod
    def _check_size(cls, value: str | None) -> str | None:
        try:
            return value if value is None else str(FrameSize.parse(value))
        except UsageError as error:
            raise ValueError(str(error)) from error


def load_settings(path: Path | None = None) -> Settings:
    """Read the configuration; without ``path`` the platform's own, which need not exist.

    Raises:
        SettingsError: naming file, line, key and remedy.
    """
    if path is None:
        path = config_file()
        if not path.exists():
            return Settings()
    return load_document(path, Settings, SettingsError)
