"""Which preset is on air: asks for presets, takes in what came of it, and remembers for undo."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, Protocol

from obs_stylizer.control.commands import Answer
from obs_stylizer.control.on_air import OnAir
from obs_stylizer.errors import ModelError, ProviderError, StylizerError, UsageError
from obs_stylizer.inference.locate import find_model, lite_of
from obs_stylizer.presets import NamedPreset, PresetLibrary
from obs_stylizer.realtime import messages
from obs_stylizer.realtime.governor import FULL, Governor, QualityLevel
from obs_stylizer.realtime.messages import Request

log = logging.getLogger(__name__)

_GOVERNED_FADE_MS: Final = 200.0
_REMEMBERED: Final = 50
_ONE_GESTURE_SECONDS: Final = 1.0


class Requests(Protocol):
    """Where requests to the worker go."""

    def request(self, request: Request) -> None:
        """Pass a request to the worker."""


class OnAirState:
    """Holds what is on air; changed by the controller's thread alone."""

    def __init__(self, on_air: OnAir) -> None:
        self.on_air = on_air

    def change(self, **changes: object) -> None:
        """Replace some of it."""
        self.on_air = replace(self.on_air, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Choice:
    """A preset as somebody set it; None leaves what the preset says."""

    named: NamedPreset
    strength: float | None = None
    styles: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    choice: Choice
    future: Future[Answer]
    kept_for_undo: Choice | None


class PresetChanges:
    """The part of the controller that changes presets; runs on its thread.

    Args:
        requests: where requests go.
        library: all presets.
        air: what is on air, kept up to date.
        governor: gives the generator less work on a slow machine; None never does.
        now: seconds of the clock.
    """

    def __init__(
        self,
        requests: Requests,
        library: PresetLibrary,
        state: OnAirState,
        governor: Governor | None,
        now: Callable[[], float],
    ) -> None:
        self._requests = requests
        self._library = library
        self._state = state
        self._governor = governor
        self._now = now
        self._numbers = 0
        self._waiting: dict[int, _Asked] = {}
        self._shown: Choice | None = None
        self._past: list[Choice] = []
        self._gesture: tuple[str, float] = ("", float("-inf"))

    @property
    def shown(self) -> Choice | None:
        """What is on air."""
        return self._shown

    def apply(
        self,
        name: str,
        strength: float | None,
        crossfade_ms: float | None,
        future: Future[Answer],
    ) -> None:
        """Go over to a preset."""
        if strength is not None:
            check_strength(strength)
        if crossfade_ms is not None:
            check_crossfade(crossfade_ms)
        self._library.refresh()
        choice = Choice(self._library.get(name), strength)
        self._ask(choice, crossfade_ms, future, self._as_it_is())

    def warm(self, name: str) -> Answer:
        """Let the generator of a preset be loaded; nothing of it is shown."""
        named = self._library.get(name)
        self._requests.request(messages.Warm(named, self._quality_for(named)))
        return Answer(f"loading {name}", {"warm": name})

    def step(self, by: int, future: Future[Answer]) -> None:
        """Go over to the preset ``by`` places further in the list."""
        self._library.refresh()
        names = self._library.names()
        if not names:
            raise UsageError("there are no presets", "see: obs-stylizer presets validate")
        # Whoever presses “next” twice quickly means the one after the next.
        newest = self._waiting[max(self._waiting)].choice if self._waiting else self._shown
        here = newest.named.name if newest else ""
        index = names.index(here) + by if here in names else 0
        self.apply(names[index % len(names)], None, None, future)

    def set_strength(self, strength: float) -> Answer:
        """Change the strength of what is on air."""
        check_strength(strength)
        self._remember_gesture("strength")
        self._requests.request(messages.SetStrength(strength))
        self._state.change(strength=strength)
        self._alter(lambda choice: replace(choice, strength=strength))
        return Answer(f"strength {strength:g}", {"strength": strength})

    def mix(self, styles: Mapping[str, float]) -> Answer:
        """Change the weights of the styles of what is on air."""
        known = self._state.on_air.styles
        if not known:
            raise UsageError(
                f"{self._state.on_air.preset or 'what is on state'} has no styles to mix",
                "choose a preset whose generator has several",
            )
        for name, weight in styles.items():
            if name not in known:
                raise UsageError(f"there is no style “{name}”", f"it has: {', '.join(known)}")
            if not 0 <= weight <= 10:
                raise UsageError(f"{name}: {weight:g} is out of range", "weights go from 0 to 10")
        if sum(styles.values()) <= 0:
            raise UsageError("every style has the weight 0", "give at least one a weight above 0")
        self._remember_gesture("mix")
        whole = {name: float(styles.get(name, 0.0)) for name in known}
        self._requests.request(messages.SetStyles(whole))
        self._state.change(styles=whole)
        model = self._shown.named.preset.model if self._shown else ""
        self._alter(
            lambda choice: (
                replace(choice, styles=whole) if choice.named.preset.model == model else choice
            )
        )
        shown = " ".join(f"{name}={weight:g}" for name, weight in whole.items() if weight)
        return Answer(f"mix {shown}", {"styles": whole})

    def undo(self, future: Future[Answer]) -> None:
        """Take back the last change."""
        while self._past:
            past = self._past.pop()
            self._gesture = ("", float("-inf"))
            try:
                named = self._library.get(past.named.name)
            except StylizerError:
                continue
            self._ask(replace(past, named=named), None, future, None)
            return
        raise UsageError("there is nothing to take back")

    def govern(self, load: messages.LoadMeasured) -> None:
        """Give the generator less or more work for a frame if it is time to."""
        if self._governor is None or self._shown is None or self._waiting:
            return
        named = self._shown.named
        quality = self._governor.observe(
            self._now(), _governed(named), load.busy, load.wanted_fps, _has_lite(named)
        )
        if quality is not None:
            log.info(
                "%s takes %.0f ms a frame, wanted are %.0f fps: it goes over to %s of its size",
                named.name,
                1000 * load.busy,
                load.wanted_fps,
                quality,
            )
            self._ask(self._shown, _GOVERNED_FADE_MS, Future(), None)

    def renew(self, changed: list[str]) -> None:
        """Show what is on air anew if its preset is among those that changed."""
        if self._shown is None or self._shown.named.name not in changed:
            return
        try:
            named = self._library.get(self._shown.named.name)
        except StylizerError as error:
            log.warning("%s; the picture stays as it is", error)
        else:
            # The mix may have been what was edited.
            self._ask(replace(self._shown, named=named, styles=None), None, Future(), None)

    def take_shown(self, event: messages.PresetShown) -> None:
        """Take in that a preset is on air."""
        asked = self._waiting.pop(event.request_id, None)
        # Requests that this one overtook were never shown; whoever waits for them hears it.
        for request_id in [
            request_id for request_id in self._waiting if request_id < event.request_id
        ]:
            self._waiting.pop(request_id).future.set_result(Answer("overtaken by a newer preset"))
        _log_shown(event)
        runs_on = event.runs_on
        strength, title = self._state.on_air.strength, self._state.on_air.title
        if asked is not None:
            choice = asked.choice
            preset = choice.named.preset
            title = preset.title
            strength = preset.strength if choice.strength is None else choice.strength
            self._shown = choice
            self._remember(asked.kept_for_undo)
        self._state.change(
            preset=event.name,
            title=title,
            request_id=event.request_id,
            strength=strength,
            styles=dict(event.styles),
            provider=runs_on.provider.value if runs_on else "none",
            device=runs_on.device if runs_on else "",
            precision=runs_on.precision.value if runs_on else "",
            why=runs_on.reason if runs_on else "",
            process_size=str(event.process_size),
            generator=event.generator,
            worker_trouble="",
            style_trouble="",
        )
        if asked is not None:
            details = {"preset": event.name, "title": title, "strength": strength}
            asked.future.set_result(Answer(f"preset {event.name}", details))

    def take_failed(self, event: messages.PresetFailed) -> None:
        """Take in that a preset cannot be loaded; what is on air stays."""
        asked = self._waiting.pop(event.request_id, None)
        if self._shown is None:
            trouble = f"the style {event.name} cannot be loaded"
            self._state.change(worker_trouble="", style_trouble=trouble)
            # A provider that is not here ends the daemon, which says so itself.
            level = logging.DEBUG if isinstance(event.error, ProviderError) else logging.ERROR
            log.log(level, "preset %s: %s", event.name, event.error)
        else:
            stays = self._shown.named.name
            log.warning("preset %s: %s; %s stays", event.name, event.error, stays)
        if asked is not None:
            asked.future.set_exception(event.error)

    def give_up(self) -> None:
        """Fail all that is still waited for."""
        for asked in self._waiting.values():
            asked.future.set_exception(StylizerError("the daemon is ending"))

    def _ask(
        self,
        choice: Choice,
        crossfade_ms: float | None,
        future: Future[Answer],
        kept_for_undo: Choice | None,
    ) -> None:
        if crossfade_ms is None:
            crossfade_ms = self._state.on_air.crossfade_ms
        self._numbers += 1
        self._waiting[self._numbers] = _Asked(choice, future, kept_for_undo)
        quality = self._quality_for(choice.named)
        self._requests.request(
            messages.ShowPreset(
                self._numbers, choice.named, choice.strength, crossfade_ms, quality, choice.styles
            )
        )

    def _quality_for(self, named: NamedPreset) -> QualityLevel:
        return self._governor.quality_for(_governed(named)) if self._governor else FULL

    def _alter(self, change: Callable[[Choice], Choice]) -> None:
        """Change what is on air, and the preset that is on its way."""
        if self._shown is not None:
            self._shown = change(self._shown)
        if self._waiting:
            newest = max(self._waiting)
            asked = self._waiting[newest]
            self._waiting[newest] = replace(asked, choice=change(asked.choice))

    def _as_it_is(self) -> Choice | None:
        """What is on air with the strength it has now, to come back to."""
        if self._shown is None:
            return None
        return replace(self._shown, strength=self._state.on_air.strength)

    def _remember(self, choice: Choice | None) -> None:
        if choice is not None:
            self._past.append(choice)
            del self._past[:-_REMEMBERED]

    def _remember_gesture(self, kind: str) -> None:
        """Remember what was there before a slider was moved, once for the whole movement."""
        now = self._now()
        last_kind, last_at = self._gesture
        if kind != last_kind or now - last_at > _ONE_GESTURE_SECONDS:
            self._remember(self._as_it_is())
        self._gesture = (kind, now)


def check_strength(strength: float) -> None:
    """Raise UsageError unless it is within 0 and 1."""
    if not 0 <= strength <= 1:
        raise UsageError(f"strength {strength:g} is out of range", "it goes from 0 to 1")


def check_crossfade(milliseconds: float) -> None:
    """Raise UsageError unless it is within 0 and ten seconds."""
    if not 0 <= milliseconds <= 10_000:
        raise UsageError(f"crossfade {milliseconds:g} is out of range", "it goes from 0 to 10000")


def _governed(named: NamedPreset) -> str:
    """Return what the governor knows a preset's generator by."""
    return f"{named.preset.model} {named.preset.process_size}"


def _has_lite(named: NamedPreset) -> bool:
    try:
        return lite_of(find_model(named.preset.model, named.path.parent)) is not None
    except ModelError:
        return False


def _log_shown(event: messages.PresetShown) -> None:
    runs_on = event.runs_on
    if runs_on is None:
        log.info("preset %s: no generator needed", event.name)
        return
    why = f" ({runs_on.reason})" if runs_on.reason else ""
    log.info(
        "preset %s: %s at %s, %s%s", event.name, event.generator, event.process_size, runs_on, why
    )
