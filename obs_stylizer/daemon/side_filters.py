"""The filters in OBS that are not the source: each in its own style, as far as the time goes."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from obs_stylizer.errors import DeviceLostError, PresetError, SourceError, StylizerError
from obs_stylizer.obs_filter.layout import VERSION
from obs_stylizer.obs_filter.listing import FilterInfo, list_filters
from obs_stylizer.presets import NamedPreset, PresetLibrary
from obs_stylizer.realtime.requests import ShowPreset
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.obs_filter import ObsFilterSource
from obs_stylizer.styling.preset_loader import PresetLoader
from obs_stylizer.styling.stylizer import Stylizer

log = logging.getLogger(__name__)

SIDE_FPS: Final = 15.0
"""Most frames a second that each of them gets."""

_LOOK_SECONDS: Final = 0.5
_REFRESH_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.003
_IDLE_SECONDS: Final = 0.05
_TOO_SLOW: Final = 0.4
"""Seconds for a frame from which a filter is rather shown plain."""
_RETRY_SECONDS: Final = 60.0
_SMOOTHED: Final = 0.3
_CROSSFADE_MS: Final = 400.0


@dataclass(slots=True)
class _Served:
    """One filter.

    Attributes:
        named: the preset that it shows, or that is being loaded for it.
        state: strength and styles that the preset on air has, where that is followed.
        lite: the lite variant is asked for.
        is_shown: the preset is loaded and shown.
        due: when its next frame may be styled.
        seconds: what a frame takes.
    """

    source: ObsFilterSource
    stylizer: Stylizer
    named: NamedPreset | None = None
    state: ShowPreset | None = None
    lite: bool = False
    is_shown: bool = False
    due: float = 0.0
    seconds: float = 0.0
    frames: int = 0
    target: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))


class SideFilters:
    """Serves, on a thread of its own, every filter that the source does not.

    A filter shows the preset chosen in its properties or in the settings; one without follows what
    is on air, and only while the source is a filter, too. They share generators among themselves
    and are styled one after another, each :data:`SIDE_FPS` times a second at most. One that is not
    drawn costs nothing; one for which there is no time is shown as it is, and says so.

    Args:
        options: of their sources; the wished size is the most they work at.
        loader: of their presets, for this thread alone.
        library: where their presets are found.
        chosen: names of presets by the name of the OBS source.
        motion: follow the motion of the frames.
        panel: address of the panel, for their properties.
        device_lost: ends the worker, whose GPU went away.
    """

    def __init__(
        self,
        options: SourceOptions,
        loader: PresetLoader,
        library: PresetLibrary,
        chosen: Mapping[str, str],
        *,
        motion: bool,
        panel: str = "",
        device_lost: Callable[[DeviceLostError], None],
    ) -> None:
        self._options = options
        self._loader = loader
        self._library = library
        self._chosen = dict(chosen)
        self._motion = motion
        self._panel = panel
        self._device_lost = device_lost
        self._served: dict[Path, _Served] = {}
        self._resting: dict[Path, float] = {}
        self._failed: dict[tuple[str, bool], str] = {}
        self._loading: set[tuple[str, bool]] = set()
        self._to_load: queue.SimpleQueue[tuple[NamedPreset, bool] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._look_at = self._refresh_at = 0.0
        self.on_air: ShowPreset | None = None
        """What is on air, for filters without a preset of their own."""
        self.source_is_filter = False
        self.bypass = False
        self.frozen = False
        self._thread = threading.Thread(target=self._run, name="filters", daemon=True)
        self._load_thread = threading.Thread(target=self._load_all, name="filters", daemon=True)

    def start(self) -> None:
        """Begin to look for filters."""
        self._thread.start()
        self._load_thread.start()

    def stop(self) -> None:
        """Let go of all of them."""
        self._stopping.set()
        self._to_load.put(None)
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def preset_for(self, source: str, own: str) -> str:
        """Return the name of a filter's own preset; "" for none."""
        return own or self._chosen.get(source, "")

    @property
    def preset_names(self) -> list[str]:
        """What the properties of a filter offer."""
        return self._library.names()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                pause = self._turn()
            except DeviceLostError as error:
                self._device_lost(error)
                return
            except Exception:
                log.exception("filters in OBS beside the source cannot be served")
                pause = 1.0
            self._stopping.wait(pause)
        for served in self._served.values():
            served.source.close()

    def _turn(self) -> float:
        """Do what is due, and return for how long to pause."""
        now = time.perf_counter()
        if now >= self._refresh_at:
            self._refresh_at = now + _REFRESH_SECONDS
            if self._served and self._library.refresh():
                self._failed.clear()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._look(now)
        busy = False
        for path, served in list(self._served.items()):
            try:
                busy |= self._serve(path, served)
            except SourceError as error:
                # It was removed, or the source took it.
                log.debug("%s", error)
                self._let_go(path)
        return _POLL_SECONDS if busy else _IDLE_SECONDS

    def _look(self, now: float) -> None:
        """Open filters that are new, and choose the preset of each."""
        for info in list_filters():
            if info.path not in self._served and self._may_serve(info, now):
                self._open(info)
        for path, served in list(self._served.items()):
            own = self.preset_for(served.source.place, served.source.preset)
            if not own and not self.source_is_filter:
                self._let_go(path)
                continue
            self._choose(served, own)

    def _may_serve(self, info: FilterInfo, now: float) -> bool:
        if info.version != VERSION or not info.is_seen or now < self._resting.get(info.path, 0.0):
            return False
        return self.source_is_filter or bool(self.preset_for(info.source, info.preset))

    def _open(self, info: FilterInfo) -> None:
        source = ObsFilterSource("", self._options, only=info.path)
        try:
            source.open()
        except SourceError as error:
            # Most often the source itself has it.
            log.debug("%s", error)
            source.close()
            return
        source.offer(self.preset_names)
        size = self._options.frame_size
        served = _Served(source, Stylizer(size, motion=self._motion))
        served.target = np.empty(size.shape, np.uint8)
        self._served[info.path] = served
        log.info("OBS filter %s is served beside the source", info)

    def _let_go(self, path: Path) -> None:
        served = self._served.pop(path, None)
        if served is not None:
            served.source.close()

    def _choose(self, served: _Served, own: str) -> None:
        """Begin to load the preset of a filter where it is another than the one it has."""
        state = None
        if own:
            try:
                named: NamedPreset | None = self._library.get(own)
            except PresetError as error:
                served.source.say(f"{error.message}: shown as it is.")
                named = None
        else:
            state = self.on_air
            named = None if state is None else state.preset
        if named == served.named and state is served.state:
            return
        served.named, served.state, served.is_shown = named, state, False

    def _serve(self, path: Path, served: _Served) -> bool:
        """Style a frame of one filter if it is due; return whether it is being drawn."""
        source, now = served.source, time.perf_counter()
        if not served.is_shown and served.named is not None:
            self._show_if_loaded(served, served.named)
        loaded = served.stylizer.loaded
        if served.named is None or loaded is None:
            source.rest()
            return False
        source.beat()
        source.freeze(frozen=self.frozen)
        served.stylizer.bypass = self.bypass
        if now < served.due:
            return True
        frame = source.read(0.0)
        if frame is None:
            return source.is_drawn
        served.due = max(served.due + 1 / SIDE_FPS, now)
        stylizer, target = served.stylizer, served.target
        stylizer.process(frame.pixels, frame.captured_at, target)
        mirrored = loaded.preset.mirror
        source.answer(frame.captured_at, target, stylizer.alpha, mirrored=mirrored)
        self._note_time(path, served, time.perf_counter() - now)
        return True

    def _show_if_loaded(self, served: _Served, named: NamedPreset) -> None:
        key = (named.name, served.lite)
        if key in self._failed:
            served.source.say(f"{self._failed[key]}: shown as it is.")
            served.named = None
            return
        try:
            loaded = self._loader.load_if_known(named, lite=served.lite)
        except StylizerError:
            loaded = None  # loading it will tell why
        if loaded is None:
            if key not in self._loading:
                self._loading.add(key)
                self._to_load.put((named, served.lite))
            return
        state = served.state
        if state is not None and state.strength is not None:
            loaded.with_strength(state.strength)
        if state is not None and state.styles is not None:
            loaded.with_styles(state.styles)
        fade = _CROSSFADE_MS if served.stylizer.loaded is not None else 0.0
        served.stylizer.switch_to(loaded, fade)
        served.is_shown = True
        served.seconds, served.frames = 0.0, 0
        served.source.describe(loaded.preset.title, self._panel)
        served.source.say("Styled by obs-stylizer, beside its source.")

    def _note_time(self, path: Path, served: _Served, seconds: float) -> None:
        """Take the lite variant where a frame takes too long, and then no frame at all."""
        first = served.seconds == 0
        served.seconds += (1.0 if first else _SMOOTHED) * (seconds - served.seconds)
        served.frames += 1
        if served.frames < 5:
            return
        many = max(1, len(self._served))
        if not served.lite and served.seconds > 1 / (SIDE_FPS * many):
            served.lite, served.is_shown = True, False
        elif served.lite and served.is_shown and served.seconds > _TOO_SLOW:
            served.source.say("This machine has no time for one more filter: shown as it is.")
            log.warning("there is no time for the OBS filter on “%s”", served.source.place)
            self._resting[path] = time.perf_counter() + _RETRY_SECONDS
            self._let_go(path)

    def _load_all(self) -> None:
        """Thread: load what filters need, so that the others go on meanwhile."""
        while True:
            wanted = self._to_load.get()
            if wanted is None:
                return
            named, lite = wanted
            try:
                self._loader.load(named, lite=lite)
            except DeviceLostError as error:
                self._device_lost(error)
            except StylizerError as error:
                log.warning("preset %s cannot be shown by a filter: %s", named.name, error)
                self._failed[(named.name, lite)] = error.message
            except Exception as error:
                log.exception("preset %s cannot be shown by a filter", named.name)
                self._failed[(named.name, lite)] = f"preset {named.name} failed: {error}"
            self._loading.discard((named.name, lite))
