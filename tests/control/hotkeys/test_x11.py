"""Hotkeys of a real X server, pressed by xdotool."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from obs_stylizer.control.hotkeys.combination import Combination
from obs_stylizer.control.hotkeys.keyboard import TAKEN, Keyboard
from tests.fakes.display import Display

pytestmark = pytest.mark.screen

# There on Linux alone.
X = pytest.importorskip("Xlib.X")
XK = pytest.importorskip("Xlib.XK")
XDisplay = pytest.importorskip("Xlib.display").Display
x11 = pytest.importorskip("obs_stylizer.control.hotkeys.x11")
x11_extension = pytest.importorskip("obs_stylizer.control.hotkeys.x11_extension")

if shutil.which("xdotool") is None:
    pytest.skip("xdotool is not installed (apt install xdotool)", allow_module_level=True)

Told = tuple[str, str]


class Ear:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: queue.Queue[Told] = queue.Queue()
        self.states: queue.Queue[tuple[Mapping[Combination, str], str]] = queue.Queue()

    def pressed(self, combination: Combination) -> None:
        self.told.put(("pressed", str(combination)))

    def released(self, combination: Combination) -> None:
        self.told.put(("released", str(combination)))

    def listening(self, problems: Mapping[Combination, str], trouble: str) -> None:
        self.states.put((problems, trouble))

    def hears(self, *expected: Told) -> None:
        assert [self.told.get(timeout=5) for _ in expected] == list(expected)
        self.hears_nothing_more()

    def hears_nothing_more(self) -> None:
        with pytest.raises(queue.Empty):
            self.told.get(timeout=0.15)

    def state(self, timeout: float = 10) -> tuple[dict[str, str], str]:
        problems, trouble = self.states.get(timeout=timeout)
        return {str(combination): problem for combination, problem in problems.items()}, trouble


def both(keys: str) -> tuple[Told, Told]:
    return ("pressed", keys), ("released", keys)


def xdotool(*arguments: str) -> None:
    subprocess.run(["xdotool", *arguments], check=True, timeout=20)


def setxkbmap(*arguments: str) -> None:
    if shutil.which("setxkbmap") is None:
        pytest.skip("setxkbmap is not installed (apt install x11-xkb-utils)")
    subprocess.run(["setxkbmap", *arguments], check=True, timeout=20, capture_output=True)


@contextmanager
def listening(display: str, *keys: str) -> Iterator[tuple[Keyboard, Ear]]:
    ear = Ear()
    keyboard = x11.X11Keyboard(ear, display)
    keyboard.watch({Combination.parse(text) for text in keys})
    keyboard.start()
    try:
        yield keyboard, ear
    finally:
        keyboard.stop()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    files = psutil.Process().num_fds()
    threads = threading.active_count()
    yield
    assert threading.active_count() == threads
    assert psutil.Process().num_fds() <= files


def test_press_and_release(x_display: Display) -> None:
    with listening(x_display.name, "ctrl+alt+1", "f13", "num5", "ctrl+shift+p") as (_, ear):
        assert ear.state() == ({}, "")
        xdotool("key", "ctrl+alt+1")
        ear.hears(*both("ctrl+alt+1"))
        xdotool("key", "ctrl+shift+p")
        ear.hears(*both("ctrl+shift+p"))
        xdotool("key", "87", "84")
        ear.hears(*both("num5"))
        xdotool("key", "191")
        ear.hears(*both("f13"))
        xdotool("key", "ctrl+1", "alt+1", "1", "ctrl+alt+2", "ctrl+alt+shift+1", "super+ctrl+alt+1")
        ear.hears_nothing_more()


def test_locks_do_not_matter(x_display: Display) -> None:
    with listening(x_display.name, "ctrl+alt+b") as (_, ear):
        assert ear.state() == ({}, "")
        for locks in (["Num_Lock"], ["Caps_Lock"], ["Num_Lock"], ["Caps_Lock"]):
            xdotool("key", *locks)
            xdotool("key", "ctrl+alt+b")
            ear.hears(*both("ctrl+alt+b"))


def test_held_key_fires_once(x_display: Display) -> None:
    with listening(x_display.name, "ctrl+alt+b") as (_, ear):
        assert ear.state() == ({}, "")
        subprocess.run(["xset", "r", "rate", "100", "50"], check=True)
        watcher = XDisplay(x_display.name)
        try:
            xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "b")
            ear.hears(("pressed", "ctrl+alt+b"))
            time.sleep(0.8)
            assert watcher.get_keyboard_control().global_auto_repeat == X.AutoRepeatModeOn
            ear.hears_nothing_more()
            # Let go in the other order than it was pressed.
            xdotool("keyup", "ctrl", "keyup", "alt")
            ear.hears_nothing_more()
            xdotool("keyup", "b")
            ear.hears(("released", "ctrl+alt+b"))
        finally:
            watcher.close()


def test_server_really_repeats_held_keys(x_display: Display) -> None:
    """Without the extension's flag the same grab hears the repeats, so the test above can fail."""
    other = XDisplay(x_display.name)
    try:
        code = other.keysym_to_keycode(XK.XK_b)
        other.screen().root.grab_key(code, X.ControlMask, False, X.GrabModeAsync, X.GrabModeAsync)
        other.sync()
        subprocess.run(["xset", "r", "rate", "100", "50"], check=True)
        xdotool("keydown", "ctrl", "keydown", "b")
        time.sleep(0.6)
        xdotool("keyup", "b", "keyup", "ctrl")
        time.sleep(0.1)
        presses = 0
        while other.pending_events():
            presses += other.next_event().type == X.KeyPress
        assert presses > 3
    finally:
        other.close()


