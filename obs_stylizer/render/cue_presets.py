"""The presets of a list of cues, loaded before the first frame, so that a mistake costs nothing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from obs_stylizer.errors import PresetError, StylizerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.locate import find_model
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import NamedPreset, Preset, PresetLibrary
from obs_stylizer.render.cues import Cue, is_bypass
from obs_stylizer.segmentation.mask_session import MASK_MODEL
from obs_stylizer.segmentation.person_mask import KEPT
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.preset_loader import DEFAULT_PROCESS_SIZE, PresetLoader

RunsOn = Mapping[str, tuple[str, str]]
"""Provider and precision that each preset runs on, by its name."""


@dataclass(frozen=True, slots=True)
class Style:
    """The presets of a clip and what runs them.

    Attributes:
        cues: by time; the first is for the beginning.
        presets: every preset that a cue names.
        session: what runs the generators.
        process_size: overrides that of every preset; None leaves them theirs. Its pixels count,
            its shape is the clip's.
    """

    cues: tuple[Cue, ...]
    presets: Mapping[str, NamedPreset]
    session: SessionOptions
    process_size: FrameSize | None = None

    @property
    def coherences(self) -> list[float]:
        """Coherence of every preset, at most."""
        return [_coherence_at_most(named.preset) for named in self.presets.values()]

    @property
    def is_transparent(self) -> bool:
        """Whether some of the pictures have places without anything in them."""
        return any(named.preset.is_transparent for named in self.presets.values())

    @property
    def crossfades(self) -> list[int]:
        """Milliseconds of the crossfade into each cue."""
        return [
            0 if is_bypass(cue) else self.presets[cue.preset].preset.crossfade_ms
            for cue in self.cues
        ]

    def facts(self) -> dict[str, object]:
        """Return everything that the pictures depend on, for comparing."""
        return {
            "cues": [[cue.seconds, cue.preset, cue.strength] for cue in self.cues],
            "presets": {name: p.preset.model_dump() for name, p in self.presets.items()},
            "models": {name: _files_hash(p) for name, p in self.presets.items()},
            "process_size": str(self.process_size),
            "threads": self.session.threads,
        }

    def with_threads(self) -> Style:
        """Return the same with the number of threads said.

        Generators round otherwise with another number, so all that render one clip must agree.
        """
        if self.session.threads:
            return self
        count = psutil.cpu_count(logical=False) or 1
        return replace(self, session=replace(self.session, threads=count))


def _coherence_at_most(preset: Preset) -> float:
    kept = [] if preset.coherence is None else [preset.coherence]
    sides = [side for side in (preset.person, preset.background) if side is not None]
    if preset.coherence is None and (preset.model or any(side.model for side in sides)):
        # Without one of its own it has that of its generator, which is not known here.
        kept.append(1.0)
    return max([*kept, KEPT] if sides else kept, default=0.0)


def _files_hash(named: NamedPreset) -> str:
    """Return a hash of the files that a preset's pictures are made with, or "" without any."""
    preset, beside = named.preset, named.path.parent
    sides = [side for side in (preset.person, preset.background) if side is not None]
    models = [model for model in (preset.model, *(side.model for side in sides)) if model]
    files = [find_model(model, beside) for model in models]
    files += [find_model(MASK_MODEL)] if sides else []
    files += [beside / Path(side.picture).expanduser() for side in sides if side.picture]
    if not files:
        return ""
    if len(files) == 1:
        return hashlib.sha256(files[0].read_bytes()).hexdigest()
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def find_presets(cues: Sequence[Cue], library: PresetLibrary) -> dict[str, NamedPreset]:
    """Return every preset that a cue names.

    Raises:
        PresetError: there is none of that name, or its file is wrong.
    """
    return {cue.preset: library.get(cue.preset) for cue in cues if not is_bypass(cue)}


class CuePresets:
    """Loads the presets of a style for one size.

    Args:
        style: what to load.
        size: of the pictures made.
        runs_on: what each preset must run on, as found before; None lets each be chosen.

    Raises:
        ModelError: a model is missing or broken; ProviderError: it cannot run as asked.
    """

    def __init__(self, style: Style, size: FrameSize, runs_on: RunsOn | None = None) -> None:
        self._style = style
        self._size = size
        self._loaders: dict[tuple[SessionOptions, FrameSize], PresetLoader] = {}
        self._options: dict[str, SessionOptions] = {}
        found: dict[str, tuple[str, str]] = {}
        self.described: dict[str, str] = {}
        for name, named in style.presets.items():
            wanted = None if runs_on is None else runs_on.get(name)
            self._options[name] = (
                style.session
                if wanted is None
                else replace(
                    style.session, provider=Provider(wanted[0]), precision=Precision(wanted[1])
                )
            )
            loaded = self._load(name, named)
            if loaded.generator is not None:
                on = loaded.generator.runs_on
                found[name] = (str(on.provider), str(on.precision))
                self.described[name] = f"{on} at {loaded.process_size} ({on.reason})"
        self.runs_on: RunsOn = found

    def load(self, number: int) -> LoadedPreset:
        """Return a freshly loaded preset of the cue of that number; its generator is shared."""
        cue = self._style.cues[number]
        if is_bypass(cue):
            return LoadedPreset(Preset(title="Bypass", crossfade_ms=0), None, self._size)
        loaded = self._load(cue.preset, self._style.presets[cue.preset])
        if cue.strength is not None:
            loaded.with_strength(cue.strength)
        return loaded

    def _load(self, name: str, named: NamedPreset) -> LoadedPreset:
        wanted = named.preset.process_size
        process_size = shaped_as(
            self._size,
            self._style.process_size
            or (FrameSize.parse(wanted) if wanted else DEFAULT_PROCESS_SIZE),
        )
        key = (self._options[name], process_size)
        loader = self._loaders.get(key)
        if loader is None:
            loader = PresetLoader(self._size, self._options[name], process_size)
            self._loaders[key] = loader
        try:
            return loader.load(named)
        except StylizerError as error:
            raise PresetError(
                f"preset {name} cannot be used: {error.message}", error.remedy
            ) from error

    def close(self) -> None:
        """Close every generator."""
        for loader in self._loaders.values():
            loader.close()


def shaped_as(picture: FrameSize, size: FrameSize) -> FrameSize:
    """Return a size in the shape of ``picture`` that holds as many pixels as ``size``.

    Presets are made for wide pictures; an upright or square clip must not be cut to that shape.
    """
    if picture.width * size.height == picture.height * size.width:
        return size
    scale = math.sqrt(size.width * size.height / (picture.width * picture.height))
    return FrameSize(max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
