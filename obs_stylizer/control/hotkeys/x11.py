"""Hotkeys on X11: each combination is grabbed from the server, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from Xlib import X, error
from Xlib.display import Display

from obs_stylizer.control.hotkeys.combination import Combination, Modifier
from obs_stylizer.control.hotkeys.keyboard import TAKEN, Listener
from obs_stylizer.control.hotkeys.wakeup import Wakeup
from obs_stylizer.control.hotkeys.x11_extension import tell_repeats_apart
from obs_stylizer.control.hotkeys.x11_layout import Layout

if TYPE_CHECKING:
    from Xlib.protocol.rq import Event

log = logging.getLogger(__name__)

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 5.0
_STOP_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 10.0
_SETTLE_SECONDS: Final = 0.2
_HELD_POLL_SECONDS: Final = 0.5


class X11Keyboard:
    """Grabs keys of one X server; waits for it where it is away.

    Args:
        display: its name, as in DISPLAY.
    """

    def __init__(self, listener: Listener, display: str) -> None:
        self._listener = listener
        self._name = display
        self._wanted: frozenset[Combination] = frozenset()
        self._stopping = threading.Event()
        self._wakeup = Wakeup()
        self._server: _Server | None = None
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="hotkeys-x11", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def watch(self, combinations: Collection[Combination]) -> None:
        """Grab these and no others."""
        self._wanted = frozenset(combinations)
        self._wakeup.wake()

    def stop(self) -> None:
        """End, and let all keys go."""
        self._stopping.set()
        self._wakeup.wake()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)
            server = self._server
            if self._thread.is_alive() and server is not None:
                # The server hangs; without its line the thread waits for it no longer.
                server.cut()
                self._thread.join(_STOP_SECONDS)
        if not self._thread.is_alive():
            self._wakeup.close()

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            try:
                display = Display(self._name)
            except Exception as problem:
                # python-xlib fails in many ways on a server that starts or ends just now.
                self._lost(problem)
            else:
                wait = _FIRST_WAIT
                self._serve(_Server(display, self._listener))
            if not self._stopping.is_set():
                # New bindings are kept for when the server is there.
                self._stopping.wait(wait)
                wait = min(_LONGEST_WAIT, 2 * wait)

    def _serve(self, server: _Server) -> None:
        """Stay until the server is gone or we are to end."""
        self._server = server
        try:
            server.begin()
            self._trouble = ""
            while not self._stopping.is_set():
                server.grab(self._wanted)
                # What came with the answers to our own requests wakes no select.
                server.take_events()
                bell = self._wakeup.fileno()
                ready, _, _ = select.select([server.fileno(), bell], [], [], server.timeout())
                if bell in ready:
                    self._wakeup.clear()
        except (error.ConnectionClosedError, error.XError, OSError) as problem:
            self._lost(problem)
        except Exception as problem:
            log.exception("hotkeys: unexpected answer of X server %s", self._name)
            self._lost(problem)
        finally:
            self._server = None
            server.end()

    def _lost(self, problem: Exception) -> None:
        log.debug("X server %s: %s", self._name, problem)
        if not self._trouble and not self._stopping.is_set():
            self._trouble = f"X server {self._name} is not there; waiting for it"
            self._listener.listening({}, self._trouble)


class _Server:
    """One connection to the server; used by the keyboard's thread alone, but for :meth:`cut`."""

    def __init__(self, display: Display, listener: Listener) -> None:
        self._display = display
        self._listener = listener
        self._socket = display.display.socket
        self._roots = [display.screen(n).root for n in range(display.screen_count())]
        self._grabbed: dict[Combination, tuple[int, ...]] = {}
        self._problems: dict[Combination, str] = {}
        self._by_code: dict[tuple[int, int], Combination] = {}
        self._held: dict[int, Combination] = {}
        self._asked: frozenset[Combination] | None = None
        self._retry_at = 0.0
        self._next_poll = 0.0
        self._layout_changes: int | None = None
        self._settled_at: float | None = None

    def fileno(self) -> int:
        """Of its line; readable when something has come."""
        return int(self._display.fileno())

    def begin(self) -> None:
        """Find out what keys there are."""
        self._display.set_error_handler(_ignore_late_error)
        self._layout_changes = tell_repeats_apart(self._display)
        if self._layout_changes is None:
            log.warning("hotkeys: this X server cannot tell a held key from repeated presses")
        self._layout = Layout(self._display)

    def end(self) -> None:
        """Let everything go; the server gives keys back when the line is closed."""
        for combination in list(self._held.values()):
            self._listener.released(combination)
        self._held.clear()
        # python-xlib fails in several ways on a line that is already cut.
        with contextlib.suppress(Exception):
            self._display.close()
        with contextlib.suppress(OSError):
            self._socket.close()

    def cut(self) -> None:
        """Break the line, from another thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def timeout(self) -> float:
        """Seconds until there is something to do without any event."""
        now = time.monotonic()
        waits = [60.0]
        if self._settled_at is not None:
            waits.append(self._settled_at - now)
        if any(problem == TAKEN for problem in self._problems.values()):
            waits.append(self._retry_at - now)
        if self._held:
            waits.append(self._next_poll - now)
        return max(0.0, min(waits))

    def grab(self, wanted: frozenset[Combination]) -> None:
        """Grab what is wanted, and again what was taken or what a new layout has elsewhere."""
        now = time.monotonic()
        changed = wanted != self._asked
        if self._settled_at is not None and now >= self._settled_at:
            self._settled_at = None
            layout = Layout(self._display)
            # Every change between two keyboards is told too, and mostly brings nothing new.
            if layout != self._layout:
                self._let_go(list(self._grabbed))
                self._layout = layout
                changed = True
        before = dict(self._problems)
        if changed:
            self._let_go([one for one in self._grabbed if one not in wanted])
            self._problems = {}
            missing = sorted(wanted - self._grabbed.keys(), key=str)
        elif TAKEN in self._problems.values() and now >= self._retry_at:
            missing = [one for one, problem in self._problems.items() if problem == TAKEN]
        else:
            return
        self._asked = wanted
        self._retry_at = now + _RETRY_SECONDS
        for combination in missing:
            problem = self._grab_one(combination)
            if problem:
                self._problems[combination] = problem
            else:
                self._problems.pop(combination, None)
        if changed or self._problems != before:
            self._listener.listening(dict(self._problems), "")

    def _grab_one(self, combination: Combination) -> str:
        """Grab one; returns what is wrong, "" if it is ours now."""
        held = combination.modifiers
        function_key = combination.key.name in _CONSOLE_KEYS
        if function_key and held >= {Modifier.CTRL, Modifier.ALT} and Modifier.SUPER not in held:
            return "Linux changes to another console with it; choose another key"
        keycodes = self._layout.keycodes(combination.key)
        if not keycodes:
            return f"this keyboard layout has no key {combination.key.name}"
        bits = self._layout.bits(combination)
        other = next(
            (self._by_code[code, bits] for code in keycodes if (code, bits) in self._by_code), None
        )
        if other is not None:
            return f"on this keyboard layout it is the same as {other}"
        refused = error.CatchError(error.BadAccess)
        for root in self._roots:
            for keycode in keycodes:
                for locks in self._layout.lock_states:
                    root.grab_key(
                        keycode,
                        bits | locks,
                        False,
                        X.GrabModeAsync,
                        X.GrabModeAsync,
                        onerror=refused,
                    )
        self._display.sync()
        self._grabbed[combination] = keycodes
        self._by_code.update({(keycode, bits): combination for keycode in keycodes})
        if refused.get_error():
            self._let_go([combination])
            return TAKEN
        return ""

    def _let_go(self, combinations: Collection[Combination]) -> None:
        for combination in combinations:
            bits = self._layout.bits(combination)
            for keycode in self._grabbed.pop(combination):
                self._by_code.pop((keycode, bits), None)
                for root in self._roots:
                    for locks in self._layout.lock_states:
                        root.ungrab_key(keycode, bits | locks)
        if combinations:
            self._display.sync()

    def take_events(self) -> None:
        """Tell of all presses and releases that have come."""
        if self._held and time.monotonic() >= self._next_poll:
            self._next_poll = time.monotonic() + _HELD_POLL_SECONDS
            self._look_for_lost_releases()
        while self._display.pending_events():
            self._take(self._display.next_event())

    def _take(self, event: Event) -> None:
        if event.type == X.KeyPress:
            self._pressed(event.detail, event.state)
        elif event.type == X.KeyRelease:
            combination = self._held.pop(event.detail, None)
            if combination is not None:
                self._listener.released(combination)
        elif event.type in (X.MappingNotify, self._layout_changes):
            # Several come together.
            self._settled_at = time.monotonic() + _SETTLE_SECONDS

    def _pressed(self, keycode: int, state: int) -> None:
        if keycode in self._held:
            return
        combination = self._by_code.get((keycode, state & self._layout.relevant))
        if combination is not None:
            self._held[keycode] = combination
            self._listener.pressed(combination)

    def _look_for_lost_releases(self) -> None:
        """Tell of keys that are up although nothing said so."""
        down = self._display.query_keymap()
        for keycode, combination in list(self._held.items()):
            if not down[keycode // 8] & 1 << keycode % 8:
                del self._held[keycode]
                self._listener.released(combination)


_CONSOLE_KEYS: Final = tuple(f"f{number}" for number in range(1, 13))


def _ignore_late_error(problem: object, request: object) -> None:
    log.debug("hotkeys: X server says %s to %s", problem, request)