def test_taken_by_another_program_until_it_lets_go(
    x_display: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(x11, "_RETRY_SECONDS", 0.2)
    other = XDisplay(x_display.name)
    code = other.keysym_to_keycode(XK.XK_1)
    root = other.screen().root
    # Only with NumLock on: part of a combination is not enough for us.
    root.grab_key(
        code, X.ControlMask | X.Mod1Mask | X.Mod2Mask, False, X.GrabModeAsync, X.GrabModeAsync
    )
    other.sync()
    with listening(x_display.name, "ctrl+alt+1", "ctrl+alt+2") as (_, ear):
        assert ear.state() == ({"ctrl+alt+1": TAKEN}, "")
        xdotool("key", "ctrl+alt+1", "ctrl+alt+2")
        ear.hears(*both("ctrl+alt+2"))
        other.close()
        assert ear.state() == ({}, "")
        xdotool("key", "ctrl+alt+1")
        ear.hears(*both("ctrl+alt+1"))


def test_refused_by_name(x_display: Display) -> None:
    with listening(x_display.name, "ctrl+alt+f2", "ctrl+alt+x", "ctrl+f2") as (_, ear):
        problems, _ = ear.state()
        assert problems == {
            "ctrl+alt+f2": "Linux changes to another console with it; choose another key"
        }


def test_other_bindings_are_followed(x_display: Display) -> None:
    with listening(x_display.name, "ctrl+alt+1") as (keyboard, ear):
        assert ear.state() == ({}, "")
        keyboard.watch({Combination.parse("ctrl+alt+2")})
        assert ear.state() == ({}, "")
        xdotool("key", "ctrl+alt+1", "ctrl+alt+2")
        ear.hears(*both("ctrl+alt+2"))
        other = XDisplay(x_display.name)
        try:
            # What is wished for no more is free for others.
            with listening(x_display.name, "ctrl+alt+1") as (_, second):
                assert second.state() == ({}, "")
        finally:
            other.close()


def test_two_held_at_once(x_display: Display) -> None:
    with listening(x_display.name, "ctrl+alt+1", "ctrl+alt+2") as (_, ear):
        assert ear.state() == ({}, "")
        xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "1", "keydown", "2")
        xdotool("keyup", "1", "keyup", "2", "keyup", "ctrl", "keyup", "alt")
        ear.hears(
            ("pressed", "ctrl+alt+1"),
            ("pressed", "ctrl+alt+2"),
            ("released", "ctrl+alt+1"),
            ("released", "ctrl+alt+2"),
        )


def test_new_layout_is_followed(x_display: Display) -> None:
    setxkbmap("us")
    with listening(x_display.name, "ctrl+alt+y", "ctrl+alt+1") as (_, ear):
        assert ear.state() == ({}, "")
        xdotool("key", "37+64+29")
        ear.hears(*both("ctrl+alt+y"))
        setxkbmap("de")
        assert ear.state() == ({}, "")
        # Y and Z have changed places.
        xdotool("key", "37+64+29")
        ear.hears_nothing_more()
        xdotool("key", "37+64+52")
        ear.hears(*both("ctrl+alt+y"))


def test_digits_of_a_french_keyboard_and_letters_of_a_greek_one(x_display: Display) -> None:
    setxkbmap("fr")
    with listening(x_display.name, "ctrl+alt+1", "ctrl+alt+a") as (_, ear):
        assert ear.state() == ({}, "")
        xdotool("key", "37+64+10")
        ear.hears(*both("ctrl+alt+1"))
        xdotool("key", "37+64+24")
        ear.hears(*both("ctrl+alt+a"))
        setxkbmap("gr")
        problems, _ = ear.state()
        assert problems == {"ctrl+alt+a": "this keyboard layout has no key a"}
        setxkbmap("gr,us")
        assert ear.state() == ({}, "")
        xdotool("key", "37+64+38")
        ear.hears(*both("ctrl+alt+a"))


