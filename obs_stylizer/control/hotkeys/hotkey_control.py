"""Hotkeys: keys that are pressed become commands, by the settings and the presets of now."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from obs_stylizer.control.api import ControlApi, ControlSurfaceFactory
from obs_stylizer.control.commands import Answer, Command, SetBypass, SetFreeze
from obs_stylizer.control.event_bus import ControlEvent, EventKind
from obs_stylizer.control.hotkeys.bindings import Action, Binding, gather
from obs_stylizer.control.hotkeys.combination import Combination
from obs_stylizer.control.hotkeys.keyboard import BIND_BY_HAND, TAKEN, MakeKeyboard
from obs_stylizer.control.hotkeys.keyboard_choice import keyboard_of_this_system
from obs_stylizer.control.hotkeys.report import (
    HotkeyState,
    read_reports,
    remove_report,
    write_report,
)
from obs_stylizer.settings import runtime_folder

log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 5.0


def hotkey_control(
    settings: Mapping[str, str], make_keyboard: MakeKeyboard = keyboard_of_this_system
) -> ControlSurfaceFactory:
    """Return what makes the control surface.

    Args:
        settings: combination for each command.
        make_keyboard: listens for the keys.
    """
    return lambda api: Hotkeys(api, settings, make_keyboard, runtime_folder())


@dataclass(frozen=True, slots=True)
class _Pressed:
    combination: Combination


@dataclass(frozen=True, slots=True)
class _Released:
    combination: Combination


@dataclass(frozen=True, slots=True)
class _Listening:
    problems: Mapping[Combination, str]
    trouble: str
    triggers: Mapping[Combination, str]


@dataclass(frozen=True, slots=True)
class _Follow:
    """The presets have changed."""


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


_News = _Pressed | _Released | _Listening | _Follow | _Stop


class Hotkeys:
    """Sends the command of each combination that is pressed.

    Args:
        folder: for the report of what works.
    """

    def __init__(
        self,
        api: ControlApi,
        settings: Mapping[str, str],
        make_keyboard: MakeKeyboard,
        folder: Path,
    ) -> None:
        self._api = api
        self._settings = dict(settings)
        self._folder = folder
        self._inbox: queue.SimpleQueue[_News] = queue.SimpleQueue()
        self._keyboard = make_keyboard(self)
        self._bindings: list[Binding] = []
        self._actions: dict[Combination, Action] = {}
        self._heard: _Listening | None = None
        self._down: dict[Combination, Action] = {}
        self._before_hold: dict[type[Command], bool] = {}
        self._told: tuple[str, tuple[HotkeyState, ...]] | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="hotkeys", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._unsubscribe = self._api.subscribe(self._hear)
        self._inbox.put(_Follow())
        self._thread.start()
        self._keyboard.start()

    def stop(self) -> None:
        """Give all keys back. May be called twice."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
            self._keyboard.stop()
            self._inbox.put(_Stop())
            self._thread.join(_STOP_SECONDS)
            remove_report(self._folder)

    # What the keyboard and the control API call, on their own threads.

    def pressed(self, combination: Combination) -> None:
        """Take note of a press."""
        self._inbox.put(_Pressed(combination))

    def released(self, combination: Combination) -> None:
        """Take note of a release."""
        self._inbox.put(_Released(combination))

    def listening(
        self,
        problems: Mapping[Combination, str],
        trouble: str,
        triggers: Mapping[Combination, str] = MappingProxyType({}),
    ) -> None:
        """Take note of what can be heard."""
        self._inbox.put(_Listening(problems, trouble, triggers))

    def _hear(self, control_event: ControlEvent) -> None:
        if control_event.kind is EventKind.PRESETS_CHANGED:
            self._inbox.put(_Follow())

    # All below is done by our own thread.

    def _run(self) -> None:
        while True:
            news = self._inbox.get()
            if isinstance(news, _Stop):
                return
            try:
                self._take(news)
            except Exception:
                log.exception("hotkeys failed at %s", news)

    def _take(self, news: _News) -> None:
        if isinstance(news, _Pressed):
            self._press(news.combination)
        elif isinstance(news, _Released):
            self._release(news.combination)
        elif isinstance(news, _Listening):
            self._heard = news
            self._tell()
        else:
            self._follow()

    def _follow(self) -> None:
        """Ask the keyboard for what settings and presets want now."""
        before = self._actions.keys()
        self._bindings = gather(self._settings, self._api.library)
        self._actions = {
            binding.combination: binding.action
            for binding in self._bindings
            if binding.combination is not None
            and binding.action is not None
            and not binding.problem
        }
        self._keyboard.watch({keys: action.text for keys, action in self._actions.items()})
        # Of other combinations the keyboard says itself which it has got.
        if self._heard is not None and (self._heard.trouble or before == self._actions.keys()):
            self._tell()

    def _press(self, combination: Combination) -> None:
        action = self._actions.get(combination)
        if action is None or combination in self._down:
            return
        kind = type(action.command)
        if action.held and not self._is_held(kind):
            self._before_hold[kind] = self._is_on(kind)
        self._down[combination] = action
        self._send(action.command, f"{combination} ({action.text})")

    def _release(self, combination: Combination) -> None:
        action = self._down.pop(combination, None)
        if action is None or not action.held:
            return
        kind = type(action.command)
        if self._is_held(kind):
            return
        before = self._before_hold.pop(kind)
        command = SetBypass(before) if kind is SetBypass else SetFreeze(before)
        # The next press must find the state as it is then.
        wait([self._send(command, f"{combination} let go")], _ANSWER_SECONDS)

    def _is_held(self, kind: type[Command]) -> bool:
        return any(one.held and type(one.command) is kind for one in self._down.values())

    def _is_on(self, kind: type[Command]) -> bool:
        on_air = self._api.on_air
        return on_air.bypass if kind is SetBypass else on_air.freeze

    def _send(self, command: Command, what: str) -> Future[Answer]:
        future = self._api.send(command)
        future.add_done_callback(lambda done: _log_failure(done, what))
        return future

    def _tell(self) -> None:
        """Write down and log what is new about which hotkey works."""
        states = tuple(self._state(binding) for binding in self._bindings)
        trouble = self._heard.trouble if self._heard else ""
        if (trouble, states) == self._told:
            return
        old_trouble, known = self._told or ("", ())
        first, self._told = self._told is None, (trouble, states)
        write_report(self._folder, trouble, states)
        for state in states:
            if state.problem not in ("", trouble) and state not in known:
                log.warning("hotkey %s (%s): %s", state.keys, state.text, state.problem)
        if trouble != old_trouble and trouble:
            self._tell_trouble(trouble, logging.INFO if first else logging.WARNING)
        elif not trouble and (first or _working(states) != _working(known)):
            log.info("hotkeys: %s", ", ".join(_working(states)) or "none")

    def _tell_trouble(self, trouble: str, level: int) -> None:
        if trouble != BIND_BY_HAND:
            log.log(level, "hotkeys: %s", trouble)
            return
        lines = [f"  {keys}:  obs-stylizer ctl {one.words}" for keys, one in self._actions.items()]
        told = "hotkeys: %s; bind these in the keyboard settings of your desktop:\n%s"
        log.info(told, trouble, "\n".join(lines))

    def _state(self, binding: Binding) -> HotkeyState:
        problem, trigger = binding.problem, ""
        if not problem and self._heard is not None and binding.combination is not None:
            problem = self._heard.trouble or self._heard.problems.get(binding.combination, "")
            if problem == TAKEN:
                problem = self._who_has(binding.keys) or TAKEN
            trigger = self._heard.triggers.get(binding.combination, "")
        return HotkeyState(binding.keys, binding.text, binding.asked_by, problem, trigger)

    def _who_has(self, keys: str) -> str:
        for report in read_reports(self._folder):
            for state in report.hotkeys:
                works = not state.problem and not report.trouble
                if works and state.keys == keys and report.pid != os.getpid():
                    return f"obs-stylizer, process {report.pid}, has taken it"
        return ""


def _working(states: tuple[HotkeyState, ...]) -> list[str]:
    return [f"{state.shown_keys} {state.text}" for state in states if not state.problem]


def _log_failure(done: Future[Answer], what: str) -> None:
    if done.cancelled():
        return
    error = done.exception()
    if error is not None:
        log.warning("hotkey %s: %s", what, error)
