"""The controller: one thread that alone talks to the pipeline and knows what is on air."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, Protocol

from obs_stylizer.clock import Clock, SystemClock
from obs_stylizer.control.commands import (
    ApplyPreset,
    ChangeSource,
    Command,
    Quit,
    Reload,
    SetBypass,
    SetStrength,
)
from obs_stylizer.errors import ProviderError, StylizerError, UsageError
from obs_stylizer.presets import NamedPreset, PresetLibrary
from obs_stylizer.realtime import messages
from obs_stylizer.realtime.governor import Governor
from obs_stylizer.realtime.messages import Event, Order
from obs_stylizer.sources.spec import SourceSpec

log = logging.getLogger(__name__)

_REFRESH_SECONDS: Final = 1.0
_GOVERNED_FADE_MS: Final = 200.0


class Pipeline(Protocol):
    """What the controller needs of the live path."""

    def order(self, order: Order) -> None:
        """Pass an order to the worker."""

    def quit(self) -> None:
        """End everything; returns at once."""


@dataclass(frozen=True, slots=True)
class OnAir:
    """What is on air, as far as events have told.

    The troubles say in a few words what keeps a styled picture away; "" while all is well.
    """

    preset: str = ""
    look: int = -1
    strength: float = 1.0
    bypass: bool = False
    source: str = ""
    source_name: str = ""
    source_state: str = "opening"
    source_fps: float | None = None
    provider: str = ""
    device: str = ""
    precision: str = ""
    why: str = ""
    process_size: str = ""
    preloaded: bool = False
    worker_trouble: str = "starting"
    source_trouble: str = ""
    style_trouble: str = ""

    @property
    def trouble(self) -> str:
        """The one that the others follow from."""
        return self.worker_trouble or self.source_trouble or self.style_trouble


class Controller:
    """Takes commands and events in the order they come.

    Args:
        pipeline: the live path.
        library: all presets; followed as their files change.
        preload: load every preset's generator in idle moments.
        governor: lets the generator work smaller on a slow machine; None never does.
        on_event: hears every event after the state has taken it in; must not block.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        library: PresetLibrary,
        source: SourceSpec,
        *,
        preload: bool,
        governor: Governor | None = None,
        on_event: Callable[[Event], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._library = library
        self._preload = preload
        self._governor = governor
        self._on_event = on_event
        self._now = (clock or SystemClock()).now
        self._inbox: queue.SimpleQueue[tuple[Command, Future[str]] | Event | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="controller", daemon=True)
        self._looks = 0
        self._waiting: dict[int, tuple[NamedPreset, float | None, Future[str]]] = {}
        self._shown: tuple[NamedPreset, float | None] | None = None
        self.on_air = OnAir(source=str(source))

    def start(self) -> None:
        """Begin to take commands and events."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more; commands still waiting fail."""
        self._inbox.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def send(self, command: Command) -> Future[str]:
        """Ask for something; the future holds a line for people, or the StylizerError."""
        future: Future[str] = Future()
        self._inbox.put((command, future))
        return future

    def tell(self, event: Event) -> None:
        """Let the controller know of an event."""
        self._inbox.put(event)

    def _run(self) -> None:
        while True:
            try:
                item = self._inbox.get(timeout=_REFRESH_SECONDS)
            except queue.Empty:
                self._follow_files()
                continue
            if item is None:
                break
            try:
                if isinstance(item, tuple):
                    self._command(*item)
                else:
                    self._event(item)
            except Exception:
                log.exception("the controller failed at %r", item)
        for _, _, future in self._waiting.values():
            future.set_exception(StylizerError("the daemon is ending"))

    def _command(self, command: Command, future: Future[str]) -> None:
        try:
            if isinstance(command, ApplyPreset):
                self._apply(command, future)
                return
            future.set_result(self._simple(command))
        except StylizerError as error:
            future.set_exception(error)

    def _simple(self, command: Command) -> str:
        if isinstance(command, SetStrength):
            _check_strength(command.strength)
            self._pipeline.order(messages.SetStrength(command.strength))
            self.on_air = replace(self.on_air, strength=command.strength)
            return f"strength {command.strength:g}"
        if isinstance(command, SetBypass):
            self._pipeline.order(messages.SetBypass(command.bypass))
            self.on_air = replace(self.on_air, bypass=command.bypass)
            return "bypass on" if command.bypass else "bypass off"
        if isinstance(command, ChangeSource):
            spec = SourceSpec.parse(command.source)
            self._pipeline.order(messages.ChangeSource(spec))
            return f"going over to {spec}"
        if isinstance(command, Reload):
            return f"presets that changed: {', '.join(self._follow_files()) or 'none'}"
        assert isinstance(command, Quit)
        self._pipeline.quit()
        return "ending"

    def _apply(self, command: ApplyPreset, future: Future[str]) -> None:
        if command.strength is not None:
            _check_strength(command.strength)
        self._library.refresh()
        named = self._library.get(command.name)
        self._show(named, command.strength, command.crossfade_ms, future)

    def _show(
        self,
        named: NamedPreset,
        strength: float | None,
        crossfade_ms: float | None,
        future: Future[str],
    ) -> None:
        self._looks += 1
        self._waiting[self._looks] = (named, strength, future)
        scale = self._governor.scale_for(_governed(named)) if self._governor else 1.0
        self._pipeline.order(messages.ShowLook(self._looks, named, strength, crossfade_ms, scale))

    def _govern(self, load: messages.LoadMeasured) -> None:
        """Let the generator work on a smaller or larger frame if it is time to."""
        if self._governor is None or self._shown is None or self._waiting:
            return
        named, _ = self._shown
        scale = self._governor.observe(self._now(), _governed(named), load.busy, load.wanted_fps)
        if scale is not None:
            log.info(
                "%s takes %.0f ms a frame, wanted are %.0f fps: its process size goes to %.0f %%",
                named.name,
                1000 * load.busy,
                load.wanted_fps,
                100 * scale,
            )
            self._show(named, self.on_air.strength, _GOVERNED_FADE_MS, Future())

    def _follow_files(self) -> list[str]:
        changed = sorted(self._library.refresh())
        if changed:
            log.info("presets changed: %s", ", ".join(changed))
            self._send_preload()
        if self._shown is not None and self._shown[0].name in changed:
            named, strength = self._shown
            try:
                self._show(self._library.get(named.name), strength, None, Future())
            except StylizerError as error:
                log.warning("%s; the picture stays as it is", error)
        return changed

    def _send_preload(self) -> None:
        if self._preload:
            self._pipeline.order(messages.Preload(tuple(self._library.all())))

    def _event(self, event: Event) -> None:
        if isinstance(event, messages.LoadMeasured):
            self._govern(event)
        elif isinstance(event, messages.LookShown):
            self._look_shown(event)
        elif isinstance(event, messages.LookFailed):
            self._look_failed(event)
        else:
            self.on_air = _after(self.on_air, event)
            _log_event(event)
        if self._on_event is not None:
            self._on_event(event)

    def _look_shown(self, event: messages.LookShown) -> None:
        first = self._shown is None
        waiting = self._waiting.pop(event.look, None)
        # Orders that this one overtook were never shown; whoever waits for them hears it.
        for look in [look for look in self._waiting if look < event.look]:
            self._waiting.pop(look)[2].set_result("overtaken by a newer preset")
        strength = self.on_air.strength
        if waiting is not None:
            named, wanted, future = waiting
            self._shown = (named, wanted)
            strength = named.preset.strength if wanted is None else wanted
            future.set_result(f"preset {event.name}")
        runs_on = event.runs_on
        if runs_on is None:
            log.info("preset %s: no generator needed", event.name)
        else:
            why = f" ({runs_on.reason})" if runs_on.reason else ""
            log.info("preset %s: %s at %s%s", event.name, runs_on, event.process_size, why)
        self.on_air = replace(
            self.on_air,
            preset=event.name,
            look=event.look,
            strength=strength,
            provider=runs_on.provider.value if runs_on else "none",
            device=runs_on.device if runs_on else "",
            precision=runs_on.precision.value if runs_on else "",
            why=runs_on.reason if runs_on else "",
            process_size=str(event.process_size),
            worker_trouble="",
            style_trouble="",
        )
        if first:
            self._send_preload()

    def _look_failed(self, event: messages.LookFailed) -> None:
        waiting = self._waiting.pop(event.look, None)
        if self._shown is None:
            trouble = f"the style {event.name} cannot be loaded"
            self.on_air = replace(self.on_air, worker_trouble="", style_trouble=trouble)
            # A provider that is not here ends the daemon, which says so itself.
            level = logging.DEBUG if isinstance(event.error, ProviderError) else logging.ERROR
            log.log(level, "preset %s: %s", event.name, event.error)
        else:
            log.warning("preset %s: %s; %s stays", event.name, event.error, self._shown[0].name)
        if waiting is not None:
            waiting[2].set_exception(event.error)


def _after(on_air: OnAir, event: Event) -> OnAir:
    """Return the state after an event that concerns source or worker."""
    if isinstance(event, messages.SourceOpened):
        return replace(
            on_air,
            source=str(event.source),
            source_name=event.info.name,
            source_state="open",
            source_fps=event.info.fps,
            source_trouble="",
        )
    if isinstance(event, messages.SourceLost | messages.SourceFailed):
        state = "lost" if isinstance(event, messages.SourceLost) else "failed"
        return replace(on_air, source_state=state, source_trouble=event.error.message)
    if isinstance(event, messages.SourceEnded):
        return replace(on_air, source_state="ended", source_trouble="the source has ended")
    if isinstance(event, messages.WorkerLost):
        return replace(on_air, worker_trouble="the worker is starting again", preloaded=False)
    if isinstance(event, messages.GpuGivenUp):
        return replace(on_air, worker_trouble="the GPU failed")
    if isinstance(event, messages.Preloaded):
        return replace(on_air, preloaded=True)
    return on_air


def _log_event(event: Event) -> None:
    if isinstance(event, messages.SourceOpened):
        info = event.info
        rate = f" at {info.fps:g} fps" if info.fps else ""
        detail = f" ({info.detail})" if info.detail else ""
        log.info("source %s: %s, %s%s%s", event.source, info.name, info.frame_size, rate, detail)
    elif isinstance(event, messages.SourceLost):
        remedy = f" ({event.error.remedy})" if event.error.remedy else ""
        log.warning("%s; trying again until it is there%s", event.error.message, remedy)
    elif isinstance(event, messages.SourceFailed):
        log.warning("source %s: %s", event.source, event.error)


def _governed(named: NamedPreset) -> str:
    """Return what the governor knows a preset's generator by."""
    return f"{named.preset.model} {named.preset.process_size}"


def _check_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise UsageError(f"strength {strength:g} is out of range", "it goes from 0 to 1")