def lock_group(display: Any, group: int) -> int:
    """Go over to one of several layouts, as a desktop's switch does; returns the one of now."""
    rq = pytest.importorskip("Xlib.protocol.rq")
    eight, sixteen = rq.Card8, rq.Card16
    start = (rq.RequestLength(), sixteen("device"))
    names = ("affect", "locks", "lock_group", "group", "affect_latches", "latches", "latch_group")
    rest = [eight(name) for name in names]
    rest.insert(6, rq.Pad(1))

    class Lock(rq.Request):  # type: ignore[misc]
        _request = rq.Struct(eight("opcode"), rq.Opcode(5), *start, *rest, sixteen("group_latch"))

    class Ask(rq.ReplyRequest):  # type: ignore[misc]
        _request = rq.Struct(eight("opcode"), rq.Opcode(4), *start, rq.Pad(2))
        _reply = rq.Struct(
            rq.ReplyCode(),
            eight("device"),
            sixteen("sequence_number"),
            rq.ReplyLength(),
            rq.Pad(4),
            eight("group"),
            rq.Pad(19),
        )

    assert x11_extension.tell_repeats_apart(display)
    opcode = display.query_extension("XKEYBOARD").major_opcode
    zeros = dict.fromkeys(names, 0)
    wanted = {**zeros, "lock_group": 1, "group": group, "group_latch": 0}
    Lock(display=display.display, opcode=opcode, device=0x100, **wanted)
    return int(Ask(display=display.display, opcode=opcode, device=0x100).group)


def test_second_layout_that_is_switched_to(x_display: Display) -> None:
    setxkbmap("-layout", "us,gr")
    switch = XDisplay(x_display.name)
    with listening(x_display.name, "ctrl+alt+a") as (_, ear):
        assert ear.state() == ({}, "")
        assert lock_group(switch, 1) == 1
        # xdotool would go back to the first layout for each key.
        keys = (37, 64, 38)
        for kind, codes in ((X.KeyPress, keys), (X.KeyRelease, keys[::-1])):
            for code in codes:
                switch.xtest_fake_input(kind, code)
        switch.sync()
        ear.hears(*both("ctrl+alt+a"))
    switch.close()


def until(condition: Callable[[], object], timeout: float = 10) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def own_server(number: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        ["Xvfb", f":{number}", "-screen", "0", "64x64x8", "-nolisten", "tcp", "-noreset"],
        stderr=subprocess.DEVNULL,
    )
    until(lambda: Path(f"/tmp/.X11-unix/X{number}").exists())
    return process


def free_number() -> int:
    for number in range(173, 200):
        if not Path(f"/tmp/.X11-unix/X{number}").exists():
            return number
    pytest.skip("no display number is free")


# python-xlib leaves the socket of an attempt that failed to Python's own tidying.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_server_that_dies_and_comes_back(
    x_display: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(x11, "_FIRST_WAIT", 0.1)
    number = free_number()
    monkeypatch.setenv("DISPLAY", f":{number}")
    with listening(f":{number}", "ctrl+alt+b") as (keyboard, ear):
        gone = f"X server :{number} is not there; waiting for it"
        assert ear.state() == ({}, gone)
        for _ in range(3):
            server = own_server(number)
            try:
                assert ear.state() == ({}, "")
                xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "b")
                ear.hears(("pressed", "ctrl+alt+b"))
            finally:
                server.kill()
                server.wait()
            assert ear.state() == ({}, gone)
            # A key that was held is let go.
            ear.hears(("released", "ctrl+alt+b"))
        keyboard.stop()
        assert ear.states.empty()


def test_stops_while_the_server_hangs(x_display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x11, "_STOP_SECONDS", 0.5)
    with listening(x_display.name, "ctrl+alt+b") as (keyboard, ear):
        assert ear.state() == ({}, "")
        os.kill(x_display.process.pid, signal.SIGSTOP)
        try:
            keyboard.watch({Combination.parse("ctrl+alt+1")})
            time.sleep(0.2)
            started = time.monotonic()
            keyboard.stop()
            assert time.monotonic() - started < 2
        finally:
            os.kill(x_display.process.pid, signal.SIGCONT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_something_that_is_no_x_server(monkeypatch: pytest.MonkeyPatch) -> None:
    number = free_number()
    path = f"/tmp/.X11-unix/X{number}"
    Path(path).parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as impostor:
        impostor.bind(path)
        impostor.listen()
        try:
            with listening(f":{number}", "ctrl+alt+b") as (_, ear):
                for answer in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20):
                    line, _ = impostor.accept()
                    line.sendall(answer)
                    line.close()
                    if not answer:
                        assert ear.state()[1].startswith(f"X server :{number} is not there")
        finally:
            Path(path).unlink()
