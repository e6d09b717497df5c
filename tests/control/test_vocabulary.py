"""The words for commands: what is understood, and what is refused in which words."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest

from obs_stylizer.control import commands, vocabulary
from obs_stylizer.control.commands import (
    ApplyPreset,
    ChangeSource,
    Command,
    MixStyles,
    NextPreset,
    Record,
    SetBypass,
    SetCoherence,
    SetCrossfade,
    SetFreeze,
    SetStrength,
    StepStrength,
)
from obs_stylizer.control.vocabulary import (
    WORDS,
    command_from_json,
    command_from_text,
    command_from_words,
    message_from_words,
)
from obs_stylizer.errors import UsageError


def test_every_command_has_a_word() -> None:
    assert {word.command for word in WORDS.values()} == set(get_args(commands.Command))


@pytest.mark.parametrize("word", WORDS)
def test_every_example_is_understood_and_makes_its_command(word: str) -> None:
    assert type(command_from_text(WORDS[word].example)) is WORDS[word].command


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("preset great-wave", ApplyPreset("great-wave")),
        ("preset great-wave strength=0.5", ApplyPreset("great-wave", 0.5)),
        ("preset crossfade_ms=50 great-wave", ApplyPreset("great-wave", None, 50)),
        ("preset great-wave 0.25 100", ApplyPreset("great-wave", 0.25, 100)),
        ('preset "my wave"', ApplyPreset("my wave")),
        ("next", NextPreset()),
        ("strength 0.5", SetStrength(0.5)),
        ("strength +0.1", StepStrength(0.1)),
        ("strength -0.1", StepStrength(-0.1)),
        ("strength-step -0.1", StepStrength(-0.1)),
        ("coherence 0.8", SetCoherence(0.8)),
        ("mix a=0.5 b=1", MixStyles({"a": 0.5, "b": 1.0})),
        ("crossfade 400", SetCrossfade(400)),
        ("crossfade", SetCrossfade(None)),
        ("bypass", SetBypass(None)),
        ("bypass on", SetBypass(True)),
        ("bypass OFF", SetBypass(False)),
        ("freeze toggle", SetFreeze(None)),
        ("record on", Record(True)),
        ('source "camera:Logitech BRIO"', ChangeSource("camera:Logitech BRIO")),
        ("source file:a=b.mp4?once", ChangeSource("file:a=b.mp4?once")),
        (r"source file:C:\clips\rain.mp4", ChangeSource(r"file:C:\clips\rain.mp4")),
        ("source image:#1.png", ChangeSource("image:#1.png")),
    ],
)
def test_text(text: str, command: Command) -> None:
    assert command_from_text(text) == command


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ({"command": "preset", "name": "wave", "strength": 1}, ApplyPreset("wave", 1.0)),
        ({"command": "preset", "name": "wave", "strength": None}, ApplyPreset("wave")),
        ({"command": "strength", "strength": "0.5"}, SetStrength(0.5)),
        ({"command": "strength-step", "by": -0.1}, StepStrength(-0.1)),
        ({"command": "mix", "styles": {"a": 1, "name": 0.5}}, MixStyles({"a": 1, "name": 0.5})),
        ({"command": "bypass"}, SetBypass(None)),
        ({"command": "bypass", "bypass": True}, SetBypass(True)),
        ({"command": "bypass", "bypass": None}, SetBypass(None)),
        ({"command": "bypass", "bypass": "toggle"}, SetBypass(None)),
        ({"command": "freeze", "freeze": "off"}, SetFreeze(False)),
        ({"command": "crossfade", "milliseconds": None}, SetCrossfade(None)),
    ],
)
def test_json(message: dict[str, Any], command: Command) -> None:
    assert command_from_json(message) == command


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no command"),
        ("nxt", "there is no command “nxt” (did you mean “next”?)"),
        ("dance", "there is no command “dance” (commands are: preset, next"),
        ("preset", "preset: name: field required (as in: preset great-wave)"),
        ("next please", "“please” is too much after next"),
        ("preset a name=b", "preset is given name twice"),
        ("preset a strength=0.1 strength=0.2", "preset is given strength twice"),
        ("preset a strength=high", "preset: strength: “high” is no number"),
        ("strength", "strength: strength: field required"),
        ("strength much", "strength: strength: “much” is no number (as in: strength 0.5)"),
        ("strength nan", "“nan” is no number"),
        ("strength +inf", "strength-step: by: “+inf” is no number"),
        ("mix", "mix names no style (as in: mix great-wave=0.5 scream=0.5)"),
        ("mix a", "“a” is no style with a weight"),
        ("mix =1", "“=1” is no style with a weight"),
        ("mix a=1 a=2", "mix is given a twice"),
        ("mix a=lots", "mix: a: “lots” is no number"),
        ("bypass perhaps", "bypass “perhaps” (write on, off or toggle)"),
        ('preset "wave', "No closing quotation (end every quotation mark)"),
    ],
)
def test_refused_text(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        command_from_text(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([], "the message is no JSON object"),
        ("next", "the message is no JSON object"),
        ({}, "the message names no command"),
        ({"command": 5}, "the message names no command"),
        ({"command": "next", "name": "x"}, "next has no argument “name” (it takes none)"),
        ({"command": "preset", "nam": "x"}, "has no argument “nam” (it takes: name, strength,"),
        ({"command": "preset", "name": 5}, "preset: name: input should be a valid string"),
        ({"command": "preset", "name": True}, "preset: name: input should be a valid string"),
        ({"command": "strength", "strength": True}, "strength: “True” is no number"),
        ({"command": "strength", "strength": None}, "strength: strength: input should be"),
        ({"command": "strength", "strength": [0.5]}, "strength: “[0.5]” is no number"),
        ({"command": "strength", "strength": float("nan")}, "“nan” is no number"),
        ({"command": "strength", "strength": 10**400}, "is no number"),
        ({"command": "bypass", "bypass": 1}, "bypass “1” (write on, off or toggle)"),
        ({"command": "mix", "styles": {}}, "mix names no style"),
        ({"command": "mix", "styles": [1]}, "mix: styles: input should be a valid dict"),
        ({"command": "mix", "styles": {"a": {}}}, "mix: a: “{}” is no number"),
    ],
)
def test_refused_json(message: Any, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        command_from_json(message)
    assert reason in str(caught.value)


@pytest.mark.parametrize("word", ["x" * 100_000, "preset"])
def test_errors_stay_short(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        command_from_json({"command": word, "y" * 100_000: 1})
    assert len(str(caught.value)) < 400


def test_words_make_the_message_that_programs_send() -> None:
    assert message_from_words(["preset", "wave", "strength=0.5"]) == {
        "command": "preset",
        "name": "wave",
        "strength": "0.5",
    }
    assert message_from_words(["mix", "a=1"]) == {"command": "mix", "styles": {"a": "1"}}
    assert command_from_words(["preset", "wave"]) == ApplyPreset("wave")


def test_words_are_turned_into_a_message_without_anything_heavy() -> None:
    program = (
        f"import sys; from {vocabulary.__name__} import message_from_words;"
        "message_from_words(['strength', '0.5']);"
        "sys.exit(', '.join({'pydantic', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.strip() == ""
