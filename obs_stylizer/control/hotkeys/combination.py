"""Combinations of keys: how they are written, and which of them can work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from obs_stylizer.control.hotkeys.keys import KEYS, OTHER_NAMES, Key, Use
from obs_stylizer.errors import UsageError


class Modifier(StrEnum):
    """A key that is held while another is pressed, in the order in which they are written."""

    CTRL = "ctrl"
    ALT = "alt"
    SHIFT = "shift"
    SUPER = "super"


_OTHER_MODIFIERS: Final[Mapping[str, Modifier]] = {
    "control": Modifier.CTRL,
    "option": Modifier.ALT,
    "win": Modifier.SUPER,
    "windows": Modifier.SUPER,
    "meta": Modifier.SUPER,
    "cmd": Modifier.SUPER,
    "command": Modifier.SUPER,
}

_NOT_LISTENED_FOR: Final[Mapping[str, str]] = {
    "altgr": "AltGr is Ctrl and Alt together on Windows; write ctrl+alt",
    "fn": "Fn is known to the keyboard alone",
    "capslock": "it changes what is written; choose another key",
    "numlock": "it changes what is written; choose another key",
}


@dataclass(frozen=True, slots=True)
class Combination:
    """Some modifiers and a key; equal where the same keys are meant."""

    modifiers: frozenset[Modifier]
    key: Key

    def __str__(self) -> str:
        held = [modifier.value for modifier in Modifier if modifier in self.modifiers]
        return "+".join([*held, self.key.name])

    @classmethod
    def parse(cls, text: str) -> Combination:
        """Read a combination such as ``ctrl+alt+1``; capitals and spaces do not matter.

        Raises:
            UsageError: an unknown key, or a combination that cannot work everywhere.
        """
        parts = [part.strip().lower() for part in text.split("+")]
        if not text.strip():
            raise UsageError("no keys are named", "write them as in ctrl+alt+1")
        if "" in parts:
            raise UsageError(
                f"“{text}” has a + without a key",
                "write one + between keys; the plus of the number pad is numplus",
            )
        modifiers: set[Modifier] = set()
        keys: list[Key] = []
        for part in parts:
            modifier = _modifier(part)
            if modifier is None:
                keys.append(_key(part, text))
            elif modifier in modifiers:
                raise UsageError(f"“{text}” names {modifier} twice", "name it once")
            else:
                modifiers.add(modifier)
        if not keys:
            raise UsageError(f"“{text}” names no key beside modifiers", f"write {text}+1")
        if len(keys) > 1:
            raise UsageError(
                f"“{text}” names two keys, {keys[0].name} and {keys[1].name}",
                "name one key, and ctrl, alt, shift or super to hold with it",
            )
        combination = cls(frozenset(modifiers), keys[0])
        _check(combination)
        return combination


def _modifier(name: str) -> Modifier | None:
    return _OTHER_MODIFIERS.get(name) or (Modifier(name) if name in list(Modifier) else None)


def _key(name: str, text: str) -> Key:
    key = KEYS.get(OTHER_NAMES.get(name, name))
    if key is not None:
        return key
    if name in _NOT_LISTENED_FOR:
        raise UsageError(f"“{text}”: {name} cannot be part of a hotkey", _NOT_LISTENED_FOR[name])
    known = [*KEYS, *OTHER_NAMES, *Modifier, *_OTHER_MODIFIERS]
    near = get_close_matches(name, known, n=1)
    raise UsageError(
        f"“{text}”: there is no key “{name}”",
        f"did you mean “{near[0]}”?" if near else "keys are a to z, 0 to 9, f1 to f24, left, …",
    )


def _check(combination: Combination) -> None:
    """Refuse what works nowhere, or would take a key away from writing."""
    held, key = combination.modifiers, combination.key
    if Modifier.SHIFT in held and key.use is Use.DIGIT:
        raise UsageError(
            f"{combination}: Shift with a digit is another key, such as ! or Home",
            f"write {str(combination).replace('shift+', '') if len(held) > 1 else 'ctrl+alt+1'}, "
            "or take a letter",
        )
    if not held - {Modifier.SHIFT} and key.use is not Use.FREE and not _is_number_pad(key):
        raise UsageError(
            f"{combination}: nothing could be written or edited with that key any more",
            f"hold a key with it, as in ctrl+alt+{key.name}",
        )
    if held >= {Modifier.CTRL, Modifier.ALT} and key.name == "delete":
        raise UsageError(f"{combination} belongs to the system", "choose another key")


def _is_number_pad(key: Key) -> bool:
    return key.name.startswith("num")
