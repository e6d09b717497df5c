"""Loads presets and keeps their generators loaded, newest used first."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.choose import Trying
from obs_stylizer.inference.generator import Generator, known_styles, open_generator
from obs_stylizer.inference.locate import find_model, lite_of
from obs_stylizer.inference.native_model import NativeModel, load_native_model
from obs_stylizer.inference.session import SessionOptions
from obs_stylizer.presets import NamedPreset
from obs_stylizer.segmentation.mask_session import MaskSession, open_mask
from obs_stylizer.segmentation.person_mask import PersonMask
from obs_stylizer.styling.division import Division, divide
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.side_pictures import make_side_picture
from obs_stylizer.styling.sides import Sides

log = logging.getLogger(__name__)

DEFAULT_PROCESS_SIZE: Final = FrameSize(640, 360)
_KEPT: Final = 12

_Key = tuple[Path, int, int, FrameSize]


class PresetLoader:
    """Loads presets for one output size. One thread loads; others may run what it loaded.

    Args:
        size: of the pictures that presets make.
        options: provider, device, precision, threads.
        process_size: overrides that of every preset; None leaves them theirs.
        trying: hears of each adapter before it is tried.
        live: films behind a person play at their own time, and not by the frames' times.
    """

    def __init__(
        self,
        size: FrameSize,
        options: SessionOptions,
        process_size: FrameSize | None = None,
        trying: Trying | None = None,
        *,
        live: bool = False,
    ) -> None:
        self._size = size
        self._options = options
        self._process_size = process_size
        self._trying = trying
        self._live = live
        self._mask: MaskSession | None = None
        self._generators: OrderedDict[_Key, tuple[Generator, float]] = OrderedDict()
        self._models: OrderedDict[Path, tuple[tuple[int, int], NativeModel]] = OrderedDict()
        self._told: set[tuple[str, FrameSize, FrameSize]] = set()
        self._lock = threading.Lock()

    def load(self, named: NamedPreset, scale: float = 1.0, lite: bool = False) -> LoadedPreset:
        """Return a preset with its generator loaded and warmed.

        Args:
            named: the preset.
            scale: makes it work on smaller frames than the preset says.
            lite: take the generator's lite variant; the generator itself if it has no usable one.

        Raises:
            ModelError: the model is missing, broken or of the wrong shape.
            ProviderError: the provider asked for cannot run it.
        """
        if not named.preset.has_sides:
            return self._load_layer(named, scale, lite)
        division = divide(named)
        layers = [self._load_layer(layer, scale, lite) for layer in division.layers]
        if self._mask is None:
            self._mask = open_mask(self._size, self._options, self._trying)
        return self._assembled(named, division, layers, self._mask)

    def _load_layer(self, named: NamedPreset, scale: float, lite: bool) -> LoadedPreset:
        preset = named.preset
        if not preset.model:
            return LoadedPreset(preset, None, self._size)
        model, key = self._model_and_key(named, scale, lite)
        loaded = self._known(key)
        if loaded is None:
            loaded = self._open(model, key)
        return LoadedPreset(preset, loaded[0], self._size, loaded[1])

    def _assembled(
        self,
        named: NamedPreset,
        division: Division,
        layers: Sequence[LoadedPreset],
        mask: MaskSession,
    ) -> LoadedPreset:
        """Return the first layer, with the second and the sides in it."""
        preset, loaded = named.preset, layers[0]
        pictures = {
            side: make_side_picture(shown, named, self._size, self._live)
            for side, shown in division.pictures.items()
        }
        person = PersonMask(mask, preset.edge, preset.grow)
        loaded.sides = Sides(person, pictures, division.layer_of)
        if len(layers) > 1:
            loaded.second = layers[1]
            loaded.frame_seconds += layers[1].frame_seconds
        return loaded

    def load_if_known(
        self, named: NamedPreset, scale: float = 1.0, lite: bool = False
    ) -> LoadedPreset | None:
        """Return the same as :meth:`load` if its generator is loaded already, else None.

        It takes no time worth mentioning; any thread may call it.

        Raises:
            ModelError: as :meth:`load`.
        """
        if not named.preset.has_sides:
            return self._layer_if_known(named, scale, lite)
        division, mask = divide(named), self._mask
        if mask is None or division.reads_files:
            return None
        layers = [self._layer_if_known(layer, scale, lite) for layer in division.layers]
        known = [layer for layer in layers if layer is not None]
        return self._assembled(named, division, known, mask) if len(known) == len(layers) else None

    def _layer_if_known(self, named: NamedPreset, scale: float, lite: bool) -> LoadedPreset | None:
        preset = named.preset
        if not preset.model:
            return LoadedPreset(preset, None, self._size)
        _, key = self._model_and_key(named, scale, lite)
        loaded = self._known(key)
        return None if loaded is None else LoadedPreset(preset, loaded[0], self._size, loaded[1])

    def _model_and_key(
        self, named: NamedPreset, scale: float, lite: bool
    ) -> tuple[NativeModel, _Key]:
        model = self._native_model(find_model(named.preset.model, named.path.parent))
        if lite:
            model = self._lite_variant(model, named)
        stat = model.path.stat()
        size = self._size_for(named, model, scale)
        return model, (model.path, stat.st_mtime_ns, stat.st_size, size)

    def _known(self, key: _Key) -> tuple[Generator, float] | None:
        with self._lock:
            known = self._generators.get(key)
            if known is not None:
                self._generators.move_to_end(key)
            return known

    def _open(self, model: NativeModel, key: _Key) -> tuple[Generator, float]:
        generator = open_generator(model, key[-1], self._options, trying=self._trying)
        loaded = (generator, generator.warm_up())
        with self._lock:
            self._generators[key] = loaded
            # A preset on air keeps its generator alive; the rest is freed with its last use.
            while len(self._generators) > _KEPT:
                self._generators.popitem(last=False)
        return loaded

    def _native_model(self, path: Path) -> NativeModel:
        """Return what a file says of itself; read again only when it has changed."""
        try:
            stat = path.stat()
        except OSError:
            return load_native_model(path)
        stamp = (stat.st_mtime_ns, stat.st_size)
        with self._lock:
            known = self._models.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        model = load_native_model(path)
        with self._lock:
            self._models[path] = (stamp, model)
            while len(self._models) > 4 * _KEPT:
                self._models.popitem(last=False)
        return model

    def _lite_variant(self, model: NativeModel, named: NamedPreset) -> NativeModel:
        """Return the lite variant of ``model``, or itself and a warning if it has no usable one.

        A style that a pack brings is the generator's own; its lite variant cannot paint it.
        """
        path = lite_of(model.path)
        if path is None:
            return model
        try:
            lite = self._native_model(path)
        except ModelError as error:
            log.warning("the lite variant cannot be used: %s", error)
            return model
        if lite.spec.styles != model.spec.styles:
            log.warning("%s has other styles than %s and is not used", path, model.path.name)
            return model
        if not set(named.preset.styles) <= set(known_styles(lite)):
            return model
        return lite

    def _size_for(self, named: NamedPreset, model: NativeModel, scale: float) -> FrameSize:
        """Return the size to work at: as asked for, but one that the model can take."""
        if isinstance(model.frame[1], int) and isinstance(model.frame[2], int):
            return FrameSize(model.frame[2], model.frame[1])
        wanted = named.preset.process_size
        size = self._process_size or (FrameSize.parse(wanted) if wanted else DEFAULT_PROCESS_SIZE)
        smaller = FrameSize(round(size.width * scale), round(size.height * scale))
        rounded = model.nearest_size(smaller)
        found = (model.spec.name, rounded, size)
        if scale == 1.0 and rounded != size and found not in self._told:
            self._told.add(found)
            log.info("%s works at %s, the nearest to %s", *found)
        return rounded

    def close(self) -> None:
        """Close every generator. No preset may be used after that."""
        with self._lock:
            for generator, _ in self._generators.values():
                generator.close()
            self._generators.clear()
        if self._mask is not None:
            self._mask.close()
