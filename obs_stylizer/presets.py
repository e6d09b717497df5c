"""What a preset is, and the library of all there are.

A preset is one YAML file; its name is the file's name without ``.yaml``. The bundled ones
come with the program, the user's own stand in a folder of theirs and win where names agree.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from obs_stylizer.documents import Section, load_document
from obs_stylizer.errors import PresetError, StylizerError, UsageError
from obs_stylizer.frames import FrameSize
from obs_stylizer.similar_names import find_alike, nearest

log = logging.getLogger(__name__)

Unit = Annotated[float, Field(ge=0, le=1)]
_FORMER_NAME = "temporal_smoothing"


class Adjustments(Section):
    """Changes of the picture that need no generator. All neutral by default."""

    denoise: Unit = 0.0
    """Smooth away camera noise: 0 none to 1 strong."""
    brightness: float = Field(default=0.0, ge=-1, le=1)
    """Added to every channel: -1 black to 1 white."""
    contrast: float = Field(default=1.0, ge=0, le=4)
    """Distance from middle grey, times this."""
    saturation: float = Field(default=1.0, ge=0, le=4)
    """Distance from grey, times this; 0 is black and white."""
    gamma: float = Field(default=1.0, ge=0.2, le=5)
    """Above 1 lifts the shadows, below 1 deepens them."""
    sharpen: Unit = 0.0
    """Unsharp masking: 0 none to 1 strong."""

    @property
    def neutral(self) -> bool:
        """Whether nothing would change."""
        return self == Adjustments()


class Side(Section):
    """What is shown of the person, or of the background: one of the first seven.

    Whatever it is, ``strength`` mixes it with the frame as it is.
    """

    plain: bool = False
    """The frame as it is; ``person: plain`` says the same."""
    transparent: bool = False
    """Nothing: renderings that can hold transparency have it there, everything else a green that
    is no colour of people. ``background: transparent`` says the same."""
    blur: Unit | None = None
    """The frame out of focus: 0 hardly to 1 beyond recognition."""
    picture: str | None = None
    """A picture file (relative to the preset's)."""
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    """One colour, as in "#00ff00"."""
    source: str | None = None
    """Another source, written as on the command line: a film, or ``generator:living-paint``."""
    model: str = ""
    """A generator of its own, as the preset's ``model``."""
    styles: dict[str, Annotated[float, Field(ge=0, le=10)]] = Field(default_factory=dict)
    """Weights of that generator's styles; without ``model``, of the preset's generator."""
    process_size: str | None = None
    """As the preset's."""
    strength: Unit = 1.0
    """0 shows the frame as it is, 1 what is said here alone."""
    before: Adjustments = Adjustments()
    """Adjustments before the generator."""
    after: Adjustments = Adjustments()
    """Adjustments of what is shown."""

    @model_validator(mode="before")
    @classmethod
    def _read_one_word(cls, values: Any) -> Any:
        return {values: True} if values in ("plain", "transparent") else values

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        named = [name for name in SIDE_KINDS if getattr(self, name) not in (None, False, "", {})]
        if self.has_style:
            named = [name for name in named if name not in ("model", "styles")] + ["model"]
        if len(named) != 1:
            what = f"it names {' and '.join(named)}" if named else "it names nothing to show"
            raise ValueError(f"{what}; give one of {', '.join(SIDE_KINDS)}")
        return self

    @field_validator("process_size")
    @classmethod
    def _check_size(cls, value: str | None) -> str | None:
        return _checked_size(value)

    @property
    def has_style(self) -> bool:
        """Whether a generator makes it."""
        return bool(self.model or self.styles)


SIDE_KINDS: Final = (
    *("plain", "transparent", "blur", "picture", "colour", "source", "model", "styles"),
)
"""Keys of a :class:`Side` that say what is shown."""


class Preset(Section):
    """Everything that one style on air needs."""

    title: str = Field(min_length=1, max_length=80)
    """Name for people."""
    description: str = ""
    """One line that a streamer understands."""
    model: str = ""
    """Name of a bundled generator, or a path (relative to this file); empty for none."""
    styles: dict[str, Annotated[float, Field(ge=0, le=10)]] = Field(default_factory=dict)
    """For a generator of several styles: weight of each, in any proportion."""
    strength: Unit = 1.0
    """0 shows the frame as it is, 1 the style alone."""
    process_size: str | None = None
    """WIDTHxHEIGHT at which the generator works; more is finer and slower."""
    hotkey: str = ""
    """Key combination that chooses it, whichever program is in front, as in ctrl+alt+1."""
    crossfade_ms: int = Field(default=300, ge=0, le=10_000)
    """Milliseconds to blend from the preset before; 0 cuts."""
    mirror: bool = False
    """Flip left and right, as in a mirror."""
    fit: Literal["crop", "fit", "stretch"] = "crop"
    """Where shapes differ: crop the edges, fit with black bars, or stretch."""
    before: Adjustments = Adjustments()
    """Adjustments of the frame before the generator."""
    after: Adjustments = Adjustments()
    """Adjustments of the styled picture."""
    coherence: Unit | None = None
    """How much strokes keep from frame to frame, along the motion: 0 crisp and flickering, 1
    calm. None for what suits the generator."""
    person: Side | None = None
    """What is shown of people; None the preset's style."""
    background: Side | None = None
    """What is shown around people; None the preset's style."""
    edge: float = Field(default=2.0, ge=0, le=50)
    """Softness of the edge between person and background, in pixels of the output."""
    grow: int = Field(default=0, ge=-50, le=50)
    """Pixels of the output by which the person's side is wider, or narrower where negative."""
    licence: str = "CC0-1.0"
    """Licence of this preset."""
    author: str = ""
    """Who made it."""

    @model_validator(mode="before")
    @classmethod
    def _read_former_name(cls, values: Any) -> Any:
        """Take ``temporal_smoothing``, as ``coherence`` was called, for what it is now."""
        if not isinstance(values, dict) or _FORMER_NAME not in values:
            return values
        values = dict(values)
        former = values.pop(_FORMER_NAME)
        if "coherence" in values:
            raise ValueError(f"{_FORMER_NAME} is the former name of coherence; remove it")
        log.info("%s is called coherence now, and follows motion", _FORMER_NAME)
        return {**values, "coherence": former}

    @field_validator("process_size")
    @classmethod
    def _check_size(cls, value: str | None) -> str | None:
        return _checked_size(value)

    @property
    def is_transparent(self) -> bool:
        """Whether its pictures have places without anything in them."""
        return any(side is not None and side.transparent for side in (self.person, self.background))

    @property
    def runs_networks(self) -> bool:
        """Whether anything of it is computed by a network."""
        return bool(self.model) or self.has_sides

    @property
    def has_sides(self) -> bool:
        """Whether person and background are shown differently."""
        return self.person is not None or self.background is not None


def _checked_size(value: str | None) -> str | None:
    try:
        return value if value is None else str(FrameSize.parse(value))
    except UsageError as error:
        raise ValueError(str(error)) from error


def models_of(preset: Preset) -> list[str]:
    """Return the generators that a preset names, each once; none where it only adjusts."""
    sides = [side for side in (preset.person, preset.background) if side is not None]
    named = [preset.model, *(side.model for side in sides)]
    return list(dict.fromkeys(model for model in named if model))


@dataclass(frozen=True, slots=True)
class NamedPreset:
    """A preset, its name, and the file it came from."""

    name: str
    preset: Preset
    path: Path
    bundled: bool


BYPASS = "bypass"


def load_preset(path: Path) -> Preset:
    """Read one preset file.

    Raises:
        PresetError: naming file, line, key and remedy.
    """
    return load_document(path, Preset, PresetError)


class PresetLibrary:
    """All presets of some folders; later folders win. Follows changes of the files.

    A file that breaks while on air keeps its last good content and is reported once. One thread
    refreshes; any may read meanwhile, and sees what was there before.
    """

    def __init__(self, folders: Sequence[Path], bundled: Path | None = None) -> None:
        self._folders = tuple(folders)
        self._bundled = bundled
        # Other threads may be reading: these are never changed, only replaced.
        self._seen: Mapping[Path, tuple[int, int]] = {}
        self._good: Mapping[Path, Preset] = {}
        self._errors: Mapping[Path, StylizerError] = {}
        self._by_name: Mapping[str, NamedPreset | StylizerError] = {}
        self._warned: set[Path] = set()
        self.refresh()

    def refresh(self) -> set[str]:
        """Read what is new or changed; return the names whose preset is now another."""
        changed = set()
        present = set()
        seen, good, errors = dict(self._seen), dict(self._good), dict(self._errors)
        for path in self._files():
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            except OSError:
                if path in seen:
                    present.add(path)
                continue
            present.add(path)
            stamp = (stat.st_mtime_ns, stat.st_size)
            if seen.get(path) == stamp:
                continue
            seen[path] = stamp
            try:
                if not S_ISREG(stat.st_mode):
                    # Opening a pipe would wait for whoever writes to it.
                    raise PresetError("is no ordinary file", path=path)
                preset = load_preset(path)
            except PresetError as error:
                errors[path] = error
                log.warning("%s%s", error, "; the last good one stays" if path in good else "")
                continue
            errors.pop(path, None)
            if good.get(path) != preset:
                good[path] = preset
                changed.add(path.stem)
        for path in seen.keys() - present:
            del seen[path]
            errors.pop(path, None)
            if good.pop(path, None) is not None:
                changed.add(path.stem)
        self._seen, self._good, self._errors = seen, good, errors
        self._by_name = self._named(good, errors)
        return changed

    def _named(
        self, good: Mapping[Path, Preset], errors: Mapping[Path, StylizerError]
    ) -> dict[str, NamedPreset | StylizerError]:
        """Return what stands behind each name, sorted: a preset, or what is wrong with it."""
        places = {folder: place for place, folder in enumerate(self._folders)}
        named: dict[str, NamedPreset | StylizerError] = {}
        for path in sorted(good.keys() | errors.keys(), key=lambda path: places[path.parent]):
            named[path.stem] = (
                NamedPreset(path.stem, good[path], path, path.parent == self._bundled)
                if path in good
                else errors[path]
            )
        return dict(sorted(named.items()))

    def _files(self) -> Iterator[Path]:
        """Yield the files that may be presets; those of a folder that cannot be read stay."""
        for folder in self._folders:
            try:
                files = sorted(folder.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                self._warn_once(folder, f"{folder} cannot be read: {error}; its presets stay")
                yield from (path for path in self._seen if path.parent == folder)
                continue
            self._warned.discard(folder)
            for path in files:
                # A Mac leaves a twin “._name.yaml” on other disks.
                if path.suffix != ".yaml" or path.name.startswith("."):
                    continue
                if path.name.encode("utf-8", "replace").decode("utf-8") == path.name:
                    yield path
                else:
                    # It could not be shown, asked for or sent to anybody.
                    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
                    self._warn_once(path, f"{shown}: its name is no text (rename it)")

    def _warn_once(self, about: Path, warning: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            log.warning("%s", warning)

    def names(self) -> list[str]:
        """Names of all good presets, sorted."""
        return [named.name for named in self.all()]

    def all(self) -> list[NamedPreset]:
        """Every good preset, sorted by name."""
        return [found for found in self._by_name.values() if isinstance(found, NamedPreset)]

    @property
    def errors(self) -> dict[Path, StylizerError]:
        """What is wrong with which file."""
        return dict(self._errors)

    def get(self, name: str) -> NamedPreset:
        """Return the preset of that name, or the only one whose name looks the same.

        Raises:
            PresetError: there is none, or its file is wrong.
        """
        by_name = self._by_name
        alike = find_alike(name, by_name)
        found = None if alike is None else by_name[alike]
        if isinstance(found, NamedPreset):
            return found
        if found is not None:
            raise found
        near = nearest(name, self.names())
        raise PresetError(f"there is no preset “{name}”", near or "see: obs-stylizer presets list")
