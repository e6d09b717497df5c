"""The worker's thread that loads generators: one to be shown before any ahead of its time."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from obs_stylizer.errors import DeviceLostError, ModelError, StylizerError
from obs_stylizer.presets import NamedPreset
from obs_stylizer.realtime.events import Event, LoadBegan, LoadEnded, Preloaded, PresetFailed
from obs_stylizer.realtime.governor import FULL, QualityLevel
from obs_stylizer.realtime.memory import give_back_what_is_free, settle_objects
from obs_stylizer.realtime.requests import ShowPreset, SideSettings
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.preset_loader import PresetLoader

log = logging.getLogger(__name__)

_MOST_AHEAD: Final = 8


class LoadThread:
    """Loads one generator at a time. Only the newest preset to be shown is waited for.

    Args:
        loader: makes presets ready.
        tell: hears what is loaded, and what cannot be.
        ready: gets each preset that is to be shown; called on this or the caller's thread.
        device_lost: ends the worker, whose GPU went away.
    """

    def __init__(
        self,
        loader: PresetLoader,
        tell: Callable[[Event], None],
        ready: Callable[[ShowPreset, LoadedPreset], None],
        device_lost: Callable[[DeviceLostError], None],
    ) -> None:
        self._loader = loader
        self._tell = tell
        self._ready = ready
        self._device_lost = device_lost
        self._changed = threading.Condition()
        self._to_show: ShowPreset | None = None
        self._ahead: OrderedDict[str, tuple[NamedPreset, QualityLevel]] = OrderedDict()
        self._preload: list[NamedPreset] | None = None
        self._shows_something = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no other load."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def show(self, request: ShowPreset) -> None:
        """Make a preset ready, at once if its generator is loaded; a newer one overtakes it."""
        with self._changed:
            self._to_show = None
        loaded = self._if_known(request)
        if loaded is not None:
            self._hand_over(request, loaded)
            return
        with self._changed:
            self._to_show = request
            self._changed.notify_all()

    def load_ahead(self, named: NamedPreset, quality: QualityLevel) -> None:
        """Load a generator before the preloaded ones; of very many the oldest are forgotten."""
        with self._changed:
            self._ahead[named.name] = (named, quality)
            while len(self._ahead) > _MOST_AHEAD:
                self._ahead.popitem(last=False)
            self._changed.notify_all()

    def preload(self, presets: tuple[NamedPreset, ...]) -> None:
        """Load these, in place of those named before, once a preset is shown."""
        with self._changed:
            self._preload = list(presets)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                if self._stopping:
                    return
                request, self._to_show = self._to_show, None
                ahead = None if request else self._next_ahead()
            try:
                if request is not None:
                    self._load(request)
                elif ahead is not None:
                    self._load_ahead(*ahead)
            except Exception:
                log.exception("a generator cannot be loaded")

    def _has_work(self) -> bool:
        preloads = self._preload is not None and self._shows_something
        return self._stopping or self._to_show is not None or bool(self._ahead) or preloads

    def _next_ahead(self) -> tuple[NamedPreset, QualityLevel] | None:
        if self._ahead:
            return self._ahead.popitem(last=False)[1]
        if self._preload:
            return self._preload.pop(0), FULL
        self._preload = None
        give_back_what_is_free()
        self._tell(Preloaded())
        return None

    def _if_known(self, request: ShowPreset) -> LoadedPreset | None:
        quality = request.quality
        try:
            loaded = self._loader.load_if_known(request.preset, quality.scale, quality.lite)
            if loaded is not None and request.styles is not None:
                loaded.with_styles(request.styles)
        except (StylizerError, OSError):
            # Loading it will tell why.
            return None
        return loaded

    def _load(self, request: ShowPreset) -> None:
        name, quality = request.preset.name, request.quality
        self._tell(LoadBegan(name))
        try:
            loaded = self._loader.load(request.preset, quality.scale, quality.lite)
            if request.styles is not None:
                loaded.with_styles(request.styles)
        except DeviceLostError as error:
            self._device_lost(error)
        except StylizerError as error:
            self._fail(request, error)
        except Exception as error:
            log.debug("preset %s", name, exc_info=True)
            self._fail(request, ModelError(f"preset {name} cannot be loaded: {error}"))
        else:
            self._tell(LoadEnded(name))
            give_back_what_is_free()
            self._hand_over(request, loaded)

    def _fail(self, request: ShowPreset, error: StylizerError) -> None:
        name = request.preset.name
        self._tell(LoadEnded(name))
        self._tell(PresetFailed(request.request_id, name, error))

    def _load_ahead(self, named: NamedPreset, quality: QualityLevel) -> None:
        self._tell(LoadBegan(named.name))
        try:
            self._loader.load(named, quality.scale, quality.lite)
        except DeviceLostError as error:
            self._device_lost(error)
        except StylizerError as error:
            log.warning("preset %s cannot be used: %s", named.name, error)
        except Exception:
            log.exception("preset %s cannot be used", named.name)
        self._tell(LoadEnded(named.name))

    def _hand_over(self, request: ShowPreset, loaded: LoadedPreset) -> None:
        if request.strength is not None:
            loaded.with_strength(request.strength)
        if request.coherence is not None:
            loaded.with_coherence(request.coherence)
        if request.sides is not None:
            set_sides(loaded, request.sides)
        first = not self._shows_something
        if first:
            settle_objects()
        self._ready(request, loaded)
        if first:
            with self._changed:
                self._shows_something = True
                self._changed.notify_all()


def set_sides(loaded: LoadedPreset, settings: SideSettings) -> None:
    """Set person and background as somebody did by hand."""
    if settings.person is not None:
        loaded.with_side_strength("person", settings.person)
    if settings.background is not None:
        loaded.with_side_strength("background", settings.background)
    if loaded.sides is not None:
        loaded.sides.swapped = settings.swapped
