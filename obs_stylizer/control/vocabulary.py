"""The words for commands: in JSON, on the command line and behind a hotkey they are the same.

Turning words into a message needs nothing heavy, so that the command line starts at once.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from obs_stylizer.control import commands
from obs_stylizer.control.commands import Command
from obs_stylizer.errors import UsageError

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Word:
    """One word of the vocabulary.

    Attributes:
        command: the class it makes.
        example: as written on the command line.
        about: a line for people.
    """

    command: type[Command]
    example: str
    about: str


WORDS: Final[Mapping[str, Word]] = {
    "preset": Word(commands.ApplyPreset, "preset great-wave", "go over to a preset"),
    "next": Word(commands.NextPreset, "next", "go over to the next preset"),
    "previous": Word(commands.PreviousPreset, "previous", "go over to the preset before"),
    "undo": Word(commands.Undo, "undo", "take back the last change of preset, strength or mix"),
    "strength": Word(commands.SetStrength, "strength 0.5", "0 plain to 1 fully styled"),
    "strength-step": Word(commands.StepStrength, "strength +0.1", "more or less strength"),
    "mix": Word(commands.MixStyles, "mix great-wave=0.5 scream=0.5", "weights of the styles"),
    "coherence": Word(commands.SetCoherence, "coherence 0.8", "0 crisp and flickering to 1 calm"),
    "person": Word(commands.SetPersonStrength, "person 0.5", "strength of the person's side"),
    "background": Word(
        commands.SetBackgroundStrength, "background 0.5", "strength of the background's side"
    ),
    "swap": Word(
        commands.SwapSides, "swap", "exchange person and background; on, off, or turn over"
    ),
    "mask": Word(
        commands.ShowMask, "mask", "show who is taken for a person; on, off, or turn over"
    ),
    "crossfade": Word(
        commands.SetCrossfade,
        "crossfade 400",
        "milliseconds of every change; alone: each preset's own",
    ),
    "bypass": Word(commands.SetBypass, "bypass", "the plain picture; on, off, or turn over"),
    "freeze": Word(commands.SetFreeze, "freeze", "hold the picture; on, off, or turn over"),
    "source": Word(commands.ChangeSource, "source screen:1", "take frames from elsewhere"),
    "record": Word(commands.Record, "record", "record what is sent; on, off, or turn over"),
    "snapshot": Word(commands.TakeSnapshot, "snapshot", "save the plain and the styled picture"),
    "learn": Word(
        commands.LearnStyle, "learn /home/me/drawing.jpg", "learn the style of a picture"
    ),
    "learn-keyframe": Word(
        commands.LearnKeyframe,
        "learn-keyframe /home/me/frame.png /home/me/painted.png",
        "learn what was painted on a frame, and each save of it",
    ),
    "learn-more": Word(commands.LearnMore, "learn-more 60", "go on with the style learnt last"),
    "learn-keep": Word(commands.KeepLearnt, "learn-keep", "take the style as it is learnt so far"),
    "learn-forget": Word(commands.ForgetLearnt, "learn-forget", "stop learning, keep nothing"),
    "warm": Word(commands.WarmPreset, "warm great-wave", "load a preset to be shown soon"),
    "reload": Word(commands.Reload, "reload", "read the preset files again"),
    "status": Word(commands.GetStatus, "status", "say what is on air"),
    "quit": Word(commands.Quit, "quit", "end the daemon"),
}
"""Every word, in the order in which people read about them."""

_SWITCH: Final = {"on": True, "off": False, "toggle": None}
_SWITCHES: Final = ("bypass", "freeze", "record", "swap", "mask")
"""Words whose one argument is on, off or toggle."""
_SHOWN: Final = 40
"""Letters of what was given that an error repeats."""


def command_from_json(message: Mapping[str, Any]) -> Command:
    """Read a command as programs send it: ``{"command": "preset", "name": "great-wave"}``.

    Raises:
        UsageError: an unknown word or argument, or a value of the wrong kind.
    """
    if not isinstance(message, Mapping):
        raise UsageError("the message is no JSON object", 'write {"command": "next"}')
    arguments = dict(message)
    word = arguments.pop("command", None)
    if not isinstance(word, str):
        raise UsageError("the message names no command", 'write {"command": "next"}')
    names = _field_names(_word(word))
    for name in arguments:
        if name not in names:
            known = f"it takes: {', '.join(names)}" if names else "it takes none"
            raise UsageError(f"{word} has no argument “{_short(name)}”", known)
    arguments = {name: _checked(word, name, value) for name, value in arguments.items()}
    return _validated(word, arguments)


def command_from_words(words: Sequence[str]) -> Command:
    """Read a command as people write it: ``["preset", "great-wave", "strength=0.5"]``.

    Raises:
        UsageError: an unknown word or argument, or a value of the wrong kind.
    """
    return command_from_json(message_from_words(words))


def command_from_text(text: str) -> Command:
    """Read a command from one line, as in the settings: ``source "camera:Logitech BRIO"``.

    Raises:
        UsageError: as for :func:`command_from_words`, or a quote that does not end.
    """
    return command_from_words(split_words(text))


def split_words(text: str) -> list[str]:
    """Split a line at its spaces; quotation marks keep a name of several words together.

    Raises:
        UsageError: a quote does not end.
    """
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    # Paths of Windows are written with backslashes.
    lexer.escape = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise UsageError(f"“{_short(text)}”: {error}", "end every quotation mark") from error


def message_from_words(words: Sequence[str]) -> dict[str, Any]:
    """Turn what people write into the message that means the same; values are not checked yet.

    Raises:
        UsageError: an unknown word, or too many arguments.
    """
    if not words:
        raise UsageError("no command", f"commands are: {', '.join(WORDS)}")
    word, *rest = words
    if word == "strength" and len(rest) == 1 and rest[0][:1] in ("+", "-"):
        word = "strength-step"
    names = _field_names(_word(word))
    if word == "mix":
        return {"command": word, "styles": _weights(rest)}
    arguments: dict[str, Any] = {}
    for text in rest:
        name, equals, value = text.partition("=")
        if not equals or name not in names:
            name, value = next((free for free in names if free not in arguments), ""), text
        if not name:
            raise UsageError(f"“{_short(text)}” is too much after {word}", _as_in(word))
        if name in arguments:
            raise UsageError(f"{word} is given {name} twice", _as_in(word))
        arguments[name] = value
    return {"command": word, **arguments}


def _validated(word: str, arguments: Mapping[str, Any]) -> Command:
    from pydantic import ValidationError

    if word == "mix" and not arguments.get("styles", True):
        raise UsageError("mix names no style", _as_in(word))
    try:
        return _adapter(word).validate_python(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(_short(str(part)) for part in first["loc"])
        raise UsageError(f"{word}: {where}: {first['msg'].lower()}", _as_in(word)) from None


@cache
def _adapter(word: str) -> TypeAdapter[Command]:
    from pydantic import TypeAdapter

    return TypeAdapter(WORDS[word].command)


def _word(word: str) -> Word:
    if word in WORDS:
        return WORDS[word]
    near = get_close_matches(_short(word), WORDS, n=1)
    remedy = f"did you mean “{near[0]}”?" if near else f"commands are: {', '.join(WORDS)}"
    raise UsageError(f"there is no command “{_short(word)}”", remedy)


def _field_names(word: Word) -> list[str]:
    return [field.name for field in dataclasses.fields(word.command)]


def _as_in(word: str) -> str:
    return f"as in: {WORDS[word].example}"


def _weights(words: Sequence[str]) -> dict[str, str]:
    weights: dict[str, str] = {}
    for text in words:
        name, equals, weight = text.partition("=")
        if not (name and equals):
            raise UsageError(f"“{_short(text)}” is no style with a weight", _as_in("mix"))
        if name in weights:
            raise UsageError(f"mix is given {name} twice", _as_in("mix"))
        weights[name] = weight
    return weights


def _checked(word: str, name: str, value: Any) -> Any:
    """Return one argument's value; pydantic would take true for 1, and “nan” for a number."""
    if word in _SWITCHES:
        return _switch(word, value)
    if _is_text(word, name) or (name == "styles" and not isinstance(value, Mapping)):
        return value
    if name == "styles":
        return {style: _number(word, str(style), weight) for style, weight in value.items()}
    return None if value is None else _number(word, name, value)


def _is_text(word: str, name: str) -> bool:
    """Whether an argument is text, by the type of the command's field; all others are numbers."""
    fields = dataclasses.fields(WORDS[word].command)
    return any(field.name == name and str(field.type).startswith("str") for field in fields)


def _number(word: str, name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        given = _short(str(value))
        raise UsageError(f"{word}: {_short(name)}: “{given}” is no number", _as_in(word))
    return number


def _switch(word: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    try:
        return _SWITCH[str(value).lower()]
    except KeyError:
        raise UsageError(f"{word} “{_short(str(value))}”", "write on, off or toggle") from None


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
