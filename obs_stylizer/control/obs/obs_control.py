"""The control surface for OBS: scenes choose presets, and OBS sees and hears what is on air."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from obs_stylizer.clock import Clock, SystemClock
from obs_stylizer.control.api import ControlApi, ControlSurfaceFactory
from obs_stylizer.control.commands import Answer, ApplyPreset, Command, SetStrength, WarmPreset
from obs_stylizer.control.event_bus import ControlEvent, EventKind
from obs_stylizer.control.obs import custom_events
from obs_stylizer.control.obs.connection import Connection, ObsEvent
from obs_stylizer.control.obs.inbox import Inbox, Work
from obs_stylizer.control.obs.link import Link
from obs_stylizer.control.obs.scene_follower import SceneFollower, preset_hints, scene_hints
from obs_stylizer.control.obs.sound_sync import KeptOffsets, SoundSync, kept_offsets_file
from obs_stylizer.control.obs.stream_keeper import StreamKeeper
from obs_stylizer.control.vocabulary import command_from_json
from obs_stylizer.errors import ObsError, StylizerError
from obs_stylizer.settings import ObsSettings, ScenePreset

log = logging.getLogger(__name__)

_TURN_SECONDS: Final = 0.5
_JOIN_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class ObsState:
    """What is known of OBS, for the panel.

    Attributes:
        trouble: why there is no connection; "" while there is one.
        preview: the preview scene in studio mode; "" outside it.
        hints: a line about each name in the settings that OBS or we do not have.
    """

    connected: bool = False
    trouble: str = "looking for OBS"
    version: str = ""
    program: str = ""
    preview: str = ""
    scenes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


class ObsControl:
    """See the module. One thread of its own does all the work, another receives."""

    def __init__(
        self,
        settings: ObsSettings,
        api: ControlApi,
        *,
        clock: Clock | None = None,
        kept_file: Path | None = None,
    ) -> None:
        self.settings = settings
        self._api = api
        self._now = (clock or SystemClock()).now
        self._state = ObsState()
        self._follower = SceneFollower(settings)
        self._kept = KeptOffsets(
            kept_file or kept_offsets_file(), f"{settings.host}:{settings.port}"
        )
        self._sound = SoundSync(settings.audio_inputs, settings.audio_extra_ms, self._kept)
        self._stream = StreamKeeper()
        self._next_poll = 0.0
        self._inbox = Inbox()
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        self._busy_collection = False
        self._untold: ControlEvent | None = None
        self._text: str | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="obs", daemon=True)
        self._link = Link(
            settings.host,
            settings.port,
            settings.secret,
            on_connected=lambda connection: self._inbox.put(self._connected, connection),
            on_lost=lambda reason: self._inbox.put(self._lost, reason),
            on_event=self._hear_obs,
        )

    @property
    def state(self) -> ObsState:
        """What is known of OBS now. Any thread."""
        return self._state

    def start(self) -> None:
        """Begin to look for OBS, and to follow it."""
        for hint in preset_hints(self.settings, self._api.library.names()):
            log.warning("%s", hint)
        on_air = self._api.on_air
        self._follower.take_preset(on_air.preset, on_air.request_id, self._now())
        self._unsubscribe = self._api.subscribe(self._hear)
        self._thread.start()
        self._link.start()

    def stop(self) -> None:
        """Give OBS back what was changed in it, and end."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._stopping.set()
        if not self._kept.read():
            # Nothing is to be given back: an OBS that does not answer is not waited for.
            self._link.stop()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_SECONDS)
        self._link.stop()

    def use(self, settings: ObsSettings) -> None:
        """Follow other maps of scenes and presets from now on. Any thread."""
        self._inbox.put(self._use, settings)

    def _hear_obs(self, event: ObsEvent) -> None:
        """On the receiving thread: of scenes that were not looked at yet the newest counts."""
        if event.name in ("CurrentProgramSceneChanged", "CurrentPreviewSceneChanged"):
            self._inbox.put_newest(event.name, self._event, event)
        else:
            self._inbox.put_if_room(self._event, event)

    def _hear(self, control_event: ControlEvent) -> None:
        self._inbox.put_if_room(self._published, control_event)

    def _run(self) -> None:
        while not self._stopping.is_set():
            work = self._inbox.take(_TURN_SECONDS)
            if work is None:
                continue
            self._do(work)
            if self._inbox.empty:
                self._do(self._tell_state)
        self._do(lambda: self._sound.end(self._connection))

    def _do(self, work: Work) -> None:
        try:
            work()
        except ObsError as error:
            log.warning("OBS: %s", error)
        except Exception:
            log.exception("the OBS control surface failed")

    # The connection.

    def _connected(self, connection: Connection) -> None:
        self._connection = connection
        self._text = None
        self._stream.begin()
        try:
            version = str(connection.ask("GetVersion")["obsVersion"])
            self._state = ObsState(connected=True, trouble="", version=version)
            self._take_stock(connection)
            self._sound.begin(connection)
        except ObsError as error:
            # If the link broke, that is told by itself.
            log.debug("OBS: %s", error)

    def _lost(self, reason: str) -> None:
        self._connection = None
        self._state = ObsState(trouble=reason)

    def _take_stock(self, connection: Connection) -> None:
        """Learn which scenes there are, and apply that of the program."""
        listed = connection.ask("GetSceneList")
        # OBS lists them from the bottom of its window.
        scenes = tuple(str(scene["sceneName"]) for scene in reversed(listed["scenes"]))
        self._follower.take_scenes(scenes)
        hints = scene_hints(self.settings, scenes)
        for hint in hints:
            if hint not in self._state.hints:
                log.warning("%s", hint)
        self._state = replace(
            self._state,
            scenes=scenes,
            hints=(*hints, *preset_hints(self.settings, self._api.library.names())),
        )
        self._preview_is(str(listed.get("currentPreviewSceneName") or ""))
        self._program_is(str(listed["currentProgramSceneName"]))

    # Events of OBS.

    def _event(self, event: ObsEvent) -> None:
        data = event.data
        match event.name:
            case "CurrentProgramSceneChanged":
                self._program_is(str(data["sceneName"]))
            case "CurrentPreviewSceneChanged":
                self._preview_is(str(data["sceneName"]))
            case "StudioModeStateChanged":
                if not data.get("studioModeEnabled"):
                    self._preview_is("")
            case "CustomEvent":
                self._custom_event(data)
            case "SceneNameChanged":
                self._renamed(str(data["oldSceneName"]), str(data["sceneName"]))
            case "SceneRemoved":
                self._removed(str(data["sceneName"]))
            case "SceneCreated":
                if not data.get("isGroup"):
                    self._scenes_are((*self._state.scenes, str(data["sceneName"])))
            case "CurrentSceneCollectionChanging":
                self._busy_collection = True
            case "CurrentSceneCollectionChanged":
                self._busy_collection = False
                self._text = None
                if self._connection is not None:
                    self._take_stock(self._connection)
                    self._sound.begin(self._connection)
            case "ExitStarted":
                log.info("OBS is closing")

    def _program_is(self, scene: str) -> None:
        self._state = replace(self._state, program=scene)
        self._apply(scene, self._follower.take_program(scene, self._now()))

    def _preview_is(self, scene: str) -> None:
        self._state = replace(self._state, preview=scene)
        scene_preset = self._follower.preset_for(scene)
        if scene and scene_preset.preset and self.settings.warm_preview:
            # A preset that there is not is told of when its scene goes on air.
            self._api.send(WarmPreset(scene_preset.preset))

    def _apply(self, scene: str, scene_preset: ScenePreset) -> None:
        command: Command
        if scene_preset.preset:
            command = ApplyPreset(
                scene_preset.preset, scene_preset.strength, scene_preset.crossfade_ms
            )
        elif scene_preset.strength is not None:
            command = SetStrength(scene_preset.strength)
        else:
            return
        log.debug("OBS scene “%s”: %s", scene, command)
        self._api.send(command).add_done_callback(partial(self._applied, scene))

    def _applied(self, scene: str, done: Future[Answer]) -> None:
        """On the controller's thread: what is on air now is what was applied."""
        error = done.exception()
        if error is not None:
            log.warning("OBS scene “%s”: %s", scene, error)
        elif "preset" in done.result().details:
            self._inbox.put(self._follower.take_own_request, self._api.on_air.request_id)

    def _renamed(self, old: str, new: str) -> None:
        state = self._state
        self._state = replace(
            state,
            program=new if state.program == old else state.program,
            preview=new if state.preview == old else state.preview,
            scenes=tuple(new if scene == old else scene for scene in state.scenes),
        )
        if self._follower.rename(old, new):
            log.warning(
                "OBS: the scene “%s” is now called “%s”; it is followed until we end "
                "(write the new name in config.yaml, obs.scenes)",
                old,
                new,
            )

    def _removed(self, scene: str) -> None:
        if self._follower.is_named(scene):
            log.warning("OBS: the scene “%s”, which the settings name, was deleted", scene)
        self._scenes_are(tuple(name for name in self._state.scenes if name != scene))

    def _scenes_are(self, scenes: tuple[str, ...]) -> None:
        self._state = replace(self._state, scenes=scenes)
        self._follower.take_scenes(scenes)

    def _custom_event(self, data: Any) -> None:
        message = custom_events.command_in(data)
        if message is None:
            return
        number = message.pop("id", None)
        try:
            command = command_from_json(message)
        except StylizerError as error:
            self._broadcast(custom_events.of_error(number, error))
            return

        def answered(done: Future[Answer]) -> None:
            error = done.exception()
            event = (
                custom_events.of_error(number, error)
                if error is not None
                else custom_events.of_answer(number, done.result())
            )
            self._inbox.put_if_room(self._broadcast, event)

        self._api.send(command).add_done_callback(answered)

    # What happens on our side.

    def _published(self, control_event: ControlEvent) -> None:
        if control_event.kind is EventKind.STATISTICS:
            latency = control_event.details["recent_latency_ms"]
            if control_event.details["picture"] == "styled" and latency > 0:
                self._sound.observe(latency, self._ready())
            self._check_stream()
            return
        if control_event.kind is EventKind.STATE:
            self._untold = control_event
            self._switch_scene(control_event)
            return
        self._broadcast(custom_events.of_control_event(control_event))

    def _check_stream(self) -> None:
        connection = self._ready()
        if connection is not None and self._now() >= self._next_poll:
            self._next_poll = self._now() + _POLL_SECONDS
            self._stream.check(connection)

    def _switch_scene(self, control_event: ControlEvent) -> None:
        preset, request_id = control_event.details["preset"], control_event.details["request_id"]
        connection = self._ready()
        scene = self._follower.take_preset(preset, request_id, self._now())
        if scene is None or connection is None:
            return
        try:
            connection.ask("SetCurrentProgramScene", sceneName=scene)
        except ObsError as error:
            self._follower.forget_switch()
            log.warning(
                "preset %s: OBS does not switch to the scene “%s”: %s", preset, scene, error
            )

    def _tell_state(self) -> None:
        """Tell OBS the newest state, once nothing newer waits."""
        connection = self._ready()
        if connection is None:
            return
        if self._untold is not None:
            self._broadcast(custom_events.of_control_event(self._untold))
            self._untold = None
        name, on_air = self.settings.text_input, self._api.on_air
        text = "" if on_air.bypass else on_air.title
        if name and text != self._text:
            self._text = text
            done = connection.request(
                "SetInputSettings", inputName=name, inputSettings={"text": text}
            )
            done.add_done_callback(partial(self._text_shown, name))

    def _text_shown(self, name: str, done: Future[dict[str, Any]]) -> None:
        error = done.exception()
        if error is not None:
            log.warning("OBS: the text input “%s” does not show the preset: %s", name, error)

    def _broadcast(self, event: dict[str, Any]) -> None:
        connection = self._ready()
        if connection is not None:
            connection.request("BroadcastCustomEvent", eventData=event)

    def _ready(self) -> Connection | None:
        """The connection, unless OBS is busy with another collection of scenes."""
        return None if self._busy_collection else self._connection

    def _use(self, settings: ObsSettings) -> None:
        program = self._follower.program
        self.settings = self.settings.model_copy(
            update={
                "scenes": settings.scenes,
                "default": settings.default,
                "presets": settings.presets,
                "warm_preview": settings.warm_preview,
            }
        )
        self._follower = SceneFollower(self.settings)
        if program and self._connection is not None:
            self._take_stock(self._connection)


def obs_control(settings: ObsSettings) -> ControlSurfaceFactory:
    """Return what makes the control surface."""
    return partial(ObsControl, settings)
