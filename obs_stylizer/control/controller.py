"""The controller: one thread that alone talks to the pipeline and knows what is on air."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from obs_stylizer.clock import Clock, SystemClock
from obs_stylizer.control import commands
from obs_stylizer.control.commands import Answer, Command
from obs_stylizer.control.event_bus import ControlEvent, EventBus, EventKind
from obs_stylizer.control.event_texts import control_event_of, log_event
from obs_stylizer.control.on_air import OnAir, OnAirState, after
from obs_stylizer.control.pipeline import Pipeline, StyleLearning
from obs_stylizer.control.preset_changes import PresetChanges
from obs_stylizer.control.preset_effects import Limits
from obs_stylizer.control.recordings import LateAnswer, Recordings
from obs_stylizer.control.side_changes import SideChanges
from obs_stylizer.control.source_changes import SourceChanges
from obs_stylizer.errors import StylizerError, UsageError
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime import events, requests
from obs_stylizer.realtime.events import Event
from obs_stylizer.realtime.governor import Governor
from obs_stylizer.sources.spec import SourceSpec

log = logging.getLogger(__name__)

_Item = tuple[Command, Future[Answer]] | LateAnswer | Event

_REFRESH_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 0.25


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
        self._side_changes = SideChanges(
            pipeline,
            self._state,
            self._preset_changes.machine,
            self._preset_changes.remember_gesture,
        )
        self._follow_fails = False
        self._preloading = False
        self._source_changes = SourceChanges(pipeline)
        self._recordings = Recordings(
            pipeline, self._state, self._event_bus, lambda late: self._inbox.put(late)
        )
        self._next_tick = self._next_refresh = self._now()
        self._inbox: queue.SimpleQueue[
            tuple[Command, Future[Answer]] | LateAnswer | Event | None
        ] = queue.SimpleQueue()
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

    def _take(self, item: _Item) -> None:
        if isinstance(item, tuple):
            self._command(*item)
        elif isinstance(item, LateAnswer):
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
            elif isinstance(item, LateAnswer):
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
                return self._source_changes.change(SourceSpec.parse(source))
            case commands.Record(record):
                return self._recordings.record(record, future)
            case commands.TakeSnapshot():
                self._recordings.snapshot(future)
            case (
                commands.LearnStyle()
                | commands.LearnKeyframe()
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
        | commands.LearnKeyframe
        | commands.LearnMore
        | commands.KeepLearnt
        | commands.ForgetLearnt,
    ) -> Answer:
        if self._learning is None:
            raise UsageError("no styles are learnt here")
        match command:
            case commands.LearnStyle(picture, name, seconds):
                style, does = self._learning.learn(picture, name, seconds), "learning"
            case commands.LearnKeyframe(frame, painted, name, seconds):
                style = self._learning.learn_keyframe(frame, painted, name, seconds)
                does = "learning"
            case commands.LearnMore(seconds):
                style, does = self._learning.more(seconds), "learning more of"
            case commands.KeepLearnt():
                style, does = self._learning.keep(), "keeping"
            case commands.ForgetLearnt():
                style, does = self._learning.forget(), "forgetting"
        return Answer(f"{does} {style}", {"style": style})

    def _take_learning(self, event: events.StyleLearning) -> None:
        """Show the style once it is learnt, or what there is of a painting that is watched."""
        shown = self.on_air.learning.get("exports", 0)
        self._state.change(learning=event.progress)
        if event.progress["state"] == "learnt" or event.progress.get("exports", 0) > shown == 0:
            self._follow_files()
            try:
                name = str(event.progress["name"])
                self._preset_changes.apply(name, None, None, Future())
            except StylizerError as error:
                log.warning("the style that was learnt is not shown: %s", error)

    def _set_crossfade(self, milliseconds: float | None) -> Answer:
        if milliseconds is not None:
            commands.check_crossfade(milliseconds)
        self._state.change(crossfade_ms=milliseconds)
        shown = "as each preset says" if milliseconds is None else f"{milliseconds:g} ms"
        return Answer(f"crossfade {shown}", {"crossfade_ms": milliseconds})

    def _set_bypass(self, bypass: bool) -> Answer:
        self._pipeline.request(requests.SetBypass(bypass))
        self._state.change(bypass=bypass)
        return Answer("bypass on" if bypass else "bypass off", {"bypass": bypass})

    def _set_freeze(self, freeze: bool) -> Answer:
        self._pipeline.freeze(freeze)
        self._state.change(freeze=freeze)
        return Answer("freeze on" if freeze else "freeze off", {"freeze": freeze})

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
            case events.LoadMeasured():
                self._preset_changes.govern(event)
            case events.LoadBegan() | events.LoadEnded():
                self._preset_changes.take_load(event)
            case events.PresetShown():
                self._preset_changes.take_shown(event)
                if not self._preloading:
                    self._send_preload()
            case events.PresetFailed():
                self._preset_changes.take_failed(event)
            case events.WorkerStarted():
                self._greet_worker()
            case events.WorkerLost():
                self._state.on_air = after(self.on_air, event)
                self._preset_changes.take_worker_lost(event)
            case events.GpuGivenUp(_, action):
                self._state.on_air = after(self.on_air, event)
                self._state.change(bypass=self.on_air.bypass or action == "bypass")
                self._preset_changes.take_gpu_given_up()
                if action == "stop":
                    self._preset_changes.give_up("the GPU failed, and nothing else is to be used")
            case events.RecordingStarted():
                self._state.change(recording=str(event.path))
            case events.RecordingEnded():
                self._state.change(recording="")
            case events.StyleLearning():
                self._take_learning(event)
            case _:
                self._state.on_air = after(self.on_air, event)
                self._source_changes.settle(event)
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
            self._pipeline.request(requests.SetBypass(bypass=True))
        self._side_changes.greet_worker()
        failed = self._source_changes.greet_worker()
        if failed is not None:
            self.tell(failed)
        self._preset_changes.take_worker_started()

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
            self._pipeline.request(requests.Preload(presets))

    def _publish_changes(self) -> None:
        on_air = self.on_air
        changed = on_air.changed_since(self._published)
        if changed:
            self._published = on_air
            details = {**on_air.as_dict(), "changed": changed}
            self._event_bus.publish(ControlEvent(EventKind.STATE, "", details))
