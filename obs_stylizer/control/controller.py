"""The controller: one thread that alone talks to the pipeline and knows what is on air."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from obs_stylizer.clock import Clock, SystemClock
from obs_stylizer.control import commands
from obs_stylizer.control.commands import Answer, Command
from obs_stylizer.control.event_bus import ControlEvent, EventBus, EventKind
from obs_stylizer.control.event_texts import control_event_of, log_event
from obs_stylizer.control.on_air import OnAir, OnAirState, after
from obs_stylizer.control.preset_changes import PresetChanges
from obs_stylizer.control.preset_effects import Limits
from obs_stylizer.control.side_changes import SideChanges
from obs_stylizer.errors import (
    SourceError,
    StylizerError,
    UsageError,
)
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime import messages
from obs_stylizer.realtime.governor import Governor
from obs_stylizer.realtime.messages import Event, Request
from obs_stylizer.sources.spec import SourceSpec

log = logging.getLogger(__name__)

_REFRESH_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 0.25
_SOURCE_TRIES: Final = 2


class Pipeline(Protocol):
    """What the controller needs of the live path. Nothing here blocks."""

    def request(self, request: Request) -> None:
        """Pass a request to the worker, if there is one."""

    def replace_worker(self, reason: str) -> None:
        """End the worker and start another."""

    def freeze(self, frozen: bool) -> None:
        """Hold the picture that is shown now, or let it go on."""

    def start_recording(self) -> Future[Path]:
        """Begin a recording of what is sent; its end is told by an event."""

    def stop_recording(self) -> Future[Path]:
        """End the recording."""

    def take_snapshot(self) -> Future[Mapping[str, Path]]:
        """Save the plain and the styled picture; returns the path of each."""

    def quit(self) -> None:
        """End everything; returns at once."""


class StyleLearning(Protocol):
    """What the controller needs to have styles learnt; see the daemon's own."""

    def learn(self, picture: str, name: str, seconds: float) -> str:
        """Begin to learn the style of a picture; returns its name."""

    def more(self, seconds: float) -> str:
        """Go on with the style learnt last; returns its name."""

    def keep(self) -> str:
        """Take the style as it is; returns its name."""

    def forget(self) -> str:
        """Stop, and keep nothing; returns its name."""


@dataclass(frozen=True, slots=True)
class _Made:
    """Something that took its time is there, and ``future`` can be answered."""

    made: Future[Any]
    future: Future[Answer]
    answer: Callable[[Any], Answer]

    def pass_on(self) -> None:
        error = self.made.exception()
        if error is None:
            self.future.set_result(self.answer(self.made.result()))
        else:
            self.future.set_exception(error)


