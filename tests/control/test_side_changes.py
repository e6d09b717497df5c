"""Person and background by command: what is refused, what is kept, what a fresh worker is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from obs_stylizer.control import commands
from obs_stylizer.control.commands import Command
from obs_stylizer.errors import UsageError
from obs_stylizer.realtime import events, requests
from obs_stylizer.realtime.requests import SideSettings
from tests.fakes.control_api import FakeControlApi


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeControlApi]:
    (tmp_path / "room.yaml").write_text(
        "title: Room\nperson: plain\nbackground: {blur: 0.5}\n", "utf-8"
    )
    (tmp_path / "ink.yaml").write_text("title: Ink\n", "utf-8")
    with FakeControlApi(tmp_path, first="room") as started:
        yield started


def do(api: FakeControlApi, command: Command) -> str:
    return api.send(command).result(5).text


def asked(api: FakeControlApi) -> list[SideSettings]:
    return [request.sides for request in api.requests if isinstance(request, requests.SetSides)]


def test_either_strength_is_set_and_kept(api: FakeControlApi) -> None:
    assert do(api, commands.SetPersonStrength(0.25)) == "person 0.25"
    do(api, commands.SetBackgroundStrength(0.5))
    assert asked(api)[-1] == SideSettings(0.25, 0.5)
    assert api.on_air.sides == {"person": 0.25, "background": 0.5}
    with pytest.raises(UsageError, match="out of range"):
        do(api, commands.SetBackgroundStrength(1.5))
    assert api.on_air.sides == {"person": 0.25, "background": 0.5}


def test_the_strength_of_the_preset_is_that_of_both(api: FakeControlApi) -> None:
    do(api, commands.SetPersonStrength(0.25))
    do(api, commands.SetStrength(0.75))
    assert api.on_air.sides == {"person": 0.75, "background": 0.75}


def test_swap_turns_over(api: FakeControlApi) -> None:
    do(api, commands.SwapSides())
    assert api.on_air.swapped
    do(api, commands.SwapSides())
    assert not api.on_air.swapped
    do(api, commands.SwapSides(swap=True))
    assert asked(api)[-1].swapped


def test_what_was_done_to_the_sides_is_taken_back_one_by_one(api: FakeControlApi) -> None:
    do(api, commands.SetPersonStrength(0.75))
    do(api, commands.SetPersonStrength(0.25))
    do(api, commands.SwapSides())
    do(api, commands.SetBackgroundStrength(0.5))
    do(api, commands.Undo())
    assert api.on_air.sides == {"person": 0.25, "background": 1.0}
    assert api.on_air.swapped
    do(api, commands.Undo())
    assert not api.on_air.swapped
    do(api, commands.Undo())
    assert api.on_air.sides == {"person": 1.0, "background": 1.0}
    shown = [request for request in api.requests if isinstance(request, requests.ShowPreset)]
    assert [request.sides for request in shown[1:]] == [
        SideSettings(0.25, 1.0, swapped=True),
        SideSettings(0.25, 1.0),
        SideSettings(1.0, 1.0),
    ]
    do(api, commands.ApplyPreset("ink"))
    do(api, commands.Undo())
    assert api.on_air.preset == "room"


def test_a_fresh_worker_is_told_all_of_it(api: FakeControlApi) -> None:
    do(api, commands.SetPersonStrength(0.25))
    do(api, commands.SwapSides())
    do(api, commands.ShowMask(mask=True))
    api.requests.clear()
    api.controller.tell(events.WorkerLost("killed", 0.0))
    api.controller.tell(events.WorkerStarted(2, 1))
    do(api, commands.GetStatus())
    shown = [request for request in api.requests if isinstance(request, requests.ShowPreset)]
    assert shown[-1].sides == SideSettings(person=0.25, swapped=True)
    assert requests.ShowMask(show=True) in api.requests


def test_another_preset_begins_with_its_own(api: FakeControlApi) -> None:
    do(api, commands.SwapSides())
    do(api, commands.ApplyPreset("ink"))
    do(api, commands.ApplyPreset("room"))
    shown = [request for request in api.requests if isinstance(request, requests.ShowPreset)]
    assert shown[-1].sides is None
    assert not api.on_air.swapped


@pytest.mark.parametrize(
    "command",
    [
        commands.SetPersonStrength(0.5),
        commands.SetBackgroundStrength(0.5),
        commands.SwapSides(),
        commands.ShowMask(mask=True),
    ],
)
def test_a_preset_without_sides_refuses_and_says_why(api: FakeControlApi, command: Command) -> None:
    do(api, commands.ApplyPreset("ink"))
    with pytest.raises(UsageError, match="does not tell person and background apart"):
        do(api, command)
