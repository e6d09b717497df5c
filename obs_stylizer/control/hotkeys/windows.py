"""Hotkeys on Windows: registered with the system, in a thread with a message queue.

Written from Microsoft's documentation; not run on Windows yet, only against a stand-in for it.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Collection
from typing import Final

from obs_stylizer.control.hotkeys.combination import Combination, Modifier
from obs_stylizer.control.hotkeys.keyboard import TAKEN, Listener
from obs_stylizer.control.hotkeys.windows_api import ALREADY_REGISTERED, WindowsApi

log = logging.getLogger(__name__)

_BITS: Final = {Modifier.ALT: 1, Modifier.CTRL: 2, Modifier.SHIFT: 4, Modifier.SUPER: 8}
_HELD_POLL_SECONDS: Final = 0.015
_RETRY_SECONDS: Final = 10.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 2.0


def _user32() -> WindowsApi:
    if sys.platform == "win32":
        from obs_stylizer.control.hotkeys.windows_user32 import User32

        return User32()
    raise OSError("this is no Windows")


class WindowsKeyboard:
    """Registers combinations, and looks for releases while a key is held.

    Args:
        make_api: makes the way to Windows, on the thread that uses it; None for the real one.
    """

    def __init__(
        self, listener: Listener, make_api: Callable[[], WindowsApi] | None = None
    ) -> None:
        self._listener = listener
        self._make_api = make_api or _user32
        self._api: WindowsApi | None = None
        self._wanted: frozenset[Combination] = frozenset()
        self._asked: frozenset[Combination] | None = None
        self._numbers: dict[Combination, int] = {}
        self._last_number = 0
        self._problems: dict[Combination, str] = {}
        self._held: set[Combination] = set()
        self._retry_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hotkeys-windows", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def watch(self, combinations: Collection[Combination]) -> None:
        """Register these and no others."""
        self._wanted = frozenset(combinations)
        self._wake()

    def stop(self) -> None:
        """End, and give all keys back."""
        self._stopping.set()
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)

    def _wake(self) -> None:
        if self._api is not None:
            self._api.wake()

    def _run(self) -> None:
        try:
            api = self._make_api()
            api.begin()
            self._api = api
            while not self._stopping.is_set():
                self._register(api)
                for number in api.wait(self._timeout()):
                    self._pressed(number)
                self._look_for_releases(api)
        except Exception as error:
            log.exception("hotkeys: Windows answers in an unknown way")
            self._listener.listening({}, f"Windows answers in an unknown way: {error}")
        finally:
            for combination in self._held:
                self._listener.released(combination)
            if self._api is not None:
                for number in self._numbers.values():
                    self._api.unregister(number)

    def _timeout(self) -> float:
        waits = [_LONGEST_WAIT_SECONDS]
        if self._held:
            waits.append(_HELD_POLL_SECONDS)
        if TAKEN in self._problems.values():
            waits.append(self._retry_at - time.monotonic())
        return max(0.0, min(waits))

    def _register(self, api: WindowsApi) -> None:
        """Register what is wanted, and again what was taken a while ago."""
        wanted = self._wanted
        changed = wanted != self._asked
        before = dict(self._problems)
        if changed:
            self._problems = {}
            for combination in self._numbers.keys() - wanted:
                api.unregister(self._numbers.pop(combination))
            missing = sorted(wanted - self._numbers.keys(), key=str)
        elif TAKEN in before.values() and time.monotonic() >= self._retry_at:
            missing = [one for one, problem in before.items() if problem == TAKEN]
        else:
            return
        self._asked = wanted
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        for combination in missing:
            problem = self._register_one(api, combination)
            if problem:
                self._problems[combination] = problem
            else:
                self._problems.pop(combination, None)
        if changed or self._problems != before:
            self._listener.listening(dict(self._problems), "")

    def _register_one(self, api: WindowsApi, combination: Combination) -> str:
        """Register one; returns what is wrong, "" if it is ours now."""
        key = combination.key.windows
        if key is None:
            return f"Windows does not tell {combination.key.name} from another key"
        if combination.key.name == "f12" and not combination.modifiers:
            return "Windows keeps F12 alone for debuggers; hold a key with it"
        # A new number each time: a late message of an old one means nothing.
        self._last_number = self._last_number % 0xBFFF + 1
        bits = sum(_BITS[modifier] for modifier in combination.modifiers)
        error = api.register(self._last_number, bits, key)
        if not error:
            self._numbers[combination] = self._last_number
            return ""
        return TAKEN if error == ALREADY_REGISTERED else f"Windows refuses it (error {error})"

    def _pressed(self, number: int) -> None:
        for combination, known in self._numbers.items():
            if known == number and combination not in self._held:
                self._held.add(combination)
                self._listener.pressed(combination)

    def _look_for_releases(self, api: WindowsApi) -> None:
        for combination in list(self._held):
            key = combination.key.windows
            if key is None or not api.is_down(key):
                self._held.discard(combination)
                self._listener.released(combination)