class Controller:
    """Takes commands and events in the order they come.

    Args:
        pipeline: the live path.
        library: all presets; followed as their files change.
        preload: load every preset's generator in idle moments.
        governor: gives the generator less work on a slow machine; None never does.
        limits: how long loading a preset may take.
        on_event: hears every event after the state has taken it in; must not block.
        event_bus: tells control surfaces what happens.
        learning: learns styles; None where nothing does.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        library: PresetLibrary,
        source: SourceSpec,
        *,
        preload: bool,
        governor: Governor | None = None,
        limits: Limits | None = None,
        on_event: Callable[[Event], None] | None = None,
        event_bus: EventBus | None = None,
        learning: StyleLearning | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._learning = learning
        self._pipeline = pipeline
        self._library = library
        self._preload = preload
        self._on_event = on_event
        self._event_bus = event_bus or EventBus()
        self._state = OnAirState(OnAir(source=str(source)))
        self._published = self._state.on_air
        self._now = (clock or SystemClock()).now
        self._preset_changes = PresetChanges(
            pipeline, library, self._state, governor, self._now, limits, self._event_bus
        )
        self._side_changes = SideChanges(pipeline, self._state, self._preset_changes.machine)
        self._follow_fails = False
        self._preloading = False
        self._new_source: SourceSpec | None = None
        self._source_tries = 0
        self._next_tick = self._next_refresh = self._now()
        self._inbox: queue.SimpleQueue[tuple[Command, Future[Answer]] | _Made | Event | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="controller", daemon=True)
        self._stopped = False

    @property
    def on_air(self) -> OnAir:
        """What is on air now."""
        return self._state.on_air

    def start(self) -> None:
        """Begin to take commands and events."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more; commands still waiting fail."""
        self._inbox.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        self._stopped = True
        self._fail_the_rest()

    def send(self, command: Command) -> Future[Answer]:
        """Ask for something; the future fails with the StylizerError that says why."""
        future: Future[Answer] = Future()
        self._inbox.put((command, future))
        if self._stopped:
            self._fail_the_rest()
        return future

    def tell(self, event: Event) -> None:
        """Let the controller know of an event."""
        self._inbox.put(event)

    def _run(self) -> None:
        going = True
        while going:
            # Nothing may end this thread: everybody waits for its answers.
            try:
                going = self._turn()
            except Exception:
                log.exception("the controller failed")
        self._preset_changes.give_up("the daemon is ending")

    def _turn(self) -> bool:
        """Take one command or event, and see what the time brings; False at the end."""
        try:
            wait = max(0.0, min(self._next_tick, self._next_refresh) - self._now())
            item = self._inbox.get(timeout=min(wait, _TICK_SECONDS))
        except queue.Empty:
            pass
        else:
            if item is None:
                return False
            try:
                self._take(item)
            except Exception:
                log.exception("the controller failed at %r", item)
        # By the clock, not when there is nothing else to do: somebody may ask all the time.
        now = self._now()
        if now >= self._next_tick:
            self._next_tick = now + _TICK_SECONDS
            self._preset_changes.tick()
        if now >= self._next_refresh:
            self._next_refresh = now + _REFRESH_SECONDS
            self._try_to_follow_files()
        self._publish_changes()
        return True

    def _take(self, item: tuple[Command, Future[Answer]] | _Made | Event) -> None:
        if isinstance(item, tuple):
            self._command(*item)
        elif isinstance(item, _Made):
            item.pass_on()
        else:
            self._event(item)

    def _fail_the_rest(self) -> None:
        while True:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, tuple):
                item[1].set_exception(StylizerError("the daemon is ending"))
            elif isinstance(item, _Made):
                item.pass_on()

    # Commands.

    def _command(self, command: Command, future: Future[Answer]) -> None:
        try:
            answer = self._do(command, future)
        except StylizerError as error:
            future.set_exception(error)
        except Exception as error:
            log.exception("the controller failed at %r", command)
            future.set_exception(StylizerError(f"the command failed: {error}", "see the log"))
        else:
            if answer is not None:
                future.set_result(answer)

    def _do(self, command: Command, future: Future[Answer]) -> Answer | None:
        """Do a command; None where ``future`` is answered later."""
        match command:
            case commands.ApplyPreset(name, strength, crossfade_ms):
                self._preset_changes.apply(name, strength, crossfade_ms, future)
            case commands.WarmPreset(name):
                return self._preset_changes.warm(name)
            case commands.NextPreset():
                self._preset_changes.step(1, future)
            case commands.PreviousPreset():
                self._preset_changes.step(-1, future)
            case commands.Undo():
                self._preset_changes.undo(future)
            case commands.SetStrength(strength):
                return self._preset_changes.set_strength(strength)
            case commands.StepStrength(by):
                wanted = min(1.0, max(0.0, self.on_air.strength + by))
                return self._preset_changes.set_strength(round(wanted, 4))
            case commands.MixStyles(styles):
                return self._preset_changes.mix(styles)
            case commands.SetCoherence(coherence):
                return self._preset_changes.set_coherence(coherence)
            case commands.SetPersonStrength(strength):
                return self._side_changes.set_strength("person", strength)
            case commands.SetBackgroundStrength(strength):
                return self._side_changes.set_strength("background", strength)
            case commands.SwapSides(swap):
                return self._side_changes.swap(swap)
            case commands.ShowMask(mask):
                return self._side_changes.show_mask(mask)
            case commands.SetCrossfade(milliseconds):
                return self._set_crossfade(milliseconds)
            case commands.SetBypass(bypass):
                return self._set_bypass(not self.on_air.bypass if bypass is None else bypass)
            case commands.SetFreeze(freeze):
                return self._set_freeze(not self.on_air.freeze if freeze is None else freeze)
            case commands.ChangeSource(source):
                return self._change_source(SourceSpec.parse(source))
            case commands.Record(record):
                return self._record(not self.on_air.recording if record is None else record, future)
            case commands.TakeSnapshot():
                self._snapshot(future)
            case (
                commands.LearnStyle()
                | commands.LearnMore()
                | commands.KeepLearnt()
                | commands.ForgetLearnt()
            ):
                return self._learn(command)
            case commands.Reload():
                changed = self._follow_files()
                return Answer(
                    f"presets that changed: {', '.join(changed) or 'none'}", {"changed": changed}
                )
            case commands.GetStatus():
                return self._status()
            case commands.Quit():
                self._pipeline.quit()
                return Answer("ending")
        return None

    def _learn(
        self,
        command: commands.LearnStyle
        | commands.LearnMore
        | commands.KeepLearnt
        | commands.ForgetLearnt,
    ) -> Answer:
        if self._learning is None:
            raise UsageError("no styles are learnt here")
        match command:
            case commands.LearnStyle(picture, name, seconds):
                style, does = self._learning.learn(picture, name, seconds), "learning"
            case commands.LearnMore(seconds):
                style, does = self._learning.more(seconds), "learning more of"
            case commands.KeepLearnt():
                style, does = self._learning.keep(), "keeping"
            case commands.ForgetLearnt():
                style, does = self._learning.forget(), "forgetting"
        return Answer(f"{does} {style}", {"style": style})

    def _take_learning(self, event: messages.StyleLearning) -> None:
        """Show the style once it is learnt."""
        self._state.change(learning=event.progress)
        if event.progress["state"] == "learnt":
            self._follow_files()
            try:
                name = str(event.progress["name"])
                self._preset_changes.apply(name, None, None, Future())
            except StylizerError as error:
                log.warning("the style that was learnt is not shown: %s", error)

    def _change_source(self, spec: SourceSpec) -> Answer:
        self._new_source, self._source_tries = spec, 1
        self._pipeline.request(messages.ChangeSource(spec))
        return Answer(f"going over to {spec}", {"source": str(spec)})

    def _set_crossfade(self, milliseconds: float | None) -> Answer:
        if milliseconds is not None:
            commands.check_crossfade(milliseconds)
        self._state.change(crossfade_ms=milliseconds)
        shown = "as each preset says" if milliseconds is None else f"{milliseconds:g} ms"
        return Answer(f"crossfade {shown}", {"crossfade_ms": milliseconds})

    def _set_bypass(self, bypass: bool) -> Answer:
        self._pipeline.request(messages.SetBypass(bypass))
        self._state.change(bypass=bypass)
        return Answer("bypass on" if bypass else "bypass off", {"bypass": bypass})

    def _set_freeze(self, freeze: bool) -> Answer:
        self._pipeline.freeze(freeze)
        self._state.change(freeze=freeze)
        return Answer("freeze on" if freeze else "freeze off", {"freeze": freeze})

    def _record(self, record: bool, future: Future[Answer]) -> Answer | None:
        running = self.on_air.recording
        if record and running:
            return Answer(f"already recording to {running}", {"path": running})
        if not record and not running:
            raise UsageError("nothing is being recorded", "start with: record on")
        made = self._pipeline.start_recording() if record else self._pipeline.stop_recording()
        verb = "recording to" if record else "recorded"

        def answer(path: Path) -> Answer:
            return Answer(f"{verb} {path}", {"path": str(path)})

        self._answer_later(made, future, answer)
        return None

    def _snapshot(self, future: Future[Answer]) -> None:
        def answer(paths: Mapping[str, Path]) -> Answer:
            text = ", ".join(str(path) for path in paths.values())
            details = {name: str(path) for name, path in paths.items()}
            self._event_bus.publish(ControlEvent(EventKind.SNAPSHOT, f"saved {text}", details))
            return Answer(f"saved {text}", details)

        self._answer_later(self._pipeline.take_snapshot(), future, answer)

    def _answer_later(
        self, made: Future[Any], future: Future[Answer], answer: Callable[[Any], Answer]
    ) -> None:
        """Answer ``future`` when ``made`` is there, after the events that it brought."""
        made.add_done_callback(lambda made: self._inbox.put(_Made(made, future, answer)))

    def _status(self) -> Answer:
        on_air = self.on_air
        trouble = f"; {on_air.trouble}" if on_air.trouble else ""
        if on_air.asleep:
            trouble = "; asleep, as nobody watches"
        shown = "bypass" if on_air.bypass else f"{on_air.preset} at {on_air.strength:.0%}"
        return Answer(f"{shown}, {on_air.source}, {on_air.provider}{trouble}", on_air.as_dict())

    # Events.

    def _event(self, event: Event) -> None:
        match event:
            case messages.LoadMeasured():
                self._preset_changes.govern(event)
            case messages.LoadBegan() | messages.LoadEnded():
                self._preset_changes.take_load(event)
            case messages.PresetShown():
                self._preset_changes.take_shown(event)
                if not self._preloading:
                    self._send_preload()
            case messages.PresetFailed():
                self._preset_changes.take_failed(event)
            case messages.WorkerStarted():
                self._greet_worker()
            case messages.WorkerLost():
                self._state.on_air = after(self.on_air, event)
                self._preset_changes.take_worker_lost(event)
            case messages.GpuGivenUp(_, action):
                self._state.on_air = after(self.on_air, event)
                self._state.change(bypass=self.on_air.bypass or action == "bypass")
                self._preset_changes.take_gpu_given_up()
                if action == "stop":
                    self._preset_changes.give_up("the GPU failed, and nothing else is to be used")
            case messages.RecordingStarted():
                self._state.change(recording=str(event.path))
            case messages.RecordingEnded():
                self._state.change(recording="")
            case messages.StyleLearning():
                self._take_learning(event)
            case _:
                self._state.on_air = after(self.on_air, event)
                self._settle_source(event)
        log_event(event)
        if self._on_event is not None:
            self._on_event(event)
        control_event = control_event_of(event)
        if control_event is not None:
            self._publish_changes()
            self._event_bus.publish(control_event)

    def _greet_worker(self) -> None:
        """Tell a fresh worker all that it cannot know."""
        self._preloading = False
        if self.on_air.bypass:
            self._pipeline.request(messages.SetBypass(bypass=True))
        self._side_changes.greet_worker()
        spec = self._new_source
        if spec is not None and self._source_tries < _SOURCE_TRIES:
            self._source_tries += 1
            self._pipeline.request(messages.ChangeSource(spec))
        elif spec is not None:
            self._new_source = None
            error = SourceError(f"source {spec}: the worker did not survive it")
            self.tell(messages.SourceFailed(spec, error))
        self._preset_changes.take_worker_started()

    def _settle_source(self, event: Event) -> None:
        """Ask no later worker for a source that this one has opened, or cannot open."""
        told = (messages.SourceOpened, messages.SourceLost, messages.SourceFailed)
        if isinstance(event, told) and event.source == self._new_source:
            self._new_source = None

    def _try_to_follow_files(self) -> None:
        try:
            self._follow_files()
        except Exception:
            if not self._follow_fails:
                log.exception("the preset files cannot be followed; it is tried again")
            self._follow_fails = True
        else:
            self._follow_fails = False

    def _follow_files(self) -> list[str]:
        changed = sorted(self._library.refresh())
        self._preset_changes.release_changed()
        if changed:
            log.info("presets changed: %s", ", ".join(changed))
            self._send_preload()
            self._preset_changes.renew(changed)
            text = f"presets changed: {', '.join(changed)}"
            self._event_bus.publish(
                ControlEvent(EventKind.PRESETS_CHANGED, text, {"presets": changed})
            )
        return changed

    def _send_preload(self) -> None:
        self._preloading = True
        if self._preload:
            suspect = self._preset_changes.machine.is_suspect
            presets = tuple(named for named in self._library.all() if not suspect(named.name))
            self._pipeline.request(messages.Preload(presets))

    def _publish_changes(self) -> None:
        on_air = self.on_air
        changed = on_air.changed_since(self._published)
        if changed:
            self._published = on_air
            details = {**on_air.as_dict(), "changed": changed}
            self._event_bus.publish(ControlEvent(EventKind.STATE, "", details))
