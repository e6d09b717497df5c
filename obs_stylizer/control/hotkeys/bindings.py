"""What hotkeys the settings and the presets ask for, and which of them cannot be."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from obs_stylizer.control.commands import Command, SetBypass, SetFreeze
from obs_stylizer.control.hotkeys.combination import Combination
from obs_stylizer.control.vocabulary import command_from_words, split_words
from obs_stylizer.errors import UsageError
from obs_stylizer.presets import PresetLibrary

_HOLD: Final = "hold"
_HELD: Final[Mapping[str, Command]] = {"bypass": SetBypass(True), "freeze": SetFreeze(True)}


@dataclass(frozen=True, slots=True)
class Action:
    """What a hotkey does.

    Attributes:
        text: the command as people write it, also after ``obs-stylizer ctl`` unless it is held.
        command: sent when the keys are pressed.
        held: taken back when the key is let go.
    """

    text: str
    command: Command
    held: bool = False

    @classmethod
    def parse(cls, text: str) -> Action:
        """Read ``next``, ``strength +0.1`` or ``hold bypass``.

        Raises:
            UsageError: no such command, or one that cannot be held.
        """
        words = split_words(text)
        if not words or words[0] != _HOLD:
            return cls(text, command_from_words(words))
        if len(words) != 2 or words[1] not in _HELD:
            raise UsageError(
                f"“{text}”: only {' and '.join(_HELD)} can be held", "write “hold bypass”"
            )
        return cls(text, _HELD[words[1]], held=True)

    @property
    def words(self) -> str:
        """What to write after ``obs-stylizer ctl`` for it."""
        return self.text.removeprefix(_HOLD).strip() if self.held else self.text


@dataclass(frozen=True, slots=True)
class Binding:
    """One hotkey that is asked for.

    Attributes:
        keys: as written, in normal form where they could be read.
        text: the command.
        asked_by: for people: "your settings", "preset great-wave".
        own: the user asks, and goes before what came with the program.
        combination, action: None where they could not be read.
        problem: why it cannot be; "" for nothing known.
    """

    keys: str
    text: str
    asked_by: str
    own: bool
    combination: Combination | None = None
    action: Action | None = None
    problem: str = ""


def gather(settings: Mapping[str, str], library: PresetLibrary) -> list[Binding]:
    """Return all that are asked for: those of the settings first, then by preset.

    A line ``preset NAME`` in the settings stands in place of that preset's own hotkey.
    """
    bindings = [
        _binding(keys, text, "your settings", own=True)
        for text, keys in settings.items()
        if keys.strip()
    ]
    in_settings = {_preset_named(text) for text in settings}
    for named in library.all():
        if named.preset.hotkey.strip() and named.name not in in_settings:
            text = f"preset {shlex.quote(named.name)}"
            asked_by = f"preset {named.name}"
            bindings.append(_binding(named.preset.hotkey, text, asked_by, own=not named.bundled))
    return _without_clashes(bindings)


def _binding(keys: str, text: str, asked_by: str, *, own: bool) -> Binding:
    binding = Binding(keys, text, asked_by, own)
    try:
        binding = replace(binding, action=Action.parse(text))
        combination = Combination.parse(keys)
    except UsageError as error:
        return replace(binding, problem=str(error))
    return replace(binding, combination=combination, keys=str(combination))


def _preset_named(text: str) -> str | None:
    """Return the name in ``preset NAME``, None for any other command."""
    try:
        words = split_words(text)
    except UsageError:
        return None
    return words[1] if len(words) == 2 and words[0] == "preset" else None


def _without_clashes(bindings: Sequence[Binding]) -> list[Binding]:
    """Refuse what asks for the same keys, each naming the others."""
    askers: dict[Combination | None, list[Binding]] = defaultdict(list)
    for binding in bindings:
        askers[binding.combination].append(binding)
    return [
        binding if binding.combination is None else _judged(binding, askers[binding.combination])
        for binding in bindings
    ]


def _judged(binding: Binding, askers: Sequence[Binding]) -> Binding:
    """Refuse one of ``askers`` for the same keys, unless it alone is the user's own."""
    rivals = [one for one in askers if one is not binding and (one.own or not binding.own)]
    if not rivals:
        return binding
    own = [rival for rival in rivals if rival.own]
    names = " and ".join(f"“{rival.text}” ({rival.asked_by})" for rival in own or rivals)
    if own and not binding.own:
        return replace(binding, problem=f"{binding.keys} does {names} instead")
    return replace(
        binding, problem=f"{binding.keys} is also asked for by {names} (give each its own keys)"
    )
