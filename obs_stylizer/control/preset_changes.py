"""Which preset is on air: asks for presets, takes in what came of it, and remembers for undo."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, Protocol

from obs_stylizer.control.commands import Answer, check_crossfade, check_strength
from obs_stylizer.control.event_bus import EventBus
from obs_stylizer.control.governed_quality import GovernedQuality
from obs_stylizer.control.on_air import OnAirState
from obs_stylizer.control.preset_effects import (
    Answered,
    Effect,
    Limits,
    Outcome,
    PresetChoice,
    Quarantined,
    ReplaceWorker,
    Show,
)
from obs_stylizer.control.preset_state_machine import PresetStateMachine
from obs_stylizer.control.quarantine import Quarantine
from obs_stylizer.control.undo_history import UndoHistory
from obs_stylizer.errors import ProviderError, StylizerError, UsageError
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime import events, requests
from obs_stylizer.realtime.governor import Governor
from obs_stylizer.realtime.requests import Request, SideSettings

log = logging.getLogger(__name__)

_GOVERNED_FADE_MS: Final = 200.0


class WorkerRequests(Protocol):
    """What is asked of the worker and its supervisor. Nothing here blocks."""

    def request(self, request: Request) -> None:
        """Pass a request to the worker, if there is one."""

    def replace_worker(self, reason: str) -> None:
        """End the worker and start another."""


@dataclass(frozen=True, slots=True)
class _Asked:
    future: Future[Answer]
    kept_for_undo: PresetChoice | None


class PresetChanges:
    """The part of the controller that changes presets; runs on its thread.

    It turns what people ask for into requests of the :class:`PresetStateMachine`, and carries out
    what that decides.

    Args:
        worker: where requests go.
        library: all presets.
        state: what is on air, kept up to date.
        governor: gives the generator less work on a slow machine; None never does.
        now: seconds of the clock.
        limits: how long loading may take.
        event_bus: hears of presets that are set aside.
    """

    def __init__(
        self,
        worker: WorkerRequests,
        library: PresetLibrary,
        state: OnAirState,
        governor: Governor | None,
        now: Callable[[], float],
        limits: Limits | None = None,
        event_bus: EventBus | None = None,
    ) -> None:
        self._worker = worker
        self._library = library
        self._state = state
        self._quality = GovernedQuality(governor)
        self._now = now
        self._event_bus = event_bus or EventBus()
        self.machine = PresetStateMachine(limits)
        self._asked: dict[int, _Asked] = {}
        self._quarantine = Quarantine(self.machine, library, state, self._event_bus)
        self._history = UndoHistory()

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
        choice = PresetChoice(self._library.get(name), strength)
        self._ask(choice, crossfade_ms, future, self._as_it_is(), by_name=True)

    def warm(self, name: str) -> Answer:
        """Let the generator of a preset be loaded; nothing of it is shown."""
        named = self._library.get(name)
        if name in self.machine.quarantined:
            raise UsageError(f"preset {name} is set aside", f"try again with: preset {name}")
        self._worker.request(requests.Warm(named, self._quality.of(named)))
        return Answer(f"loading {name}", {"warm": name})

    def step(self, by: int, future: Future[Answer]) -> None:
        """Go over to the preset ``by`` places further in the list."""
        self._library.refresh()
        names = self._library.names()
        names = [name for name in names if name not in self.machine.quarantined] or names
        if not names:
            raise UsageError("there are no presets", "see: obs-stylizer presets validate")
        # Whoever presses “next” twice quickly means the one after the next.
        newest = self.machine.newest
        here = newest.name if newest else ""
        index = names.index(here) + by if here in names else 0
        choice = PresetChoice(self._library.get(names[index % len(names)]))
        self._ask(choice, None, future, self._as_it_is())

    def set_strength(self, strength: float) -> Answer:
        """Change the strength of what is on air."""
        check_strength(strength)
        self.remember_gesture("strength")
        self._worker.request(requests.SetStrength(strength))
        both = dict.fromkeys(self._state.on_air.sides, strength)
        self._state.change(strength=strength, sides=both)
        self.machine.alter(lambda choice: _with_strength(choice, strength))
        return Answer(f"strength {strength:g}", {"strength": strength})

    def set_coherence(self, coherence: float) -> Answer:
        """Change the coherence of what is on air."""
        if not 0 <= coherence <= 1:
            raise UsageError(f"coherence {coherence:g} is out of range", "it goes from 0 to 1")
        self.remember_gesture("coherence")
        self._worker.request(requests.SetCoherence(coherence))
        self._state.change(coherence=coherence)
        self.machine.alter(lambda choice: replace(choice, coherence=coherence))
        return Answer(f"coherence {coherence:g}", {"coherence": coherence})

    def mix(self, styles: Mapping[str, float]) -> Answer:
        """Change the weights of the styles of what is on air."""
        known = self._state.on_air.styles
        if not known:
            raise UsageError(
                f"{self._state.on_air.preset or 'what is on air'} has no styles to mix",
                "choose a preset whose generator has several",
            )
        for name, weight in styles.items():
            if name not in known:
                raise UsageError(f"there is no style “{name}”", f"it has: {', '.join(known)}")
            if not 0 <= weight <= 10:
                raise UsageError(f"{name}: {weight:g} is out of range", "weights go from 0 to 10")
        if sum(styles.values()) <= 0:
            raise UsageError("every style has the weight 0", "give at least one a weight above 0")
        self.remember_gesture("mix")
        whole = {name: float(styles.get(name, 0.0)) for name in known}
        self._worker.request(requests.SetStyles(whole))
        self._state.change(styles=whole)
        shown = self.machine.last_shown
        model = shown.named.preset.model if shown else ""
        self.machine.alter(
            lambda choice: (
                replace(choice, styles=whole) if choice.named.preset.model == model else choice
            )
        )
        text = " ".join(f"{name}={weight:g}" for name, weight in whole.items() if weight)
        return Answer(f"mix {text}", {"styles": whole})

    def remember_gesture(self, kind: str) -> None:
        """Keep what is on air for undo, before something of it is changed by hand.

        Args:
            kind: of slider or switch; movements of one in a row count once.
        """
        self._history.remember_gesture(kind, self._as_it_is(), self._now())

    def undo(self, future: Future[Answer]) -> None:
        """Take back the last change."""
        while (past := self._history.take()) is not None:
            try:
                named = self._library.get(past.named.name)
            except StylizerError:
                continue
            self._ask(replace(past, named=named), None, future, None)
            return
        raise UsageError("there is nothing to take back")

    def govern(self, load: events.LoadMeasured) -> None:
        """Give the generator less or more work for a frame if it is time to."""
        shown = self.machine.shown
        if shown is None or self.machine.is_busy:
            return
        if self._quality.observe(shown.named, load, self._now()):
            self._ask(shown, _GOVERNED_FADE_MS, Future(), None)

    def renew(self, changed: list[str]) -> None:
        """Show what is on air anew if its preset is among those that changed."""
        shown = self.machine.last_shown
        if shown is None or shown.name not in changed:
            return
        try:
            named = self._library.get(shown.name)
        except StylizerError as error:
            log.warning("%s; the picture stays as it is", error)
        else:
            # The mix may have been what was edited.
            self._ask(
                replace(shown, named=named, styles=None, coherence=None, sides=None),
                None,
                Future(),
                None,
            )

    def release_changed(self) -> None:
        """Give presets that are set aside another chance if their file or their model changed."""
        self._quarantine.release_changed()

    # What the worker and its supervisor tell.

    def take_worker_started(self) -> None:
        """Take in that a fresh worker waits for requests."""
        self._carry_out(self.machine.worker_started(self._now()))

    def take_worker_lost(self, event: events.WorkerLost) -> None:
        """Take in that the worker has ended."""
        effects = self.machine.worker_lost(event.reason, self._now(), on_gpu=event.on_gpu)
        self._carry_out(effects)

    def take_gpu_given_up(self) -> None:
        """Take in that the GPU is used no more."""
        self.machine.gpu_given_up()
        self._quarantine.publish()

    def take_load(self, event: events.LoadBegan | events.LoadEnded) -> None:
        """Take in what the worker loads."""
        if isinstance(event, events.LoadBegan):
            self.machine.load_began(event.name, self._now())
        else:
            self.machine.load_ended(self._now())

    def take_shown(self, event: events.PresetShown) -> None:
        """Take in that a preset is on air."""
        choice = self.machine.choice_of(event.request_id)
        if choice is None:
            log.debug("preset %s of request %d is old news", event.name, event.request_id)
            return
        _log_shown(event)
        self._quality.check(choice.named, event, self._state.on_air)
        runs_on = event.runs_on
        preset = choice.named.preset
        self._state.change(
            preset=event.name,
            title=preset.title,
            request_id=event.request_id,
            strength=preset.strength if choice.strength is None else choice.strength,
            styles=dict(event.styles),
            coherence=event.coherence,
            sides=dict(event.sides),
            swapped=event.swapped,
            provider=runs_on.provider.value if runs_on else "none",
            device=runs_on.device if runs_on else "",
            precision=runs_on.precision.value if runs_on else "",
            why=runs_on.reason if runs_on else "",
            process_size=str(event.process_size),
            generator=event.generator,
            worker_trouble="",
        )
        on_gpu = runs_on is not None and not runs_on.on_cpu
        number, now = event.request_id, self._now()
        self._carry_out(self.machine.preset_shown(number, now, on_gpu=on_gpu))

    def take_failed(self, event: events.PresetFailed) -> None:
        """Take in that a preset cannot be loaded; what is on air stays."""
        name, shown = event.name, self.machine.last_shown
        if shown is None:
            trouble = f"the style {name} cannot be loaded"
            self._state.change(worker_trouble="", style_trouble=trouble)
            # A provider that is not here ends the daemon, which says so itself.
            level = logging.DEBUG if isinstance(event.error, ProviderError) else logging.ERROR
            log.log(level, "preset %s: %s", name, event.error)
        elif self.machine.shown is None:
            log.warning("preset %s: %s; the one before it is taken", name, event.error)
        else:
            log.warning("preset %s: %s; %s stays", name, event.error, shown.name)
        effects = self.machine.preset_failed(event.request_id, event.error, self._now())
        self._carry_out(effects)

    def tick(self) -> None:
        """Look at the clock; to be called a few times a second."""
        self._carry_out(self.machine.tick(self._now()))

    def give_up(self, reason: str) -> None:
        """Fail all that is still waited for, and all that is asked later."""
        self._carry_out(self.machine.close(reason))

    # How it is done.

    def _ask(
        self,
        choice: PresetChoice,
        crossfade_ms: float | None,
        future: Future[Answer],
        kept_for_undo: PresetChoice | None,
        *,
        by_name: bool = False,
    ) -> None:
        if crossfade_ms is None:
            crossfade_ms = self._state.on_air.crossfade_ms
        number, effects = self.machine.request(
            choice, self._now(), crossfade_ms=crossfade_ms, by_name=by_name
        )
        self._asked[number] = _Asked(future, kept_for_undo)
        self._carry_out(effects)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            try:
                self._carry_out_one(effect)
            except Exception:
                # What comes after it must still be done.
                log.exception("the controller failed at %r", effect)
        self._quarantine.publish()

    def _carry_out_one(self, effect: Effect) -> None:
        match effect:
            case Show(number, choice, crossfade_ms):
                named, quality = choice.named, self._quality.of(choice.named)
                self._worker.request(
                    requests.ShowPreset(
                        number,
                        named,
                        choice.strength,
                        crossfade_ms,
                        quality,
                        choice.styles,
                        choice.coherence,
                        choice.sides,
                    )
                )
            case Answered():
                self._answer(effect)
            case ReplaceWorker(reason):
                self._worker.replace_worker(reason)
            case Quarantined(name, reason):
                self._quarantine.add(name, reason)

    def _answer(self, answered: Answered) -> None:
        asked = self._asked.pop(answered.request_id, None)
        if asked is None:
            return
        if answered.outcome is Outcome.OVERTAKEN:
            asked.future.set_result(Answer("overtaken by a newer preset"))
        elif answered.error is not None:
            asked.future.set_exception(answered.error)
        else:
            self._history.remember(asked.kept_for_undo)
            self._state.change(style_trouble="")
            on_air = self._state.on_air
            details = {
                "preset": on_air.preset,
                "title": on_air.title,
                "strength": on_air.strength,
            }
            asked.future.set_result(Answer(f"preset {on_air.preset}", details))

    def _as_it_is(self) -> PresetChoice | None:
        """What is on air with the strengths it has now, to come back to."""
        shown, on_air = self.machine.last_shown, self._state.on_air
        if shown is None:
            return None
        kept = replace(shown, strength=on_air.strength)
        if not on_air.sides:
            return kept
        # The strength of the whole, which may never have been asked for, would be that of both.
        return replace(kept, sides=SideSettings(**on_air.sides, swapped=on_air.swapped))


def _with_strength(choice: PresetChoice, strength: float) -> PresetChoice:
    sides = choice.sides and replace(choice.sides, person=None, background=None)
    return replace(choice, strength=strength, sides=sides)


def _log_shown(event: events.PresetShown) -> None:
    runs_on = event.runs_on
    if runs_on is None:
        log.info("preset %s: no generator needed", event.name)
        return
    why = f" ({runs_on.reason})" if runs_on.reason else ""
    log.info(
        "preset %s: %s at %s, %s%s", event.name, event.generator, event.process_size, runs_on, why
    )
