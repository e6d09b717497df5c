"""Makes looks out of presets and keeps their generators loaded, newest used first."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.generator import Generator, find_model, open_generator
from obs_stylizer.inference.session import SessionOptions
from obs_stylizer.presets import NamedPreset
from obs_stylizer.styling.look import Look

log = logging.getLogger(__name__)

DEFAULT_PROCESS_SIZE: Final = FrameSize(640, 360)
_KEPT: Final = 12

_Key = tuple[Path, int, int, FrameSize]


class LookLoader:
    """Loads looks for one output size. One thread loads; others may run the looks it made.

    Args:
        size: of the pictures that looks make.
        options: provider, device, precision, threads.
        process_size: overrides that of every preset; None leaves them theirs.
    """

    def __init__(
        self,
        size: FrameSize,
        options: SessionOptions,
        process_size: FrameSize | None = None,
    ) -> None:
        self._size = size
        self._options = options
        self._process_size = process_size
        self._generators: OrderedDict[_Key, Generator] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, named: NamedPreset) -> Look:
        """Return the look of a preset, its generator loaded and warmed.

        Raises:
            ModelError: the model is missing, broken or of the wrong shape.
            ProviderError: the provider asked for cannot run it.
        """
        preset = named.preset
        if not preset.model:
            return Look(preset, None, self._size)
        generator = self._generator(named)
        generator.style_vector(preset.styles)
        return Look(preset, generator, self._size)

    def _generator(self, named: NamedPreset) -> Generator:
        path = find_model(named.preset.model, named.path.parent)
        wanted = named.preset.process_size
        size = self._process_size or (FrameSize.parse(wanted) if wanted else DEFAULT_PROCESS_SIZE)
        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size, size)
        with self._lock:
            known = self._generators.get(key)
            if known is not None:
                self._generators.move_to_end(key)
                return known
        generator = open_generator(path, size, self._options)
        generator.warm_up()
        with self._lock:
            self._generators[key] = generator
            # A look that is on air keeps its generator alive; the rest is freed with its last use.
            while len(self._generators) > _KEPT:
                self._generators.popitem(last=False)
        return generator

    def close(self) -> None:
        """Close every generator. No look may be used after that."""
        with self._lock:
            for generator in self._generators.values():
                generator.close()
            self._generators.clear()
